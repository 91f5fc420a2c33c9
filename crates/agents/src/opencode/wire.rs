//! What OpenCode's server says, as far as we read it. These types never leave this folder.
//!
//! Unknown fields are ignored and unknown variants are `Unknown`, which is never taken for "done": a newer server may
//! say more than we know.

use mission::stagnation::scrubbed;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::hash::{DefaultHasher, Hash, Hasher};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Health {
    pub(super) version: String,
}

/// An agent as the server knows it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Agent {
    pub(super) name: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) prompt: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) directory: std::path::PathBuf,
    /// The session that it is a child of.
    #[serde(rename = "parentID")]
    pub(super) parent: Option<String>,
    pub(super) metadata: Value,
    pub(super) time: Time,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Time {
    pub(super) created: f64,
    pub(super) completed: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Message {
    pub(super) info: Info,
    pub(super) parts: Vec<Part>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Info {
    pub(super) id: String,
    pub(super) role: Speaker,
    pub(super) time: Time,
    pub(super) finish: Option<String>,
    /// Of an answer: the message that it answers.
    #[serde(rename = "parentID")]
    pub(super) parent: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) error: Option<Fault>,
    /// Of an answer that was asked for in a schema: what was given.
    pub(super) structured: Value,
    pub(super) summary: Value,
    pub(super) tokens: Value,
    pub(super) cost: Value,
    #[serde(rename = "sessionID")]
    pub(super) session: String,
    pub(super) agent: Option<String>,
    /// Of an answer.
    #[serde(rename = "providerID")]
    pub(super) provider: Option<String>,
    /// Of an answer.
    #[serde(rename = "modelID")]
    pub(super) model_name: Option<String>,
    /// Of what a user said.
    #[serde(deserialize_with = "lenient")]
    pub(super) model: Option<Model>,
}

/// A model as it stands in what a user said.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Model {
    #[serde(rename = "providerID")]
    pub(super) provider: String,
    #[serde(rename = "modelID")]
    pub(super) model: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Speaker {
    User,
    Assistant,
    #[default]
    #[serde(other)]
    Unknown,
}

/// An error as it stands in messages and in `session.error`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fault {
    pub(super) name: String,
    pub(super) data: FaultData,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct FaultData {
    pub(super) message: String,
    pub(super) status_code: Option<u16>,
    pub(super) response_headers: Value,
    pub(super) response_body: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Part {
    pub(super) id: String,
    pub(super) r#type: String,
    pub(super) text: String,
    pub(super) synthetic: bool,
    /// What whoever sent it noted with it.
    pub(super) metadata: Value,
    pub(super) tool: String,
    pub(super) state: ToolState,
    /// Why a finished step ended.
    pub(super) reason: String,
    /// Of a finished step.
    pub(super) tokens: Value,
    /// Of a finished step.
    pub(super) cost: Value,
    #[serde(rename = "sessionID")]
    pub(super) session: String,
}

/// A tool call. What it gave back may be of any size, so only a trace of it is kept.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ToolState {
    pub(super) status: String,
    pub(super) input: Value,
    pub(super) output: Trace,
    pub(super) error: Trace,
    pub(super) metadata: ToolNotes,
}

/// What a tool notes beside what it gives back.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ToolNotes {
    /// The code that a command ended with.
    pub(super) exit: Value,
}

/// Numbers that stand for a text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trace {
    pub(super) exact: u64,
    /// Without what differs from run to run although nothing else does.
    pub(super) alike: u64,
}

impl<'de> Deserialize<'de> for Trace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fn number(what: impl Hash) -> u64 {
            let mut hasher = DefaultHasher::new();
            what.hash(&mut hasher);
            hasher.finish()
        }
        let value = Value::deserialize(deserializer)?;
        Ok(Self {
            alike: value.as_str().map_or(0, |text| number(scrubbed(text))),
            exact: number(&value),
        })
    }
}

/// What a session is doing. A session that is not listed is idle.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Status {
    Idle,
    Busy,
    Retry {
        #[serde(default)]
        attempt: u32,
        #[serde(default)]
        message: String,
        #[serde(default)]
        next: f64,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Permission {
    pub(super) id: String,
    #[serde(rename = "sessionID")]
    pub(super) session: String,
    pub(super) permission: String,
    pub(super) patterns: Vec<String>,
    pub(super) metadata: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    pub(super) id: String,
    #[serde(rename = "sessionID")]
    pub(super) session: String,
    pub(super) questions: Vec<AskedOne>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AskedOne {
    pub(super) question: String,
    pub(super) options: Vec<Choice>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Choice {
    pub(super) label: String,
}

/// A permission or a question to which somebody gave an answer, whoever it was.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Settled {
    #[serde(rename = "requestID")]
    pub(super) request: String,
    /// Of a permission: `once`, `always` or `reject`.
    pub(super) reply: String,
    /// Of a question: what was chosen, for each that it asked.
    #[serde(deserialize_with = "lenient")]
    pub(super) answers: Option<Vec<Vec<String>>>,
}

/// One frame of `/global/event`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Frame {
    pub(super) payload: Payload,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Payload {
    pub(super) r#type: String,
    pub(super) properties: Value,
}

/// The answer of `/config/providers`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Providers {
    pub(super) providers: Vec<Provider>,
    pub(super) default: std::collections::BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Provider {
    pub(super) id: String,
    pub(super) models: serde_json::Map<String, Value>,
}

impl Providers {
    /// The provider that has a model, written `provider/model`, and the model's name there.
    pub(super) fn provider_of<'a>(&self, model: &'a str) -> Option<(&Provider, &'a str)> {
        let (provider, name) = model.split_once('/').unwrap_or((model, ""));
        let mut all = self.providers.iter();
        let found = all.find(|p| p.id == provider && p.models.contains_key(name));
        Some((found?, name))
    }

    /// The most tokens that a model writes in one answer, where that is told; 0 stands for a model of which nobody knows it.
    pub(super) fn output_of(&self, model: &str) -> Option<u64> {
        let (provider, name) = self.provider_of(model)?;
        let output = count(&provider.models.get(name)?["limit"]["output"]);
        output.filter(|output| *output > 0)
    }
}

/// What does not have the known shape is absent, rather than the ruin of the whole message.
fn lenient<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

/// A count that a provider reported; absent where it is no count at all.
pub(super) fn count(value: &Value) -> Option<u64> {
    let number = value.as_f64()?;
    // A million million tokens is beyond every context and every invoice.
    let sane = number.is_finite() && (0.0..=1e12).contains(&number);
    // In range and not negative, so the conversion keeps the number.
    sane.then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_limit_of_output_that_is_none_is_not_known() {
        let told = |limit: Value| {
            let models = json!({ "m/1": { "limit": limit } });
            let all = json!({ "providers": [{ "id": "acme", "models": models }] });
            let all: Providers = serde_json::from_value(all).unwrap();
            assert_eq!(all.output_of("acme/m"), None, "there is no such model");
            assert_eq!(all.output_of("other/m/1"), None);
            all.output_of("acme/m/1")
        };
        let output = |output: Value| told(json!({ "context": 200_000, "output": output }));
        assert_eq!(output(json!(8_192)), Some(8_192));
        assert_eq!(output(json!(300.0)), Some(300));
        for odd in [
            json!(0),
            json!(0.5),
            json!(-1),
            json!(1e13),
            json!("8192"),
            json!([8_192]),
            Value::Null,
        ] {
            assert_eq!(output(odd.clone()), None, "{odd}");
        }
        for odd in [json!({ "context": 1 }), json!(8_192), Value::Null] {
            assert_eq!(told(odd.clone()), None, "{odd}");
        }
    }
}
