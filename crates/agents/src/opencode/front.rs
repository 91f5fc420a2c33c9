//! The server of an OpenCode that a person looks at, reached over the private socket that our plugin puts it on.
//!
//! Here a mission shows itself: a board that is written anew as it moves, toasts, and a report at the end. None of it
//! asks a model for anything. Whoever is behind the socket may be gone at any moment, so that every call has a short
//! deadline and whoever calls goes on without it.

use super::api::{Api, CallError, Note};
use super::session::message_id;
use super::wire::{Message, Status};
use mission::ids::{Digest, MissionId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long one call may take. The server answers in a few milliseconds, or has a whole repository to look at first.
const CALL: Duration = Duration::from_secs(5);
/// The shortest and the longest time that a toast stands.
const TOAST: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));
/// How long a toast stands for each character of its text, so that it can be read.
const PER_CHARACTER: Duration = Duration::from_millis(60);

/// Why a front did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nobody answers. Whether the call was carried out is not known.
    #[error("{0}")]
    Down(String),
    /// The session, the message or the part is not there.
    #[error("{0}")]
    Missing(String),
    /// It was refused, or answered in a way that cannot be read.
    #[error("{0}")]
    Refused(String),
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        let told = error.to_string();
        match error {
            CallError::Down(_) => Self::Down(told),
            CallError::Missing(_) => Self::Missing(told),
            CallError::Refused(..) | CallError::Shape(_) | CallError::Long(..) => {
                Self::Refused(told)
            }
        }
    }
}

/// How a toast looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something happened.
    Info,
    /// Something ended well.
    Good,
    /// Somebody should look.
    Warning,
    /// Something went wrong.
    Bad,
}

impl Tone {
    /// OpenCode's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Good => "success",
            Self::Warning => "warning",
            Self::Bad => "error",
        }
    }
}

/// A conversation that a person looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The folder that it is about.
    pub directory: PathBuf,
    /// `ses_…`
    pub session: String,
}

/// What a mission posts into a conversation, each at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Post {
    /// What is going on. Shown, and never sent to a model.
    Board,
    /// What came of it. The model sees it with whatever the user says next.
    Report,
}

/// A server behind a private socket.
#[derive(Debug)]
pub struct Front {
    api: Api,
}

impl Front {
    /// The server behind this socket. Nothing is sent yet.
    ///
    /// # Errors
    /// No client can be made.
    pub fn over(socket: &Path) -> Result<Self, Error> {
        Ok(Self {
            api: Api::over(socket, CALL)?,
        })
    }

    /// Whether nobody works in the session. What is posted into a session that is at work, its model answers unasked.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn is_idle(&self, at: &Place) -> Result<bool, Error> {
        let status = self.api.status(&at.directory, &at.session).await?;
        Ok(matches!(status, Status::Idle))
    }

    /// Whether the session holds a message.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn holds(&self, at: &Place, message: &str) -> Result<bool, Error> {
        Ok(self
            .api
            .has_message(&at.directory, &at.session, message)
            .await?)
    }

    /// An id for a post of a mission, after all that the session holds now. To be kept before it is used, so that
    /// whoever comes after a crash finds the post instead of making a second one.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn name(
        &self,
        at: &Place,
        nonce: &str,
        mission: MissionId,
        post: Post,
    ) -> Result<String, Error> {
        let newest = self.api.newest(&at.directory, &at.session).await?;
        let mark = Digest::of(format!("{nonce}\n{mission}\n{post:?}").as_bytes());
        Ok(message_id(&mark.as_str()[..14], newest.as_ref()))
    }

    /// Posts under an id, and whether it did: into a session that is at work nothing is posted, since its model would
    /// answer. Twice under the same id it is one post.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn post(&self, at: &Place, id: &str, post: Post, text: &str) -> Result<bool, Error> {
        let newest = self.api.newest(&at.directory, &at.session).await?;
        let mut note = note(id, post, text);
        if let Some(newest) = newest {
            (note.agent, note.model) = chosen(newest);
        }
        // Last, so that there is next to no time in which it could begin.
        if !self.is_idle(at).await? {
            return Ok(false);
        }
        self.api.note(&at.directory, &at.session, &note).await?;
        Ok(true)
    }

    /// Writes a post anew.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn rewrite(&self, at: &Place, id: &str, post: Post, text: &str) -> Result<(), Error> {
        let note = note(id, post, text);
        Ok(self.api.rewrite(&at.directory, &at.session, &note).await?)
    }

    /// Shows a toast.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn toast(&self, directory: &Path, text: &str, tone: Tone) -> Result<(), Error> {
        let characters = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        let stands = PER_CHARACTER
            .saturating_mul(characters)
            .clamp(TOAST.0, TOAST.1);
        let duration = u64::try_from(stands.as_millis()).unwrap_or(u64::MAX);
        let body = json!({ "title": "orchestrator", "message": text, "variant": tone.word(), "duration": duration });
        Ok(self.api.tui(directory, "show-toast", &body).await?)
    }

    /// Puts text where the user types, for them to go on with.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn compose(&self, directory: &Path, text: &str) -> Result<(), Error> {
        let body = json!({ "text": text });
        Ok(self.api.tui(directory, "append-prompt", &body).await?)
    }
}

fn note<'a>(id: &'a str, post: Post, text: &'a str) -> Note<'a> {
    Note {
        id,
        text,
        ignored: post == Post::Board,
        agent: None,
        model: None,
    }
}

/// The agent and the model that the user talks to, as provider and model.
fn chosen(newest: Message) -> (Option<String>, Option<(String, String)>) {
    let info = newest.info;
    let said = info.model.map(|model| (model.provider, model.model));
    let answered = info.provider.zip(info.model_name);
    (info.agent, said.or(answered))
}
