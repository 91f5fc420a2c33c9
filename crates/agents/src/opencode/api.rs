//! The dozen routes that we use, each call with a deadline and a bound on what it reads.

use super::wire;
use futures_util::StreamExt;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

/// The most that one answer may be long. Ten megabytes of tool output fit; a runaway does not.
const MAX_BODY: usize = 32 << 20;

/// How many messages one page holds.
const PAGE: usize = 50;

/// Why a call gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum CallError {
    /// Nobody answered in time. Whether the call was carried out is not known.
    #[error("the OpenCode server does not answer ({0})")]
    Down(String),
    /// The thing that was asked for does not exist.
    #[error("the OpenCode server does not know {0}")]
    Missing(String),
    /// The server refused.
    #[error("the OpenCode server answered {0}: {1}")]
    Refused(u16, String),
    /// The answer cannot be read.
    #[error("the OpenCode server's answer cannot be read: {0}")]
    Shape(String),
    /// The answer is longer than what is read.
    #[error("the OpenCode server's answer is longer than {1} bytes: {0}")]
    Long(String, usize),
}

/// One server, as long as it lives.
#[derive(Debug)]
pub(super) struct Api {
    http: reqwest::Client,
    base: String,
    password: Option<String>,
    deadline: Duration,
    /// The most that one answer may be long.
    most: usize,
}

/// A client of exactly one server: neither a proxy nor another host may see the password.
fn client(
    at: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
) -> Result<reqwest::Client, CallError> {
    at(reqwest::Client::builder())
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(2))
        .build()
        .map_err(|e| CallError::Down(e.to_string()))
}

/// A prompt to send. Sent twice with the same id it is one prompt: the message and its part are named by us.
pub(super) struct Prompt<'a> {
    /// `msg_…`
    pub(super) id: &'a str,
    pub(super) agent: &'a str,
    pub(super) model: &'a str,
    pub(super) text: &'a str,
    /// The number of the last note that it holds, where it is a brief.
    pub(super) told: Option<u32>,
    /// The answer has to fit this.
    pub(super) schema: Option<&'a Value>,
}

/// A message that nobody answers: one text part.
pub(super) struct Note<'a> {
    /// `msg_…`
    pub(super) id: &'a str,
    pub(super) text: &'a str,
    /// Shown, and never sent to a model.
    pub(super) ignored: bool,
    pub(super) agent: Option<String>,
    /// Provider and model.
    pub(super) model: Option<(String, String)>,
}

impl Api {
    pub(super) fn new(port: u16, password: String, deadline: Duration) -> Result<Self, CallError> {
        Ok(Self {
            http: client(|builder| builder)?,
            base: format!("http://127.0.0.1:{port}"),
            password: Some(password),
            deadline,
            most: MAX_BODY,
        })
    }

    /// A server behind a private socket, which needs no password.
    pub(super) fn over(socket: &Path, deadline: Duration) -> Result<Self, CallError> {
        Ok(Self {
            http: client(|builder| builder.unix_socket(socket))?,
            base: "http://localhost".to_owned(),
            password: None,
            deadline,
            most: MAX_BODY,
        })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        directory: Option<&Path>,
    ) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method, url);
        if let Some(password) = &self.password {
            request = request.basic_auth("opencode", Some(password));
        }
        match directory {
            Some(directory) => request.header(
                "x-opencode-directory",
                percent(&directory.to_string_lossy()),
            ),
            None => request,
        }
    }

    /// Sends a request and reads the answer: its body, and where the next page begins.
    async fn whole(
        &self,
        request: reqwest::RequestBuilder,
        what: &str,
    ) -> Result<(Vec<u8>, Option<String>), CallError> {
        let whole = async {
            let response = request.send().await.map_err(|e| CallError::Down(why(&e)))?;
            let status = response.status();
            let next = response.headers().get("x-next-cursor");
            let next = next.and_then(|v| v.to_str().ok()).map(str::to_owned);
            let mut body = Vec::new();
            let mut stream = response.bytes_stream();
            while let Some(chunk) = stream.next().await {
                body.extend_from_slice(&chunk.map_err(|e| CallError::Down(why(&e)))?);
                if body.len() > self.most {
                    return Err(CallError::Long(what.to_owned(), self.most));
                }
            }
            match status.as_u16() {
                200..300 => Ok((body, next)),
                404 => Err(CallError::Missing(what.to_owned())),
                code => {
                    let text: String = String::from_utf8_lossy(&body).chars().take(300).collect();
                    Err(CallError::Refused(code, text))
                }
            }
        };
        match tokio::time::timeout(self.deadline, whole).await {
            Ok(result) => result,
            Err(_) => Err(CallError::Down(format!(
                "no answer within {} s",
                self.deadline.as_secs_f32()
            ))),
        }
    }

    async fn bytes(
        &self,
        request: reqwest::RequestBuilder,
        what: &str,
    ) -> Result<Vec<u8>, CallError> {
        Ok(self.whole(request, what).await?.0)
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        directory: Option<&Path>,
    ) -> Result<T, CallError> {
        let body = self
            .bytes(self.request(Method::GET, path, directory), path)
            .await?;
        read(&body)
    }

    async fn post(&self, path: &str, directory: &Path, body: &Value) -> Result<Vec<u8>, CallError> {
        self.bytes(
            self.request(Method::POST, path, Some(directory)).json(body),
            path,
        )
        .await
    }

    /// Asks for a sign of life, with a deadline of its own: a request that the server loses must not hold us up.
    pub(super) async fn health(&self, deadline: Duration) -> Result<wire::Health, CallError> {
        let asked = self.get("/global/health", None);
        match tokio::time::timeout(deadline, asked).await {
            Ok(result) => result,
            Err(_) => Err(CallError::Down(format!(
                "no sign of life within {} s",
                deadline.as_secs_f32()
            ))),
        }
    }

    pub(super) async fn providers(&self, directory: &Path) -> Result<wire::Providers, CallError> {
        self.get("/config/providers", Some(directory)).await
    }

    /// The agents that prompts in a directory may name.
    pub(super) async fn agents(&self, directory: &Path) -> Result<Vec<wire::Agent>, CallError> {
        self.get("/agent", Some(directory)).await
    }

    /// Has the server forget what it has read of a directory, and end what it does there. It reads it anew when it is
    /// asked next.
    pub(super) async fn forget(&self, directory: &Path) -> Result<(), CallError> {
        self.post("/instance/dispose", directory, &json!({}))
            .await
            .map(drop)
    }

    pub(super) async fn create(
        &self,
        directory: &Path,
        body: &Value,
    ) -> Result<wire::Session, CallError> {
        read(&self.post("/session", directory, body).await?)
    }

    /// Makes a new session that begins with all that was said in another one. It takes over that one's metadata, and
    /// neither its rules nor its parent.
    pub(super) async fn fork(
        &self,
        directory: &Path,
        session: &str,
    ) -> Result<wire::Session, CallError> {
        let path = format!("/session/{session}/fork");
        read(&self.post(&path, directory, &json!({})).await?)
    }

    /// Changes a session's title, metadata and rules.
    pub(super) async fn change(
        &self,
        directory: &Path,
        session: &str,
        change: &Value,
    ) -> Result<(), CallError> {
        let path = format!("/session/{session}");
        let request = self
            .request(Method::PATCH, &path, Some(directory))
            .json(change);
        self.bytes(request, &path).await.map(drop)
    }

    /// Sessions of a directory whose title holds the tag, children of others among them.
    pub(super) async fn sessions(
        &self,
        directory: &Path,
        tag: &str,
    ) -> Result<Vec<wire::Session>, CallError> {
        let path = format!("/session?limit=100&search={}", percent(tag));
        self.get(&path, Some(directory)).await
    }

    /// Deletes a session with all that was said in it. One that is gone already is deleted.
    pub(super) async fn delete(&self, directory: &Path, session: &str) -> Result<(), CallError> {
        let path = format!("/session/{session}");
        let request = self.request(Method::DELETE, &path, Some(directory));
        match self.bytes(request, &path).await {
            Ok(_) | Err(CallError::Missing(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether there is a session.
    pub(super) async fn has_session(
        &self,
        directory: &Path,
        session: &str,
    ) -> Result<bool, CallError> {
        let path = format!("/session/{session}");
        let found = self.get::<serde::de::IgnoredAny>(&path, Some(directory));
        match found.await {
            Ok(_) => Ok(true),
            Err(CallError::Missing(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The sessions that were begun as children of another, wherever they work.
    pub(super) async fn children(
        &self,
        directory: &Path,
        parent: &str,
    ) -> Result<Vec<wire::Session>, CallError> {
        let path = format!("/session/{parent}/children");
        self.get(&path, Some(directory)).await
    }

    /// What the sessions of a directory are doing; those that are not listed are idle.
    pub(super) async fn status(
        &self,
        directory: &Path,
        session: &str,
    ) -> Result<wire::Status, CallError> {
        let mut all: std::collections::BTreeMap<String, Value> =
            self.get("/session/status", Some(directory)).await?;
        match all.remove(session) {
            None => Ok(wire::Status::Idle),
            Some(status) => Ok(serde_json::from_value(status).unwrap_or(wire::Status::Unknown)),
        }
    }

    /// The newest message of a session.
    pub(super) async fn newest(
        &self,
        directory: &Path,
        session: &str,
    ) -> Result<Option<wire::Message>, CallError> {
        let path = format!("/session/{session}/message?limit=1");
        let mut page: Vec<wire::Message> = self.get(&path, Some(directory)).await?;
        Ok(page.pop())
    }

    /// Whether a session holds a message.
    pub(super) async fn has_message(
        &self,
        directory: &Path,
        session: &str,
        id: &str,
    ) -> Result<bool, CallError> {
        let path = format!("/session/{session}/message/{id}");
        match self
            .get::<serde::de::IgnoredAny>(&path, Some(directory))
            .await
        {
            Ok(_) => Ok(true),
            Err(CallError::Missing(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The messages of a session, oldest first, back to and with the first one that fits.
    pub(super) async fn messages(
        &self,
        directory: &Path,
        session: &str,
        back_to: impl Fn(&wire::Message) -> bool,
    ) -> Result<Vec<wire::Message>, CallError> {
        let mut all: Vec<wire::Message> = Vec::new();
        let mut before: Option<String> = None;
        let mut seen = HashSet::new();
        let mut limit = PAGE;
        loop {
            let mut path = format!("/session/{session}/message?limit={limit}");
            if let Some(cursor) = &before {
                path.push_str("&before=");
                path.push_str(&percent(cursor));
            }
            let (page, next) = match self.page(&path, directory).await {
                // Many long messages at once; each of them may be read alone.
                Err(CallError::Long(..)) if limit > 1 => {
                    limit /= 2;
                    continue;
                }
                other => other?,
            };
            let found = page.iter().any(&back_to);
            let full = page.len() >= limit;
            all.splice(0..0, page);
            match next {
                // A cursor that was followed already leads in a circle.
                Some(cursor) if full && !found && seen.insert(cursor.clone()) => {
                    before = Some(cursor);
                }
                _ => return Ok(all),
            }
        }
    }

    async fn page(
        &self,
        path: &str,
        directory: &Path,
    ) -> Result<(Vec<wire::Message>, Option<String>), CallError> {
        let (body, next) = self
            .whole(self.request(Method::GET, path, Some(directory)), path)
            .await?;
        Ok((read(&body)?, next))
    }

    /// Hands a prompt over. The server says yes to nonsense too; what became of it shows in the session.
    pub(super) async fn prompt(
        &self,
        directory: &Path,
        session: &str,
        p: &Prompt<'_>,
    ) -> Result<(), CallError> {
        let (provider, model) = p.model.split_once('/').unwrap_or((p.model, ""));
        let mut part = json!({ "id": part_id(p.id), "type": "text", "text": p.text });
        if let Some(told) = p.told {
            part["metadata"] = json!({ "orchestrator": { "told": told } });
        }
        let mut body = json!({
            "messageID": p.id,
            "agent": p.agent,
            "model": { "providerID": provider, "modelID": model },
            "parts": [part],
        });
        if let Some(schema) = p.schema {
            body["format"] = json!({ "type": "json_schema", "schema": schema });
        }
        self.post(
            &format!("/session/{session}/prompt_async"),
            directory,
            &body,
        )
        .await
        .map(drop)
    }

    /// Puts a message into a session that nobody answers. Sent twice with the same id it is one message.
    pub(super) async fn note(
        &self,
        directory: &Path,
        session: &str,
        note: &Note<'_>,
    ) -> Result<(), CallError> {
        let mut body = json!({
            "messageID": note.id,
            "noReply": true,
            "parts": [{ "id": part_id(note.id), "type": "text", "text": note.text, "ignored": note.ignored }],
        });
        // Without them the message would be one of the default agent and model, and the user's choice with it.
        if let Some(agent) = &note.agent {
            body["agent"] = json!(agent);
        }
        if let Some((provider, model)) = &note.model {
            body["model"] = json!({ "providerID": provider, "modelID": model });
        }
        self.post(&format!("/session/{session}/message"), directory, &body)
            .await
            .map(drop)
    }

    /// Writes the one part of a note anew.
    pub(super) async fn rewrite(
        &self,
        directory: &Path,
        session: &str,
        note: &Note<'_>,
    ) -> Result<(), CallError> {
        let part = part_id(note.id);
        let path = format!("/session/{session}/message/{}/part/{part}", note.id);
        let body = json!({
            "id": part, "messageID": note.id, "sessionID": session,
            "type": "text", "text": note.text, "ignored": note.ignored,
        });
        let request = self
            .request(Method::PATCH, &path, Some(directory))
            .json(&body);
        self.bytes(request, &path).await.map(drop)
    }

    /// Asks a terminal view of the server for something: a toast, a text in its prompt.
    pub(super) async fn tui(
        &self,
        directory: &Path,
        what: &str,
        body: &Value,
    ) -> Result<(), CallError> {
        self.post(&format!("/tui/{what}"), directory, body)
            .await
            .map(drop)
    }

    pub(super) async fn abort(&self, directory: &Path, session: &str) -> Result<(), CallError> {
        self.post(&format!("/session/{session}/abort"), directory, &json!({}))
            .await
            .map(drop)
    }

    /// Has a session end, and tells whether it has. The server says yes at once, and may take a while.
    pub(super) async fn stilled(&self, directory: &Path, session: &str) -> Result<bool, CallError> {
        match self.abort(directory, session).await {
            Err(CallError::Missing(_)) => return Ok(true),
            told => told?,
        }
        let status = self.status(directory, session).await?;
        Ok(matches!(status, wire::Status::Idle))
    }

    pub(super) async fn permissions(
        &self,
        directory: &Path,
    ) -> Result<Vec<wire::Permission>, CallError> {
        self.get("/permission", Some(directory)).await
    }

    pub(super) async fn questions(&self, directory: &Path) -> Result<Vec<wire::Asked>, CallError> {
        self.get("/question", Some(directory)).await
    }

    /// Answers a permission request: `None` allows it once, a text refuses it and says why.
    pub(super) async fn permit(
        &self,
        directory: &Path,
        id: &str,
        refusal: Option<&str>,
    ) -> Result<(), CallError> {
        let body = match refusal {
            None => json!({ "reply": "once" }),
            Some(why) => json!({ "reply": "reject", "message": why }),
        };
        self.post(&format!("/permission/{id}/reply"), directory, &body)
            .await
            .map(drop)
    }

    /// Answers a question; `None` turns it down.
    pub(super) async fn answer(
        &self,
        directory: &Path,
        id: &str,
        answers: Option<&[String]>,
    ) -> Result<(), CallError> {
        match answers {
            Some(answers) => {
                let each: Vec<Value> = answers.iter().map(|a| json!([a])).collect();
                let path = format!("/question/{id}/reply");
                self.post(&path, directory, &json!({ "answers": each }))
                    .await
                    .map(drop)
            }
            None => self
                .post(&format!("/question/{id}/reject"), directory, &json!({}))
                .await
                .map(drop),
        }
    }

    /// Opens the stream of all events. It has no deadline of its own; whoever reads it has one per frame.
    pub(super) async fn events(&self) -> Result<reqwest::Response, CallError> {
        let sent = self.request(Method::GET, "/global/event", None).send();
        let response = match tokio::time::timeout(self.deadline, sent).await {
            Ok(response) => response.map_err(|e| CallError::Down(why(&e)))?,
            Err(_) => return Err(CallError::Down("the event stream does not open".to_owned())),
        };
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(CallError::Refused(
                response.status().as_u16(),
                "no event stream".to_owned(),
            ))
        }
    }
}

/// The id of the one part of a message that we name.
fn part_id(message: &str) -> String {
    message.replacen("msg_", "prt_", 1)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, CallError> {
    serde_json::from_slice(body).map_err(|e| CallError::Shape(e.to_string()))
}

/// The innermost reason: `connection refused` rather than `error sending request`.
fn why(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// Percent-encodes all but letters, digits, `-`, `_`, `.`, `~` and `/`.
fn percent(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
