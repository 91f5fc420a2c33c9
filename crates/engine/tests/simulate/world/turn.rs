//! One turn of the engine's loop: what is said is decided, made durable, and only then let out.

use super::*;

impl World {
    /// One turn of the engine's loop. If it dies in the middle, it starts again some time later.
    pub(super) fn cycle(&mut self, inputs: Vec<(Input, Option<Ticket>)>) {
        if self.engine.is_some() && self.try_cycle(inputs).is_err() {
            self.die();
        }
    }

    /// A point at which the engine may die.
    pub(crate) fn point(&mut self, place: &'static str) -> Result<(), Crash> {
        if !self.rng.chance(self.scenario.faults.crash) {
            return Ok(());
        }
        tell!("** the engine dies {place}");
        self.coverage.crash(place);
        Err(Crash)
    }

    pub(super) fn try_cycle(&mut self, inputs: Vec<(Input, Option<Ticket>)>) -> Result<(), Crash> {
        let now = self.told();
        self.point("before it takes the input")?;
        let Some(engine) = &mut self.engine else {
            return Err(Crash);
        };
        for (input, _) in &inputs {
            tell!("{:>10} < {input:?}", self.now - 1_000_000_000);
            self.audit.input(engine.desk.mission(), now, input);
            self.audit.edits_asked += u64::from(matches!(input, Input::Edit { .. }));
        }
        let tickets: Vec<Ticket> = inputs
            .iter()
            .filter_map(|(_, ticket)| ticket.clone())
            .collect();
        let bodies: Vec<Vec<u8>> = engine
            .desk
            .take(now, inputs)
            .iter()
            .map(Recorded::encode)
            .collect();
        assert!(
            bodies.len() < EVENTS_PER_STEP,
            "one step made {} events",
            bodies.len()
        );
        let large = bodies.iter().find(|body| body.len() > EVENT_BYTES);
        assert!(
            large.is_none(),
            "an event is larger than a journal takes: {} bytes",
            large.map_or(0, Vec::len)
        );
        self.audit
            .taken(&tickets, Seq(engine.head.seq.0 + bodies.len() as u64));
        self.replies();
        self.point("before the append")?;
        self.append(&bodies)?;
        self.point("after the append")?;
        self.release()
    }

    /// Makes events durable, or fails as a disk does: with the events stored, or without.
    pub(super) fn append(&mut self, bodies: &[Vec<u8>]) -> Result<(), Crash> {
        let fails = self.rng.chance(self.scenario.faults.append) && !bodies.is_empty();
        let stored = self.rng.chance(500);
        let Some(engine) = &mut self.engine else {
            return Err(Crash);
        };
        if bodies.is_empty() {
            return Ok(());
        }
        if fails && !stored {
            tell!("** the append fails, and nothing is stored");
            self.coverage.saw("an append fails, and nothing is stored");
            return Err(Crash);
        }
        match self
            .journal
            .append(&engine.lease, &engine.head, bodies, None)
        {
            Ok(head) => engine.head = head,
            Err(error) => panic!("the only owner's append was refused: {error}"),
        }
        self.audit.stored(bodies);
        if fails {
            tell!("** the append fails, and all is stored");
            self.coverage.saw("an append fails, and all is stored");
            return Err(Crash);
        }
        Ok(())
    }

    /// Lets out what is durable.
    pub(super) fn release(&mut self) -> Result<(), Crash> {
        self.audit.clocks.attended = self.attended();
        self.ran = self.told_at_least();
        let Some(engine) = &mut self.engine else {
            return Err(Crash);
        };
        engine.runs = true;
        let life = engine.life;
        let released = engine.desk.durable();
        for recorded in &released.events {
            tell!("{:>10} > {:?}", "", recorded.event);
            self.hears_of(recorded);
        }
        self.replies();
        let Some(engine) = &self.engine else {
            return Err(Crash);
        };
        self.audit.state(
            engine.desk.mission(),
            engine.desk.n_in_flight(),
            self.told_at_least(),
            &self.git,
        );
        self.coverage.slots(engine.desk.mission());
        if self.steps.is_multiple_of(FOLD_EVERY) {
            self.fold();
        }
        for recorded in &released.events {
            self.hand_answers_back(&recorded.event);
        }
        for name in &released.stop {
            tell!("{:>10} x {name}", "");
        }
        for command in released.start {
            self.point("before it starts a performer")?;
            self.begin(life, command);
        }
        Ok(())
    }

    /// An event that is durable: it is counted, and held against the world.
    pub(super) fn hears_of(&mut self, recorded: &Recorded) {
        self.coverage.event(&recorded.event);
        if self.audit.is_cramped() && matches!(recorded.event, Event::TurnStarted { .. }) {
            self.coverage
                .saw("a turn begins where no more workspace fits");
        }
        if let (Event::LandingFailed { gate: None, .. }, Some((end, _))) =
            (&recorded.event, &self.audit.head)
        {
            self.git.is_given_up(end);
        }
        self.audit.event(recorded, &self.git);
        self.folder_told(&recorded.event);
        self.agent_is_warned(&recorded.event);
    }

    pub(super) fn told_at_least(&self) -> Timestamp {
        self.told().max(self.audit.last)
    }

    pub(super) fn replies(&mut self) {
        let Some(engine) = &mut self.engine else {
            return;
        };
        for (ticket, reply) in engine.desk.replies() {
            tell!("{:>10} = {reply:?} to {ticket:?}", "");
            self.audit.replied(&ticket, &reply);
        }
    }

    /// The state is what its journal says, and the journal's chain holds.
    pub(super) fn fold(&mut self) {
        let Some(engine) = &self.engine else { return };
        let mission = self.read(&self.journal.clone());
        assert!(
            mission == *engine.desk.mission(),
            "the state is not the fold of its journal"
        );
        let verdict = self
            .journal
            .verify(self.mission)
            .expect("the journal can be read");
        assert!(
            matches!(verdict, journal::Verdict::Verified { .. }),
            "the chain is broken: {verdict:?}"
        );
    }

    pub(super) fn read(&self, journal: &Memory) -> Mission {
        let entries = journal
            .read(self.mission, Seq(1), usize::MAX)
            .expect("the mission is there");
        let decode = |entry: &journal::Entry| {
            Recorded::decode(&entry.body).expect("what was stored can be read")
        };
        let events: Vec<Recorded> = entries.iter().map(decode).collect();
        Mission::replay(&events).expect("the journal begins with the opening")
    }
}
