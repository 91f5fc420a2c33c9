//! Whom turns are asked of, by a book of its own: nobody begins where nothing may be asked, and whoever tries what was
//! held is alone until it is served.

use super::*;
use mission::governor::provider_of;

/// What is held: a provider, or a model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    Provider(String),
    Model(String),
}

#[derive(Clone, Copy, Debug)]
struct Held {
    since: Timestamp,
    until: Timestamp,
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
    /// Turns in a row that the host of a model failed.
    failed: BTreeMap<String, u32>,
    live: BTreeMap<Epoch, Live>,
    pub(super) rows: singled::Rows,
    pub(super) outputs: outputs::Outputs,
}

fn holds(model: &str) -> [Of; 2] {
    [
        Of::Provider(provider_of(model).to_owned()),
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
    pub(super) fn any_held(&self, now: Timestamp, longer: Millis) -> bool {
        self.held.values().any(|held| now < held.until + longer)
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
                Of::Provider(_) => 1 << held.served,
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
            let [provider, broken] = holds(&model);
            let long = |held: &Held| held.until.since(held.since) > limits::FALLBACK_AFTER;
            if !self.held.contains_key(&broken) && !self.held.get(&provider).is_some_and(long) {
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
                Of::Provider(_) => limits::TRIALS.ilog2() + 1,
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

    fn hold(&mut self, of: Of, since: Timestamp, until: Timestamp) {
        assert!(
            until > since && until <= since + waits::LONGEST,
            "{of:?} is held for {}",
            until.since(since)
        );
        let served = 0;
        self.held.insert(
            of,
            Held {
                since,
                until,
                served,
            },
        );
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
            } => {
                let role = turn.role();
                let other = model.clone();
                let model = other.or_else(|| book.instead.get(&role).cloned());
                assert!(
                    book.may(&book.model(role, model.as_ref()), now),
                    "{turn} begins where nothing may be asked: {:?}",
                    book.held
                );
                let live = Live {
                    turn: *turn,
                    role,
                    model,
                    since: now,
                    served: false,
                    waits: false,
                };
                book.live.insert(*epoch, live);
            }
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
                ..
            } => {
                book.hold(Of::Provider(provider.clone()), now, *until);
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
                book.hold(of, now, *until);
            }
            Event::Resumed { .. } => {
                book.held.retain(|of, _| matches!(of, Of::Provider(_)));
                book.failed.clear();
                book.named.clear();
            }
            _ => {}
        }
    }

    /// Whether a turn of a role could begin now, as far as its provider goes.
    pub(super) fn may_ask(&self, role: Role, now: Timestamp) -> bool {
        self.asks.next(role, &self.terms, now).is_some()
    }

    /// What is held is what the events say, and somebody wakes when it ends.
    pub(super) fn holds(&self, mission: &Mission, now: Timestamp) {
        let providers = mission.held_providers();
        let providers = providers.map(|(name, _)| Of::Provider(name.to_owned()));
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
    pub(super) fn waits_for_a_provider(&self, now: Timestamp) -> bool {
        self.asks.held.values().any(|held| held.until > now)
    }
}
