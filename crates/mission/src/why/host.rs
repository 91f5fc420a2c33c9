//! Why hosts and providers are asked, left alone, or asked less.

use crate::event::{Ending, Event, Turn};
use crate::governor::{provider_of, told};
use crate::limits;
use crate::mission::{Lease, Mission};
use crate::spending::dollars;
use crate::time::Timestamp;
use crate::turn::{Failure, Role};

impl Mission {
    pub(super) fn why_of_hosts(&self, at: Timestamp, event: &Event) -> Vec<String> {
        match event {
            Event::TurnEnded {
                turn,
                epoch,
                ending,
                usage,
                ..
            } => {
                let mut why: Vec<String> = self.why_ended(at, *turn, ending).into_iter().collect();
                let lease = self.leases.get(epoch);
                why.extend(lease.and_then(|lease| self.why_singled(lease, ending, usage)));
                why.extend(lease.and_then(|lease| self.why_counted(lease, ending)));
                why.extend(lease.and_then(|lease| self.why_slots(lease, ending)));
                why
            }
            Event::TurnServed { epoch } => {
                let lease = self.leases.get(epoch);
                lease.map_or(Vec::new(), |lease| self.why_served(at, event, lease))
            }
            Event::TurnLent {
                epoch,
                reserved,
                money,
            } => {
                let had = self.leases.get(epoch);
                let had = had.map_or((0, 0), |lease| (lease.reserved, lease.money));
                let tokens = (*reserved > had.0).then(|| {
                    format!(
                        "it used more than the {} tokens that it had, and {} were free: {} more",
                        had.0,
                        self.budget.free(),
                        reserved - had.0
                    )
                });
                let money = (*money > had.1).then(|| {
                    format!(
                        "it cost more than the {} that it had: {} more",
                        dollars(had.1),
                        dollars(money - had.1)
                    )
                });
                tokens.into_iter().chain(money).collect()
            }
            Event::ProviderHeld { .. } | Event::BreakerOpened { .. } => why_left_alone(at, event),
            Event::ModelSwitched { role, model, .. } => {
                self.why_switched(at, *role, model.as_deref())
            }
            _ => Vec::new(),
        }
    }

    /// What the end of a turn counts for.
    fn why_ended(&self, at: Timestamp, turn: Turn, ending: &Ending) -> Option<String> {
        let task = turn.task().and_then(|id| self.tasks.get(&id));
        if self.is_ahead(turn) {
            return None;
        }
        Some(match ending {
            Ending::Refused { until, .. } => format!(
                "a refusal is no fault: nothing is used up, and it waits {} (refusal {} of it in a row)",
                until.since(at),
                task.map_or(0, |task| task.refusals) + 1
            ),
            Ending::Held { until, .. } => format!(
                "it was not begun, so that nothing is used up, and it waits {}",
                until.since(at)
            ),
            Ending::Failed {
                failure: Failure::Transient,
                ..
            } if matches!(turn, Turn::Work { .. }) => format!(
                "its host failed and not its agent: the same attempt goes on ({} of at most {} in a row)",
                task.map_or(0, |task| task.faults) + 1,
                limits::STEP_TRIES
            ),
            Ending::Failed {
                failure: Failure::Machine,
                ..
            } => {
                let n = match turn {
                    Turn::Intent { .. } => self.reading.machine,
                    Turn::Plan { .. } => self.planning.machine,
                    _ => task.map_or(0, |task| task.machine),
                };
                format!(
                    "this machine failed it, so that it counts neither for the agent nor for its model ({} of at most {} in a row)",
                    n + 1,
                    limits::MACHINE_TRIES
                )
            }
            Ending::Failed {
                failure: Failure::Fatal,
                ..
            } => "trying again cannot help".to_owned(),
            Ending::Failed { .. } | Ending::Expired | Ending::Overspent => match turn {
                Turn::Work { .. } => format!(
                    "it ended by its agent's fault: {} of at most {} attempts",
                    task.map_or(0, |task| task.tries) + 1,
                    self.terms.attempts
                ),
                Turn::Review { .. } => format!(
                    "no judgement came of it: {} of at most {} in a row",
                    task.map_or(0, |task| task.review_faults) + 1,
                    limits::REVIEW_TRIES
                ),
                Turn::Split { .. } => {
                    format!("at most {} may fail in a row", limits::SPLIT_TRIES)
                }
                Turn::Intent { .. } | Turn::Plan { .. } => {
                    format!("at most {} may fail in a row", limits::PLANNING_TRIES)
                }
            },
            Ending::Answered | Ending::Cancelled => return None,
        })
    }

    /// What it counts for at its model.
    fn why_counted(&self, lease: &Lease, ending: &Ending) -> Option<String> {
        let counts = matches!(
            ending,
            Ending::Failed {
                failure: Failure::Transient | Failure::Silent,
                ..
            } | Ending::Refused { outage: true, .. }
        );
        let model = self.model_of(lease);
        let n = self.failures_at(model) + 1;
        counts.then(|| {
            format!(
                "failure {n} in a row at {}; {} open its breaker",
                told(model),
                limits::BREAKER
            )
        })
    }

    /// Whether the role has another number of slots at its provider after it.
    fn why_slots(&self, lease: &Lease, ending: &Ending) -> Option<String> {
        let role = lease.turn.role();
        if matches!(role, Role::Commander | Role::Planner) {
            return None;
        }
        let provider = provider_of(self.model_of(lease));
        let there = self.told_where(role, provider);
        let before = self.slots_at(role, provider);
        let mut after = before;
        after.ended(ending);
        let (was, is) = (before.now(), after.now());
        (was != is).then(|| match is > was {
            true => format!(
                "{is} instead of {was} slots of {role}s{there}: {} turns in a row went well",
                limits::SLOTS_GROW
            ),
            false => format!(
                "{is} instead of {was} slots of {role}s{there}: {} in a row were refused or failed by their host",
                limits::SLOTS_SHRINK
            ),
        })
    }

    fn why_served(&self, at: Timestamp, event: &Event, lease: &Lease) -> Vec<String> {
        let model = self.model_of(lease).to_owned();
        let mut after = self.clone();
        after.apply(at, event);
        let named = [provider_of(&model), &model];
        let holds = self.held_providers().chain(self.open_breakers());
        let holds: Vec<&str> = holds
            .map(|(name, _)| name)
            .filter(|name| named.contains(name))
            .collect();
        let still = |name: &str| {
            let mut holds = after.held_providers().chain(after.open_breakers());
            holds
                .find(|(of, _)| *of == name)
                .map(|(_, hold)| hold.permits())
        };
        let told = holds.iter().map(|name| match still(name) {
            Some(permits) => format!(
                "it tried {}, where {permits} at once may try now",
                told(name)
            ),
            None => format!("it tried {}, which is free again", told(name)),
        });
        told.collect()
    }

    fn why_switched(&self, at: Timestamp, role: Role, model: Option<&str>) -> Vec<String> {
        let others = self.terms.fallbacks.get(&role).into_iter().flatten();
        let own = "its own".to_owned();
        let all: Vec<String> = std::iter::once(own).chain(others.cloned()).collect();
        let order = all.join(", ");
        let Some(model) = model else {
            return vec![format!("of {order} the first that may be asked is its own")];
        };
        let holds = self.held_providers().chain(self.open_breakers());
        let mut held: Vec<String> = holds
            .filter(|(_, hold)| hold.until > at)
            .map(|(name, hold)| format!("{} for {}", told(name), hold.until.since(at)))
            .collect();
        held.truncate(super::NAMED);
        vec![format!(
            "of {order} the first that may be asked is {model}; left alone are {}; less than {} would be waited for",
            match held.is_empty() {
                true => "those on trial".to_owned(),
                false => held.join(", "),
            },
            limits::FALLBACK_AFTER
        )]
    }
}

/// Why nothing is asked of a provider or a model for so long.
fn why_left_alone(at: Timestamp, event: &Event) -> Vec<String> {
    match event {
        Event::ProviderHeld {
            provider,
            until,
            n,
            epoch,
            ..
        } => {
            let wait = until.since(at);
            let is_quota = provider.contains('/');
            let why = match (n, epoch) {
                (1, _) if is_quota => format!(
                    "it named more than {}, which is no rate limit: only this model is left alone, and it is asked once \
                     more before that is believed",
                    limits::REFUSAL_MOST
                ),
                (0, _) => "another mission was refused there".to_owned(),
                (_, Some(_)) => format!("a session waits for it, which asks again in {wait}"),
                (1, None) => format!(
                    "the first refusal in a row: {wait}, as it named up to {}, or a few seconds, spread",
                    limits::REFUSAL_MOST
                ),
                (n, None) => format!(
                    "refusal {n} in a row: {wait}; after {} what it names is the least, and the wait doubles up to {}",
                    limits::REFUSALS_BELIEVED,
                    limits::REFUSAL_MOST
                ),
            };
            let then = "after that one turn tries it, and with each that is served twice as many";
            vec![why, then.to_owned()]
        }
        Event::BreakerOpened { until, n, .. } => {
            let wait = until.since(at);
            let why = match n {
                0 => "it cannot be asked from here, or another mission's turns failed there or were refused for hours".into(),
                1 => format!("{} turns in a row failed there: {wait}", limits::BREAKER),
                n => format!(
                    "the turn that tried it failed too: opened {n} times, and for twice as long each time, now {wait}"
                ),
            };
            let then = format!(
                "{} turns that try it have to be served before it is free",
                limits::BREAKER_CLOSES
            );
            vec![why, then]
        }
        _ => Vec::new(),
    }
}
