//! The lives of engines: how one dies, how the next begins, and what an old one tries afterwards.

use super::*;

impl World {
    /// Everything in memory is lost. What performers were about to do in the world has happened, or has not.
    pub(super) fn die(&mut self) {
        let Some(engine) = self.engine.take() else {
            return;
        };
        self.journal.kill(self.mission);
        let life = engine.life;
        let theirs = |what: &What| matches!(what, What::Effect { life: l, .. } | What::Says { life: l, .. } if *l == life);
        let lost: Vec<(u64, u64)> = self
            .queue
            .iter()
            .filter(|(_, what)| theirs(what))
            .map(|(key, _)| *key)
            .collect();
        for key in lost {
            if let Some(What::Effect { command, .. }) = self.queue.remove(&key)
                && self.rng.chance(500)
            {
                tell!("** {} reaches the world all the same", command.name());
                self.coverage
                    .saw("a performer reaches the world after its engine died");
                drop(self.in_the_world(&command));
            }
        }
        self.host_after_crash();
        self.audit.clocks.attended = self.attended();
        self.dead_since = Some(self.now);
        if engine.runs {
            // It notes that it runs every ten seconds, and now and then a note is damaged.
            let noted = self.told() - Millis(self.rng.below(10_000));
            self.noted = self.rng.chance(950).then_some(noted);
            self.ran = self.told_at_least();
        }
        let whole = Seq(engine.desk.mission().n_events()) == self.audit.durable();
        self.before_death = whole.then(|| engine.desk.mission().clone());
        if self.rng.chance(self.scenario.faults.zombie) {
            self.zombie = Some(engine);
        }
        if self.rng.chance(self.scenario.faults.clock) {
            let jumps: [i64; 5] = [1_000, 60_000, 600_000, 4_000_000, 90_000_000];
            let jump = *self.rng.pick(&jumps).unwrap_or(&0);
            let ahead = self.rng.chance(500);
            self.clock += if ahead { jump } else { -jump };
            self.coverage.saw(match ahead {
                true => "a clock jumps ahead",
                false => "a clock jumps back",
            });
            tell!("** the clock jumps: it is {} ms off", self.clock);
        }
        if self.rng.chance(self.scenario.faults.tools) {
            // Somebody upgrades a tool, or goes back to the one before.
            self.tools = self.rng.below(3);
            tell!("** the tools are of version {}", self.tools);
        }
        let wait = self.rng.range(10, 120_000);
        self.after(wait, What::Start);
    }

    /// A new life: a newer lease, the fold of the journal, and the same commands as before.
    pub(super) fn start(&mut self) {
        if self.engine.is_some() {
            return;
        }
        self.lives += 1;
        let life = self.lives;
        tell!("** life {life} begins");
        let handle = self.journal.reopen();
        let lease = handle
            .acquire(self.mission, owner(life), Takeover::IfDead)
            .expect("the last owner is dead");
        self.audit.lease(lease.epoch());
        let head = handle.head(self.mission).expect("the mission is there");
        let entries = handle
            .read(self.mission, Seq(1), usize::MAX)
            .expect("the mission is there");
        self.audit.recovered(&entries);
        if self.point("before it has read the journal").is_err() {
            self.journal.kill(self.mission);
            self.after(1_000, What::Start);
            return;
        }
        let decode = |entry: &journal::Entry| Recorded::decode(&entry.body);
        let events: Result<Vec<Recorded>, _> = entries.iter().map(decode).collect();
        let events = events.expect("what was stored can be read");
        let mission = Mission::replay(&events).expect("the journal begins with the opening");
        if let Some(before) = self.before_death.take() {
            assert!(mission == before, "what is recovered is not what died");
        }
        let desk = Desk::new(mission);
        for recorded in self.audit.missed(&events) {
            self.hears_of(recorded);
        }
        self.journal = handle;
        self.engine = Some(Engine {
            life,
            desk,
            lease,
            head,
            runs: false,
        });
        if let Some(since) = self.dead_since.take() {
            self.unattended += self.now - since;
        }
        if self.zombie.is_some() {
            let wait = self.rng.below(600_000);
            self.after(wait, What::Zombie);
        }
        // A note from the future is none: somebody has set the clock back.
        let seen = self.noted.filter(|noted| *noted <= self.told());
        let since = match seen {
            Some(_) => self.ran - Millis(10_000),
            None => self.audit.last,
        };
        let idle = self.told_at_least().since(since);
        self.audit.clocks.taken_up(idle);
        self.cycle(vec![(Input::Woke { seen }, None)]);
    }

    /// Now and then the machine sleeps: nobody works, what is on its way comes later by that, and providers go on.
    pub(super) fn maybe_sleeps(&mut self) {
        let chance = self.scenario.faults.sleep;
        let runs = self.engine.as_ref().is_some_and(|engine| engine.runs);
        if chance == 0 || !runs || !self.rng.chance(chance) {
            return;
        }
        let long = [2_000, 60_000, 600_000, 4_000_000, 90_000_000];
        let long = *self.rng.pick(&long).expect("there are some");
        let seen = self.told_at_least();
        let queue = std::mem::take(&mut self.queue).into_iter();
        self.queue = queue
            .map(|((at, n), what)| ((at.max(self.now) + long, n), what))
            .collect();
        self.now += long;
        self.unattended += long;
        tell!("** the machine slept for {}", Millis(long));
        self.coverage.saw("the machine sleeps");
        self.audit.clocks.attended = self.attended();
        self.audit.clocks.taken_up(Millis(long));
        self.cycle(vec![(Input::Woke { seen: Some(seen) }, None)]);
        if self.engine.is_none() {
            // Its last note is from before.
            (self.noted, self.ran) = (Some(seen), seen);
        }
    }

    /// An engine that was taken for dead has something to say, and nobody may listen.
    pub(super) fn zombie_wakes(&mut self) {
        if self.engine.is_none() {
            return;
        }
        let Some(mut zombie) = self.zombie.take() else {
            return;
        };
        let input = Input::Edit {
            edit: mission::todo::TodoEdit::Propose {
                text: "from the grave".into(),
            },
            by: "a zombie".into(),
        };
        let bodies: Vec<Vec<u8>> = zombie
            .desk
            .take(self.told(), [(input, None)])
            .iter()
            .map(Recorded::encode)
            .collect();
        let head = self
            .journal
            .head(self.mission)
            .expect("the mission is there");
        let refused = self.journal.append(&zombie.lease, &head, &bodies, None);
        tell!("** a zombie of life {} appends: {refused:?}", zombie.life);
        assert!(
            matches!(refused, Err(Error::Fenced { .. })),
            "an old lease appended: {refused:?}"
        );
        self.coverage.fenced += 1;
        drop(zombie);
        let rows = self.journal.missions().expect("the journal can be read");
        let hold = rows[0].lease.as_ref().map(|lease| lease.hold);
        assert_eq!(hold, Some(Hold::Live), "an old lease gave the new one back");
    }
}
