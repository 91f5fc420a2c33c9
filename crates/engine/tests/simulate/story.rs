//! What happened in a world, for whoever must understand why it broke. A world is told twice: silently first, and
//! again, aloud, only if it broke.

use std::cell::RefCell;
use std::collections::VecDeque;

/// The first lines that are kept: the terms, the plan.
const FIRST: usize = 60;
/// The last lines that are kept.
const LAST: usize = 400;
/// The longest line, in bytes: agents may say anything.
const LONGEST: usize = 2_000;

#[derive(Default)]
struct Story {
    first: Vec<String>,
    last: VecDeque<String>,
    left_out: u64,
}

thread_local! {
    static STORY: RefCell<Option<Story>> = const { RefCell::new(None) };
}

/// From now on this thread's worlds are told.
pub(crate) fn begin() {
    STORY.with(|story| *story.borrow_mut() = Some(Story::default()));
}

pub(crate) fn is_told() -> bool {
    STORY.with(|story| story.borrow().is_some())
}

pub(crate) fn line(mut line: String) {
    if line.len() > LONGEST {
        line.truncate(line.floor_char_boundary(LONGEST));
        line.push('…');
    }
    STORY.with(|story| {
        let mut story = story.borrow_mut();
        let Some(story) = story.as_mut() else { return };
        if story.first.len() < FIRST {
            return story.first.push(line);
        }
        if story.last.len() == LAST {
            story.last.pop_front();
            story.left_out += 1;
        }
        story.last.push_back(line);
    });
}

/// The first and the last lines, and no more are kept.
pub(crate) fn end() -> String {
    let story = STORY
        .with(|story| story.borrow_mut().take())
        .unwrap_or_default();
    let mut lines = story.first;
    if story.left_out > 0 {
        lines.push(format!("… {} lines are left out …", story.left_out));
    }
    lines.extend(story.last);
    lines.join("\n")
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
