//! Looks at everything that has to be right, says what it finds and what to do about it.
//!
//! A look changes nothing of ours, and starts OpenCode only in ways in which every use of it does. Each has a time of
//! its own after which it counts as broken, so that the whole never hangs.

mod configuration;
mod first_start;
mod host;
mod repair;
mod state;

pub(crate) use repair::{Repair, is_wanted};

use crate::install::World;
use crate::view::escape;
use std::fmt::Write as _;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A look at files.
const SHORT: Duration = Duration::from_secs(10);
/// A look at all events of all missions.
const LONG: Duration = Duration::from_secs(60);
/// A look for which OpenCode starts: twice its own limit for a start, and a pause to end it.
const START: Duration = Duration::from_secs(75);

/// How something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As it should be.
    Good,
    /// Nothing wrong, and something to know.
    Note,
    /// Something does not work.
    Broken,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Note => "note",
            Self::Broken => "broken",
        }
    }
}

/// What was found in one place.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// What was looked at.
    pub(crate) about: &'static str,
    /// How it was found.
    pub(crate) verdict: Verdict,
    /// What there is; the first line says it in short.
    pub(crate) told: Vec<String>,
    /// What to do about it.
    pub(crate) advice: Option<String>,
    /// What we can do about it.
    pub(crate) repair: Option<Repair>,
}

impl Finding {
    fn new(about: &'static str, verdict: Verdict, told: impl Into<String>) -> Self {
        Self {
            about,
            verdict,
            told: vec![told.into()],
            advice: None,
            repair: None,
        }
    }

    fn good(about: &'static str, told: impl Into<String>) -> Self {
        Self::new(about, Verdict::Good, told)
    }

    fn note(about: &'static str, told: impl Into<String>) -> Self {
        Self::new(about, Verdict::Note, told)
    }

    fn broken(about: &'static str, told: impl Into<String>) -> Self {
        Self::new(about, Verdict::Broken, told)
    }

    /// With more to know.
    fn more(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.told.extend(lines);
        self
    }

    /// With something to do.
    fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// With something that we can do.
    fn repair(mut self, repair: Repair) -> Self {
        self.repair = Some(repair);
        self
    }
}

/// One look that is under way.
struct Pending {
    about: &'static str,
    until: Instant,
    limit: Duration,
    found: Receiver<Vec<Finding>>,
}

/// Starts a look. It goes on by itself; whoever waits stops waiting after a time.
fn look(
    about: &'static str,
    limit: Duration,
    look: impl FnOnce() -> Vec<Finding> + Send + 'static,
) -> Pending {
    let (tell, found) = channel();
    std::thread::spawn(move || tell.send(look()).ok());
    Pending {
        about,
        until: Instant::now() + limit,
        limit,
        found,
    }
}

impl Pending {
    fn wait(self) -> Vec<Finding> {
        let left = self.until.saturating_duration_since(Instant::now());
        self.found.recv_timeout(left).unwrap_or_else(|_| {
            let told = format!("no answer within {} s", self.limit.as_secs());
            vec![
                Finding::broken(self.about, told)
                    .advice("something hangs: a file system, a lock, or a program"),
            ]
        })
    }
}

/// Looks at everything.
pub(crate) fn examine(world: &World) -> Vec<Finding> {
    let with = |look: fn(&World) -> Vec<Finding>| {
        let world = world.clone();
        move || look(&world)
    };
    let looks = [
        look("program", SHORT, with(host::program)),
        look("git", SHORT, with(host::git)),
        look("configuration", SHORT, with(configuration::files)),
        look("plugin", SHORT, with(configuration::plugin)),
        look("loaded", START, with(host::loaded)),
        look("first start", SHORT, with(first_start::seeds)),
        look("state directory", SHORT, with(state::directory)),
        look("sockets", SHORT, with(state::sockets)),
        look("log", SHORT, with(state::log)),
        look("store", LONG, with(state::store)),
        // It may have to wait for the other one that starts OpenCode.
        look("model", START * 2, with(host::model)),
        look("confinement", SHORT, with(host::confinement)),
    ];
    looks.into_iter().flat_map(Pending::wait).collect()
}

/// Whether anything does not work.
pub(crate) fn is_broken(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|found| found.verdict == Verdict::Broken)
}

/// All findings for people.
pub(crate) fn text(findings: &[Finding]) -> String {
    let mut out = String::new();
    for found in findings {
        let (word, about) = (found.verdict.word(), found.about);
        for (n, line) in found.told.iter().enumerate() {
            let (word, about) = if n == 0 { (word, about) } else { ("", "") };
            writeln!(out, "{word:<7} {about:<15}  {}", escape::line(line)).ok();
        }
        if let Some(advice) = &found.advice {
            writeln!(out, "{:<23}  > {}", "", escape::line(advice)).ok();
        }
    }
    out
}

/// All findings for machines.
pub(crate) fn json(findings: &[Finding]) -> serde_json::Value {
    let one = |found: &Finding| {
        serde_json::json!({
            "about": found.about,
            "verdict": found.verdict.word(),
            "told": found.told,
            "advice": found.advice,
            "repair": found.repair.as_ref().map(Repair::what),
        })
    };
    let all: Vec<serde_json::Value> = findings.iter().map(one).collect();
    serde_json::json!({ "broken": is_broken(findings), "findings": all })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_hangs_is_broken_and_the_rest_goes_on() {
        let (_open, hang) = channel::<()>();
        let limit = Duration::from_millis(1);
        let pending = look("x", limit, move || {
            hang.recv().ok();
            Vec::new()
        });
        let found = pending.wait();
        assert!(is_broken(&found), "{found:?}");
        let good = look("y", SHORT, || vec![Finding::good("y", "well")]);
        assert!(!is_broken(&good.wait()));
    }
}
