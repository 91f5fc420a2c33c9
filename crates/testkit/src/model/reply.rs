use super::{Request, Running};
use axum::body::{Body, Bytes};
use axum::http::Response;
use futures_util::stream;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Holds back what comes after it until the test opens it. Once open it stays open.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Gate {
    /// Lets everything through, now and later.
    pub fn open(&self) {
        self.0.close();
    }

    /// Waits until it is open.
    pub async fn passed(&self) {
        // A closed semaphore is an open gate: there are no permits, only the end of waiting.
        let _closed = self.0.acquire().await;
    }
}

/// Why the model stopped, as it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It had said all.
    Stop,
    /// It ran out of room.
    Length,
    /// It wants tools run.
    ToolCalls,
    /// The provider would not let it speak.
    ContentFilter,
}

/// How an answer ends on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Whole,
    /// The body ends in the middle, as if all was well.
    Truncated,
    /// The connection breaks in the middle.
    Dropped,
    /// A line that is not JSON comes in the middle.
    Malformed,
    /// Nothing comes any more, and the connection stays open.
    Hung,
}

/// What the model says it used; sent as is, however absurd.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokens(pub Value);

impl Tokens {
    /// Honest numbers; `cached` is a part of `input`, as OpenAI counts.
    pub fn new(input: u64, output: u64, cached: u64) -> Self {
        Self(json!({
            "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
            "prompt_tokens_details": { "cached_tokens": cached },
        }))
    }
}

/// What the model does with one request.
#[derive(Clone, Debug)]
pub struct Reply {
    pieces: Vec<Piece>,
    calls: Vec<(String, Value)>,
    finish: Option<Finish>,
    tokens: Option<Tokens>,
    end: End,
    status: Option<Status>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Hold(Gate),
}

#[derive(Clone, Debug)]
struct Status {
    code: u16,
    retry_after: Option<String>,
    body: Value,
}

impl Reply {
    /// Says a text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            pieces: vec![Piece::Text(text.into())],
            calls: Vec::new(),
            finish: None,
            tokens: Some(Tokens::new(100, 10, 0)),
            end: End::Whole,
            status: None,
        }
    }

    /// Calls a tool.
    pub fn call(tool: &str, arguments: Value) -> Self {
        Self::text("").and_call(tool, arguments)
    }

    /// Gives an answer as a fenced block with prose around it.
    pub fn fenced(answer: &Value) -> Self {
        Self::text(format!(
            "Here is my answer.\n\n```json\n{answer:#}\n```\n\nThat is all."
        ))
    }

    /// Refuses with a status and a message, as providers write them.
    pub fn status(code: u16, message: &str) -> Self {
        let body = json!({ "error": { "message": message, "type": "error", "code": code } });
        let status = Status {
            code,
            retry_after: None,
            body,
        };
        Self {
            status: Some(status),
            ..Self::text("")
        }
    }

    /// 429, with a `Retry-After` header as given.
    pub fn busy(retry_after: &str) -> Self {
        let mut reply = Self::status(429, "Rate limit reached");
        if let Some(status) = &mut reply.status {
            status.retry_after = Some(retry_after.to_owned());
        }
        reply
    }

    /// 400 with the code that says that the context is too long.
    pub fn overflow() -> Self {
        let mut reply = Self::status(400, "");
        if let Some(status) = &mut reply.status {
            status.body = json!({ "error": {
                "message": "This model's maximum context length is 1000 tokens. However, your messages resulted in 9000 tokens",
                "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded",
            } });
        }
        reply
    }

    /// Never answers, and keeps the connection open.
    pub fn hang() -> Self {
        Self {
            end: End::Hung,
            ..Self::text("")
        }
    }

    /// Calls one more tool in the same answer.
    pub fn and_call(mut self, tool: &str, arguments: Value) -> Self {
        self.calls.push((tool.to_owned(), arguments));
        self
    }

    /// Says more, as a chunk of its own.
    pub fn and_text(mut self, text: impl Into<String>) -> Self {
        self.pieces.push(Piece::Text(text.into()));
        self
    }

    /// Goes no further until the gate is open.
    pub fn and_hold(mut self, gate: &Gate) -> Self {
        self.pieces.push(Piece::Hold(gate.clone()));
        self
    }

    /// Says nothing at all until the gate is open.
    pub fn after(mut self, gate: &Gate) -> Self {
        self.pieces.insert(0, Piece::Hold(gate.clone()));
        self
    }

    /// Ends with this finish reason rather than the one that fits.
    pub fn finish(mut self, finish: Finish) -> Self {
        self.finish = Some(finish);
        self
    }

    /// Says that it used this much.
    pub fn tokens(mut self, tokens: Tokens) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// All that it says in words.
    pub fn said(&self) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Hold(_) => String::new(),
        };
        self.pieces.iter().map(text).collect()
    }

    /// Does not say what it used.
    pub fn untold(mut self) -> Self {
        self.tokens = None;
        self
    }

    /// Ends on the wire like this.
    pub fn end(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    pub(super) async fn respond(self, request: &Request, running: Running) -> Response<Body> {
        if let Some(status) = self.status {
            let mut response = Response::builder()
                .status(status.code)
                .header("content-type", "application/json");
            if let Some(after) = status.retry_after {
                response = response.header("retry-after", after);
            }
            return response
                .body(Body::from(status.body.to_string()))
                .expect("a valid response");
        }
        if request.stream {
            let lines = self.lines(&request.model);
            let body = Body::from_stream(stream::unfold((lines, running), next));
            return Response::builder()
                .header("content-type", "text/event-stream")
                .body(body)
                .expect("valid");
        }
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(more) => text.push_str(more),
                Piece::Hold(gate) => gate.passed().await,
            }
        }
        if self.end == End::Hung {
            std::future::pending::<()>().await;
        }
        let message =
            json!({ "role": "assistant", "content": text, "tool_calls": self.tool_calls() });
        let body = json!({
            "id": "c", "object": "chat.completion", "created": 1, "model": request.model,
            "choices": [{ "index": 0, "message": message, "finish_reason": self.finish_reason() }],
            "usage": self.tokens.map(|t| t.0),
        });
        Response::builder()
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .expect("valid")
    }

    fn finish_reason(&self) -> &'static str {
        let fitting = if self.calls.is_empty() {
            Finish::Stop
        } else {
            Finish::ToolCalls
        };
        match self.finish.unwrap_or(fitting) {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::ToolCalls => "tool_calls",
            Finish::ContentFilter => "content_filter",
        }
    }

    fn tool_calls(&self) -> Vec<Value> {
        let calls = self.calls.iter().enumerate();
        calls
            .map(|(index, (name, arguments))| {
                json!({
                    "index": index, "id": format!("call_{index}_{name}"), "type": "function",
                    "function": { "name": name, "arguments": arguments.to_string() },
                })
            })
            .collect()
    }

    /// The lines of a streamed answer, and what happens between them.
    fn lines(self, model: &str) -> VecDeque<Line> {
        let chunk = |choices: Value, usage: Value| {
            let body = json!({
                "id": "c", "object": "chat.completion.chunk", "created": 1, "model": model,
                "choices": choices, "usage": usage,
            });
            Line::Data(format!("data: {body}\n\n"))
        };
        let delta = |delta: Value| chunk(json!([{ "index": 0, "delta": delta }]), Value::Null);
        let mut lines = VecDeque::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) if text.is_empty() => {}
                Piece::Text(text) => {
                    lines.push_back(delta(json!({ "role": "assistant", "content": text })));
                }
                Piece::Hold(gate) => lines.push_back(Line::Hold(gate.clone())),
            }
        }
        match self.end {
            End::Whole => {}
            End::Truncated => return lines,
            End::Dropped => lines.push_back(Line::Break),
            End::Malformed => {
                lines.push_back(Line::Data("data: {\"choices\": [nonsense\n\n".to_owned()));
            }
            End::Hung => lines.push_back(Line::Hold(Gate::default())),
        }
        let calls = self.tool_calls();
        if !calls.is_empty() {
            lines.push_back(delta(json!({ "role": "assistant", "tool_calls": calls })));
        }
        let last = json!([{ "index": 0, "delta": {}, "finish_reason": self.finish_reason() }]);
        lines.push_back(chunk(last, Value::Null));
        if let Some(Tokens(usage)) = self.tokens {
            lines.push_back(chunk(json!([]), usage));
        }
        lines.push_back(Line::Data("data: [DONE]\n\n".to_owned()));
        lines
    }
}

enum Line {
    Data(String),
    Hold(Gate),
    Break,
}

type Rest = (VecDeque<Line>, Running);

async fn next((mut lines, running): Rest) -> Option<(io::Result<Bytes>, Rest)> {
    loop {
        match lines.pop_front()? {
            Line::Data(data) => return Some((Ok(Bytes::from(data)), (lines, running))),
            Line::Hold(gate) => gate.passed().await,
            Line::Break => {
                lines.clear();
                return Some((Err(io::ErrorKind::ConnectionReset.into()), (lines, running)));
            }
        }
    }
}
