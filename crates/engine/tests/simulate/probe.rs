//! Looks at what running Workers have changed: against what lies ahead of them, and sometimes against what did once;
//! against what others have that run beside them, whoever makes way for whom, and sometimes against who ran once. What a
//! look says is lost, late or said twice like any reply.

use crate::host::Deed;
use crate::rng::Rng;
use crate::story::tell;
use crate::world::{What, World};
use mission::event::{Event, Turn};
use mission::foresight::{Clash, Stands};
use mission::ids::{AttemptId, CommitId, Epoch};
use mission::input::Input;
use mission::mission::{Lease, State};
use mission::time::Millis;
use mission::turn::Role;

impl World {
    /// Some looks at a turn of this length; at Workers' alone.
    pub(crate) fn probes(&mut self, name: &str, role: Role, length: Millis) {
        if role != Role::Worker {
            return;
        }
        // Most looks find nothing, and nothing is said of them.
        for n in 1..4 {
            if !self.rng.chance(120) {
                continue;
            }
            let name = name.to_owned();
            self.after(length.0 * n / 4, What::Probed { name });
        }
    }

    /// A look finds a conflict, if there is anything that it could be with.
    pub(crate) fn agent_is_probed(&mut self, name: &str) {
        let open = self.host.sessions.get(name);
        let Some(epoch) = open.filter(|it| it.ended.is_none()).map(|it| it.epoch) else {
            return;
        };
        let Some((engine, life)) = self.engine.as_ref().zip(self.listens(epoch)) else {
            return;
        };
        let mission = engine.desk.mission();
        let ahead = mission.ahead().into_iter().map(|ahead| ahead.commit);
        let mut commits: Vec<CommitId> = ahead.collect();
        // What it stands on, and what was handed in once and may be turned down by now.
        let old = mission.works().filter_map(|attempt| mission.work(attempt));
        let old: Vec<CommitId> = old.map(|work| work.commit.clone()).collect();
        let landed = mission.tasks().filter(|task| task.state == State::Landed);
        let landed: Vec<AttemptId> = landed.map(|task| task.attempt()).collect();
        if !self.calm && self.rng.chance(300) {
            commits = old;
        }
        let Some(commit) = self.rng.pick(&commits).cloned() else {
            return;
        };
        let at_work = self.works_beside(epoch);
        let paths: Vec<String> = self.scenario.goals.iter().map(|goal| goal.path()).collect();
        let paths = (0..=self.rng.below(3)).filter_map(|_| self.rng.pick(&paths).cloned());
        // Drawn apart, so that nothing else in a world depends on it.
        let mut texts = Rng::new(self.steps ^ (1 << 32));
        let files = paths.map(|path| {
            let there = format!("{path} {}\n", texts.below(2));
            (path, there)
        });
        let files = files.collect();
        let clash = Clash {
            commit,
            at_work,
            landed,
            files,
        };
        let faults = self.scenario.faults;
        if self.rng.chance(faults.lost) {
            tell!("{:>10} . a look at {name} is lost", "");
            return self.coverage.saw("a look is lost");
        }
        let (mut times, mut most) = (1, 3_000);
        if self.rng.chance(faults.doubled) {
            self.coverage.saw("a look is heard twice");
            times = 2;
        }
        if self.rng.chance(faults.late) {
            self.coverage.saw("a look is heard late");
            most = 90 * 60_000;
        }
        for _ in 0..times {
            let wait = self.rng.range(1, most);
            let input = Input::Clashed {
                epoch,
                clash: clash.clone(),
            };
            self.says(wait, life, name.to_owned(), Some(input), false, None);
        }
    }

    /// Sometimes somebody who runs beside a turn, or ran once. Drawn apart, so that nothing else in a world depends on it.
    fn works_beside(&mut self, epoch: Epoch) -> Option<Epoch> {
        let mut rng = Rng::new(self.steps);
        let works = |lease: &Lease| matches!(lease.turn, Turn::Work { .. });
        let mission = self.engine.as_ref()?.desk.mission();
        let leases = mission.leases().filter(|(_, lease)| works(lease));
        let mut others: Vec<Epoch> = leases.map(|(epoch, _)| epoch).collect();
        others.retain(|other| *other != epoch);
        if !rng.chance(500) {
            return None;
        }
        if !self.calm && rng.chance(200) {
            others = self.audit.leases.keys().copied().collect();
        }
        let other = rng.pick(&others).copied()?;
        if [epoch, other].is_sorted_by_key(|epoch| self.audit.first_of(*epoch)) {
            self.coverage.saw("a look at who makes way");
        }
        Some(other)
    }

    /// An agent that hears of a conflict keeps out of what others write.
    pub(crate) fn agent_is_warned(&mut self, event: &Event) {
        let Event::ConflictForeseen {
            attempt, conflict, ..
        } = event
        else {
            return;
        };
        self.coverage.saw(match conflict.stands() {
            Stands::Landed => "a conflict with what landed is foreseen",
            Stands::HandedIn => "a conflict with what is handed in is foreseen",
            Stands::AtWork => "a conflict with what another is at work on is foreseen",
        });
        if self.audit.is_told_again(*attempt, conflict) {
            self.coverage
                .saw("a conflict with what was still written is told again");
        }
        let turn = Turn::Work { attempt: *attempt };
        let honest = self.at_its_best(turn, Deed::Honest);
        let leases = &self.audit.leases;
        let mut works = leases.iter().filter(|(_, lease)| lease.turn == turn);
        let Some((epoch, _)) = works.next_back() else {
            return;
        };
        let mut sessions = self.host.sessions.values_mut();
        let strays = sessions.find(|it| it.epoch == *epoch && it.deed == Deed::Strays);
        if let Some(session) = strays.filter(|session| session.ended.is_none()) {
            session.deed = honest;
            self.coverage
                .saw("an agent heeds a conflict that is foreseen");
        }
    }
}
