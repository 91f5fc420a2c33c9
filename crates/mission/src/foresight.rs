//! Conflicts that are foreseen: what a running Worker has changed is held against what has landed and what was handed in
//! since it began, and against what others have changed that run beside it; it hears of what would not merge while it can
//! still write something else.
//!
//! Of two that both run only the later one is told, so that one makes way and not both. Later is whose attempt began
//! later, by the number of its first lease: it has less to lose, and a wait for its provider or a crash, after which an
//! attempt goes on under another lease, turns nobody's place round. Whoever was told so stays the one: an attempt that a
//! task begins anew is behind who made way for the one before it, and is told nothing of that.
//!
//! Who looks is the engine, beside the turn; nothing is owed, so that a look that is lost costs nothing. What a look says
//! is an input like any other: it counts only for the attempt that still runs, and only against what still lies ahead of
//! it. What is recorded is told to the attempt once.

use crate::decide::{Decided, cut_to, done, stale};
use crate::event::{Event, Rejection, Turn};
use crate::ids::{AttemptId, CommitId, Epoch, TaskId};
use crate::lease::Lease;
use crate::limits;
use crate::mission::{Mission, State};
use crate::planted;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Something that a running Worker's result will have to go together with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// The commit that holds it.
    pub commit: CommitId,
    /// The attempt that handed it in and has not landed yet; the landed line where there is none.
    pub attempt: Option<AttemptId>,
}

/// A Worker that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtWork {
    /// Its lease.
    pub epoch: Epoch,
    /// What it works at.
    pub attempt: AttemptId,
    /// Whether it may still be told of what others are at work on.
    pub hears: bool,
}

/// How far the other side of a conflict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// It is on the landed line.
    Landed,
    /// It has not landed yet.
    HandedIn,
    /// It is still written.
    AtWork,
}

/// What one look found: the work as it stands does not merge with what lies ahead of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// What it does not merge with.
    pub commit: CommitId,
    /// The lease of the Worker whose workspace held that a moment ago; nothing where it has landed or is handed in.
    pub at_work: Option<Epoch>,
    /// The attempts that have landed there since the work began.
    pub landed: Vec<AttemptId>,
    /// The files in conflict: the path of each, and what the other side says there.
    pub files: Vec<(String, String)>,
}

/// A conflict that an attempt was told of before it handed anything in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreseen {
    /// Whose work it is with, as far as that is known.
    pub with: Vec<AttemptId>,
    /// Whether that has landed.
    pub landed: bool,
    /// Whether somebody still worked at that; what has neither landed is handed in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_work: bool,
    /// The commit that holds it.
    pub commit: CommitId,
    /// The paths.
    pub paths: Vec<String>,
    /// What the other side says there, shortened.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub excerpt: String,
}

impl Foreseen {
    /// Whether it is with one of these, and shows a text of one of its files, or of one that is too long what is ever shown.
    fn says(&self, text: &str, others: &[AttemptId]) -> bool {
        let is_theirs = self.with.iter().any(|with| others.contains(with));
        is_theirs && (self.shows(text) || self.shows(&cut_to(text, limits::FORESEEN_BYTES)))
    }

    /// Whether it shows a text of one of its files just as it is.
    fn shows(&self, text: &str) -> bool {
        let mut found = self.excerpt.match_indices(text);
        let is_whole = |(at, _): (usize, &str)| {
            let (before, rest) = self.excerpt.split_at(at);
            let after = &rest[text.len()..];
            let mut names = self.paths.iter();
            // Each text begins with the name of its file: what goes on otherwise is more of the same text.
            let ends = after.is_empty() || names.any(|path| after.starts_with(path.as_str()));
            ends && (before.is_empty() || before.ends_with('\n'))
        };
        found.any(is_whole)
    }

    /// How far the other side was when it was told.
    pub fn stands(&self) -> Stands {
        match (self.landed, self.at_work) {
            (true, _) => Stands::Landed,
            (false, false) => Stands::HandedIn,
            (false, true) => Stands::AtWork,
        }
    }
}

/// What an attempt was told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warned {
    attempt: AttemptId,
    told: Vec<Foreseen>,
}

pub(crate) type AllWarned = BTreeMap<TaskId, Warned>;

/// What foresight came to, counted in attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Foresight {
    /// Those that were told of a conflict while they worked.
    pub told: u32,
    /// Those of them that then landed: a conflict in the merge queue would have cost another attempt. Not each would have
    /// had one, since what was still written may have come to something else.
    pub landed: u32,
    /// Those of them that came back from the merge queue with a conflict all the same.
    pub conflicts: u32,
}

impl Mission {
    /// What the results of Workers that run now will have to go together with: the landed line first, then what was
    /// handed in, the nearest to its landing first.
    pub fn ahead(&self) -> Vec<Ahead> {
        let line = self.head.iter().filter(|_| self.running());
        let line = line.map(|(commit, _)| Ahead {
            commit: commit.clone(),
            attempt: None,
        });
        let landing = self.landing.iter().flat_map(|landing| &landing.attempts);
        let queued = landing.chain(&self.queue).copied();
        let reviewed = self.leases.values().filter_map(|lease| match lease.turn {
            Turn::Review { attempt, .. } => Some(attempt),
            _ => None,
        });
        let judged = self.judging.iter().map(|(_, id)| id).chain(&self.checking);
        let judged = judged.map(|id| self.tasks[id].attempt());
        let handed_in = queued.chain(reviewed).chain(judged);
        let handed_in = handed_in.filter(|_| self.running()).filter_map(|attempt| {
            let commit = self.tasks.get(&attempt.task)?.work.as_ref()?.commit.clone();
            let attempt = Some(attempt);
            Some(Ahead { commit, attempt })
        });
        line.chain(handed_in).collect()
    }

    /// The Workers that run, each behind those that it makes way for.
    pub fn at_work(&self) -> Vec<AtWork> {
        let works = self
            .leases
            .iter()
            .filter_map(|(epoch, lease)| match lease.turn {
                Turn::Work { attempt } => Some(AtWork {
                    epoch: *epoch,
                    attempt,
                    hears: self.foreseen(attempt).len() < limits::FORESEEN_AT_WORK as usize,
                }),
                _ => None,
            });
        let mut works: Vec<AtWork> = works.collect();
        works.sort_by_key(|works| self.began(works.attempt));
        works
    }

    /// The first lease of the attempt that a task is at.
    fn began(&self, attempt: AttemptId) -> Option<Epoch> {
        self.tasks.get(&attempt.task).map(|task| task.began)
    }

    /// The conflicts that an attempt was told of that has still to hand in, numbered from 1.
    pub fn foreseen(&self, attempt: AttemptId) -> &[Foreseen] {
        let warned = self.warned.get(&attempt.task);
        let warned = warned.filter(|warned| warned.attempt == attempt);
        warned.map_or(&[], |warned| &warned.told)
    }

    /// What foresight came to so far.
    pub fn foresight(&self) -> Foresight {
        self.foresight
    }

    /// What a look means now: it is recorded where its turn runs on, what it was held against still lies ahead, and the
    /// attempt has not been told of these paths. What somebody still writes may come to something else, so that of what
    /// it came to the attempt is told again where it says something else.
    pub(crate) fn decide_clash(&self, epoch: Epoch, clash: Clash) -> Decided {
        let Some(lease) = self.looked_at(epoch) else {
            return stale();
        };
        let Turn::Work { attempt } = lease.turn else {
            return stale();
        };
        let old = planted!("old_clash_accepted");
        let ahead = match clash.at_work {
            Some(other) => self.makes_way_for(attempt, other).map(Some),
            None => self.lies_ahead(lease, attempt, &clash.commit, old),
        };
        let Some(ahead) = ahead else {
            return stale();
        };
        let told = self.foreseen(attempt);
        let at_work = clash.at_work.is_some();
        let others: &[AttemptId] = ahead.as_ref().map_or(&clash.landed, std::slice::from_ref);
        let most = match at_work {
            true => limits::FORESEEN_AT_WORK,
            false => limits::FORESEEN,
        };
        if told.len() >= most as usize {
            return done(Vec::new());
        }
        let known = |path: &String, there: &str| {
            let mut of_it = told.iter().filter(|told| told.paths.contains(path));
            let known = of_it.any(|told| at_work || !told.at_work || told.says(there, others));
            known && !planted!("conflict_foreseen_twice")
        };
        let files = clash.files.iter();
        let files = files.map(|(path, there)| (cut_to(path, limits::PATH_BYTES), there.as_str()));
        let (paths, there): (Vec<String>, Vec<&str>) = files
            .filter(|(path, there)| !known(path, there))
            .take(limits::FORESEEN_PATHS)
            .unzip();
        if paths.is_empty() {
            return done(Vec::new());
        }
        let with = match ahead {
            Some(other) => vec![other],
            None => self.landed_in(&clash.landed, &paths),
        };
        done(vec![Event::ConflictForeseen {
            attempt,
            n: told.len() as u32 + 1,
            conflict: Foreseen {
                with,
                landed: ahead.is_none(),
                at_work,
                commit: clash.commit,
                paths,
                excerpt: excerpt(&there),
            },
        }])
    }

    fn looked_at(&self, epoch: Epoch) -> Option<&Lease> {
        // With the planted bug a look at an earlier attempt is taken for one at whatever runs now.
        let any = || {
            let mut later = self.leases.range(epoch..);
            let works = |lease: &&Lease| matches!(lease.turn, Turn::Work { .. });
            let old = planted!("old_clash_accepted");
            later.find_map(|(_, lease)| Some(lease).filter(works).filter(|_| old))
        };
        self.leases.get(&epoch).or_else(any)
    }

    /// Whom a lease is of, if that Worker still runs, began before an attempt and makes way for nobody of its task.
    fn makes_way_for(&self, attempt: AttemptId, other: Epoch) -> Option<AttemptId> {
        let Turn::Work { attempt: other } = self.leases.get(&other)?.turn else {
            return None;
        };
        let is_later = self.began(other) < self.began(attempt) || planted!("both_make_way");
        // What it was told it may be doing at this moment.
        let makes_way = self.made_way(other, attempt.task) && !planted!("way_made_back");
        Some(other).filter(|other| other.task != attempt.task && is_later && !makes_way)
    }

    /// Whether a running attempt was told of what another task was at work on.
    fn made_way(&self, attempt: AttemptId, task: TaskId) -> bool {
        let mut told = self.foreseen(attempt).iter().filter(|told| told.at_work);
        told.any(|told| told.with.iter().any(|with| with.task == task))
    }

    /// Whose work a commit is, if it still lies ahead of a turn; of nobody's alone where it is the landed line.
    fn lies_ahead(
        &self,
        lease: &Lease,
        attempt: AttemptId,
        commit: &CommitId,
        old: bool,
    ) -> Option<Option<AttemptId>> {
        let mut ahead = self.ahead().into_iter();
        let found = ahead.find(|ahead| {
            let own = match ahead.attempt {
                Some(other) => other.task == attempt.task,
                None => lease.base.as_ref() == Some(commit),
            };
            ahead.commit == *commit && !own
        });
        found
            .map(|ahead| ahead.attempt)
            .or_else(|| old.then_some(None))
    }

    /// Those of some attempts that have landed and wrote one of these paths.
    fn landed_in(&self, attempts: &[AttemptId], paths: &[String]) -> Vec<AttemptId> {
        let wrote = |attempt: &&AttemptId| {
            let task = self.tasks.get(&attempt.task);
            let has_landed = task.is_some_and(|task| task.state == State::Landed);
            let work = self.work(**attempt).filter(|_| has_landed);
            work.is_some_and(|work| paths.iter().any(|path| work.touched.contains(path)))
        };
        let found = attempts.iter().filter(wrote).copied();
        found.take(limits::FORESEEN_PATHS).collect()
    }

    pub(crate) fn conflict_foreseen(&mut self, attempt: AttemptId, conflict: &Foreseen) {
        let mut told = self.foreseen(attempt).to_vec();
        self.foresight.told += u32::from(told.is_empty());
        told.push(conflict.clone());
        self.warned.insert(attempt.task, Warned { attempt, told });
    }

    /// An attempt is over that may have been told of conflicts: it landed, or came back with one all the same, or neither.
    pub(crate) fn warned_is_over(&mut self, attempt: AttemptId, rejection: Option<&Rejection>) {
        let warned = self.warned.remove(&attempt.task);
        if warned.is_none_or(|warned| warned.attempt != attempt) {
            return;
        }
        match rejection {
            None => self.foresight.landed += 1,
            Some(Rejection::Conflict { .. }) => self.foresight.conflicts += 1,
            Some(_) => {}
        }
    }

    /// An attempt is handed in, and nobody goes on with it: that it was told is kept, and not of what.
    pub(crate) fn needs_no_warning(&mut self, attempt: AttemptId) {
        if let Some(warned) = self.warned.get_mut(&attempt.task) {
            warned.told = Vec::new();
        }
    }

    /// Attempts that ended before they handed anything in are forgotten.
    pub(crate) fn forget_warnings(&mut self) {
        let tasks = &self.tasks;
        self.warned.retain(|id, warned| {
            let task = tasks.get(id);
            // One of a task that failed goes on after a resume.
            task.is_some_and(|task| task.attempt() == warned.attempt && !task.spent)
        });
    }

    /// Why a conflict was foreseen, and what is done with it.
    pub(crate) fn why_foreseen(&self, attempt: AttemptId, stands: Stands) -> Vec<String> {
        let with = match stands {
            Stands::Landed => "the line has moved since the attempt began",
            Stands::HandedIn => "the other was handed in first and lands first if it is good",
            Stands::AtWork => {
                "of two that both run, the one that began later makes way, and the other is not told while it does"
            }
        };
        let told = self.foreseen(attempt).len() + 1;
        vec![format!(
            "{with}; found without asking a model, and told with the turn's next request: {told} of at most {} for an \
             attempt",
            limits::FORESEEN
        )]
    }
}

/// As many of these texts as there is room for, each whole or not at all; of the first as much as fits, and then nothing
/// else.
fn excerpt(texts: &[&str]) -> String {
    let Some((first, rest)) = texts.split_first() else {
        return String::new();
    };
    let mut excerpt = cut_to(first, limits::FORESEEN_BYTES);
    if excerpt != *first {
        return excerpt;
    }
    for text in rest {
        if excerpt.len() + text.len() <= limits::FORESEEN_BYTES {
            excerpt.push_str(text);
        }
    }
    excerpt
}
