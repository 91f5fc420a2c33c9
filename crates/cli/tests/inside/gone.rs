//! Engines that are killed or stand still at the moment in which OpenCode waits for them.

use crate::harmless::{folder, talks};
use crate::house::{House, kill, within};
use crate::tui::nothing_but_the_mission;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::process::{Output, Stdio};
use testkit::model::{Gate, Model, Request};
use testkit::persona::{Crew, Job, Role};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Takes the place of an engine, in a process of its own: welcomes whoever comes, says each line that it is asked, and
/// answers those of commands as it is told in its arguments, the first one first.
const STANDS_IN: &str = r#"
import json, socket, sys, threading
at, version, answers = sys.argv[1], sys.argv[2], sys.argv[3:]
listens = socket.socket(socket.AF_UNIX)
listens.bind(at)
listens.listen()
print("it listens", flush=True)
def attend(guest):
    for line in guest.makefile():
        said = json.loads(line)
        if "talk" in said:
            guest.sendall((json.dumps({"talk": 1, "version": version}) + "\n").encode())
            continue
        print(line.strip(), flush=True)
        for answer in answers if said["want"] == "command" else []:
            guest.sendall((json.dumps({"id": said["id"], **json.loads(answer)}) + "\n").encode())
while True:
    threading.Thread(target=attend, args=listens.accept()[:1], daemon=True).start()
"#;

/// A process on the engine's socket.
struct Stand {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Stand {
    async fn new(house: &House, answers: &[Value]) -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", STANDS_IN]);
        command.arg(folder(house).join("service.sock"));
        command.arg(env!("CARGO_PKG_VERSION"));
        command.args(answers.iter().map(Value::to_string));
        command.stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("this test needs python3");
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut stand = Self { child, said };
        stand.is_asked("it listens").await;
        stand
    }

    /// Waits until it is asked something in which this stands.
    async fn is_asked(&mut self, what: &str) -> String {
        within(what, async {
            loop {
                let line = self.said.next_line().await.unwrap();
                let line = line.expect("it goes on");
                if line.contains(what) {
                    return line;
                }
            }
        })
        .await
    }

    /// Kills it, and waits until it is gone.
    async fn killed(mut self) {
        kill(self.child.id().unwrap(), Signal::KILL);
        within("its end", self.child.wait()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_killed_with_a_command_in_its_hands_is_replaced() {
    let house = House::new().await;
    let mut stand = Stand::new(&house, &[json!({ "taken": true })]).await;
    let server = house.serve().await;
    let session = server.session().await;
    let mut events = server.events().await;
    // The hook is inside of its call: the engine has taken the command, and is killed before it answers.
    let kills = async {
        let line = stand.is_asked("\"command\"").await;
        assert!(line.contains("\"status\""), "{line}");
        stand.killed().await;
    };
    let (status, ()) = tokio::join!(server.command(&session, "status", ""), kills);
    assert_eq!(status, 500);
    events.until("there is no mission here yet").await;
    assert!(house.service().is_some(), "a real one runs");
    talks(&house, &server, &session).await;
    drop(server);
    house.ends().await;
}

/// Lets the signs of life that a run waits for follow one another so quickly.
fn hurries(house: &House, pulse: &str) {
    let file = house.plugin().join("talk.js");
    let text = std::fs::read_to_string(&file).unwrap();
    let named = "const PULSE = 5_000 ";
    assert!(text.contains(named), "{text}");
    let text = text.replace(named, &format!("const PULSE = {pulse} "));
    std::fs::write(file, text).unwrap();
}

/// A run that was told that its mission is lost to it: what to type, the exit code of a failure, and no model.
fn is_left(output: &Output, why: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(told.contains(why), "{told}");
    assert!(told.contains("orchestrator resume m1"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_does_not_wait_for_an_engine_that_stands_still() {
    let (model, _gates) = crate::tui::held().await;
    let house = House::with(model);
    hurries(&house, "250");
    let run = house.run("task", "Add one and two").spawn().unwrap();
    let works = |log: &[Request]| log.iter().any(|asked| Role::of(asked) == Role::Worker);
    within("a Worker", house.model.until(works)).await;
    let engine = house.service().expect("an engine runs");
    kill(engine, Signal::STOP);
    let output = within("the end of the run", run.wait_with_output()).await;
    is_left(&output.unwrap(), "the engine stands still");
    nothing_but_the_mission(&house.model);
    kill(engine, Signal::CONT);
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_does_not_wait_for_one_that_is_killed_and_has_no_successor() {
    let house = House::new().await;
    house.engine("/nowhere/orchestrator".as_ref());
    let begun = json!({ "say": "m1 begins", "variant": "info", "mission": "m1" });
    let mut stand = Stand::new(&house, &[json!({ "taken": true }), begun]).await;
    let run = house.run("task", "Add one and two").spawn().unwrap();
    stand.is_asked("\"wait\"").await;
    stand.killed().await;
    let output = within("the end of the run", run.wait_with_output()).await;
    is_left(
        &output.unwrap(),
        "there is no program /nowhere/orchestrator",
    );
    assert!(house.model.log().is_empty(), "no model was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_as_its_mission_does_though_a_terminal_has_taken_it() {
    let gate = Gate::default();
    let job = Job::new("one", "one.txt", "wrong\n", "grep -q right one.txt");
    let (crew, held) = (Crew::new("Add one.", vec![job]), gate.clone());
    let model = Model::start(move |request| {
        let reply = crew.answer(request);
        match Role::of(request) {
            Role::Worker => reply.after(&held),
            _ => reply,
        }
    });
    let house = House::with(model.await);
    let terminal = house.user.start(&["task", "Add one"]);
    let works = |log: &[Request]| log.iter().any(|asked| Role::of(asked) == Role::Worker);
    within("a Worker", house.model.until(works)).await;

    // The engine that comes after the one in its hands knows nothing of the run.
    let begun = json!({ "say": "m1 begins", "variant": "info", "mission": "m1" });
    let mut stand = Stand::new(&house, &[json!({ "taken": true }), begun]).await;
    let run = house.run("task", "Add one").spawn().unwrap();
    stand.is_asked("\"wait\"").await;
    stand.killed().await;
    gate.open();
    assert_eq!(terminal.end().await.code, Some(1));
    let output = within("the end of the run", run.wait_with_output()).await;
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said.contains("Report of mission m1"), "{output:?}");
    house.ends().await;
}

/// What has completed and was not handed over yet is no success of a run: its engine dies as it begins to.
#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_engine_dies_before_it_delivers_ends_with_the_files() {
    let house = House::new().await;
    let plan = house.user.home().path().join("dies");
    std::fs::write(&plan, "deliver.before\n").unwrap();
    let mut run = house.run("task", "Add one and two");
    let output = run.env("ORCHESTRATOR_FAULT_PLAN", &plan).output();
    let output = within("the end of the run", output).await.unwrap();
    let died = std::fs::read_to_string(plan.with_extension("died")).unwrap();
    assert!(died.contains("deliver.before"), "{died}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(said.contains("Report of mission m1"), "{output:?}");
    for file in ["one.txt", "two.txt"] {
        assert!(house.user.files().contains_key(file), "{file}: {said}");
    }
    house.ends().await;
}
