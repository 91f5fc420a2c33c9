//! The terminal that people watch on, and its only owner: everything that goes there goes through here.
//!
//! Lines that stay are printed above; below them a block of rows is drawn again and again, and under it stands what a
//! person is typing. The terminal is never asked anything and its modes are never changed: a terminal that does not
//! answer cannot hold the program up, and there is nothing to restore but the block, which is removed. That is why no
//! terminal library is used here.

use rustix::termios;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Mutex, Once, PoisonError, TryLockError};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

static SCREEN: Mutex<Screen> = Mutex::new(Screen::new());

/// A smaller window gets no block.
const LEAST: (usize, usize) = (40, 8);

/// What stands on the terminal below the lines that stay.
struct Screen {
    live: bool,
    rows: Vec<String>,
    prompt: String,
    /// Times that Enter was typed since the last drawing; each moved the cursor down.
    below: usize,
}

impl Screen {
    const fn new() -> Self {
        Self {
            live: false,
            rows: Vec::new(),
            prompt: String::new(),
            below: 0,
        }
    }

    /// What moves the cursor to the block's first row. A terminal that became narrower has wrapped the rows.
    fn home(&self, width: usize) -> String {
        let wrapped = |row: &String| row.width().div_ceil(width.max(1)).max(1);
        let up = self.rows.iter().map(wrapped).sum::<usize>() + self.below;
        match up {
            0 => "\r".to_owned(),
            up => format!("\r\x1b[{up}A"),
        }
    }

    /// Prints lines that stay, and the block below them.
    fn draw(&mut self, above: &str, rows: Vec<String>, prompt: String, width: usize) -> String {
        let quiet = above.is_empty() && self.below == 0 && !prompt.is_empty();
        let mut out = String::new();
        if quiet && prompt == self.prompt && rows.len() == self.rows.len() {
            // What the person is typing stands behind the prompt and is left alone.
            write!(out, "\x1b7{}{}\x1b8", self.home(width), lines(&rows)).ok();
        } else {
            let above: String = above
                .lines()
                .map(|line| format!("\x1b[K{line}\n"))
                .collect();
            let home = self.home(width);
            // A line that wraps stands on rows that `\x1b[K` of its first row does not reach.
            let clear = if above.is_empty() { "" } else { "\x1b[J" };
            write!(out, "{home}{clear}{above}{}\x1b[J{prompt}", lines(&rows)).ok();
        }
        self.rows = rows;
        self.prompt = prompt;
        self.below = 0;
        out
    }
}

/// The block's rows, the first of them bold.
fn lines(rows: &[String]) -> String {
    let mut out = String::new();
    for (n, row) in rows.iter().enumerate() {
        let (on, off) = if n == 0 {
            ("\x1b[1m", "\x1b[0m")
        } else {
            ("", "")
        };
        writeln!(out, "\x1b[K{on}{row}{off}").ok();
    }
    out
}

fn with<T>(act: impl FnOnce(&mut Screen) -> T) -> T {
    act(&mut SCREEN.lock().unwrap_or_else(PoisonError::into_inner))
}

fn write(text: &str) {
    let mut err = std::io::stderr().lock();
    err.write_all(text.as_bytes())
        .and_then(|()| err.flush())
        .ok();
}

/// How many columns and rows there are; `None` where nothing can be drawn now: no terminal, too small a window, or
/// this program stands in the background.
pub(crate) fn size() -> Option<(usize, usize)> {
    let err = rustix::stdio::stderr();
    let size = termios::tcgetwinsize(err).ok()?;
    let (columns, rows) = (usize::from(size.ws_col), usize::from(size.ws_row));
    let front = termios::tcgetpgrp(err).is_ok_and(|group| group == rustix::process::getpgrp());
    // The last column stays free: writing into it makes some terminals wrap.
    (front && columns > LEAST.0 && rows >= LEAST.1).then(|| (columns - 1, rows))
}

/// How many columns a table may have that is printed as data; `None` where that is no terminal, and it is as wide as it
/// is.
pub(crate) fn room() -> Option<usize> {
    let size = termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > LEAST.0)
}

/// Breaks lines that are too wide between words; what goes on stands below the text of the first, so many columns in. A
/// word that is too wide by itself (a path) is left to the terminal, so that it can be copied.
pub(crate) fn wrap(text: &str, width: usize, indent: usize) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| wrap_line(line, width, indent))
        .collect();
    lines.join("\n")
}

fn wrap_line(line: &str, width: usize, indent: usize) -> String {
    let (mut out, mut rest) = (String::new(), line.to_owned());
    while rest.width() > width {
        let (mut used, mut at) = (0, None);
        for (n, c) in rest.char_indices() {
            if c == ' ' && n > indent && (used <= width || at.is_none()) {
                at = Some(n);
            }
            used += c.width().unwrap_or(0);
        }
        let Some(n) = at else { break };
        out.push_str(rest[..n].trim_end());
        out.push('\n');
        rest = format!("{:indent$}{}", "", rest[n..].trim_start());
    }
    out + &rest
}

/// From now on a block is drawn. It is removed before a panic is told.
pub(crate) fn begin() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            end();
            before(panic);
        }));
    });
    with(|screen| screen.live = true);
}

/// Draws the block.
pub(crate) fn draw(rows: Vec<String>, prompt: String, width: usize) {
    with(|screen| {
        if screen.live {
            write(&screen.draw("", rows, prompt, width));
        }
    });
}

/// Prints lines that stay, above the block if there is one.
pub(crate) fn above(text: &str) {
    with(|screen| match size().filter(|_| screen.live) {
        Some((width, _)) => {
            let (rows, prompt) = (screen.rows.clone(), screen.prompt.clone());
            // An empty line keeps its place.
            let text = if text.is_empty() { "\n" } else { text };
            write(&screen.draw(text, rows, prompt, width));
        }
        None => write(&format!("{text}\n")),
    });
}

/// Enter was typed, so the cursor stands one row lower.
pub(crate) fn entered() {
    with(|screen| screen.below += 1);
}

/// Others wrote here while this program was stopped: the block begins anew below it.
pub(crate) fn forget() {
    with(|screen| {
        screen.rows.clear();
        screen.prompt.clear();
        screen.below = 0;
    });
}

/// Removes the block. It never waits for whoever holds the screen: that may be the one who panics.
pub(crate) fn end() {
    let mut screen = match SCREEN.try_lock() {
        Ok(screen) => screen,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return write("\r\n\x1b[J"),
    };
    if screen.live && !(screen.rows.is_empty() && screen.prompt.is_empty()) {
        let width = size().map_or(usize::MAX, |(width, _)| width);
        write(&format!("{}\x1b[J", screen.home(width)));
    }
    *screen = Screen::new();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(rows: &[&str]) -> Screen {
        let mut screen = Screen::new();
        let rows = rows.iter().map(|row| (*row).to_owned()).collect();
        screen.draw("", rows, String::new(), 80);
        screen
    }

    #[test]
    fn lines_that_stay_push_the_block_down() {
        let mut screen = screen(&["bar", "row"]);
        let drawn = screen.draw("told", vec!["bar".into()], String::new(), 80);
        assert_eq!(
            drawn,
            "\r\x1b[2A\x1b[J\x1b[Ktold\n\x1b[K\x1b[1mbar\x1b[0m\n\x1b[J"
        );
        assert_eq!(screen.rows.len(), 1);
    }

    #[test]
    fn what_a_person_types_is_left_alone_while_the_block_keeps_its_height() {
        let mut screen = screen(&["bar"]);
        screen.draw("", vec!["bar".into()], "q1> ".into(), 80);
        let drawn = screen.draw("", vec!["now".into()], "q1> ".into(), 80);
        assert!(
            drawn.starts_with("\x1b7") && drawn.ends_with("\x1b8"),
            "{drawn:?}"
        );
        assert!(
            !drawn.contains("q1>") && !drawn.contains("\x1b[J"),
            "{drawn:?}"
        );
        screen.below = 1;
        let drawn = screen.draw("", vec!["now".into()], "q1> ".into(), 80);
        assert!(
            drawn.starts_with("\r\x1b[2A") && drawn.contains("q1> "),
            "{drawn:?}"
        );
    }

    #[test]
    fn lines_break_between_words_and_go_on_below_their_text() {
        let line = "    47 ms  goal: say hello to everybody";
        assert_eq!(
            wrap(line, 26, 11),
            "    47 ms  goal: say hello\n           to everybody"
        );
        assert_eq!(wrap(line, 80, 11), line);
        let path = format!("work    /{}", "x".repeat(40));
        assert_eq!(wrap(&path, 20, 8), path, "a path stays whole");
        let wide = "a 宽宽宽 宽宽宽";
        assert_eq!(wrap(wide, 10, 2), "a 宽宽宽\n  宽宽宽");
    }

    #[test]
    fn rows_that_a_narrower_window_wrapped_are_all_replaced() {
        let screen = screen(&["x".repeat(70).as_str(), "short"]);
        assert_eq!(screen.home(80), "\r\x1b[2A");
        assert_eq!(screen.home(30), "\r\x1b[4A");
    }
}
