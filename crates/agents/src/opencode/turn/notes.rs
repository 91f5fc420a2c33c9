//! What people say to a turn while it runs.
//!
//! A prompt to a session that is at work is taken at its next step, and one to a session that has just ended begins
//! another. So a note is a prompt of its own, named like the others: whoever goes on with the turn sees which ones it
//! has. What the brief held stands with the brief.

use super::{Closed, End, Sent, Turn};
use crate::Note;
use crate::brief;
use crate::opencode::api::{Api, CallError};
use crate::opencode::session::Step;
use crate::opencode::wire::Message;
use std::collections::BTreeSet;

impl Turn {
    /// The first note that the session does not hold yet.
    pub(super) fn unsaid(&self) -> Option<Note> {
        let notes = self.watcher.notes().into_iter();
        notes
            .filter(|note| note.n > self.told && !self.noted.contains(&note.n))
            .min_by_key(|note| note.n)
    }

    /// The first nudge that the session does not hold yet.
    pub(super) fn unnudged(&self) -> Option<Note> {
        let mut nudges = self.watcher.nudges().into_iter();
        nudges.find(|nudge| !self.nudged.contains(&nudge.n))
    }

    /// Says a nudge to the session, which is at work.
    pub(super) async fn push(&mut self, api: &Api, nudge: Note) -> Result<Option<End>, CallError> {
        let step = Step::Nudge(nudge.n);
        let sent = match self.sent.clone() {
            Some(sent) if step.is(&sent.id, &self.order) => sent,
            _ => {
                let newest = api.newest(&self.order.directory, &self.session).await?;
                let id = step.id(&self.order, newest.as_ref());
                let (text, told) = (nudge.text, None);
                Sent { id, text, told }
            }
        };
        let ended = self.post(api, sent).await?;
        self.nudged.insert(nudge.n);
        Ok(ended)
    }

    /// The number of the last thing that anybody has said.
    pub(super) fn last_said(&self) -> u32 {
        let notes = self.watcher.notes().into_iter();
        notes.map(|note| note.n).max().unwrap_or(0)
    }

    /// What of the notes the session turns out to hold.
    pub(super) fn holds(&mut self, first: &Message, steps: &[Step]) {
        self.told = told_with(first).unwrap_or(self.order.told);
        let found: BTreeSet<u32> = steps
            .iter()
            .filter_map(|step| match step {
                Step::Note(n) => Some(*n),
                _ => None,
            })
            .collect();
        self.nudged
            .extend(steps.iter().filter_map(|step| match step {
                Step::Nudge(n) => Some(*n),
                _ => None,
            }));
        // An engine before this one may have said it and died before it could tell.
        for n in found.difference(&self.noted) {
            self.watcher.noted(*n);
        }
        self.noted = found;
    }

    /// The note that comes before the end of a turn is read: one that nobody has said to it yet, or one that came in
    /// the very moment in which it ended, so that nothing of the turn came after it.
    pub(super) fn unheard(&self, closed: &Closed) -> Option<Note> {
        if closed.last.info.error.is_some() {
            return None;
        }
        let answered = &closed.last.info.parent;
        let missed = match Step::of(&closed.prompt, &self.order) {
            // Names sort by time. What answers something later, a compaction's for example, has seen the note as well.
            Some(Step::Note(n)) if !answered.is_empty() && *answered < closed.prompt.info.id => {
                let mut notes = self.watcher.notes().into_iter();
                notes.find(|note| note.n == n)
            }
            _ => None,
        };
        missed.or_else(|| self.unsaid())
    }

    /// Says it to the session, after its newest message.
    pub(super) async fn say(
        &mut self,
        api: &Api,
        note: Note,
        newest: Option<&Message>,
    ) -> Result<Option<End>, CallError> {
        let step = Step::Note(note.n);
        let is_it = |sent: &Sent| newest.is_none() && step.is(&sent.id, &self.order);
        // It may have arrived though its answer was lost: under its own id it stays one prompt.
        if let Some(sent) = self.sent.clone().filter(is_it) {
            return self.said(api, note.n, sent).await;
        }
        let found = match newest {
            Some(_) => None,
            None => api.newest(&self.order.directory, &self.session).await?,
        };
        let text = brief::said(&note.text);
        let id = step.id(&self.order, newest.or(found.as_ref()));
        let told = None;
        self.said(api, note.n, Sent { id, text, told }).await
    }

    async fn said(&mut self, api: &Api, n: u32, sent: Sent) -> Result<Option<End>, CallError> {
        self.post(api, sent).await?;
        self.noted.insert(n);
        self.watcher.noted(n);
        Ok(None)
    }
}

/// The number of the last note that a brief held, as it stands with the brief.
pub(super) fn told_with(prompt: &Message) -> Option<u32> {
    let told = prompt
        .parts
        .iter()
        .find_map(|part| part.metadata["orchestrator"]["told"].as_u64());
    told.and_then(|told| u32::try_from(told).ok())
}
