//! One mission in one conversation of OpenCode: its board, its toasts, its report.
//!
//! It reads the journal and nothing else of the mission, and nobody waits for it: an OpenCode that is gone, hangs or
//! refuses costs the mission nothing.

use super::follow::Followed;
use super::note::Note;
use super::queue::LOOK;
use crate::host::Store;
use crate::view::board;
use agents::opencode::front::{Error, Front, Post, Tone};
use engine::reception::Guest;
use mission::ids::MissionId;
use mission::mission::Mission;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The shortest time between two looks, and so between two writings of the board.
const PACE: Duration = Duration::from_millis(500);
/// The longest time between two looks at a conversation that is at work and has to be waited for.
const PATIENCE: Duration = Duration::from_secs(4);
/// The shortest time between two toasts; what happens meanwhile is told in one.
const TOASTS: Duration = Duration::from_secs(3);
/// The most that one toast tells; of more, the newest.
const TOLD: usize = 3;
/// After so many failures in a row an OpenCode is left alone until it comes again.
const FAILURES: u32 = 3;

/// What is said of a mission that is no event of it, by whoever knows it.
#[derive(Clone, Default)]
pub(super) struct Remarks(Arc<Mutex<Vec<(String, Tone)>>>);

impl Remarks {
    pub(super) fn say(&self, text: String, tone: Tone) {
        self.all().push((text, tone));
    }

    fn all(&self) -> MutexGuard<'_, Vec<(String, Tone)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows one mission.
pub(super) struct Shown {
    store: Store,
    id: MissionId,
    note: Note,
    guests: watch::Receiver<Vec<Guest>>,
    /// The guest from which the mission was asked for.
    asked_by: Option<u64>,
    followed: Followed,
    front: Option<(u64, Front)>,
    /// Guests that are left alone.
    bad: BTreeSet<u64>,
    failures: u32,
    /// The board as it stands there.
    stands: Option<String>,
    remarks: Remarks,
    toasts: Vec<(String, Tone)>,
    toasted: Option<Instant>,
    over: bool,
    /// Whether another process makes its events durable, and wakes nobody here.
    elsewhere: bool,
    reported: CancellationToken,
}

/// That somebody shows a mission.
#[derive(Clone, Debug, Default)]
pub(super) struct Showing {
    /// Ends it.
    pub(super) until: CancellationToken,
    /// Is cancelled as soon as its report stands in the conversation.
    pub(super) reported: CancellationToken,
}

/// Whether there is something left to show.
enum Left {
    /// Not now.
    Nothing,
    /// As soon as the conversation is at rest, or the time for it has come.
    Soon,
    /// Never again.
    Done,
}

impl Shown {
    pub(super) fn new(
        store: &Store,
        id: MissionId,
        note: Note,
        guests: watch::Receiver<Vec<Guest>>,
        asked_by: Option<u64>,
    ) -> Self {
        let mut shown = Self {
            store: store.clone(),
            id,
            note,
            guests,
            asked_by,
            followed: Followed::new(store, id),
            front: None,
            bad: BTreeSet::new(),
            failures: 0,
            stands: None,
            remarks: Remarks::default(),
            toasts: Vec::new(),
            toasted: None,
            over: false,
            elsewhere: false,
            reported: CancellationToken::new(),
        };
        shown.read();
        // What happened before was told before.
        shown.toasts.clear();
        shown
    }

    /// It is carried out by another process, and has to be looked at.
    pub(super) fn is_elsewhere(&mut self) {
        self.elsewhere = true;
    }

    /// Where something is said of the mission that is no event of it.
    pub(super) fn remarks(&self) -> Remarks {
        self.remarks.clone()
    }

    /// Shows the mission until there is nothing left to show. It is woken by whoever makes events durable.
    pub(super) async fn run(mut self, wake: Arc<Notify>, showing: Showing) {
        let stop = showing.until;
        self.reported = showing.reported;
        let mut pause = PACE;
        loop {
            self.read();
            let left = self.step().await;
            let again = match left {
                Left::Done => return Note::forget(&self.store.layout, self.id),
                Left::Soon => Some(pause),
                // As long as somebody is there to whom it is shown.
                Left::Nothing if self.elsewhere && self.front.is_some() => Some(LOOK),
                Left::Nothing => None,
            };
            pause = (pause * 2).min(PATIENCE);
            let awoken = async {
                tokio::select! {
                    () = wake.notified() => true,
                    // A guest came or went; when nobody can come any more, there is nothing left to do.
                    changed = self.guests.changed() => changed.is_ok(),
                    () = tokio::time::sleep(again.unwrap_or(Duration::MAX)), if again.is_some() => true,
                }
            };
            let goes_on = tokio::select! {
                goes_on = awoken => goes_on,
                () = stop.cancelled() => false,
            };
            if !goes_on {
                return;
            }
            if !matches!(left, Left::Soon) {
                pause = PACE;
            }
            tokio::select! {
                () = tokio::time::sleep(PACE) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Takes in what has become durable.
    fn read(&mut self) {
        let toasts = &mut self.toasts;
        self.followed.read(|mission, recorded| {
            if let Some((text, good)) = board::milestone(mission, recorded) {
                let tone = match good {
                    Some(true) => Tone::Good,
                    Some(false) => Tone::Info,
                    None => Tone::Warning,
                };
                toasts.push((text, tone));
            }
        });
        toasts.append(&mut self.remarks.all());
        let mission = self.followed.mission();
        self.over = mission.is_some_and(Mission::is_settled);
        if self.over {
            // Whoever is there next tells it, also if nobody asks them to.
            self.kept(|note| note.ended = true);
        }
    }

    /// Shows what there is to show, to whoever looks.
    async fn step(&mut self) -> Left {
        if !self.attach() {
            return Left::Nothing;
        }
        match self.show().await {
            Ok(left) => {
                self.failures = 0;
                left
            }
            // Its conversation was deleted, and nobody is left to be told.
            Err(Error::Missing(_)) if self.over => Left::Done,
            Err(_) => {
                self.failures += 1;
                if self.failures >= FAILURES {
                    self.leave();
                }
                Left::Soon
            }
        }
    }

    /// Whether somebody looks at the conversation: the one from whom the mission came, or the last one to come who works
    /// in the same folder.
    fn attach(&mut self) -> bool {
        let guests = self.guests.borrow_and_update().clone();
        let fits = |guest: &&Guest| {
            let same = guest.hello.directories.contains(&self.note.directory);
            guest.hello.bridge.is_some()
                && !self.bad.contains(&guest.n)
                && (same || self.asked_by == Some(guest.n))
        };
        let best = guests
            .iter()
            .filter(fits)
            .max_by_key(|guest| (self.asked_by == Some(guest.n), guest.n));
        let Some(best) = best else {
            self.front = None;
            return false;
        };
        if self.front.as_ref().is_some_and(|(n, _)| *n == best.n) {
            return true;
        }
        let bridge = best.hello.bridge.as_deref().unwrap_or("".as_ref());
        self.failures = 0;
        self.stands = None;
        match Front::over(bridge) {
            Ok(front) => self.front = Some((best.n, front)),
            Err(_) => self.front = None,
        }
        self.front.is_some()
    }

    /// Leaves an OpenCode alone until it comes again.
    fn leave(&mut self) {
        if let Some((n, _)) = self.front.take() {
            self.bad.insert(n);
        }
    }

    async fn show(&mut self) -> Result<Left, Error> {
        let Some((n, front)) = self.front.take() else {
            return Ok(Left::Nothing);
        };
        let shown = self.show_at(&front).await;
        self.front = Some((n, front));
        shown
    }

    async fn show_at(&mut self, front: &Front) -> Result<Left, Error> {
        let Some(mission) = self.followed.mission() else {
            return Ok(Left::Nothing);
        };
        let text = board::board(mission);
        let stood = self.board(front, &text).await?;
        let toasted = self.toast(front).await?;
        if !self.over {
            return Ok(if stood && toasted {
                Left::Nothing
            } else {
                Left::Soon
            });
        }
        let reported = stood && self.report(front).await?;
        if reported {
            self.reported.cancel();
        }
        Ok(match reported && toasted {
            true => Left::Done,
            false => Left::Soon,
        })
    }

    /// Whether the board stands there as it should.
    async fn board(&mut self, front: &Front, text: &str) -> Result<bool, Error> {
        let place = self.note.place();
        if self.stands.is_none()
            && let Some(id) = &self.note.board
        {
            // Posted by us or by an engine before us, even if nobody heard that it was.
            if front.holds(&place, id).await? {
                self.stands = Some(String::new());
                self.kept(|note| note.posted = true);
            } else if self.note.posted {
                // Somebody took it away, and it stays away.
                return Ok(true);
            }
        }
        match (&self.stands, &self.note.board) {
            (Some(stands), _) if stands == text => Ok(true),
            (Some(_), Some(id)) => {
                match front.rewrite(&place, id, Post::Board, text).await {
                    Err(Error::Missing(_)) => self.stands = None,
                    written => {
                        written?;
                        self.stands = Some(text.to_owned());
                    }
                }
                Ok(self.stands.is_some())
            }
            _ => {
                if !front.is_idle(&place).await? {
                    return Ok(false);
                }
                let id = self.name(front, Post::Board).await?;
                if !front.post(&place, &id, Post::Board, text).await? {
                    return Ok(false);
                }
                self.stands = Some(text.to_owned());
                self.kept(|note| note.posted = true);
                Ok(true)
            }
        }
    }

    /// Whether the report stands there. The model sees it with whatever the user says next.
    async fn report(&mut self, front: &Front) -> Result<bool, Error> {
        let place = self.note.place();
        if let Some(id) = &self.note.report
            && front.holds(&place, id).await?
        {
            return Ok(true);
        }
        let Some(mission) = self.followed.mission() else {
            return Ok(true);
        };
        let text = board::report(mission);
        if !front.is_idle(&place).await? {
            return Ok(false);
        }
        let id = self.name(front, Post::Report).await?;
        front.post(&place, &id, Post::Report, &text).await
    }

    /// A new id for a post that is not there, kept before it is used.
    async fn name(&mut self, front: &Front, post: Post) -> Result<String, Error> {
        let nonce = self.followed.mission().map_or("", Mission::nonce);
        let id = front.name(&self.note.place(), nonce, self.id, post).await?;
        let named = Some(id.clone());
        let kept = match post {
            Post::Board => self.kept(|note| note.board = named),
            Post::Report => self.kept(|note| note.report = named),
        };
        match kept {
            true => Ok(id),
            false => Err(Error::Refused("its id cannot be kept".to_owned())),
        }
    }

    /// Changes the note, and whether the change is durable.
    fn kept(&mut self, change: impl FnOnce(&mut Note)) -> bool {
        let before = self.note.clone();
        change(&mut self.note);
        self.note == before || self.note.keep(&self.store.layout, self.id).is_ok()
    }

    /// Whether all was told that there is to tell.
    async fn toast(&mut self, front: &Front) -> Result<bool, Error> {
        if self.toasts.is_empty() {
            return Ok(true);
        }
        if self.toasted.is_some_and(|at| at.elapsed() < TOASTS) {
            return Ok(false);
        }
        let first = self.toasts.len().saturating_sub(TOLD);
        let told: Vec<&str> = self.toasts[first..]
            .iter()
            .map(|(text, _)| text.as_str())
            .collect();
        let tone = self.toasts.iter().map(|(_, tone)| *tone);
        let tone = tone.max_by_key(|tone| *tone as u8).unwrap_or(Tone::Info);
        let text = told.join("\n");
        front.toast(&self.note.directory, &text, tone).await?;
        self.toasts.clear();
        self.toasted = Some(Instant::now());
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
