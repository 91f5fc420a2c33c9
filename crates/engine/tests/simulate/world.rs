//! One world: an engine that may die at any point, and everything around it that does not die with it.

use crate::audit::Audit;
use crate::coverage::{Coverage, Fate};
use crate::git::{Git, Tree};
use crate::host::Host;
use crate::people::{People, Wish};
use crate::rng::Rng;
use crate::scenario::{Faults, Scenario};
use crate::story::tell;
use journal::{Error, Head, Hold, Journal, Lease, Memory, NewMission, Owner, StoreId, Takeover};
use mission::command::Command;
use mission::desk::Desk;
use mission::event::Recorded;
use mission::ids::{Digest, Epoch, MissionId, Seq};
use mission::input::Input;
use mission::mission::Mission;
use mission::time::{Millis, Timestamp};
use std::collections::BTreeMap;

/// A world that does not end within so many steps has a livelock.
const STEPS: u64 = 20_000;
/// So often a mission that did not end well goes on once it is calm; the last two times with a new plan.
const PATIENCE: u32 = 4;
/// A step that makes more events than this goes round in circles.
const EVENTS_PER_STEP: usize = 2_000;
/// The whole journal is folded anew after so many steps.
const FOLD_EVERY: u64 = 499;

/// Whoever waits for a reply: the input's number, and what it was.
pub(crate) type Ticket = (u64, Option<Wish>);

/// Something that is going to happen.
#[derive(Debug)]
pub(crate) enum What {
    /// A performer of this life reaches the world.
    Effect { life: u64, command: Command },
    /// An agent's turn is over in the world, whoever runs.
    TurnOver { name: String },
    /// An agent stands still and asks.
    Asks { name: String },
    /// An agent has used so much by now.
    Uses { name: String, tokens: u64 },
    /// A performer of this life says something and, maybe, ends.
    Says {
        life: u64,
        name: String,
        input: Option<Box<Input>>,
        ends: bool,
    },
    /// A person looks at the mission and maybe does something.
    Person,
    /// An engine of an earlier life wakes up.
    Zombie,
    /// The power comes back.
    Start,
}

/// An engine in memory. A crash loses all of it.
pub(crate) struct Engine {
    pub(crate) life: u64,
    pub(crate) desk: Desk<Ticket>,
    pub(crate) lease: Lease,
    pub(crate) head: Head,
}

/// A list of files to write, with what they held and are to hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    pub(crate) files: BTreeMap<String, (Option<u64>, Option<u64>)>,
    pub(crate) written: bool,
}

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) scenario: Scenario,
    pub(crate) now: u64,
    clock: i64,
    queue: BTreeMap<(u64, u64), What>,
    queued: u64,
    pub(crate) steps: u64,
    lives: u64,
    journal: Memory,
    mission: MissionId,
    pub(crate) engine: Option<Engine>,
    zombie: Option<Engine>,
    /// What the mission was when its engine died, if nothing of that was still to be stored.
    before_death: Option<Mission>,
    pub(crate) git: Git,
    pub(crate) host: Host,
    pub(crate) people: People,
    pub(crate) folder: Tree,
    pub(crate) listings: BTreeMap<Digest, Listing>,
    pub(crate) audit: Audit,
    pub(crate) coverage: Coverage,
    tickets: u64,
    pub(crate) calm: bool,
    resumes: u32,
}

/// The engine died; whatever it had in memory is gone.
pub(crate) struct Crash;

fn owner(life: u64) -> Owner {
    Owner {
        pid: life as u32,
        boot: "boot".into(),
        started: life,
        endpoint: None,
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let scenario = Scenario::new(&mut rng);
        tell!("seed {seed}: {:?}, {:?}", scenario.terms, scenario.faults);
        let mut store = [0; 16];
        store[..8].copy_from_slice(&seed.to_be_bytes());
        let journal = Memory::new(StoreId(store));
        let about = NewMission {
            project: "/p".into(),
            request: "do it".into(),
        };
        let now = 1_000_000_000;
        let mission = journal
            .create(Timestamp(now), about)
            .expect("a new store takes a mission");
        let lease = journal
            .acquire(mission, owner(0), Takeover::Never)
            .expect("a new mission is free");
        let terms = scenario.terms.clone();
        let (_, first) = Mission::open(
            Timestamp(now),
            mission,
            format!("{seed:x}"),
            "/p".into(),
            "do it".into(),
            terms,
        );
        journal
            .append(&lease, &Head::start(), &[first.encode()], None)
            .expect("the opening is stored");
        let mut world = Self {
            folder: scenario.base.clone(),
            audit: Audit::new(&scenario, first.clone()),
            coverage: Coverage::default(),
            scenario,
            rng,
            now,
            clock: 0,
            queue: BTreeMap::new(),
            queued: 0,
            steps: 0,
            lives: 0,
            journal,
            mission,
            engine: None,
            zombie: None,
            before_death: None,
            git: Git::default(),
            host: Host::default(),
            people: People::default(),
            listings: BTreeMap::new(),
            tickets: 0,
            calm: false,
            resumes: 0,
        };
        world.coverage.event(&first.event);
        drop(lease);
        world.after(0, What::Start);
        world.after(60_000, What::Person);
        world
    }

    /// Lets the world go on until its mission is over for good. Tells the end of its chain.
    pub(crate) fn run(&mut self) -> Head {
        while !self.is_over() {
            self.audit.step = self.steps;
            assert!(self.steps < STEPS, "the world goes on without end");
            if self.steps >= self.scenario.calm_after && !self.calm {
                self.calm_down();
            }
            self.next();
        }
        let head = self
            .journal
            .head(self.mission)
            .expect("the mission is there");
        self.fold();
        self.audit.ended(&self.engine_mission());
        head
    }

    fn engine_mission(&self) -> Mission {
        self.engine
            .as_ref()
            .expect("the engine runs at the end")
            .desk
            .mission()
            .clone()
    }

    /// Over for good: sealed, nothing owed, and nobody goes on with it.
    fn is_over(&mut self) -> bool {
        let Some(engine) = &self.engine else {
            return false;
        };
        let mission = engine.desk.mission();
        let Some(outcome) = mission.outcome() else {
            return false;
        };
        if !mission.due().is_empty() {
            return false;
        }
        let good = crate::audit::is_good(outcome);
        if !self.calm {
            // Before it is calm, people always find something to do with it, until they have all that they want.
            let enough = good && self.scenario.goals.len() >= crate::people::MOST_GOALS;
            return enough || outcome == mission::seal::Outcome::Answered;
        }
        if good || self.resumes >= PATIENCE || mission.base().is_none() {
            return true;
        }
        self.resumes += 1;
        // The first new plan may find results again that only the seal's gates show to be broken by now.
        let replan = self.resumes + 1 >= PATIENCE;
        tell!("-- calm: the mission ended {outcome}; it goes on (replan: {replan})");
        let input = Input::Resume {
            by: "patience".into(),
            more_tokens: 1_000_000_000,
            replan,
        };
        self.audit.patience(self.resumes);
        self.cycle(vec![(input, None)]);
        false
    }

    /// From now on nothing goes wrong, agents are honest, and people are patient.
    fn calm_down(&mut self) {
        tell!("-- calm from here on");
        self.calm = true;
        self.scenario.faults = Faults::default();
        self.clock = self.clock.max(self.audit.last.0 as i64 - self.now as i64);
        self.queue.retain(|_, what| !matches!(what, What::Zombie));
        self.audit.calm = true;
    }

    pub(crate) fn after(&mut self, wait: u64, what: What) {
        self.queued += 1;
        self.queue.insert((self.now + wait, self.queued), what);
    }

    pub(crate) fn told(&self) -> Timestamp {
        Timestamp((self.now as i64 + self.clock).max(0) as u64)
    }

    fn next(&mut self) {
        let wake = self.engine.as_ref().and_then(|engine| {
            let at = engine.desk.mission().next_wake(self.told())?;
            Some((at.0 as i64 - self.clock).max(self.now as i64) as u64)
        });
        let first = self.queue.first_key_value().map(|((at, _), _)| *at);
        match (first, wake) {
            (Some(at), wake) if wake.is_none_or(|wake| at <= wake) => {
                self.now = self.now.max(at);
                let (_, what) = self.queue.pop_first().expect("something was queued");
                self.happen(what);
            }
            (_, Some(wake)) => {
                self.now = wake;
                self.cycle(vec![(Input::Tick, None)]);
            }
            (_, None) => panic!("nothing will ever happen, and the mission is not over"),
        }
    }

    fn happen(&mut self, what: What) {
        self.steps += 1;
        match what {
            What::Effect { life, command } => {
                if self
                    .engine
                    .as_ref()
                    .is_some_and(|engine| engine.life == life)
                {
                    self.effect(life, &command);
                }
            }
            What::TurnOver { name } => self.turn_over(&name),
            What::Asks { name } => self.agent_asks(&name),
            What::Uses { name, tokens } => self.agent_uses(&name, tokens),
            What::Says {
                life,
                name,
                input,
                ends,
            } => {
                let Some(engine) = self.engine.as_mut().filter(|engine| engine.life == life) else {
                    return;
                };
                if ends {
                    engine.desk.ended(&name);
                }
                let mut inputs: Vec<_> = input.into_iter().map(|input| (*input, None)).collect();
                // What is said at about the same time is often heard at once.
                while self.rng.chance(300) {
                    let Some(input) = self.also_said(life) else {
                        break;
                    };
                    inputs.push((input, None));
                }
                self.cycle(inputs);
            }
            What::Person => self.person_looks(),
            What::Zombie => self.zombie_wakes(),
            What::Start => self.start(),
        }
    }

    /// The next thing in the queue, if it is something said.
    fn also_said(&mut self, life: u64) -> Option<Input> {
        let (key, what) = self.queue.first_key_value()?;
        let key = *key;
        let said = matches!(what, What::Says { life: l, input: Some(_), .. } if *l == life);
        if !said || key.0 > self.now + 5_000 {
            return None;
        }
        let Some(What::Says {
            name, input, ends, ..
        }) = self.queue.remove(&key)
        else {
            return None;
        };
        self.steps += 1;
        self.now = self.now.max(key.0);
        if let Some(engine) = self.engine.as_mut().filter(|_| ends) {
            engine.desk.ended(&name);
        }
        input.map(|input| *input)
    }

    /// A person's input, with a reply that they wait for.
    pub(crate) fn wish(&mut self, wish: Wish, input: Input) {
        self.tickets += 1;
        let ticket = (self.tickets, Some(wish));
        self.cycle(vec![(input, Some(ticket))]);
    }

    /// One turn of the engine's loop. If it dies in the middle, it starts again some time later.
    fn cycle(&mut self, inputs: Vec<(Input, Option<Ticket>)>) {
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

    fn try_cycle(&mut self, inputs: Vec<(Input, Option<Ticket>)>) -> Result<(), Crash> {
        let now = self.told();
        self.point("before it takes the input")?;
        let Some(engine) = &mut self.engine else {
            return Err(Crash);
        };
        for (input, _) in &inputs {
            tell!("{:>10} < {input:?}", self.now - 1_000_000_000);
            self.audit.input(engine.desk.mission(), now, input);
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
        self.audit
            .taken(&tickets, Seq(engine.head.seq.0 + bodies.len() as u64));
        self.replies();
        self.point("before the append")?;
        self.append(&bodies)?;
        self.point("after the append")?;
        self.release()
    }

    /// Makes events durable, or fails as a disk does: with the events stored, or without.
    fn append(&mut self, bodies: &[Vec<u8>]) -> Result<(), Crash> {
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
            return Err(Crash);
        }
        match self
            .journal
            .append(&engine.lease, &engine.head, bodies, None)
        {
            Ok(head) => engine.head = head,
            Err(error) => panic!("the only owner's append was refused: {error}"),
        }
        self.audit.stored(engine.head.seq);
        if fails {
            tell!("** the append fails, and all is stored");
            return Err(Crash);
        }
        Ok(())
    }

    /// Lets out what is durable.
    fn release(&mut self) -> Result<(), Crash> {
        let Some(engine) = &mut self.engine else {
            return Err(Crash);
        };
        let life = engine.life;
        let released = engine.desk.durable();
        for recorded in &released.events {
            tell!("{:>10} > {:?}", "", recorded.event);
            self.coverage.event(&recorded.event);
            self.audit.event(recorded, &self.git);
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

    fn told_at_least(&self) -> Timestamp {
        self.told().max(self.audit.last)
    }

    fn replies(&mut self) {
        let Some(engine) = &mut self.engine else {
            return;
        };
        for (ticket, reply) in engine.desk.replies() {
            tell!("{:>10} = {reply:?} to {ticket:?}", "");
            self.audit.replied(&ticket, &reply);
        }
    }

    /// The state is what its journal says, and the journal's chain holds.
    fn fold(&mut self) {
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

    fn read(&self, journal: &Memory) -> Mission {
        let entries = journal
            .read(self.mission, Seq(1), usize::MAX)
            .expect("the mission is there");
        let decode = |entry: &journal::Entry| {
            Recorded::decode(&entry.body).expect("what was stored can be read")
        };
        let events: Vec<Recorded> = entries.iter().map(decode).collect();
        Mission::replay(&events).expect("the journal begins with the opening")
    }

    /// Everything in memory is lost. What performers were about to do in the world has happened, or has not.
    fn die(&mut self) {
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
                drop(self.in_the_world(&command));
            }
        }
        self.host_after_crash();
        let whole = Seq(engine.desk.mission().n_events()) == self.audit.durable;
        self.before_death = whole.then(|| engine.desk.mission().clone());
        if self.rng.chance(self.scenario.faults.zombie) {
            self.zombie = Some(engine);
        }
        if self.rng.chance(self.scenario.faults.clock) {
            let jumps: [i64; 5] = [1_000, 60_000, 600_000, 4_000_000, 90_000_000];
            let jump = *self.rng.pick(&jumps).unwrap_or(&0);
            self.clock += if self.rng.chance(500) { jump } else { -jump };
            tell!("** the clock jumps: it is {} ms off", self.clock);
        }
        let wait = self.rng.range(10, 120_000);
        self.after(wait, What::Start);
    }

    /// A new life: a newer lease, the fold of the journal, and the same commands as before.
    fn start(&mut self) {
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
        self.audit.recovered(&head);
        if self.point("before it has read the journal").is_err() {
            self.journal.kill(self.mission);
            self.after(1_000, What::Start);
            return;
        }
        let mission = self.read(&handle);
        if let Some(before) = self.before_death.take() {
            assert!(mission == before, "what is recovered is not what died");
        }
        let desk = Desk::new(mission);
        let missed = self.audit.catch_up(
            desk.mission(),
            || {
                let entries = handle
                    .read(self.mission, Seq(1), usize::MAX)
                    .expect("the mission is there");
                entries
                    .iter()
                    .map(|entry| Recorded::decode(&entry.body).expect("it can be read"))
                    .collect()
            },
            &self.git,
        );
        missed.iter().for_each(|event| self.coverage.event(event));
        self.journal = handle;
        self.engine = Some(Engine {
            life,
            desk,
            lease,
            head,
        });
        if self.zombie.is_some() {
            let wait = self.rng.below(600_000);
            self.after(wait, What::Zombie);
        }
        self.cycle(vec![(Input::Woke { seen: None }, None)]);
    }

    /// An engine that was taken for dead has something to say, and nobody may listen.
    fn zombie_wakes(&mut self) {
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

    /// Sends what a performer has to say: soon, or as badly as this world's faults have it.
    pub(crate) fn send(&mut self, life: u64, command: &Command, input: Input) {
        let faults = self.scenario.faults;
        let (name, kind) = (command.name(), command.kind());
        let soon = self.rng.range(1, 3_000);
        if self.rng.chance(faults.lost) {
            tell!("{:>10} . the reply of {name} is lost", "");
            self.coverage.reply(kind, Fate::Lost);
            return self.after(
                soon,
                What::Says {
                    life,
                    name,
                    input: None,
                    ends: true,
                },
            );
        }
        if self.rng.chance(faults.doubled) {
            self.coverage.reply(kind, Fate::Doubled);
            // Most copies come soon; some come when hardly anything is as it was.
            let most = self.rng.weigh(&[(4, 30 * 60_000), (1, 10 * 60 * 60_000)]);
            let again = self.rng.range(1, most);
            let (name, input) = (name.clone(), Some(Box::new(input.clone())));
            self.after(
                again,
                What::Says {
                    life,
                    name,
                    input,
                    ends: false,
                },
            );
        }
        let late = self.rng.chance(faults.late);
        if late {
            self.coverage.reply(kind, Fate::Late);
        }
        let wait = if late {
            self.rng.range(20 * 60_000, 90 * 60_000)
        } else {
            soon
        };
        self.after(
            wait,
            What::Says {
                life,
                name,
                input: Some(Box::new(input)),
                ends: true,
            },
        );
    }

    pub(crate) fn minutes(&mut self, low: u64, high: u64) -> u64 {
        Millis::from_mins(self.rng.range(low, high)).0
    }

    /// The life whose performer waits for this turn.
    pub(crate) fn listens(&self, epoch: Epoch) -> Option<u64> {
        let engine = self.engine.as_ref()?;
        engine.desk.mission().lease(epoch).map(|_| engine.life)
    }
}
