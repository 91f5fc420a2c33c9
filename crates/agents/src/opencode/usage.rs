//! What the messages of a session say about tokens and money.

use super::wire::{Message, Part, Speaker, count};
use mission::turn::Usage;
use serde_json::Value;
use std::collections::HashSet;

/// What a run of messages used: nothing where no model call stands behind them. A number that one call lacks is unknown
/// for all.
pub(super) fn used(messages: &[Message]) -> Usage {
    let calls = messages
        .iter()
        .filter(|m| m.info.role == Speaker::Assistant && spent(m));
    calls
        .map(|m| call(&m.info.tokens, &m.info.cost))
        .fold(Usage::NOTHING, plus)
}

/// The most steps that are counted by their events. A turn with more is counted when its messages are read.
const STEPS: usize = 4096;

/// The finished steps that a turn has counted.
#[derive(Default)]
pub(super) struct Steps(HashSet<String>);

impl Steps {
    /// Whether a step is to be counted now.
    pub(super) fn is_new(&mut self, part: &str) -> bool {
        self.0.len() < STEPS && self.0.insert(part.to_owned())
    }

    /// Takes the steps that stand in these messages as counted.
    pub(super) fn stand_in(&mut self, messages: &[Message]) {
        let parts = messages.iter().flat_map(|m| &m.parts);
        for part in parts.filter(|p| p.r#type == "step-finish") {
            self.is_new(&part.id);
        }
    }
}

/// What one finished step used.
pub(super) fn step(part: &Part) -> Usage {
    call(&part.tokens, &part.cost)
}

/// Both together.
pub(super) fn plus(one: Usage, other: Usage) -> Usage {
    if one.calls == 0 {
        return other;
    }
    let sum = |one: Option<u64>, other: Option<u64>| one?.checked_add(other?);
    Usage {
        input: sum(one.input, other.input),
        output: sum(one.output, other.output),
        cached: sum(one.cached, other.cached),
        micro_usd: sum(one.micro_usd, other.micro_usd),
        calls: one.calls.saturating_add(other.calls),
    }
}

/// Whether a model call stands behind a message: one that the server's death cut off before anything came has none.
fn spent(message: &Message) -> bool {
    message.info.finish.is_some()
        || message
            .parts
            .iter()
            .any(|p| matches!(p.r#type.as_str(), "text" | "tool" | "reasoning"))
}

/// What one model call used. Where the provider told nothing OpenCode writes zeros everywhere.
fn call(tokens: &Value, cost: &Value) -> Usage {
    let optional = |value: &Value| {
        if value.is_null() {
            Some(0)
        } else {
            count(value)
        }
    };
    let read = || {
        let input = count(&tokens["input"])?.checked_add(optional(&tokens["cache"]["write"])?)?;
        let output = count(&tokens["output"])?.checked_add(optional(&tokens["reasoning"])?)?;
        let cached = optional(&tokens["cache"]["read"])?;
        (input + output + cached > 0).then_some((input, output, cached))
    };
    let counts = read();
    Usage {
        input: counts.map(|(input, ..)| input),
        output: counts.map(|(_, output, _)| output),
        cached: counts.map(|(.., cached)| cached),
        micro_usd: micro_usd(cost),
        calls: 1,
    }
}

/// Zero is not a price: it is a subscription, or a model whose price OpenCode does not know.
fn micro_usd(cost: &Value) -> Option<u64> {
    let dollars = cost
        .as_f64()
        .filter(|c| c.is_finite() && *c > 0.0 && *c < 1e6)?;
    // In range and not negative, so the conversion keeps the number.
    Some((dollars * 1e6).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(
        messages: &Value,
        expected: (Option<u64>, Option<u64>, Option<u64>, Option<u64>, u32),
    ) {
        let messages: Vec<Message> = serde_json::from_value(messages.clone()).unwrap();
        let u = used(&messages);
        assert_eq!(
            (u.input, u.output, u.cached, u.micro_usd, u.calls),
            expected
        );
    }

    fn message(tokens: Value, cost: Value) -> Value {
        json!({ "info": { "role": "assistant", "finish": "stop", "tokens": tokens, "cost": cost } })
    }

    fn tokens(input: Value) -> Value {
        json!({ "input": input, "output": 5, "reasoning": 2, "cache": { "read": 3, "write": 1 } })
    }

    #[test]
    fn counts_are_added_up() {
        let two = json!([
            message(tokens(json!(10)), json!(0.25)),
            message(tokens(json!(20)), json!(0.5))
        ]);
        check(&two, (Some(32), Some(14), Some(6), Some(750_000), 2));
    }

    #[test]
    fn an_absurd_count_is_unknown_and_makes_the_sum_unknown() {
        for absurd in [
            json!(-1),
            json!(1e308),
            json!("many"),
            Value::Null,
            json!({}),
        ] {
            let two = json!([
                message(tokens(json!(10)), json!(0)),
                message(tokens(absurd), json!(-4))
            ]);
            check(&two, (None, None, None, None, 2));
        }
    }

    #[test]
    fn zeros_everywhere_mean_that_nothing_was_told() {
        let zeros =
            json!({ "input": 0, "output": 0, "reasoning": 0, "cache": { "read": 0, "write": 0 } });
        check(
            &json!([message(zeros, json!(0))]),
            (None, None, None, None, 1),
        );
    }

    #[test]
    fn a_message_that_was_cut_off_before_anything_came_is_no_call() {
        check(
            &json!([{ "info": { "role": "assistant" } }, { "info": { "role": "user" } }]),
            (Some(0), Some(0), Some(0), Some(0), 0),
        );
    }

    #[test]
    fn a_step_that_is_told_twice_is_counted_once() {
        let read = json!([{ "parts": [
            { "id": "prt_1", "type": "step-finish" },
            { "id": "prt_2", "type": "text" },
        ] }]);
        let mut steps = Steps::default();
        steps.stand_in(&serde_json::from_value::<Vec<Message>>(read).unwrap());
        let told = ["prt_1", "prt_2", "prt_2"].map(|part| steps.is_new(part));
        assert_eq!(told, [false, true, false]);
    }

    #[test]
    fn a_call_that_was_refused_used_nothing() {
        let fault = json!({ "name": "APIError", "data": { "statusCode": 429 } });
        check(
            &json!([{ "info": { "role": "assistant", "error": fault, "tokens": tokens(json!(0)) } }]),
            (Some(0), Some(0), Some(0), Some(0), 0),
        );
    }
}
