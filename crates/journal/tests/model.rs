//! Both journals against a model that a person can check by reading.

#![cfg(test)]

use journal::contract::{owner, wanted};
use journal::{Error, Head, Hold, Journal, Lease, Memory, Sqlite, StoreId, Takeover, Verdict};
use mission::ids::{Epoch, MissionId, Seq};
use mission::time::Timestamp;
use proptest::prelude::*;
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Step {
    Create,
    Acquire {
        mission: u32,
        dead_too: bool,
    },
    /// The owner's process dies, and its lease value stays behind.
    Kill {
        mission: u32,
    },
    GiveBack {
        lease: usize,
    },
    Append {
        lease: usize,
        head: Seen,
        bodies: Vec<Vec<u8>>,
        status: Option<String>,
    },
    Read {
        mission: u32,
        from: u64,
        at_most: usize,
    },
    Rebuild,
    /// Everything of this process ends in order, and another one opens the store.
    Reopen,
}

/// Which head an append names.
#[derive(Clone, Copy, Debug)]
enum Seen {
    Newest,
    /// One that was right that many heads ago.
    Older(usize),
    Invented,
}

fn step() -> impl Strategy<Value = Step> {
    let mission = 0..5u32;
    let bodies = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..4);
    let status = proptest::option::of("[a-z]{0,8}");
    let seen = prop_oneof![6 => Just(Seen::Newest), 1 => (1..4usize).prop_map(Seen::Older), 1 => Just(Seen::Invented)];
    prop_oneof![
        2 => Just(Step::Create),
        5 => (mission.clone(), any::<bool>()).prop_map(|(mission, dead_too)| Step::Acquire { mission, dead_too }),
        2 => mission.clone().prop_map(|mission| Step::Kill { mission }),
        1 => (0..6usize).prop_map(|lease| Step::GiveBack { lease }),
        10 => (0..6usize, seen, bodies, status)
            .prop_map(|(lease, head, bodies, status)| Step::Append { lease, head, bodies, status }),
        3 => (mission, 0..12u64, 0..6usize).prop_map(|(mission, from, at_most)| Step::Read { mission, from, at_most }),
        1 => Just(Step::Rebuild),
        1 => Just(Step::Reopen),
    ]
}

/// What the model believes of one mission.
#[derive(Default)]
struct Believed {
    events: Vec<(u64, Vec<u8>)>,
    /// Every head there ever was. The model cannot hash, so it remembers what the journal said.
    heads: Vec<Head>,
    epoch: u64,
    hold: Option<Hold>,
    status: String,
}

trait Subject {
    fn open(&self) -> Arc<dyn Journal>;
    fn kill(&self, mission: MissionId);
}

struct InMemory(Memory);

impl Subject for InMemory {
    fn open(&self) -> Arc<dyn Journal> {
        Arc::new(self.0.reopen())
    }

    fn kill(&self, mission: MissionId) {
        self.0.kill(mission);
    }
}

struct OnDisk(tempfile::TempDir);

impl Subject for OnDisk {
    fn open(&self) -> Arc<dyn Journal> {
        Arc::new(Sqlite::open(self.0.path()).unwrap())
    }

    fn kill(&self, mission: MissionId) {
        std::fs::remove_file(self.0.path().join(format!("leases/{mission}.lock"))).unwrap();
    }
}

/// One run of the model beside a journal.
struct Run<'a> {
    subject: &'a dyn Subject,
    journal: Arc<dyn Journal>,
    /// Held and lost leases alike.
    leases: Vec<Lease>,
    missions: Vec<Believed>,
}

impl Run<'_> {
    fn believed(&mut self, mission: u32) -> Option<&mut Believed> {
        self.missions.get_mut((mission as usize).checked_sub(1)?)
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Create => {
                let number = u32::try_from(self.missions.len()).unwrap() + 1;
                let made = self
                    .journal
                    .create(Timestamp(u64::from(number)), wanted("x"));
                assert_eq!(made, Ok(MissionId(number)));
                self.missions.push(Believed {
                    heads: vec![Head::start()],
                    ..Believed::default()
                });
            }
            Step::Acquire { mission, dead_too } => self.acquire(mission, dead_too),
            Step::Kill { mission } => {
                if let Some(believed) = self.believed(mission)
                    && believed.hold == Some(Hold::Live)
                {
                    believed.hold = Some(Hold::Dead);
                    self.subject.kill(MissionId(mission));
                }
            }
            Step::GiveBack { lease } => {
                if lease < self.leases.len() {
                    let lease = self.leases.remove(lease);
                    self.gave_back(&lease);
                    drop(lease);
                }
            }
            Step::Append {
                lease,
                head,
                bodies,
                status,
            } => self.append(lease, head, &bodies, status.as_deref()),
            Step::Read {
                mission,
                from,
                at_most,
            } => self.read(mission, from, at_most),
            Step::Rebuild => {
                assert_eq!(self.journal.rebuild(), Ok(()));
                for believed in &mut self.missions {
                    believed.status.clear();
                }
            }
            Step::Reopen => {
                for lease in std::mem::take(&mut self.leases) {
                    self.gave_back(&lease);
                }
                self.journal = self.subject.open();
            }
        }
    }

    /// A lease that is not the newest gives nothing back, and neither does one whose owner counts as dead.
    fn gave_back(&mut self, lease: &Lease) {
        if let Some(believed) = self.believed(lease.mission().0)
            && lease.epoch() == Epoch(believed.epoch)
            && believed.hold == Some(Hold::Live)
        {
            believed.hold = Some(Hold::GivenBack);
        }
    }

    fn acquire(&mut self, number: u32, dead_too: bool) {
        let mission = MissionId(number);
        let takeover = if dead_too {
            Takeover::IfDead
        } else {
            Takeover::Never
        };
        let outcome = self.journal.acquire(mission, owner(number), takeover);
        let owner = owner(number);
        let Some(believed) = self.believed(number) else {
            assert_eq!(outcome.err(), Some(Error::Unknown { mission }));
            return;
        };
        match believed.hold {
            Some(Hold::Live) => assert_eq!(outcome.err(), Some(Error::Held { mission, owner })),
            Some(Hold::Dead) if !dead_too => {
                assert_eq!(outcome.err(), Some(Error::Abandoned { mission, owner }));
            }
            _ => {
                believed.epoch += 1;
                believed.hold = Some(Hold::Live);
                let lease = outcome.unwrap();
                assert_eq!(
                    (lease.mission(), lease.epoch().0),
                    (mission, believed.epoch)
                );
                self.leases.push(lease);
            }
        }
    }

    fn append(&mut self, lease: usize, seen: Seen, bodies: &[Vec<u8>], status: Option<&str>) {
        let Some(lease) = self.leases.get(lease) else {
            return;
        };
        let mission = lease.mission();
        let believed = &mut self.missions[mission.0 as usize - 1];
        let found = believed.heads.last().unwrap().clone();
        let expected = match seen {
            Seen::Newest => found.clone(),
            Seen::Older(n) => believed.heads[believed.heads.len().saturating_sub(n + 1)].clone(),
            Seen::Invented => Head {
                seq: found.seq,
                hash: mission::ids::Digest::of(b"invented"),
            },
        };
        let outcome = self.journal.append(lease, &expected, bodies, status);
        let (yours, current) = (lease.epoch(), Epoch(believed.epoch));
        if yours != current {
            assert_eq!(
                outcome,
                Err(Error::Fenced {
                    mission,
                    yours,
                    current
                })
            );
        } else if expected != found {
            assert_eq!(
                outcome,
                Err(Error::HeadMoved {
                    mission,
                    expected,
                    found
                })
            );
        } else {
            let head = outcome.unwrap();
            believed
                .events
                .extend(bodies.iter().map(|body| (yours.0, body.clone())));
            assert_eq!(head.seq.0, believed.events.len() as u64);
            if !bodies.is_empty() {
                believed.heads.push(head);
            }
            if let Some(status) = status {
                status.clone_into(&mut believed.status);
            }
        }
    }

    fn read(&mut self, number: u32, from: u64, at_most: usize) {
        let mission = MissionId(number);
        let outcome = self.journal.read(mission, Seq(from), at_most);
        let Some(believed) = self.believed(number) else {
            assert_eq!(outcome, Err(Error::Unknown { mission }));
            return;
        };
        let found: Vec<_> = outcome
            .unwrap()
            .into_iter()
            .map(|e| (e.seq.0, e.epoch.0, e.body))
            .collect();
        let all = believed
            .events
            .iter()
            .zip(1..)
            .map(|((epoch, body), seq)| (seq, *epoch, body.clone()));
        let page: Vec<_> = all.filter(|(seq, ..)| *seq >= from).take(at_most).collect();
        assert_eq!(found, page);
    }

    /// Everything that anybody can see is what the model believes.
    fn compare(&self) {
        let rows = self.journal.missions().unwrap();
        assert_eq!(rows.len(), self.missions.len());
        for (row, believed) in rows.iter().zip(&self.missions) {
            let lease = row.lease.as_ref().map(|lease| (lease.epoch.0, lease.hold));
            assert_eq!(
                lease,
                believed.hold.map(|hold| (believed.epoch, hold)),
                "{}",
                row.mission
            );
            assert_eq!(row.status, believed.status);
            let head = believed.heads.last().unwrap().clone();
            assert_eq!(row.head, head);
            let events = believed.events.len() as u64;
            assert_eq!(
                self.journal.verify(row.mission),
                Ok(Verdict::Verified { events, head })
            );
        }
    }
}

fn check(subject: &dyn Subject, steps: Vec<Step>) {
    let journal = subject.open();
    let mut run = Run {
        subject,
        journal,
        leases: Vec::new(),
        missions: Vec::new(),
    };
    for step in steps {
        run.take(step);
        run.compare();
    }
}

/// Without this, a failure leaves a file beside the test; the seed is printed in any case.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(512))]
    #[test]
    fn the_journal_in_memory_does_as_the_model(steps in proptest::collection::vec(step(), 1..60)) {
        check(&InMemory(Memory::new(StoreId([9; 16]))), steps);
    }
}

proptest! {
    #![proptest_config(config(160))]
    #[test]
    fn the_journal_on_disk_does_as_the_model(steps in proptest::collection::vec(step(), 1..60)) {
        check(&OnDisk(tempfile::tempdir().unwrap()), steps);
    }
}
