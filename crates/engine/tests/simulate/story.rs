//! What happened in a world, for whoever must understand why it broke. A world is told twice: silently first, and
//! again, aloud, only if it broke.

use std::cell::RefCell;
use std::collections::VecDeque;

/// The last lines that are kept.
const LINES: usize = 200;

thread_local! {
    static STORY: RefCell<Option<VecDeque<String>>> = const { RefCell::new(None) };
}

/// From now on this thread's worlds are told.
pub(crate) fn begin() {
    STORY.with(|story| *story.borrow_mut() = Some(VecDeque::new()));
}

pub(crate) fn is_told() -> bool {
    STORY.with(|story| story.borrow().is_some())
}

pub(crate) fn line(line: String) {
    STORY.with(|story| {
        if let Some(lines) = story.borrow_mut().as_mut() {
            if lines.len() == LINES {
                lines.pop_front();
            }
            lines.push_back(line);
        }
    });
}

/// The last lines, and no more are kept.
pub(crate) fn end() -> String {
    let lines = STORY
        .with(|story| story.borrow_mut().take())
        .unwrap_or_default();
    lines.into_iter().collect::<Vec<_>>().join("\n")
}

/// A line of the story; its words are only put together if somebody listens.
macro_rules! tell {
    ($($words:tt)*) => {
        if $crate::story::is_told() {
            $crate::story::line(format!($($words)*));
        }
    };
}

pub(crate) use tell;
