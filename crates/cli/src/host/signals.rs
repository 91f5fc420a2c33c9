//! What interrupts mean to a running engine: the first lets it wind down, the second ends the program.

use crate::error::Exit;
use crate::{leave, view};
use engine::dispatcher::Handle;
use mission::ids::MissionId;
use std::time::{Duration, Instant};

/// A second signal so soon is the first one again: whoever ends a group and its leader sends both.
const AGAIN: Duration = Duration::from_millis(300);

/// What a signal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    WindDown,
    Nothing,
    End,
}

/// What a signal means that comes so long after the first one.
fn heard(after_first: Option<Duration>) -> Heard {
    match after_first {
        None => Heard::WindDown,
        Some(after) if after < AGAIN => Heard::Nothing,
        Some(_) => Heard::End,
    }
}

/// The first interrupt lets the engine wind down, by the table of [`engine::shutdown`]; the second ends the program as a
/// crash would, and so does the guard. It listens until nothing of the mission runs here any more, its agents' host included.
pub(super) async fn listen(handle: Handle) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return;
    };
    let mut first: Option<Instant> = None;
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        match heard(first.map(|first| first.elapsed())) {
            Heard::WindDown => {
                first = Some(Instant::now());
                leave::at_the_latest(Exit::Interrupted, go_on(handle.mission()));
                view::note("winding down; once more to stop at once");
                handle.wind_down();
            }
            Heard::Nothing => {}
            Heard::End => leave::now(Exit::Interrupted, &go_on(handle.mission())),
        }
    }
}

fn go_on(id: MissionId) -> String {
    format!("stopped at once; nothing is lost. Go on with: orchestrator resume {id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_comes_twice_at_once_is_one_signal() {
        assert_eq!(heard(None), Heard::WindDown);
        assert_eq!(heard(Some(Duration::from_millis(2))), Heard::Nothing);
        assert_eq!(heard(Some(AGAIN)), Heard::End);
    }
}
