//! How turns end, and which fault means what.

use super::{after, line, millis};
use crate::opencode::wire::Fault;
use mission::limits;
use mission::time::Millis;
use mission::turn::{Answer, Failure};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How a turn ended.
pub(super) enum End {
    /// With an answer.
    Answered(Answer),
    /// The provider would not serve it now, or failed again and again without a word of why.
    Refused(Option<Millis>, String, bool),
    /// Without an answer.
    Failed(Failure, String),
    /// Because we were told to stop.
    Stopped,
}

/// The time since the epoch.
fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// How long until a moment that OpenCode named, in milliseconds since the epoch.
pub(super) fn until(moment: f64) -> Millis {
    let now = now();
    // A moment that is no number, or past, is now; one beyond all bounds is a day away.
    let wait = (moment / 1000.0 - now.as_secs_f64()).clamp(0.0, 86_400.0);
    millis(Duration::from_secs_f64(if wait.is_nan() {
        0.0
    } else {
        wait
    }))
}

/// What providers ask for, kept within what makes sense: a second, a day.
pub(super) fn clamped(wait: Millis) -> Millis {
    wait.clamp(limits::REFUSAL_LEAST, limits::NAMED_MOST)
}

/// An untrusted text in one line, bounded.
pub(super) fn shown(text: &str) -> String {
    line(text, 400)
}

/// What a fault means for the turn.
pub(super) fn of_fault(fault: &Fault) -> End {
    let why = shown(if fault.data.message.is_empty() {
        &fault.name
    } else {
        &fault.data.message
    });
    let said = format!("{} {}", fault.data.message, fault.data.response_body).to_lowercase();
    let fatal = |why: String| End::Failed(Failure::Fatal, why);
    match (fault.name.as_str(), fault.data.status_code) {
        ("ProviderAuthError", _) | ("APIError", Some(401..=404)) => fatal(why),
        ("ContextOverflowError", _) => End::Failed(Failure::Overflow, why),
        ("ContentFilterError", _) => End::Failed(Failure::NoAnswer, why),
        ("APIError", Some(429 | 503 | 529)) => {
            End::Refused(retry_after(fault).map(clamped), why, false)
        }
        _ if said.contains("not found") && (said.contains("model") || said.contains("agent")) => {
            fatal(why)
        }
        ("APIError", Some(400)) if said.contains("model") && said.contains("not exist") => {
            fatal(why)
        }
        _ => End::Failed(Failure::Transient, why),
    }
}

/// Words in which providers, and OpenCode for them, say that they serve no more for now. What has none of them is a fault:
/// OpenCode says of its tries no status, only what the provider said.
const LIMITS: [&str; 14] = [
    "limit",
    "quota",
    "overload",
    "too many",
    "slow down",
    "capacity",
    "throttl",
    "exhaust",
    "unavailable",
    "busy",
    "usage",
    "credit",
    "billing",
    "concurren",
];
/// The same as words of their own: a number may stand in the name of a request as well.
const LIMIT_WORDS: [&str; 6] = ["429", "503", "529", "rate", "rpm", "tpm"];

/// Whether a provider says that it would serve, and does not now.
pub(super) fn names_a_limit(message: &str) -> bool {
    let said = message.to_lowercase();
    let mut words = said.split(|c: char| !c.is_alphanumeric());
    LIMITS.iter().any(|part| said.contains(part)) || words.any(|word| LIMIT_WORDS.contains(&word))
}

/// How long the provider asked to wait, if it said.
fn retry_after(fault: &Fault) -> Option<Millis> {
    let headers = &fault.data.response_headers;
    after::asked(|name| headers[name].as_str(), now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(fault: serde_json::Value, expected: &str) {
        let shown = match of_fault(&serde_json::from_value(fault).unwrap()) {
            End::Answered(_) => "answered".to_owned(),
            End::Refused(after, why, _) => format!("refused {after:?}: {why}"),
            End::Failed(failure, why) => format!("{failure:?}: {why}"),
            End::Stopped => "stopped".to_owned(),
        };
        assert_eq!(shown, expected);
    }

    fn api(status: u16, message: &str, retry_after: &str) -> serde_json::Value {
        json!({ "name": "APIError", "data": {
            "message": message, "statusCode": status, "responseHeaders": { "retry-after": retry_after },
        } })
    }

    #[test]
    fn a_fault_that_time_does_not_mend_is_fatal() {
        check(api(401, "bad key", ""), "Fatal: bad key");
        check(api(402, "no money", ""), "Fatal: no money");
        check(
            json!({ "name": "UnknownError", "data": { "message": "Model not found: a/b" } }),
            "Fatal: Model not found: a/b",
        );
        check(
            json!({ "name": "ProviderAuthError", "data": {} }),
            "Fatal: ProviderAuthError",
        );
    }

    #[test]
    fn a_busy_provider_refuses_and_what_it_asks_for_is_clamped() {
        check(
            api(429, "slow down", "7"),
            "refused Some(Millis(7000)): slow down",
        );
        check(
            api(429, "slow down", "864000"),
            "refused Some(Millis(86400000)): slow down",
        );
        for nonsense in ["-5", "abc", "Wed, 41 Oct 2015 07:28:00 GMT", ""] {
            check(api(529, "overloaded", nonsense), "refused None: overloaded");
        }
        let past = "Wed, 21 Oct 2015 07:28:00 GMT";
        check(api(429, "slow", past), "refused Some(Millis(1000)): slow");
    }

    #[test]
    fn a_fault_of_a_model_is_told_from_a_refusal_by_what_is_said() {
        for refusal in [
            "Too Many Requests",
            "Provider is overloaded",
            "Rate limit reached for gpt-x: requested 35012",
            "You exceeded your current quota",
            "Service Unavailable",
            "slow down",
            "Rate exceeded",
            "status 429: try later",
            "max organization concurrency: 3",
        ] {
            assert!(names_a_limit(refusal), "{refusal}");
        }
        for fault in [
            "Internal Server Error",
            "The socket connection was closed unexpectedly",
            "Bad Gateway",
            "request 4f429ab503cc529d failed",
            "",
        ] {
            assert!(!names_a_limit(fault), "{fault}");
        }
    }

    #[test]
    fn what_is_not_known_may_be_tried_again() {
        check(
            json!({ "name": "SomethingNew", "data": { "message": "a\nb" } }),
            "Transient: a b",
        );
        check(
            json!({ "name": "ContextOverflowError", "data": { "message": "too long" } }),
            "Overflow: too long",
        );
    }
}
