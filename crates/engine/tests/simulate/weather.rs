//! Providers that refuse everybody for a while, hosts that fail every turn for a while, and what other missions of the
//! same user were told.

use crate::host::Deed;
use crate::rng::Rng;
use crate::story::tell;
use crate::world::{What, World};
use mission::command::Command;
use mission::event::Turn;
use mission::governor::provider_of;
use mission::ids::Epoch;
use mission::input::Input;
use mission::time::Millis;
use mission::turn::{Failure, Role};
use std::collections::BTreeMap;

/// The model that the host names for every role, and the one to fall back to in some worlds.
pub(crate) const OWN: &str = "acme/large";
pub(crate) const OTHER: &str = "other/small";

/// What is wrong with a model or its provider in one stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The provider refuses every turn.
    Storm,
    /// The host fails every turn.
    Outage,
    /// Another mission was refused, and this one has heard of it.
    Elsewhere,
}

#[derive(Clone, Debug)]
struct Spell {
    kind: Kind,
    model: &'static str,
    from: u64,
    until: u64,
}

/// All of that in one world.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weather {
    spells: Vec<Spell>,
    /// The roles that have a model to fall back to.
    has_other: Vec<Role>,
}

impl Weather {
    /// The times are counted from the world's beginning.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let n = rng.weigh(&[(5, 0), (3, 2), (2, 8)]);
        let minute = Millis::from_mins(1).0;
        let spell = |rng: &mut Rng| {
            let from = rng.below(90 * minute);
            let length = rng.weigh(&[
                (6, 20_000),
                (6, 4 * minute),
                (4, 20 * minute),
                // A quota that is reset at night.
                (1, 30 * 60 * minute),
            ]);
            Spell {
                kind: rng.weigh(&[(4, Kind::Storm), (4, Kind::Outage), (2, Kind::Elsewhere)]),
                model: rng.weigh(&[(4, OWN), (1, OTHER)]),
                from,
                until: from + 1_000 + rng.below(length),
            }
        };
        let spells = (0..n).map(|_| spell(rng)).collect();
        let roles = [Role::Commander, Role::Planner, Role::Worker, Role::Reviewer];
        let has = n > 0 && rng.chance(600);
        let has_other = roles.into_iter().filter(|_| has && rng.chance(700));
        let has_other = has_other.collect();
        Self { spells, has_other }
    }

    pub(crate) fn fallbacks(&self) -> BTreeMap<Role, Vec<String>> {
        let has_other = self.has_other.iter();
        has_other
            .map(|role| (*role, vec![OTHER.to_owned()]))
            .collect()
    }

    /// From a moment on something is wrong for so long.
    pub(crate) fn comes(&mut self, kind: Kind, model: &'static str, moment: u64, length: Millis) {
        self.spells.retain(|spell| spell.until > moment);
        let until = moment + length.0;
        self.spells.push(Spell {
            kind,
            model,
            from: moment,
            until,
        });
    }

    /// Whether anything is ever wrong, and hosts say all that they can.
    fn is_fair(&self) -> bool {
        self.spells.is_empty()
    }

    /// What is wrong with a model at a moment, and for how long still.
    pub(crate) fn at(&self, kind: Kind, model: &str, moment: u64) -> Option<Millis> {
        let is_it = |spell: &&Spell| {
            spell.kind == kind
                && provider_of(spell.model) == provider_of(model)
                && (spell.from..spell.until).contains(&moment)
        };
        let found = self.spells.iter().find(is_it)?;
        Some(Millis(found.until - moment))
    }
}

impl World {
    /// What a performer finds out before it asks an agent: the model, and whether it may be asked. `None` if it may not.
    pub(crate) fn may_ask(&mut self, life: u64, command: &Command, epoch: Epoch) -> Option<String> {
        let chosen = self.audit.leases.get(&epoch)?.model.clone();
        let model = chosen.unwrap_or_else(|| OWN.to_owned());
        let name = command.name();
        let tells = !self.scenario.weather.is_fair() || self.scenario.outputs.are_told();
        if tells && self.rng.chance(900) {
            let output = self.scenario.outputs.said(&mut self.rng, &model);
            let named = Input::ModelNamed {
                epoch,
                model: model.clone(),
                output,
            };
            self.says(0, life, name.clone(), Some(named), false, None);
        }
        let Some(left) = self.weather(Kind::Elsewhere, &model) else {
            return Some(model);
        };
        tell!("{:>10} . another mission was refused by {model}", "");
        self.coverage.saw("a hold of another mission");
        let is_model = self.rng.chance(300);
        let of = match is_model {
            true => model,
            false => provider_of(&model).to_owned(),
        };
        let held = Input::Held {
            epoch,
            name: of,
            wait: left,
            why: "m9 was refused".into(),
            usage: mission::turn::Usage::NOTHING,
        };
        self.says(1, life, name, Some(held), true, None);
        None
    }

    /// What is wrong with a model now. Nothing is once it is calm.
    pub(crate) fn weather(&self, kind: Kind, model: &str) -> Option<Millis> {
        let moment = self.now - 1_000_000_000;
        let found = self.scenario.weather.at(kind, model, moment);
        found.filter(|_| !self.calm)
    }

    /// What becomes of a turn that is asked of a model now, if anything is wrong with it, and for how long its provider
    /// asks to wait.
    pub(crate) fn struck(&mut self, turn: Turn, model: &str) -> Option<(Deed, Option<Millis>)> {
        if self.is_odd(turn) {
            return Some((Deed::Refused, Some(Millis::from_secs(20))));
        }
        if let Some(left) = self.weather(Kind::Storm, model) {
            self.coverage.saw("a provider storm");
            let named = self.rng.chance(700);
            return Some((Deed::Refused, named.then_some(left)));
        }
        self.weather(Kind::Outage, model)?;
        self.coverage.saw("an outage");
        Some((Deed::Fails(Failure::Transient), None))
    }

    /// Whether it asks for what its provider always refuses.
    fn is_odd(&self, turn: Turn) -> bool {
        let odd = self.scenario.odd.as_ref().filter(|_| !self.calm);
        odd.is_some_and(|(key, role)| {
            *role == turn.role() && self.audit.key_of(turn).as_ref() == Some(key)
        })
    }

    /// The signs that a host gives of a turn in between: it waits for its provider, or is served.
    pub(crate) fn signs(&mut self, name: &str, length: Millis, tokens: u64) {
        if self.scenario.weather.is_fair() {
            return;
        }
        let name = || name.to_owned();
        let (waits, served) = (self.rng.chance(60), self.rng.chance(600));
        if waits {
            let wait = Millis(self.rng.below(40_000));
            self.after(length.0 / 8, What::Waits { name: name(), wait });
        }
        if waits || served {
            let soon = length.0 / 8 + self.rng.below(length.0 / 4);
            self.after(
                soon,
                What::Uses {
                    name: name(),
                    tokens,
                },
            );
        }
    }

    /// An agent's host says that it waits for the provider.
    pub(crate) fn agent_waits(&mut self, name: &str, wait: Millis) {
        let sessions = &self.host.sessions;
        let open = sessions.get(name).filter(|session| session.ended.is_none());
        let Some(epoch) = open.map(|session| session.epoch) else {
            return;
        };
        if let Some(life) = self.listens(epoch) {
            self.coverage.saw("a session waits for its provider");
            let why = "429".to_owned();
            let input = Some(Input::Waits { epoch, wait, why });
            self.says(0, life, name.to_owned(), input, false, None);
        }
    }
}
