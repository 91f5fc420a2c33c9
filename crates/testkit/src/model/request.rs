use axum::http::HeaderMap;
use serde_json::Value;

/// One request, as the model saw it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The session that asks, from `x-session-id`.
    pub session: Option<String>,
    /// Its parent session, from `x-parent-session-id`.
    pub parent: Option<String>,
    /// The key that it shows, from `authorization`.
    pub authorization: Option<String>,
    /// The model's name.
    pub model: String,
    /// All system texts, joined by blank lines.
    pub system: String,
    /// All other messages, in order.
    pub messages: Vec<Message>,
    /// Names of the tools that were offered, in order.
    pub tools: Vec<String>,
    /// Whether the answer must be a tool call.
    pub must_call: bool,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// Size of the request's body.
    pub bytes: usize,
    /// The whole body.
    pub body: Value,
}

/// One message of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `user`, `assistant` or `tool`.
    pub role: String,
    /// Its text; of several parts, joined by line ends.
    pub text: String,
    /// The tools that it calls: name and arguments as sent.
    pub calls: Vec<(String, String)>,
}

impl Request {
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        let header = |name: &str| {
            headers
                .get(name)
                .and_then(|v| v.to_str().ok())
                .map(str::to_owned)
        };
        let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let all: Vec<Message> = array(&json["messages"]).iter().map(Message::read).collect();
        let (system, messages): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|m| m.role == "system");
        Self {
            session: header("x-session-id"),
            parent: header("x-parent-session-id"),
            authorization: header("authorization"),
            model: text(&json["model"]),
            system: system
                .into_iter()
                .map(|m| m.text)
                .collect::<Vec<_>>()
                .join("\n\n"),
            messages,
            tools: array(&json["tools"])
                .iter()
                .map(|t| text(&t["function"]["name"]))
                .collect(),
            must_call: json["tool_choice"] == "required",
            stream: json["stream"] == true,
            bytes: body.len(),
            body: json,
        }
    }

    /// The last thing that the user said.
    pub fn asked(&self) -> &str {
        let last = self.messages.iter().rev().find(|m| m.role == "user");
        last.map_or("", |m| &m.text)
    }

    /// How many answers the model has already given since then: 0 for the first step of a turn.
    pub fn step(&self) -> usize {
        let since = self.messages.iter().rev().take_while(|m| m.role != "user");
        since.filter(|m| m.role == "assistant").count()
    }

    /// What the tools answered since then, in order.
    pub fn results(&self) -> Vec<&str> {
        let from = self
            .messages
            .iter()
            .rposition(|m| m.role == "user")
            .unwrap_or(0);
        let since = self.messages[from..].iter();
        since
            .filter(|m| m.role == "tool")
            .map(|m| m.text.as_str())
            .collect()
    }

    /// What is the same in every request of an agent, in the order in which providers read and cache it: the tools, then
    /// the standing instructions.
    pub fn constant(&self) -> String {
        format!("{}{}", self.body["tools"], self.system)
    }

    /// All that the model reads, in that order.
    pub fn read_by_the_model(&self) -> String {
        let spoken = self.spoken().into_iter().map(Value::to_string);
        self.constant() + &spoken.collect::<String>()
    }

    /// Whether this request is an earlier one, to the last byte, and something more.
    pub fn extends(&self, earlier: &Self) -> bool {
        self.constant() == earlier.constant()
            && self.spoken().starts_with(&earlier.spoken())
            && self.spoken().len() > earlier.spoken().len()
    }

    /// The folder that the agent is told to work in.
    pub fn folder(&self) -> Option<&str> {
        let named = |line: &str| line.trim_start().starts_with("Working directory: ");
        let line = self.system.lines().find(|line| named(line))?;
        line.split_once(": ").map(|(_, folder)| folder.trim())
    }

    /// The messages that are no standing instructions, as they were sent.
    fn spoken(&self) -> Vec<&Value> {
        let all = array(&self.body["messages"]).iter();
        all.filter(|message| message["role"] != "system").collect()
    }

    /// Whether a tool of that name was offered.
    pub fn offers(&self, tool: &str) -> bool {
        self.tools.iter().any(|t| t == tool)
    }
}

impl Message {
    fn read(json: &Value) -> Self {
        let calls = array(&json["tool_calls"]).iter();
        Self {
            role: text(&json["role"]),
            text: match &json["content"] {
                Value::Array(parts) => parts
                    .iter()
                    .map(|p| text(&p["text"]))
                    .collect::<Vec<_>>()
                    .join("\n"),
                other => text(other),
            },
            calls: calls
                .map(|c| {
                    (
                        text(&c["function"]["name"]),
                        text(&c["function"]["arguments"]),
                    )
                })
                .collect(),
        }
    }
}

fn array(json: &Value) -> &[Value] {
    json.as_array().map_or(&[], Vec::as_slice)
}

fn text(json: &Value) -> String {
    json.as_str().unwrap_or_default().to_owned()
}
