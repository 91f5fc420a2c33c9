//! Answers that a person types while a mission runs.
//!
//! A thread of its own reads whole lines, and only while a question is open: what is typed at other times is meant for
//! the shell. What was typed before the question stood on the screen is thrown away, so that nothing is allowed by a
//! key that was meant for something else. A program in the background does not read: it would be stopped.

use mission::question::{Question, QuestionId};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{QueueSelector, tcflush, tcgetpgrp};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::Thread;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long the thread looks for a key before it looks whether the question is still open.
const LOOK: Duration = Duration::from_millis(100);

/// Reads answers.
pub(crate) struct Keyboard {
    /// The question that is being asked; 0 for none.
    asking: Arc<AtomicU32>,
    thread: Option<Thread>,
    /// Bytes of whole lines that were typed and that nobody has read.
    stray: u64,
    lines: mpsc::UnboundedReceiver<(QuestionId, String)>,
}

impl Keyboard {
    /// Starts to listen. The thread ends with the program.
    pub(crate) fn new() -> Self {
        let (sender, lines) = mpsc::unbounded_channel();
        let asking = Arc::new(AtomicU32::new(0));
        let theirs = asking.clone();
        let started = std::thread::Builder::new()
            .name("keyboard".into())
            .spawn(move || listen(&theirs, &sender));
        Self {
            asking,
            thread: started.ok().map(|handle| handle.thread().clone()),
            stray: 0,
            lines,
        }
    }

    /// From now on lines are answers to this question.
    pub(crate) fn ask(&self, question: Option<QuestionId>) {
        let id = question.map_or(0, |id| id.0);
        if self.asking.swap(id, Ordering::SeqCst) != id
            && let Some(thread) = &self.thread
        {
            thread.unpark();
        }
    }

    /// Whether a line was typed since the last look that answers nothing and so is not read: the cursor stands lower.
    pub(crate) fn strayed(&mut self) -> bool {
        let there = rustix::io::ioctl_fionread(rustix::stdio::stdin()).unwrap_or(0);
        let more = there > self.stray;
        self.stray = there;
        more && self.asking.load(Ordering::SeqCst) == 0
    }

    /// The next line, and the question that it answers.
    pub(crate) async fn line(&mut self) -> Option<(QuestionId, String)> {
        self.lines.recv().await
    }
}

fn listen(asking: &AtomicU32, lines: &mpsc::UnboundedSender<(QuestionId, String)>) {
    let stdin = rustix::stdio::stdin();
    let pause = Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(LOOK.subsec_nanos()),
    };
    let mut asked = 0;
    loop {
        let now = asking.load(Ordering::SeqCst);
        if now == 0 {
            asked = 0;
            std::thread::park();
            continue;
        }
        if !tcgetpgrp(stdin).is_ok_and(|group| group == rustix::process::getpgrp()) {
            std::thread::park_timeout(LOOK);
            continue;
        }
        if now != asked {
            asked = now;
            tcflush(stdin, QueueSelector::IFlush).ok();
        }
        let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
        if !matches!(poll(&mut ready, Some(&pause)), Ok(1..)) {
            continue;
        }
        let mut line = String::new();
        match std::io::stdin().read_line(&mut line) {
            Ok(1..) if asking.load(Ordering::SeqCst) == asked => {
                if lines.send((QuestionId(asked), line)).is_err() {
                    return;
                }
            }
            Ok(1..) => {}
            // The person has closed it; nobody answers here any more.
            Ok(0) | Err(_) => return,
        }
    }
}

/// What a person means by what they typed.
///
/// # Errors
/// What they can type instead.
pub(crate) fn meant(question: &Question, typed: &str) -> Result<String, String> {
    let typed = typed.trim();
    let small = typed.to_lowercase();
    if question.is_free() {
        let same = |choice: &&String| choice.to_lowercase() == small;
        let proposed = question.choices.iter().find(same).cloned();
        return match typed.is_empty() {
            true => Err("type an answer".into()),
            false => Ok(proposed.unwrap_or_else(|| typed.to_owned())),
        };
    }
    if let Some(exact) = question.choices.iter().find(|choice| *choice == typed) {
        return Ok(exact.clone());
    }
    let begins = |choice: &&String| !small.is_empty() && choice.to_lowercase().starts_with(&small);
    let found: Vec<&String> = question.choices.iter().filter(begins).collect();
    match found.as_slice() {
        [only] => Ok((*only).clone()),
        _ => Err(format!("type one of: {}", question.choices.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mission::ids::Epoch;
    use mission::question::About;
    use mission::time::Timestamp;

    fn question(about: About, choices: &[&str]) -> Question {
        Question {
            about,
            text: "?".into(),
            choices: choices.iter().map(|choice| (*choice).to_owned()).collect(),
            default: "no".into(),
            deadline: Timestamp(0),
        }
    }

    fn permission(kind: &str, choices: &[&str]) -> Question {
        let kind = kind.to_owned();
        let (epoch, token) = (Epoch(1), 1);
        question(About::Permission { epoch, token, kind }, choices)
    }

    #[test]
    fn a_permission_takes_a_letter_and_nothing_that_is_not_meant_so() {
        for (typed, meaning) in [
            ("a\n", Some("allow")),
            ("D", Some("deny")),
            ("m", Some("mission")),
            ("project", Some("project")),
            ("", None),
            ("ls", None),
        ] {
            let choices = ["allow", "mission", "project", "deny"];
            let found = meant(&permission("bash", &choices), typed).ok();
            assert_eq!(found.as_deref(), meaning, "{typed:?}");
        }
        assert_eq!(
            meant(&permission("question", &[]), "use tabs\n"),
            Ok("use tabs".into())
        );
    }

    #[test]
    fn an_agents_own_question_takes_what_it_proposes_and_anything_else() {
        let question = permission("question", &["Tabs", "Spaces"]);
        for (typed, meaning) in [("tabs\n", "Tabs"), ("Ta", "Ta"), ("as it is", "as it is")] {
            assert_eq!(meant(&question, typed), Ok(meaning.into()));
        }
        assert!(meant(&question, " \n").is_err());
    }

    #[test]
    fn a_choice_is_known_by_its_beginning_if_there_is_but_one() {
        let question = question(About::Plan, &["yes", "no", "not now"]);
        assert_eq!(meant(&question, "Y\n"), Ok("yes".into()));
        assert_eq!(meant(&question, "no"), Ok("no".into()));
        assert_eq!(meant(&question, "not"), Ok("not now".into()));
        assert!(meant(&question, "n").is_err() && meant(&question, "\n").is_err());
    }
}
