//! What a mission used, for what, and what its plan is forecast to use.

use mission::forecast::Forecast;
use mission::mission::{Mission, State};
use mission::spending::dollars;
use mission::time::Timestamp;
use serde_json::{Value, json};

/// Time until now, tokens and money, in one line.
pub(crate) fn line(mission: &Mission, now: Timestamp) -> String {
    let budget = mission.budget();
    let unknown = match budget.unknown {
        true => format!(
            " ({} of them reported; turns that were cut off or did not say count as reserved)",
            budget.reported
        ),
        false => String::new(),
    };
    format!(
        "time {}, tokens {} of {}{unknown}, model calls {}{}",
        mission.running_for(now),
        budget.spent,
        budget.limit,
        budget.calls,
        money(mission)
    )
}

/// What it cost. Nothing is claimed of turns that did not say: they may be paid by a subscription, or by nobody.
fn money(mission: &Mission) -> String {
    let money = mission.budget().money;
    let limit = money
        .limit
        .map_or(String::new(), |limit| format!(" of {}", dollars(limit)));
    match (money.reported, money.unknown) {
        (0, false) if money.limit.is_none() => String::new(),
        (0, true) => format!(
            ", cost unknown: no price was told{}",
            match money.limit {
                Some(_) => ", so that its limit counts for nothing",
                None => "",
            }
        ),
        (_, false) => format!(", {}{limit}", dollars(money.spent)),
        (reported, true) if money.spent > reported => format!(
            ", {}{limit} ({} reported, the rest at the same price)",
            dollars(money.spent),
            dollars(reported)
        ),
        (reported, true) => format!(
            ", {}{limit}, and what nobody told the price of",
            dollars(reported)
        ),
    }
}

/// The same with what it was used for.
pub(crate) fn lines(mission: &Mission, now: Timestamp) -> String {
    let mut out = format!("{}\n", line(mission, now));
    let spent = Spent::of(mission);
    if let Some(each) = spent
        .landed
        .0
        .checked_div(spent.changes)
        .filter(|each| *each > 0)
    {
        let changes = match spent.changes {
            1 => "the landed change".to_owned(),
            n => format!("{n} landed changes"),
        };
        let each = match spent.changes {
            1 => String::new(),
            n => format!(" (each {})", of((each, spent.landed.1 / n))),
        };
        let rest = match spent.lost.0 {
            0 => String::new(),
            _ => format!("; what did not land {}", of(spent.lost)),
        };
        out.push_str(&format!(
            "used for {changes} {}{each}{rest}; reading and planning {}\n",
            of(spent.landed),
            of(spent.planning)
        ));
    }
    out
}

/// Tokens, and what they cost in millionths of a dollar where that is known.
pub(crate) fn of((tokens, money): (u64, u64)) -> String {
    match money {
        0 => format!("{tokens} tokens"),
        money => format!("{tokens} tokens, {}", dollars(money)),
    }
}

/// What tokens and money were used for.
struct Spent {
    /// How many changes by agents landed.
    changes: u64,
    landed: (u64, u64),
    lost: (u64, u64),
    planning: (u64, u64),
}

impl Spent {
    fn of(mission: &Mission) -> Self {
        let (mut changes, mut landed, mut lost) = (0, (0, 0), mission.budget().left_plan);
        for task in mission.tasks() {
            let has_landed = task.state == State::Landed;
            changes += u64::from(has_landed && task.work.is_some());
            let sum: &mut (u64, u64) = if has_landed { &mut landed } else { &mut lost };
            (sum.0, sum.1) = (sum.0 + task.tokens, sum.1 + task.money);
        }
        let (tokens, money) = (mission.budget().spent, mission.budget().money.spent);
        Self {
            changes,
            planning: (
                tokens.saturating_sub(landed.0 + lost.0),
                money.saturating_sub(landed.1 + lost.1),
            ),
            landed,
            lost,
        }
    }
}

/// What the plan is forecast to use, in one line.
pub(crate) fn forecast(mission: &Mission) -> String {
    let Forecast {
        tokens,
        money,
        learned,
    } = mission.forecast();
    let cost = money.map_or(String::new(), |money| {
        format!(", {} at the price so far", dollars(money))
    });
    let why = match learned {
        true => "by what tasks of these sizes used in this mission",
        false => "a guess by the sizes of its tasks",
    };
    let budget = mission.budget();
    format!(
        "forecast: about {tokens} tokens{cost} ({why}); {} of {} are left",
        budget.free(),
        budget.limit
    )
}

/// The same for machines.
pub(crate) fn machines(mission: &Mission) -> Value {
    let (money, spent) = (mission.budget().money, Spent::of(mission));
    let of = |(tokens, micro_usd): (u64, u64)| json!({ "tokens": tokens, "micro_usd": micro_usd });
    let forecast = mission.forecast();
    json!({
        "micro_usd": money.spent,
        "micro_usd_limit": money.limit,
        "micro_usd_reported": money.reported,
        "micro_usd_unknown": money.unknown,
        "landed_changes": spent.changes,
        "landed": of(spent.landed),
        "not_landed": of(spent.lost),
        "planning": of(spent.planning),
        "forecast": {
            "tokens": forecast.tokens,
            "micro_usd": forecast.money,
            "learned": forecast.learned,
        },
    })
}
