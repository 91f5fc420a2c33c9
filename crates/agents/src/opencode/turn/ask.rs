//! What agents ask for, put to the watcher, and the answers given back.

use super::{line, search};
use crate::opencode::api::{Api, CallError};
use crate::opencode::wire::{Asked, Permission, Settled};
use crate::{Question, Reply, SHELL, ShellRule, Watcher, choices};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use mission::limits::ASKED_CHARS;
use mission::question::{QUESTION, permit};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What is told of what is open no more where the host shows it to people, while no event said why.
const UNHEARD: &str = "not asked any more, and no answer was heard";

/// Everything that a turn's agent waits for.
pub(super) struct Asks {
    watcher: Arc<dyn Watcher>,
    within: Duration,
    shell: ShellRule,
    /// The workspace in which commands run.
    root: PathBuf,
    known: HashSet<String>,
    open: FuturesUnordered<BoxFuture<'static, Answered>>,
    /// What is put to the watcher, by its id.
    waiting: HashMap<String, Waiting>,
}

/// Something that was put to the watcher.
#[derive(Clone, Default)]
struct Waiting {
    /// What is asked now, and as which of several.
    now: Arc<Mutex<Option<(usize, Question)>>>,
    /// Nobody needs to answer it any more.
    settled: CancellationToken,
}

impl Waiting {
    fn asks(&self, n: usize, question: &Question) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = Some((n, question.clone()));
    }
}

/// An answer to give back.
pub(super) struct Answered {
    id: String,
    how: How,
}

enum How {
    Permission(Option<String>),
    Question(Vec<String>),
    /// Somebody else has.
    Settled,
}

impl Asks {
    pub(super) fn new(
        watcher: Arc<dyn Watcher>,
        within: Duration,
        (shell, root): (ShellRule, &Path),
    ) -> Self {
        Self {
            watcher,
            within,
            shell,
            root: root.to_owned(),
            known: HashSet::new(),
            open: FuturesUnordered::new(),
            waiting: HashMap::new(),
        }
    }

    /// Whether the agent waits for an answer; then its silence is not its fault.
    pub(super) fn open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The next answer. Waits for ever when nothing is asked.
    pub(super) async fn next(&mut self) -> Option<Answered> {
        if self.open.is_empty() {
            return std::future::pending().await;
        }
        let answered = self.open.next().await?;
        self.waiting.remove(&answered.id);
        Some(answered)
    }

    /// Somebody answered what is open here, where the host shows it to people. Whatever is open no more is ours.
    pub(super) fn settled(&mut self, settled: &Settled) {
        self.settle(&settled.request, |n| {
            let chosen = settled.answers.as_ref().and_then(|all| all.get(n));
            match settled.reply.as_str() {
                "once" | "always" => permit::ONCE.to_owned(),
                "reject" => permit::DENY.to_owned(),
                _ => chosen.map_or_else(|| "not answered".to_owned(), |words| words.join(", ")),
            }
        });
    }

    /// Nothing but this is open where the host shows it: what else was asked for is not asked any more.
    pub(super) fn only(&mut self, open: &HashSet<String>) {
        let closed: Vec<String> = self
            .waiting
            .keys()
            .filter(|id| !open.contains(*id))
            .cloned()
            .collect();
        for request in closed {
            self.settle(&request, |_| UNHEARD.to_owned());
        }
    }

    /// A request needs no answer of ours any more; to which of what it asks somebody said what, is told.
    fn settle(&mut self, request: &str, said: impl FnOnce(usize) -> String) {
        let Some(waiting) = self.waiting.remove(request) else {
            return;
        };
        let now = waiting.now.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((n, question)) = &*now {
            self.watcher.settled(question, &line(&said(*n), 500));
        }
        waiting.settled.cancel();
    }

    /// Waits for an answer, as long as nobody else has given one.
    fn put(
        &mut self,
        id: String,
        work: impl Future<Output = How> + Send + 'static,
        waiting: Waiting,
    ) {
        let settled = waiting.settled.clone();
        self.waiting.insert(id.clone(), waiting);
        self.open.push(Box::pin(async move {
            let how = tokio::select! {
                biased;
                () = settled.cancelled() => How::Settled,
                how = work => how,
            };
            Answered { id, how }
        }));
    }

    /// Takes back an answer that could not be given. One that the server may not have heard is kept and given again; what
    /// it did not accept is asked anew, if it still asks.
    pub(super) fn untold(&mut self, answered: Answered, why: &CallError) {
        match why {
            CallError::Down(_) => self.open.push(Box::pin(std::future::ready(answered))),
            _ => {
                self.known.remove(&answered.id);
            }
        }
    }

    /// Puts a permission to the watcher, once. A command that only searches is allowed where no rule tells commands apart:
    /// whoever may read all files need not ask for it.
    pub(super) fn permission(&mut self, asked: Permission) {
        if !self.known.insert(asked.id.clone()) {
            return;
        }
        let is_shell = asked.permission == SHELL;
        let command = asked.metadata["command"].as_str();
        let searches =
            is_shell && command.is_some_and(|line| search::only_searches(line, &self.root));
        if searches && self.shell == ShellRule::Ask {
            let allowed = std::future::ready(How::Permission(None));
            self.put(asked.id, allowed, Waiting::default());
            return;
        }
        let what = command.map_or_else(|| asked.patterns.join(", "), in_one_line);
        let verb = if is_shell { "run" } else { &asked.permission };
        let question = Question {
            text: line(&format!("{verb}: {what}"), ASKED_CHARS),
            choices: choices(&asked.permission),
            about: asked.permission.clone(),
            request: Some(asked.id.clone()),
        };
        let (watcher, within) = (Arc::clone(&self.watcher), self.within);
        let waiting = Waiting::default();
        waiting.asks(0, &question);
        let work = async move {
            let refusal = match put(&*watcher, question, within).await {
                Reply::Allow => None,
                Reply::Deny(why) => Some(why),
                Reply::Text(text) if text.trim().eq_ignore_ascii_case("allow") => None,
                Reply::Text(text) => Some(text),
            };
            // A refusal without a word would end the turn; with one the agent goes on and knows why.
            let refusal = refusal.map(|why| {
                if why.trim().is_empty() {
                    "Not allowed.".to_owned()
                } else {
                    why
                }
            });
            How::Permission(refusal)
        };
        self.put(asked.id, work, waiting);
    }

    /// Puts a question to the watcher, once.
    pub(super) fn question(&mut self, asked: Asked) {
        if !self.known.insert(asked.id.clone()) {
            return;
        }
        let (watcher, within) = (Arc::clone(&self.watcher), self.within);
        let waiting = Waiting::default();
        let (id, shown) = (asked.id.clone(), waiting.clone());
        let work = async move {
            let mut answers = Vec::new();
            for (n, one) in asked.questions.iter().take(16).enumerate() {
                let choices: Vec<String> =
                    one.options.iter().map(|o| line(&o.label, 200)).collect();
                let first = choices.first().cloned();
                let question = Question {
                    text: line(&one.question, 2000),
                    choices,
                    about: QUESTION.to_owned(),
                    // One request may ask several things, one after the other.
                    request: Some(format!("{}/{n}", asked.id)),
                };
                shown.asks(n, &question);
                answers.push(match put(&*watcher, question, within).await {
                    Reply::Text(text) => text,
                    Reply::Allow => first.unwrap_or_else(|| "yes".to_owned()),
                    Reply::Deny(why) => format!("No answer ({why}). Decide yourself, and say in your report what you decided."),
                });
            }
            How::Question(answers)
        };
        self.put(id, work, waiting);
    }
}

async fn put(watcher: &dyn Watcher, question: Question, within: Duration) -> Reply {
    match tokio::time::timeout(within, watcher.ask(question)).await {
        Ok(reply) => reply,
        Err(_) => Reply::Deny("nobody answered in time".to_owned()),
    }
}

impl Answered {
    /// Gives the answer back. One that nobody waits for any more is no error.
    pub(super) async fn tell(&self, api: &Api, directory: &Path) -> Result<(), CallError> {
        let told = match &self.how {
            How::Permission(refusal) => api.permit(directory, &self.id, refusal.as_deref()).await,
            How::Question(answers) => api.answer(directory, &self.id, Some(answers)).await,
            How::Settled => Ok(()),
        };
        match told {
            Err(CallError::Missing(_)) => Ok(()),
            other => other,
        }
    }
}

/// A command as one line: a line more is a command more, unless the one before it says that it goes on there.
fn in_one_line(command: &str) -> String {
    let joined = command.trim().replace("\r\n", "\n").replace("\\\n", " ");
    joined.replace(['\n', '\r'], " ; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_more_is_a_command_more_unless_it_goes_on() {
        let told = in_one_line("git \\\n  push -f\r\nmake \\\r\n x\n");
        assert_eq!(told, "git    push -f ; make   x");
    }
    use crate::Sign;
    use mission::turn::Outcome;

    /// Somebody who is asked and never answers.
    #[derive(Default)]
    struct Silent(Mutex<Vec<String>>);

    impl Watcher for Silent {
        fn may_ask(&self, _: &str, _: Option<u64>) -> BoxFuture<'_, bool> {
            Box::pin(std::future::ready(true))
        }

        fn sign(&self, _: Sign) {}

        fn ask(&self, _: Question) -> BoxFuture<'_, Reply> {
            Box::pin(std::future::pending())
        }

        fn notes(&self) -> Vec<crate::Note> {
            Vec::new()
        }

        fn more_notes(&self, _: u32) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }

        fn noted(&self, _: u32) {}

        fn settled(&self, question: &Question, answer: &str) {
            let request = question.request.as_deref().unwrap_or_default();
            let told = format!("{request} {} {answer}", question.text);
            self.0.lock().unwrap().push(told);
        }

        fn reply(&self, _: Outcome) {}
    }

    fn here(shell: ShellRule) -> (ShellRule, &'static Path) {
        (shell, Path::new(env!("CARGO_MANIFEST_DIR")))
    }

    fn asks() -> Asks {
        let mut asks = Asks::new(
            Arc::<Silent>::default(),
            Duration::ZERO,
            here(ShellRule::Ask),
        );
        let asked = serde_json::json!({ "id": "per_1", "permission": "bash" });
        asks.permission(serde_json::from_value(asked).unwrap());
        asks
    }

    #[tokio::test]
    async fn what_nobody_answers_in_time_is_denied() {
        let mut asks = asks();
        let asked = serde_json::json!({ "id": "que_1", "questions": [{ "question": "Why?" }] });
        asks.question(serde_json::from_value(asked).unwrap());
        for _ in 0..2 {
            let said = match asks.next().await.unwrap().how {
                How::Permission(refusal) => refusal.unwrap(),
                How::Question(answers) => answers[0].clone(),
                How::Settled => panic!("nobody else was there"),
            };
            assert!(said.contains("nobody answered in time"), "{said}");
        }
        assert!(!asks.open());
    }

    #[tokio::test]
    async fn a_search_is_put_to_nobody_where_no_rule_tells_commands_apart() {
        for (shell, command, allowed) in [
            (ShellRule::Ask, "grep -rn x src", true),
            (ShellRule::Ask, "grep -rn x src; make", false),
            (ShellRule::AskEach, "grep -rn x src", false),
        ] {
            // Whoever is asked has no time to answer.
            let mut asks = Asks::new(Arc::<Silent>::default(), Duration::ZERO, here(shell));
            let asked = serde_json::json!({ "id": "per_1", "permission": "bash", "metadata": { "command": command } });
            asks.permission(serde_json::from_value(asked).unwrap());
            let How::Permission(refusal) = asks.next().await.unwrap().how else {
                panic!("a permission was asked for")
            };
            assert_eq!(refusal.is_none(), allowed, "{command} under {shell:?}");
        }
    }

    #[tokio::test]
    async fn what_somebody_answered_elsewhere_is_told_once_and_not_answered_again() {
        let silent = Arc::<Silent>::default();
        let mut asks = Asks::new(silent.clone(), Duration::MAX, here(ShellRule::Ask));
        for n in 1..=3 {
            let asked = serde_json::json!({ "id": format!("per_{n}"), "permission": "bash", "patterns": [n.to_string()] });
            asks.permission(serde_json::from_value(asked).unwrap());
        }
        let choices = serde_json::json!([{ "label": "A" }, { "label": "B" }]);
        let asked = serde_json::json!({ "id": "que_1", "questions": [{ "question": "Why?", "options": choices }] });
        asks.question(serde_json::from_value(asked).unwrap());
        // Nobody is asked before somebody waits for the answer.
        let polled = tokio::time::timeout(Duration::ZERO, asks.next()).await;
        assert!(polled.is_err(), "nobody answers");
        let settled = |request: &str, reply: &str, answers: Option<Vec<Vec<String>>>| Settled {
            request: request.to_owned(),
            reply: reply.to_owned(),
            answers,
        };
        for _ in 0..2 {
            asks.settled(&settled("per_1", "always", None));
            asks.settled(&settled("per_2", "reject", None));
            asks.settled(&settled("que_1", "", Some(vec![vec!["B".to_owned()]])));
        }
        asks.only(&HashSet::from(["per_3".to_owned()]));
        let told = silent.0.lock().unwrap().clone();
        assert_eq!(
            told,
            ["per_1 run: 1 allow", "per_2 run: 2 deny", "que_1/0 Why? B"]
        );
        for _ in 0..3 {
            let answered = asks.next().await.unwrap();
            assert!(matches!(answered.how, How::Settled), "{}", answered.id);
        }
        asks.only(&HashSet::new());
        assert_eq!(
            silent.0.lock().unwrap().last().unwrap(),
            "per_3 run: 3 not asked any more, and no answer was heard"
        );
        assert!(matches!(asks.next().await.unwrap().how, How::Settled));
        assert!(!asks.open());
    }

    #[tokio::test]
    async fn an_answer_that_could_not_be_given_is_kept_or_asked_for_again() {
        let mut asks = asks();
        let answered = asks.next().await.unwrap();
        asks.untold(answered, &CallError::Down("gone".into()));
        let again = asks.next().await.unwrap();
        assert_eq!(again.id, "per_1", "nobody is asked a second time");
        asks.untold(again, &CallError::Refused(500, "no".into()));
        assert!(!asks.open());
        let asked = serde_json::json!({ "id": "per_1" });
        asks.permission(serde_json::from_value(asked).unwrap());
        assert!(asks.open(), "what is still open is asked anew");
    }
}
