//! One world: an engine that may die at any point, and everything around it that does not die with it.

mod day;
mod life;
mod reply;
mod session;
mod turn;

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
use mission::event::{Event, Recorded};
use mission::ids::{Digest, Epoch, MissionId, Seq};
use mission::input::Input;
use mission::mission::Mission;
use mission::stagnation::Stray;
use mission::time::{Millis, Timestamp};
use std::collections::BTreeMap;

/// A world that does not end within so many steps has a livelock.
const STEPS: u64 = 20_000;
/// So often a mission that did not end well goes on once it is calm; the last two times with a new plan.
const PATIENCE: u32 = 4;
/// So often a mission goes on whose time was over.
const MOST_CUT_SHORT: u32 = 12;
/// A step that makes more events than this goes round in circles.
const EVENTS_PER_STEP: usize = 2_000;
/// What a journal takes as one event.
const EVENT_BYTES: usize = 1 << 20;
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
    /// An agent's host waits for its provider.
    Waits { name: String, wait: Millis },
    /// An agent comes to a step, and is told what people have said meanwhile.
    Heeds { name: String },
    /// What an agent has changed is held against what lies ahead of it.
    Probed { name: String },
    /// An agent is seen to go nowhere.
    Strays { name: String, stray: Stray },
    /// A performer of this life says something and, maybe, ends.
    Says {
        life: u64,
        name: String,
        input: Option<Box<Input>>,
        ends: bool,
        sent: Box<Sent>,
    },
    /// A person looks at the mission and maybe does something.
    Person,
    /// An engine of an earlier life wakes up.
    Zombie,
    /// The power comes back.
    Start,
    /// In a world of a day: another minute, and another fault.
    Minute,
}

/// How something said was sent: as the how manieth, and what is to become of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) n: u64,
    pub(crate) fate: Option<(&'static str, Fate)>,
}

/// An engine in memory. A crash loses all of it.
pub(crate) struct Engine {
    pub(crate) life: u64,
    pub(crate) desk: Desk<Ticket>,
    pub(crate) lease: Lease,
    pub(crate) head: Head,
    /// Whether it has made anything durable or seen that nothing was to be: before that it notes nowhere that it runs.
    pub(crate) runs: bool,
}

/// A list of files to write, with what they held and are to hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    pub(crate) files: BTreeMap<String, (Option<u64>, Option<u64>)>,
    /// The step at which it was written.
    pub(crate) written: Option<u64>,
    /// It broke off before all was written.
    pub(crate) broke_off: bool,
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
    /// How much was said, and the last of it that was heard.
    said: u64,
    heard: u64,
    /// The version of the tools that gates run with. An engine asks for it once in its life.
    pub(crate) tools: u64,
    /// For how long no engine ran, and since when none does.
    unattended: u64,
    dead_since: Option<u64>,
    /// When an engine last ran the mission, and when it last noted so.
    ran: Timestamp,
    noted: Option<Timestamp>,
    pub(crate) calm: bool,
    resumes: u32,
    cut_short: u32,
    /// Its provider refuses most Workers, again and again.
    pub(crate) restless: bool,
    /// What a world of a whole day counts; others have no such thing.
    pub(crate) day: Option<Box<day::Day>>,
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
        let scenario = Scenario::new(&mut rng)
            .with_weather(seed)
            .with_purse(seed)
            .with_outputs(seed)
            .with_sleeps(seed)
            .with_an_odd_one(seed)
            .with_plan_ahead(seed);
        Self::of(seed, rng, scenario)
    }

    fn of(seed: u64, rng: Rng, scenario: Scenario) -> Self {
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
            crate::scenario::REQUEST.into(),
            terms,
        );
        journal
            .append(&lease, &Head::start(), &[first.encode()], None)
            .expect("the opening is stored");
        let mut world = Self {
            folder: scenario.base.clone(),
            audit: Audit::new(&scenario, first.clone(), seed.is_multiple_of(8)),
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
            said: 0,
            heard: 0,
            tools: 0,
            unattended: 0,
            dead_since: Some(now),
            ran: Timestamp(now),
            noted: None,
            calm: false,
            resumes: 0,
            cut_short: 0,
            restless: seed % 32 == 5,
            day: None,
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
            self.maybe_sleeps();
            self.next();
        }
        let head = self
            .journal
            .head(self.mission)
            .expect("the mission is there");
        self.fold();
        self.audit.ended(&self.engine_mission());
        if self.audit.sessions_are_gone() {
            assert_eq!(
                self.host.talks.len(),
                0,
                "sessions are left at the host: {:?}",
                self.host.talks
            );
        }
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
        // A mission with little time or few turns is cut short again and again, however well it goes; that tries nobody's
        // patience yet.
        let cut = |why: &String| why.contains("its time of") || why.contains("turns are used up");
        let cut = mission.reasons().iter().any(cut);
        let enough = self.resumes >= PATIENCE || self.cut_short >= MOST_CUT_SHORT;
        if good || enough || mission.base().is_none() {
            return true;
        }
        self.resumes += u32::from(!cut);
        self.cut_short += u32::from(cut);
        // The first new plan may find results again that only the seal's gates show to be broken by now.
        let replan = self.resumes + 1 >= PATIENCE || self.cut_short + 1 >= MOST_CUT_SHORT;
        let broken = self.git.end().is_some_and(|line| {
            let tree = self.git.tree(&self.git.tree_of(line));
            tree.contains_key(crate::scenario::BROKEN)
        });
        // A Planner reads why what was there failed, and plans the mending, where all else is done already.
        if replan && broken {
            self.scenario.mending();
            self.audit.goals.clone_from(&self.scenario.goals);
        }
        tell!("-- calm: the mission ended {outcome}; it goes on (replan: {replan})");
        let input = Input::Resume {
            by: "patience".into(),
            more_tokens: 1_000_000_000,
            more_money: 1_000_000_000_000,
            replan,
        };
        self.audit.patience(self.resumes + self.cut_short);
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
        self.audit.calm_since = self.attended();
        self.audit.calm = true;
    }

    pub(crate) fn after(&mut self, wait: u64, what: What) {
        self.queued += 1;
        self.queue.insert((self.now + wait, self.queued), what);
    }

    pub(crate) fn told(&self) -> Timestamp {
        Timestamp((self.now as i64 + self.clock).max(0) as u64)
    }

    /// For how long an engine ran the mission.
    fn attended(&self) -> u64 {
        let dead = self.dead_since.map_or(0, |since| self.now - since);
        self.now - 1_000_000_000 - self.unattended - dead
    }

    fn next(&mut self) {
        let wake = self.engine.as_ref().and_then(|engine| {
            let at = engine.desk.next_wake()?;
            Some((at.0 as i64 - self.clock).max(self.now as i64) as u64)
        });
        let first = self.queue.first_key_value().map(|((at, _), _)| *at);
        match (first, wake) {
            // What is due at the very moment at which something happens strikes first.
            (Some(at), wake) if wake.is_none_or(|wake| at < wake) => {
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
            What::Waits { name, wait } => self.agent_waits(&name, wait),
            What::Heeds { name } => self.agent_heeds(&name),
            What::Probed { name } => self.agent_is_probed(&name),
            What::Strays { name, stray } => self.agent_strays(&name, stray),
            What::Says {
                life,
                name,
                input,
                ends,
                sent,
            } => {
                let Some(engine) = self.engine.as_mut().filter(|engine| engine.life == life) else {
                    return;
                };
                if ends {
                    engine.desk.ended(&name);
                }
                self.hears(*sent);
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
            What::Minute => self.minute(),
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
            name,
            input,
            ends,
            sent,
            ..
        }) = self.queue.remove(&key)
        else {
            return None;
        };
        self.steps += 1;
        self.now = self.now.max(key.0);
        if let Some(engine) = self.engine.as_mut().filter(|_| ends) {
            engine.desk.ended(&name);
        }
        self.hears(*sent);
        input.map(|input| *input)
    }

    /// A person's input, with a reply that they wait for.
    pub(crate) fn wish(&mut self, wish: Wish, input: Input) {
        self.tickets += 1;
        let ticket = (self.tickets, Some(wish));
        self.cycle(vec![(input, Some(ticket))]);
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
