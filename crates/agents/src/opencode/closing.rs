//! Closing sessions that nobody needs any more. Only what says of itself that it is one of the mission's is closed, and
//! nothing that a person sees as a child of a conversation of theirs: that goes with the conversation.

use super::api::{Api, CallError};
use super::wire::{Session, Status};
use super::{Host, session};
use crate::Closing;
use std::collections::BTreeSet;
use std::path::Path;

/// Closes them and tells how many there were.
pub(super) async fn close(host: &Host, closing: &Closing) -> Result<u32, String> {
    let api = host.server.up().await?;
    let mut n = 0;
    for directory in &closing.directories {
        n += in_directory(&api, directory, closing)
            .await
            .map_err(|error| error.to_string())?;
    }
    Ok(n)
}

async fn in_directory(api: &Api, directory: &Path, closing: &Closing) -> Result<u32, CallError> {
    let is_meant = |session: &Session| {
        let one = closing.only.as_ref();
        session::is_of(session, closing.mission, &closing.nonce)
            && session.parent.is_none()
            && one.is_none_or(|one| *one == session.id)
    };
    let tag = session::tag_of(closing.mission);
    let mut closed = BTreeSet::new();
    loop {
        let mut meant = api.sessions(directory, &tag).await?;
        meant.retain(|session| is_meant(session) && !closed.contains(&session.id));
        if meant.is_empty() {
            return Ok(closed.len() as u32);
        }
        // A list has an end, and what comes after it shows once these are gone.
        for session in meant {
            still(api, directory, &session.id).await?;
            api.delete(directory, &session.id).await?;
            closed.insert(session.id);
        }
    }
}

/// What is deleted while its server still writes of it makes the server fail at that.
async fn still(api: &Api, directory: &Path, session: &str) -> Result<(), CallError> {
    let idle = matches!(api.status(directory, session).await?, Status::Idle);
    if idle || api.stilled(directory, session).await? {
        return Ok(());
    }
    Err(CallError::Refused(
        409,
        format!("{session} is still at work"),
    ))
}
