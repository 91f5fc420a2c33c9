//! What an agent does in one turn, step by step: looked at for whether it gets anywhere, and kept for whoever has to find
//! out why it did not.

use crate::layout::Place;
use mission::event::Turn;
use mission::ids::AttemptId;
use mission::stagnation::{Act, Progress, Strayed};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use workbench::fault;

/// The most steps that are kept of a turn, the last ones: how it ended matters most.
const KEPT: usize = 60;
/// The longest line of a step, in characters.
const LINE: usize = 160;

/// The steps of one turn.
pub(super) struct Steps {
    turn: Turn,
    seen: Mutex<Seen>,
}

struct Seen {
    progress: Progress,
    /// Each with how often in a row it was taken.
    lines: Vec<(String, u32)>,
    left_out: u32,
}

impl Steps {
    /// Of a turn that has just begun.
    pub(super) fn new(turn: Turn) -> Self {
        let edits = matches!(turn, Turn::Work { .. });
        let seen = Seen {
            progress: Progress::new(edits),
            lines: Vec::new(),
            left_out: 0,
        };
        Self {
            turn,
            seen: Mutex::new(seen),
        }
    }

    /// Takes a finished step; says how the agent goes nowhere, if it does.
    pub(super) fn take(&self, act: Act, doing: &str) -> Option<Strayed> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = if act.failed { " (failed)" } else { "" };
        let line: String = doing.split_whitespace().collect::<Vec<_>>().join(" ");
        let line: String = line.chars().take(LINE).collect::<String>() + failed;
        match seen.lines.last_mut() {
            Some((last, n)) if *last == line => *n += 1,
            _ => seen.lines.push((line, 1)),
        }
        if seen.lines.len() > KEPT {
            let (_, n) = seen.lines.remove(0);
            seen.left_out += n;
        }
        seen.progress.take(act, doing)
    }

    /// Keeps what a Worker did beside its mission, until the mission's folder goes.
    pub(super) fn keep(&self, place: &Place) -> std::io::Result<()> {
        let Turn::Work { attempt } = self.turn else {
            return Ok(());
        };
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Another lease of the attempt may have done it, and this one only found it.
        if seen.lines.is_empty() {
            return Ok(());
        }
        let left_out = (seen.left_out > 0).then(|| format!("({} earlier steps)", seen.left_out));
        let told = |(line, n): &(String, u32)| match n {
            1 => line.clone(),
            n => format!("{line} ({n} times)"),
        };
        let lines: Vec<String> = left_out
            .into_iter()
            .chain(seen.lines.iter().map(told))
            .collect();
        let path = of(place, attempt);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, lines.join("\n"))?;
        fault::of("turn.steps kept", &attempt);
        Ok(())
    }
}

fn of(place: &Place, attempt: AttemptId) -> PathBuf {
    place.steps().join(attempt.to_string())
}

/// What the attempt before this one did, as far as it is known.
pub(super) fn before(place: &Place, turn: Turn) -> Vec<String> {
    let Turn::Work { attempt } = turn else {
        return Vec::new();
    };
    let before = AttemptId {
        n: attempt.n.saturating_sub(1),
        ..attempt
    };
    let text = std::fs::read_to_string(of(place, before)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::*;
    use mission::limits;
    use mission::stagnation::{ActKind, Stray};

    fn act(kind: ActKind, what: u64) -> Act {
        let (gave, alike, failed) = (what, what, kind == ActKind::Run);
        Act {
            kind,
            what,
            gave,
            alike,
            failed,
        }
    }

    #[test]
    fn the_last_steps_of_an_attempt_are_there_for_the_next_one() {
        let sample = sample::mission(&[]);
        let place = &sample.bench.place;
        let turn = |n| Turn::Work {
            attempt: format!("T1.{n}").parse().unwrap(),
        };
        let steps = Steps::new(turn(1));
        for n in 0..100 {
            steps.take(act(ActKind::Look, n), &format!("read: {n}.txt"));
        }
        steps.take(act(ActKind::Run, 7), "bash: a\n\n## b");
        steps.take(act(ActKind::Run, 7), "bash: a\n\n## b");
        steps.keep(place).unwrap();
        let told = before(place, turn(2));
        assert_eq!(told.len(), KEPT + 1);
        assert_eq!(told[0], "(41 earlier steps)");
        assert_eq!(told[KEPT], "bash: a ## b (failed) (2 times)");
        // Who finds the attempt done already has no steps of its own.
        Steps::new(turn(1)).keep(place).unwrap();
        assert_eq!(before(place, turn(2)), told);
        assert!(before(place, turn(4)).is_empty());
    }

    #[test]
    fn whoever_goes_round_in_circles_is_found_out() {
        let steps = Steps::new(Turn::Plan { n: 1 });
        let mut strays =
            (0..limits::SAME_CALL).filter_map(|_| steps.take(act(ActKind::Look, 1), "read: a"));
        let Strayed { stray, why, .. } = strays.next().unwrap();
        assert_eq!(stray, Stray::Looping);
        assert!(why.ends_with("read: a"), "{why}");
    }
}
