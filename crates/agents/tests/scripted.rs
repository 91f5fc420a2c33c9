//! The scripted agent: the suite that every host passes, and what its scripts can do.
#![cfg(test)]

use agents::contract::{self, Behaviour, Fixture, Recorder};
use agents::scripted::{Script, Scripted};
use agents::{Agent, Note, Order, Question, Reply, ShellRule, Sign, Watcher};
use futures_util::future::BoxFuture;
use mission::ids::{Epoch, MissionId};
use mission::time::Millis;
use mission::turn::{Answer, AnswerKind, Failure, Outcome, Report, Role};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A scripted agent whose script is written turn by turn. Its memory stays.
struct Stage {
    dir: TempDir,
    turns: Mutex<BTreeMap<String, Vec<Value>>>,
    guard: Vec<OsString>,
}

impl Stage {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            turns: Mutex::default(),
            guard: Vec::new(),
        }
    }

    fn memory(&self) -> PathBuf {
        self.dir.path().join("memory")
    }

    /// From now on turns of this key are played so, whoever is asked.
    fn on(&self, key: &str, turn: &Value) {
        let roles = ["commander", "planner", "worker", "reviewer"];
        let turns = roles.map(|role| {
            let mut turn = turn.clone();
            (turn["role"], turn["task"]) = (json!(role), json!(key));
            turn
        });
        self.turns.lock().unwrap().insert(key.into(), turns.into());
    }

    /// The agent as its script stands now.
    fn scripted(&self, order: &Order) -> Scripted {
        let turns = self.turns.lock().unwrap();
        // Only what fits this order: an answer stands there in the form of one role.
        let fits =
            |turn: &&Value| turn["role"] == json!(order.role) && turn["task"] == json!(order.key);
        let fits = turns.values().flatten().filter(fits);
        let script = toml::to_string(&json!({ "turn": fits.collect::<Vec<_>>() })).unwrap();
        let script = Script::parse(&script).unwrap();
        Scripted::new(script, self.memory(), self.guard.clone()).unwrap()
    }

    fn order(&self, key: &str) -> Order {
        Order {
            mission: MissionId(1),
            nonce: "n".into(),
            turn: "T1.1".into(),
            epoch: Epoch(1),
            workspace: Epoch(1),
            role: Role::Worker,
            key: Some(key.into()),
            title: key.into(),
            brief: key.into(),
            told: 0,
            tried: Vec::new(),
            answer: AnswerKind::Report,
            directory: self.workspace(key),
            model: None,
            shell: ShellRule::Allow,
            continues: None,
            closed: Vec::new(),
            limit: Millis::from_secs(120),
            silence: Millis::from_secs(60),
        }
    }

    async fn outcomes(&self, order: Order) -> Vec<Outcome> {
        let recorder = Recorder::new();
        let told = Arc::clone(&recorder) as Arc<dyn Watcher>;
        Agent::run(self, order, told, CancellationToken::new()).await;
        recorder.seen().outcomes
    }

    async fn outcome(&self, order: Order) -> Outcome {
        let mut all = self.outcomes(order).await;
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }
}

impl Agent for Stage {
    fn name(&self) -> String {
        "staged".into()
    }

    fn run(
        &self,
        order: Order,
        watcher: Arc<dyn Watcher>,
        stop: CancellationToken,
    ) -> BoxFuture<'_, ()> {
        let agent = self.scripted(&order);
        Box::pin(async move { agent.run(order, watcher, stop).await })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

fn done() -> Value {
    json!({ "answer": { "status": "done", "summary": "did it" } })
}

impl Fixture for Stage {
    fn agent(&self) -> &dyn Agent {
        self
    }

    fn workspace(&self, name: &str) -> PathBuf {
        let made = self.dir.path().join("work").join(name);
        std::fs::create_dir_all(&made).unwrap();
        made
    }

    fn behave(&self, key: &str, behaviour: Behaviour) {
        let used = json!({ "input": 100, "output": 10, "calls": 1 });
        let written = |answer: &Answer| match answer {
            Answer::Intent(it) => json!({ "answer": it }),
            Answer::Plan(it) => json!({ "answer": it }),
            Answer::Report(it) => json!({ "answer": it }),
            Answer::Diagnosis(it) => json!({ "answer": it }),
            Answer::Verdict(it) => json!({ "answer": it }),
        };
        let turn = match &behaviour {
            Behaviour::Answer(answer) => json!({ "end": written(answer), "usage": used }),
            Behaviour::Append { path, line, answer } => json!({
                "steps": [{ "append": { "path": path, "text": format!("{line}\n") } }],
                "end": written(answer), "usage": used,
            }),
            Behaviour::Heed { path, answer, .. } => json!({
                "steps": [{ "read": "a.txt" }, { "heed": path }], "end": written(answer), "usage": used,
            }),
            Behaviour::Babble => json!({ "end": { "fail": "no_answer" }, "usage": used }),
            Behaviour::Refuse(wait) => json!({ "end": { "refuse": { "retry_after": wait } } }),
            Behaviour::Hang => json!({ "end": "hang" }),
        };
        self.on(key, &turn);
    }

    fn asked(&self, key: &str) -> usize {
        let log = std::fs::read_to_string(self.memory().join("log")).unwrap_or_default();
        let starts = log.lines().filter(|line| line.starts_with("start "));
        starts
            .filter(|line| line.contains(&format!(" {key} ")))
            .count()
    }
}

#[tokio::test]
async fn the_scripted_agent_keeps_the_contract() {
    contract::check(&Stage::new()).await;
}

#[tokio::test]
async fn an_answer_may_be_told_twice() {
    let stage = Stage::new();
    stage.on("a", &json!({ "end": done(), "twice": true }));
    let told = stage.outcomes(stage.order("a")).await;
    assert!(told.len() == 2 && told[0] == told[1], "{told:?}");
}

#[tokio::test]
async fn an_answer_that_the_end_of_the_machine_has_torn_is_given_anew() {
    let stage = Stage::new();
    let adds = json!({ "append": { "path": "did", "text": "x" } });
    stage.on("a", &json!({ "steps": [adds], "end": done() }));
    let did = || std::fs::read_to_string(stage.workspace("a").join("did")).unwrap();
    let first = stage.outcome(stage.order("a")).await;
    assert_eq!(stage.outcome(stage.order("a")).await, first);
    assert_eq!(did(), "x", "what was answered is not done again");
    for entry in std::fs::read_dir(stage.memory()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "answer") {
            std::fs::write(path, b"").unwrap();
        }
    }
    assert_eq!(stage.outcome(stage.order("a")).await, first);
    assert_eq!(did(), "xx");
}

#[tokio::test]
async fn an_agent_may_answer_late_and_too_late() {
    let stage = Stage::new();
    stage.on("a", &json!({ "steps": [{ "think": 5 }], "end": done() }));
    let late = stage.outcome(stage.order("a")).await;
    assert!(matches!(late, Outcome::Answered { .. }), "{late:?}");
    stage.on(
        "b",
        &json!({ "steps": [{ "think": 3_600_000 }], "end": done() }),
    );
    let mut order = stage.order("b");
    (order.turn, order.limit) = ("T2.1".into(), Millis(5));
    let too_late = stage.outcome(order).await;
    assert!(
        matches!(
            &too_late,
            Outcome::Failed {
                failure: Failure::Silent,
                ..
            }
        ),
        "{too_late:?}"
    );
}

/// A person who takes their time.
struct Slow(Arc<Recorder>, Millis);

impl Watcher for Slow {
    fn may_ask(&self, _: &str, _: Option<u64>) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(true))
    }

    fn settled(&self, _: &Question, _: &str) {}

    fn sign(&self, sign: Sign) {
        self.0.sign(sign);
    }

    fn ask(&self, question: Question) -> BoxFuture<'_, Reply> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(self.1.0)).await;
            self.0.ask(question).await
        })
    }

    fn notes(&self) -> Vec<Note> {
        self.0.notes()
    }

    fn more_notes(&self, after: u32) -> BoxFuture<'static, ()> {
        self.0.more_notes(after)
    }

    fn noted(&self, n: u32) {
        self.0.noted(n);
    }

    fn reply(&self, outcome: Outcome) {
        self.0.reply(outcome);
    }
}

// The clock stands still and is moved on to whatever is waited for.
#[tokio::test(start_paused = true)]
async fn neither_many_steps_nor_a_question_that_waits_are_silence() {
    let stage = Stage::new();
    let long = json!({ "think": 40_000 });
    let ask = json!({ "ask": { "about": "bash", "text": "May I?" } });
    stage.on(
        "a",
        &json!({ "steps": [long, long, ask, long], "end": done() }),
    );
    stage.on("b", &json!({ "steps": [ask], "end": "hang" }));
    let mut ended = Vec::new();
    for (key, limit) in [("a", 1_000), ("b", 1_000), ("c", 100)] {
        let mut order = stage.order(match key {
            "c" => "a",
            key => key,
        });
        order.turn = format!("{key}.1");
        (order.silence, order.limit) = (Millis::from_secs(60), Millis::from_secs(limit));
        let recorder = Recorder::new();
        let slow = Arc::new(Slow(recorder.clone(), Millis::from_secs(300)));
        Agent::run(&stage, order, slow, CancellationToken::new()).await;
        ended.extend(recorder.seen().outcomes);
    }
    let why = |outcome: &Outcome| match outcome {
        Outcome::Answered { .. } => "answered".to_owned(),
        Outcome::Failed { why, .. } | Outcome::Refused { why, .. } => why.clone(),
    };
    let why: Vec<String> = ended.iter().map(why).collect();
    let wanted = [
        "answered",
        "nothing was heard for 1 min 0 s",
        "it took longer than 1 min 40 s",
    ];
    assert_eq!(why, wanted);
}

#[tokio::test]
async fn an_agent_may_do_the_same_for_ever_until_it_is_stopped() {
    let stage = Stage::new();
    let step = json!({ "append": { "path": "a", "text": "x" } });
    stage.on(
        "a",
        &json!({ "steps": [step], "forever": true, "end": done() }),
    );
    let (recorder, stop) = (Recorder::new(), CancellationToken::new());
    let running = Agent::run(&stage, stage.order("a"), recorder.clone(), stop.clone());
    let stopping = async {
        recorder.until(|seen| seen.signs.len() > 20).await;
        stop.cancel();
    };
    tokio::join!(running, stopping);
    assert_eq!(recorder.seen().outcomes, []);
    let text = std::fs::read_to_string(stage.workspace("a").join("a")).unwrap();
    assert!(text.len() >= 4, "{text}");
}

#[tokio::test]
async fn an_agent_may_die_and_is_another_the_next_time() {
    let stage = Stage::new();
    let die = json!({ "call": 1, "end": "die" });
    let then = json!({ "call": 2, "end": done() });
    stage.on("a", &die);
    let died = stage.outcome(stage.order("a")).await;
    assert!(
        matches!(&died, Outcome::Failed { failure: Failure::Transient, usage, .. } if usage.tokens().is_none()),
        "{died:?}"
    );
    stage.on("a", &then);
    let mut next = stage.order("a");
    next.epoch = Epoch(2);
    let outcome = stage.outcome(next).await;
    assert!(matches!(outcome, Outcome::Answered { .. }), "{outcome:?}");
}

#[tokio::test]
async fn an_agent_may_claim_what_it_did_not_do() {
    let stage = Stage::new();
    stage.on("a", &json!({ "end": done() }));
    let outcome = stage.outcome(stage.order("a")).await;
    assert!(
        matches!(
            &outcome,
            Outcome::Answered {
                answer: Answer::Report(Report::Done { .. }),
                ..
            }
        ),
        "{outcome:?}"
    );
    let left = std::fs::read_dir(stage.workspace("a")).unwrap().count();
    assert_eq!(left, 0);
}

/// A program that starts what follows and ends it, in its own time, when its own standard input ends.
const GUARD: &str = r#"exec 3<&0
    "$@" 3<&- & child=$!
    read -r _ <&3
    kill -9 $child; wait $child
    for _ in 1 2 3 4 5 6 7 8 9; do cat /proc/uptime; done > /dev/null
    echo ended >> ended"#;

#[tokio::test]
async fn a_stopped_agent_returns_when_its_command_has_ended() {
    let mut stage = Stage::new();
    stage.guard = ["sh", "-c", GUARD, "guard"].map(OsString::from).into();
    let line = "echo > begun; exec cat /dev/zero > /dev/null";
    stage.on("a", &json!({ "steps": [{ "run": line }], "end": done() }));
    let (recorder, stop) = (Recorder::new(), CancellationToken::new());
    let running = Agent::run(&stage, stage.order("a"), recorder.clone(), stop.clone());
    let stopping = async {
        recorder.until(|seen| seen.signs.len() > 1).await;
        stop.cancel();
    };
    tokio::join!(running, stopping);
    assert!(
        stage.workspace("a").join("ended").exists(),
        "its guard was still ending it"
    );
}

fn fault(script: &str) -> String {
    Script::parse(script).unwrap_err().to_string()
}

#[test]
fn a_script_that_cannot_be_played_is_refused_with_the_place() {
    let turn = "[[turn]]\nrole = \"worker\"\nend = \"hang\"\n";
    assert!(Script::parse(turn).is_ok());
    let why = fault(&format!(
        "{turn}\n[[turn]]\nrole = \"cook\"\nend = \"hang\"\n"
    ));
    assert!(
        why.starts_with("the script cannot be read at line 6:"),
        "{why}"
    );
    let why = fault(&format!("{turn}colour = \"red\"\n"));
    assert!(why.contains("line 4") && why.contains("colour"), "{why}");
    let answer = "[[turn]]\nrole = \"reviewer\"\n[turn.end.answer]\naccept = \"perhaps\"\n";
    let why = fault(&format!("{turn}{answer}"));
    assert!(
        why.starts_with("turn 2 of the script (reviewer) answers in the wrong form:"),
        "{why}"
    );
}
