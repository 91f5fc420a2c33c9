//! A world of a whole day: a mission with a day's work, and something else that goes wrong each minute.

use super::*;
use crate::host::Deed;
use crate::weather::{Kind, OTHER, OWN};
use mission::turn::{Failure, Role};

/// For how long something goes wrong each minute.
pub(crate) const DAY: u64 = 24 * 60 * 60_000;
const MINUTE: u64 = 60_000;
/// A day has more steps than any other world; one without end has more still.
const DAY_STEPS: u64 = 60_000;

/// Everything that goes wrong, by the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Crash,
    Tools,
    Lost,
    Late,
    Doubled,
    Refusal,
    Hang,
    Fails,
    Storm,
    Outage,
    Elsewhere,
    Pressure,
    Edit,
    File,
}

/// What goes on in such a world.
#[derive(Debug, Default)]
pub(crate) struct Day {
    /// How often each struck.
    pub(crate) faults: BTreeMap<Fault, u64>,
    /// What is to become of the next reply.
    pub(super) fate: Option<Fate>,
    /// The provider refuses everybody, all day, and nothing else goes wrong.
    refuses: bool,
    /// What the state held at each full hour.
    pub(crate) hours: Vec<(u64, Mission)>,
    /// The most commands that ever were in flight at once.
    pub(crate) in_flight: usize,
}

impl World {
    /// A day with a fault each minute, or with a provider that refuses for as long.
    pub(crate) fn of_a_day(seed: u64, tasks: u64, refuses: bool) -> Self {
        let mut rng = Rng::new(seed);
        let mut scenario = Scenario::of_a_day(&mut rng, tasks);
        if refuses {
            // What is left after that day is long enough for all of the work.
            scenario.terms.mission = Millis(2 * DAY);
            scenario.faults = Faults::default();
        }
        if !refuses && seed.is_multiple_of(2) {
            let other = (Role::Worker, vec![OTHER.to_owned()]);
            scenario.terms.fallbacks = BTreeMap::from([other]);
        }
        let mut world = Self::of(seed, rng, scenario);
        world.day = Some(Box::new(Day {
            refuses,
            ..Day::default()
        }));
        world.after(MINUTE, What::Minute);
        world
    }

    /// Lets the day go by, and what is left of the mission after it, in which nothing goes wrong any more.
    pub(crate) fn run_the_day(&mut self) {
        while !self.day_is_over() {
            self.audit.step = self.steps;
            assert!(self.steps < DAY_STEPS, "the day goes on without end");
            if self.since_the_start() >= DAY && !self.calm {
                self.calm_down();
                self.says_what_it_waits_for();
            }
            self.next();
            let in_flight = self.engine.as_ref();
            let in_flight = in_flight.map_or(0, |engine| engine.desk.n_in_flight());
            let day = self.day.as_mut().expect("it is such a world");
            day.in_flight = day.in_flight.max(in_flight);
        }
        self.fold();
    }

    pub(crate) fn since_the_start(&self) -> u64 {
        self.now - 1_000_000_000
    }

    /// Over: it ended well, or ended after the day.
    fn day_is_over(&self) -> bool {
        let Some(engine) = &self.engine else {
            return false;
        };
        let mission = engine.desk.mission();
        let ended = mission.outcome().filter(|_| mission.due().is_empty());
        ended.is_some_and(|outcome| self.calm || crate::audit::is_good(outcome))
    }

    /// Whoever looks at the end of the day reads that it is over and why, or what is waited for and until when.
    fn says_what_it_waits_for(&self) {
        let Some(engine) = &self.engine else { return };
        let mission = engine.desk.mission();
        let waits = mission.waits(self.told_at_least());
        let told = waits
            .iter()
            .all(|wait| !wait.who.is_empty() && !wait.cause.is_empty());
        let ended = mission.outcome().is_some() && !mission.reasons().is_empty();
        assert!(
            ended || (told && !waits.is_empty()),
            "after a day nobody reads what it waits for: {waits:?}"
        );
        for (id, question) in mission.questions() {
            assert!(!question.text.is_empty(), "{id} asks nothing");
        }
    }

    /// The whole state and the journal's length, as they are now.
    pub(crate) fn measure(&self) -> (u64, Mission) {
        let mission = self.engine_mission();
        (mission.n_events(), mission)
    }

    /// Another minute has passed.
    pub(super) fn minute(&mut self) {
        if self.calm {
            return;
        }
        self.after(MINUTE, What::Minute);
        let minute = self.since_the_start() / MINUTE;
        if minute.is_multiple_of(60) && self.engine.is_some() {
            let measured = self.measure();
            let day = self.day.as_mut().expect("it is such a world");
            day.hours.push(measured);
        }
        if self.day.as_ref().is_some_and(|day| day.refuses) {
            let moment = self.since_the_start();
            let weather = &mut self.scenario.weather;
            return weather.comes(Kind::Storm, OWN, moment, Millis(2 * MINUTE));
        }
        let fault = self.rng.weigh(&[
            (4, Fault::Crash),
            (1, Fault::Tools),
            (5, Fault::Lost),
            (5, Fault::Late),
            (5, Fault::Doubled),
            (8, Fault::Refusal),
            (2, Fault::Hang),
            (4, Fault::Fails),
            (3, Fault::Storm),
            (3, Fault::Outage),
            (3, Fault::Elsewhere),
            (6, Fault::Pressure),
            (6, Fault::Edit),
            (3, Fault::File),
        ]);
        tell!("{:>10} ~ {fault:?}", self.since_the_start());
        let day = self.day.as_mut().expect("it is such a world");
        *day.faults.entry(fault).or_default() += 1;
        self.strikes(fault);
    }

    fn strikes(&mut self, fault: Fault) {
        match fault {
            Fault::Lost => self.next_reply_is(Fate::Lost),
            Fault::Late => self.next_reply_is(Fate::Late),
            Fault::Doubled => self.next_reply_is(Fate::Doubled),
            Fault::Crash => self.die(),
            Fault::Tools => {
                self.tools = self.rng.below(3);
                self.die();
            }
            Fault::Refusal => self.running_turn_becomes(Deed::Refused),
            Fault::Fails => self.running_turn_becomes(Deed::Fails(Failure::Transient)),
            // Some fall silent and are noticed, others only by their deadline.
            Fault::Hang if self.rng.chance(700) => {
                self.running_turn_becomes(Deed::Fails(Failure::Silent));
            }
            Fault::Hang => self.running_turn_becomes(Deed::Hang),
            Fault::Storm => self.weather_turns(Kind::Storm),
            Fault::Outage => self.weather_turns(Kind::Outage),
            Fault::Elsewhere => self.weather_turns(Kind::Elsewhere),
            Fault::Pressure => {
                let sample = self.machine();
                self.cycle(vec![(Input::Sampled { sample }, None)]);
            }
            Fault::Edit => {
                let mission = self.engine.as_ref().map(|engine| engine.desk.mission());
                let mission = mission.cloned();
                if let Some(edit) = mission.and_then(|mission| self.edit(&mission)) {
                    self.person_wants(edit);
                }
            }
            Fault::File => self.person_edits_a_file(),
        }
    }

    fn next_reply_is(&mut self, fate: Fate) {
        let day = self.day.as_mut().expect("it is such a world");
        day.fate = Some(fate);
    }

    fn weather_turns(&mut self, kind: Kind) {
        let (moment, length) = (self.since_the_start(), self.minutes(1, 4));
        let model = self.rng.weigh(&[(4, OWN), (1, OTHER)]);
        let weather = &mut self.scenario.weather;
        weather.comes(kind, model, moment, Millis(length));
    }

    /// What a turn that runs comes to, whatever it was about to do.
    fn running_turn_becomes(&mut self, deed: Deed) {
        let open = self.host.sessions.iter();
        let open = open.filter(|(_, session)| session.ended.is_none() && !session.asks);
        let names: Vec<String> = open
            .filter(|(_, session)| self.listens(session.epoch).is_some())
            .map(|(name, _)| name.clone())
            .collect();
        let Some(name) = self.rng.pick(&names).cloned() else {
            return;
        };
        let over = |what: &What| matches!(what, What::TurnOver { name: of } if *of == name);
        let ends: Vec<_> = self.queue.iter().filter(|(_, what)| over(what)).collect();
        let ends: Vec<(u64, u64)> = ends.into_iter().map(|(key, _)| *key).collect();
        for key in ends {
            self.queue.remove(&key);
        }
        if let Some(session) = self.host.sessions.get_mut(&name) {
            session.deed = deed;
        }
        if deed != Deed::Hang {
            self.after(1_000, What::TurnOver { name });
        }
    }
}
