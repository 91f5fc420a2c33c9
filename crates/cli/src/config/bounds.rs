//! The `[limits]` of the user's file, and what a mission may use from wherever each part came.

use super::Config;
use crate::args::{LimitArgs, Switch, parse_count, parse_money, parse_time};
use mission::limits;
use mission::time::Millis;
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) workers: Option<u32>,
    pub(super) attempts: Option<u32>,
    pub(super) reviews: Option<u32>,
    tokens: Option<Count>,
    task_tokens: Option<Count>,
    ask_above: Option<Count>,
    cost: Option<Cost>,
    pub(super) turns: Option<u32>,
    plan_ahead: Option<Switch>,
    time: Option<Time>,
    attempt_time: Option<Time>,
    pub(super) silence: Option<Time>,
    pub(super) pressure: Option<Switch>,
}

/// A number as it is written in the file, bare or as a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Whole(u64),
    Part(f64),
    Text(String),
}

impl Written {
    /// As a flag would have it. A number with a part is the shortest decimal that it is.
    fn text(self) -> String {
        match self {
            Self::Whole(n) => n.to_string(),
            Self::Part(n) => n.to_string(),
            Self::Text(text) => text,
        }
    }
}

/// `500000`, `"500k"` or `"5M"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
struct Count(u64);

impl TryFrom<Written> for Count {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        parse_count(&written.text()).map(Self)
    }
}

/// `5`, `2.5` or `"2.50"`: US dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
struct Cost(u64);

impl TryFrom<Written> for Cost {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        parse_money(&written.text()).map(Self)
    }
}

/// `"90m"` or `"4h"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Time(pub(super) Millis);

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_time(&text).map(Self)
    }
}

/// Limits from wherever each came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResolvedLimits {
    pub(crate) workers: u32,
    pub(crate) attempts: u32,
    pub(crate) reviews: u32,
    pub(crate) tokens: u64,
    pub(crate) task_tokens: Option<u64>,
    pub(crate) ask_above: Option<u64>,
    /// In millionths of a US dollar.
    pub(crate) cost: Option<u64>,
    pub(crate) turns: Option<u32>,
    /// Whether the Planner begins beside the Commander.
    pub(crate) plan_ahead: bool,
    pub(crate) time: Millis,
    pub(crate) attempt_time: Millis,
}

impl Config {
    /// What a mission may use.
    pub(crate) fn limits(&self, args: &LimitArgs) -> ResolvedLimits {
        let file = &self.limits;
        let count = |flag: Option<u64>, of: Option<Count>| flag.or(of.map(|count| count.0));
        let time = |flag: Option<Millis>, of: Option<Time>| flag.or(of.map(|time| time.0));
        ResolvedLimits {
            workers: args.workers.or(file.workers).unwrap_or(limits::WORKERS),
            attempts: args.attempts.or(file.attempts).unwrap_or(limits::ATTEMPTS),
            reviews: args
                .reviews
                .or(file.reviews)
                .unwrap_or(limits::REVIEW_ROUNDS),
            tokens: count(args.tokens, file.tokens).unwrap_or(limits::TOKENS),
            task_tokens: count(args.task_tokens, file.task_tokens),
            ask_above: count(args.ask_above, file.ask_above),
            cost: args.cost.or(file.cost.map(|cost| cost.0)),
            turns: args.turns.or(file.turns),
            plan_ahead: args.plan_ahead.or(file.plan_ahead) == Some(Switch::On),
            time: time(args.time, file.time).unwrap_or(limits::MISSION),
            attempt_time: time(args.attempt_time, file.attempt_time).unwrap_or(limits::ATTEMPT),
        }
    }
}
