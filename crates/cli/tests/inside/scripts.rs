//! `opencode run` where nobody is there to answer.

use crate::house::{House, within};
use crate::tui::nothing_but_the_mission;
use serde_json::json;
use testkit::model::{Gate, Model};
use testkit::persona::{Crew, Job, Role};

/// A script must not wait for somebody who is not there, and reads the exit code.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_script_asks_nobody_and_its_exit_code_is_the_missions() {
    let job = Job::new("one", "one.txt", "wrong\n", "grep -q right one.txt");
    let crew = Crew::new("Add one.", vec![job]);
    let model = Model::start(move |request| {
        let reply = crew.answer(request);
        if Role::of(request) != Role::Worker || request.step() > 0 {
            return reply;
        }
        let bash = json!({ "command": "echo hello", "description": "says it" });
        reply.and_call("bash", bash)
    })
    .await;
    let house = House::with(model);
    // What stands before the command is read as OpenCode reads it.
    let mut run = house.opencode();
    run.args([
        "--log-level",
        "ERROR",
        "run",
        "--command",
        "task",
        "Add one",
    ]);
    let output = within("the end of the run", run.output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    println!("{said}{told}");
    assert_eq!(output.status.code(), Some(1), "{said}{told}");
    assert!(said.contains("Report of mission m1"), "{said}");
    nothing_but_the_mission(&house.model);
    let log = house.user.run(&["log", "m1"]).await;
    assert!(log.said.contains("T1.1 turned down"), "{}", log.said);
    assert!(
        !log.said.contains(" asks: "),
        "nobody is asked: {}",
        log.said
    );
    house.ends().await;
}

/// What costs more than it may without a word waits for one, and a script is told so at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_script_whose_plan_needs_a_word_ends_and_says_what_to_type() {
    let house = House::new().await;
    house.prefers("[limits]\nask_above = \"1K\"\n");
    let output = house.ran("task", "Add one and two").await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    println!("{said}{told}");
    assert_eq!(output.status.code(), Some(7), "{said}{told}");
    assert!(said.contains("orchestrator answer m1 q1"), "{said}{told}");
    // What there is to type is nobody's to type but a person's: the user's own agent has a shell.
    nothing_but_the_mission(&house.model);
    assert!(!house.user.files().contains_key("two.txt"));
    // It is as it was, and goes on with the word.
    assert_eq!(
        house.user.run(&["answer", "m1", "q1", "yes"]).await.code,
        Some(0)
    );
    let resumed = house.user.run(&["resume", "m1"]).await;
    assert_eq!(resumed.code, Some(0), "{}", resumed.said);
    assert!(house.user.files().contains_key("two.txt"));
    house.ends().await;
}

/// The plugin is in the server there, and nothing of it in the run.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_attached_to_a_server_begins_its_mission_and_does_not_wait() {
    let (model, gates) = crate::tui::held().await;
    let house = House::with(model);
    let server = house.serve().await;
    let mut events = server.events().await;
    let mut run = house.opencode();
    run.args([
        "run",
        "--attach",
        server.url(),
        "--command",
        "task",
        "Add one and two",
    ]);
    let output = within("the end of the run", run.output()).await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    events.until("m1 begins").await;
    nothing_but_the_mission(&house.model);
    gates.iter().for_each(Gate::open);
    drop(server);
    house.ends().await;
}
