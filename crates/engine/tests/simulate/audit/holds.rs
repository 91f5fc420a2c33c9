//! Whom turns are asked of, by a book of its own: nobody begins where nothing may be asked, and whoever tries what was
//! held is alone until it is served.

use super::*;
use mission::governor::provider_of;
use mission::mission::Phase;

/// What is held: a provider, a model whose quota is spent, or one that failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    Provider(String),
    Quota(String),
    Model(String),
}

impl Of {
    /// What a refusal holds.
    fn refused(name: &str) -> Self {
        match name.contains('/') {
            true => Self::Quota(name.to_owned()),
            false => Self::Provider(name.to_owned()),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Held {
    until: Timestamp,
    /// Whether it was for over a minute when it began.
    long: bool,
    served: u32,
}

#[derive(Clone, Debug)]
struct Live {
    turn: Turn,
    role: Role,
    model: Option<String>,
    since: Timestamp,
    served: bool,
    waits: bool,
}

/// What the book knows.
#[derive(Default)]
pub(super) struct Asked {
    named: BTreeMap<Role, String>,
    pub(super) instead: BTreeMap<Role, String>,
    held: BTreeMap<Of, Held>,
    /// Until when anything was ever held.
    untils: BTreeSet<Timestamp>,
    /// Turns in a row that the host of a model failed.
    failed: BTreeMap<String, u32>,
    live: BTreeMap<Epoch, Live>,
    pub(super) rows: singled::Rows,
    pub(super) outputs: outputs::Outputs,
}

fn holds(model: &str) -> [Of; 3] {
    [
        Of::Provider(provider_of(model).to_owned()),
        Of::Quota(model.to_owned()),
        Of::Model(model.to_owned()),
    ]
}

impl Held {
    /// Since when a turn tries it, if it does.
    fn tried(&self, live: &Live) -> Option<Timestamp> {
        match live.waits {
            true => Some(self.until),
            false => (live.since >= self.until).then_some(live.since),
        }
    }
}

impl Asked {
    fn model(&self, role: Role, chosen: Option<&String>) -> String {
        let model = chosen.or_else(|| self.named.get(&role));
        model.cloned().unwrap_or_default()
    }

    fn model_of(&self, live: &Live) -> String {
        self.model(live.role, live.model.as_ref())
    }

    /// The model that a turn is asked of that runs.
    pub(super) fn asked(&self, epoch: Epoch) -> String {
        self.model_of(&self.live[&epoch])
    }

    /// The same, with since when it runs and whether it was served.
    pub(super) fn asked_since(&self, epoch: Epoch) -> (String, Timestamp, bool) {
        let live = &self.live[&epoch];
        (self.model_of(live), live.since, live.served)
    }

    /// Whether a model or its provider is held, or was a moment ago.
    pub(super) fn is_held(&self, model: &str, now: Timestamp, longer: Millis) -> bool {
        let of = holds(model);
        let mut held = of.iter().filter_map(|of| self.held.get(of));
        held.any(|held| now < held.until + longer)
    }

    /// The same of anything.
    pub(super) fn any_held(&self, now: Timestamp, longer: Millis, end: Timestamp) -> bool {
        let mut until = self.held.values().map(|held| held.until + longer);
        until.any(|until| now < until && until < end)
    }

    /// The model that a turn is asked of that begins now.
    pub(super) fn begins_at(&self, role: Role, other: Option<&String>) -> String {
        self.model(role, other.or_else(|| self.instead.get(&role)))
    }

    /// Every model that a turn of a role may be asked of.
    pub(super) fn all_for(&self, role: Role, terms: &Terms) -> Vec<String> {
        let mut all = terms.fallbacks.get(&role).cloned().unwrap_or_default();
        all.push(self.model(role, None));
        all
    }

    /// Every turn that runs, with its model.
    pub(super) fn running(&self) -> impl Iterator<Item = (Turn, String)> {
        let live = self.live.values();
        live.map(|live| (live.turn, self.model_of(live)))
    }

    /// The model that the next turn of a role would be asked of; its own where it waits for it.
    pub(super) fn own(&self, role: Role, terms: &Terms, now: Timestamp) -> String {
        self.model(role, self.next(role, terms, now).flatten().as_ref())
    }

    /// Whether one more turn may begin at this model.
    pub(super) fn may(&self, model: &str, now: Timestamp) -> bool {
        holds(model).iter().all(|of| {
            let Some(held) = self.held.get(of) else {
                return true;
            };
            let tries = |live: &&Live| {
                let since = held.tried(live);
                let young = since.is_some_and(|since| now < since + limits::TRIAL);
                !live.served && young && holds(&self.model_of(live)).contains(of)
            };
            let most = match of {
                Of::Provider(_) | Of::Quota(_) => 1 << held.served,
                Of::Model(_) => 1,
            };
            now >= held.until && self.live.values().filter(tries).count() < most
        })
    }

    /// The model that the next turn of a role would be asked of.
    fn next(&self, role: Role, terms: &Terms, now: Timestamp) -> Option<Option<String>> {
        let others = terms.fallbacks.get(&role).cloned().unwrap_or_default();
        for chosen in std::iter::once(None).chain(others.into_iter().map(Some)) {
            let model = self.model(role, chosen.as_ref());
            if self.may(&model, now) {
                return Some(chosen);
            }
            let held = holds(&model);
            let mut held = held.iter().filter_map(|of| Some((of, self.held.get(of)?)));
            if !held.any(|(of, held)| held.long || matches!(of, Of::Model(_))) {
                return None;
            }
        }
        None
    }

    /// A turn was served that may have tried something.
    fn served(&mut self, live: &Live, now: Timestamp) -> bool {
        let mut news = false;
        for of in holds(&self.model_of(live)) {
            let Some(held) = self.held.get_mut(&of) else {
                continue;
            };
            if now < held.until || held.tried(live).is_none() {
                continue;
            }
            news = true;
            held.served += 1;
            let enough = match &of {
                Of::Provider(_) | Of::Quota(_) => limits::TRIALS.ilog2() + 1,
                Of::Model(_) => limits::BREAKER_CLOSES,
            };
            if held.served >= enough {
                self.held.remove(&of);
                if let Of::Model(model) = of {
                    self.failed.remove(&model);
                }
            }
        }
        news
    }

    /// Something is held for the `n`th time in a row, or because another mission was told so. Hours are believed where they
    /// are named, again, by the provider, and where somebody else was told.
    fn hold(&mut self, of: Of, (since, until): (Timestamp, Timestamp), n: u32) {
        let most = match (&of, n) {
            (_, 0) | (Of::Quota(_), 2..) => waits::LONGEST,
            // Nobody has named the model yet.
            (Of::Provider(name), 2..) if name.is_empty() => waits::LONGEST,
            _ => waits::SHORT,
        };
        // Nothing is taken back of what was known.
        let known = self.held.get(&of).is_some_and(|held| until <= held.until);
        assert!(
            until > since && (known || until <= since + most),
            "{of:?} is held for {} after {n}",
            until.since(since)
        );
        let (long, served) = (until.since(since) > Millis(60_000), 0);
        let held = Held {
            until,
            long,
            served,
        };
        self.held.insert(of, held);
        self.untils.insert(until);
    }

    /// From when on one of these may be asked.
    fn soonest<'a>(&self, models: impl Iterator<Item = &'a str>) -> Timestamp {
        let until = |of: &Of| self.held.get(of).map(|held| held.until);
        let free = models.map(|model| holds(model).iter().filter_map(until).max());
        free.map(Option::unwrap_or_default)
            .min()
            .unwrap_or_default()
    }

    /// Somebody lets the mission go on: what would be held for long is asked at once.
    fn anew(&mut self, now: Timestamp) {
        for held in self.held.values_mut() {
            if held.until.since(now) > Millis(60_000) {
                held.until = now;
            }
        }
    }

    /// A name is known now: what was known of the one without a name is known of it.
    fn name(&mut self, role: Role, model: &str) {
        let nobody = holds("");
        for (of, nobody) in holds(model).into_iter().zip(nobody) {
            if let Some(held) = self.held.remove(&nobody) {
                self.held.entry(of).or_insert(held);
            }
        }
        if let Some(failed) = self.failed.remove("") {
            let known = self.failed.entry(model.to_owned()).or_default();
            *known = failed.max(*known);
        }
        self.named.insert(role, model.to_owned());
    }

    fn begun(&mut self, turn: Turn, epoch: Epoch, other: Option<String>, now: Timestamp) {
        let role = turn.role();
        let model = other.or_else(|| self.instead.get(&role).cloned());
        assert!(
            self.may(&self.model(role, model.as_ref()), now),
            "{turn} begins where nothing may be asked: {:?}",
            self.held
        );
        let live = Live {
            turn,
            role,
            model,
            since: now,
            served: false,
            waits: false,
        };
        self.live.insert(epoch, live);
    }

    fn ended(&mut self, epoch: Epoch, ending: &Ending, now: Timestamp) {
        let live = self
            .live
            .remove(&epoch)
            .expect("a turn that ends was begun");
        let model = self.model_of(&live);
        match ending {
            Ending::Failed {
                failure: Failure::Transient | Failure::Silent,
                ..
            }
            | Ending::Refused { outage: true, .. } => *self.failed.entry(model).or_default() += 1,
            // What this machine does is no sign of a model's health, nor what one turn asks for.
            Ending::Failed {
                failure: Failure::Machine | Failure::Refused,
                ..
            } => {}
            Ending::Answered | Ending::Failed { .. } => {
                self.failed.remove(&model);
                if !live.served {
                    self.served(&live, now);
                }
            }
            _ => {}
        }
    }
}

impl Audit {
    /// Keeps the book of whom turns are asked of.
    pub(super) fn asked_of(&mut self, event: &Event) {
        let (book, now) = (&mut self.asks, self.last);
        match event {
            Event::ModelNamed { role, model } => book.name(*role, model),
            Event::ModelSwitched { role, model, .. } => {
                let next = book.next(*role, &self.terms, now);
                assert_eq!(next.as_ref(), Some(model), "another model is to be asked");
                match model {
                    Some(model) => book.instead.insert(*role, model.clone()),
                    None => book.instead.remove(role),
                };
            }
            Event::TurnStarted {
                turn, epoch, model, ..
            } => book.begun(*turn, *epoch, model.clone(), now),
            Event::TurnServed { epoch } => {
                let mut live = book.live[epoch].clone();
                assert!(book.served(&live, now), "nobody had waited for {epoch:?}");
                (live.served, live.waits) = (true, false);
                book.live.insert(*epoch, live);
            }
            Event::TurnEnded { epoch, ending, .. } => book.ended(*epoch, ending, now),
            Event::ProviderHeld {
                provider,
                until,
                epoch,
                n,
                ..
            } => {
                book.hold(Of::refused(provider), (now, *until), *n);
                if let Some(live) = epoch.and_then(|epoch| book.live.get_mut(&epoch)) {
                    (live.waits, live.served) = (true, false);
                }
            }
            Event::BreakerOpened {
                model, until, n, ..
            } => {
                let of = Of::Model(model.clone());
                let failed = book.failed.get(model).copied().unwrap_or(0);
                assert!(
                    *n == 0 || failed >= limits::BREAKER || book.held.contains_key(&of),
                    "the breaker of {model} opens after {failed} failures"
                );
                book.hold(of, (now, *until), *n);
            }
            Event::Resumed { .. } => {
                book.held.retain(|of, _| !matches!(of, Of::Model(_)));
                book.failed.clear();
                book.named.clear();
                book.anew(now);
            }
            Event::Woke { .. } | Event::Unpaused { .. } => book.anew(now),
            _ => {}
        }
    }

    /// For how long still something is held.
    pub(super) fn longest_hold(&self) -> Millis {
        let held = self.asks.held.values();
        let left = held.map(|held| held.until.since(self.last));
        left.max().unwrap_or(Millis(0))
    }

    /// Whether something was ever held until then.
    pub(super) fn is_held_until(&self, until: Timestamp) -> bool {
        self.asks.untils.contains(&until)
    }

    /// Whether a turn of a role could begin now, as far as its provider goes.
    pub(super) fn may_ask(&self, role: Role, now: Timestamp) -> bool {
        self.asks.next(role, &self.terms, now).is_some()
    }

    /// A mission that ends before its time could not have gone on within it, by whomever any of its tasks may be asked.
    pub(super) fn ends_early(&self, event: &Event) {
        let Event::Halted { why } = event else { return };
        if !why.starts_with("its time is over in") {
            return;
        }
        let (shadow, now) = (&self.shadow, self.last);
        let busy = shadow.leases().count() + shadow.gate_leases().count();
        let asks = shadow.questions().count();
        let landing = shadow.landing().is_some();
        assert!(busy + asks == 0 && !landing, "it is not at rest");
        let no_room = self.book.full || self.book.cramped;
        assert!(!no_room && shadow.pause().is_none(), "it waits for more");
        let least = Millis(60_000.min(self.terms.mission.0 / 10));
        let runs = shadow.phase() == Phase::Running;
        // Of an earlier plan nothing is begun while another one is written.
        for task in shadow.tasks().filter(|_| runs) {
            let (role, from) = match task.state {
                State::Ready => (Role::Worker, now),
                State::Parked { until, .. } => (Role::Worker, until),
                State::Judging { from } => (Role::Reviewer, from),
                State::Splitting { from } => (Role::Planner, from),
                _ => continue,
            };
            let own = self.asks.model(role, None);
            let others = self.terms.fallbacks.get(&role).into_iter().flatten();
            let next = AttemptId {
                task: task.task.id,
                n: task.n + u32::from(task.spent),
            };
            let other = self.other_model(next).filter(|_| role == Role::Worker);
            let models = others.chain(&other).map(String::as_str);
            let free = self.asks.soonest(models.chain([own.as_str()]));
            // Whoever was refused often lets others try first.
            let free = free + singled::left_to_others(task.refusals);
            // Only what a provider names is long.
            let from = match from > now + waits::SHORT {
                true => now,
                false => from,
            };
            assert!(
                from.max(free) + least > shadow.deadline(),
                "{} could go on before the end",
                task.task.id
            );
        }
    }

    /// What is held is what the events say, and somebody wakes when it ends.
    pub(super) fn holds(&self, mission: &Mission, now: Timestamp) {
        let providers = mission.held_providers();
        let providers = providers.map(|(name, _)| Of::refused(name));
        let models = mission.open_breakers();
        let models = models.map(|(name, _)| Of::Model(name.to_owned()));
        let held: BTreeSet<Of> = providers.chain(models).collect();
        let known: BTreeSet<Of> = self.asks.held.keys().cloned().collect();
        assert_eq!(held, known, "what is held is not what events tell");
        for (model, failed) in &self.asks.failed {
            assert!(
                *failed < limits::BREAKER || known.contains(&Of::Model(model.clone())),
                "{failed} turns in a row failed at {model}, and its breaker is closed"
            );
        }
        let wake = mission.next_wake(now);
        for (of, held) in &self.asks.held {
            assert!(
                held.until <= now || wake.is_some_and(|wake| wake <= held.until),
                "nobody wakes whoever waits for {of:?}"
            );
        }
    }

    /// Whether somebody waits for a moment at which a provider may be asked, or for a turn that tries one.
    pub(super) fn waits_for_a_provider(&self, now: Timestamp, end: Timestamp) -> bool {
        let mut held = self.asks.held.values();
        held.any(|held| held.until > now && held.until < end)
    }
}
