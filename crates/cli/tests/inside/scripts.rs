//! `opencode run`: what it waits for, what it prints, and what it ends with, also where nobody is there to answer.

use crate::children::completed;
use crate::house::{House, kill, within};
use crate::missions::works_on;
use crate::tui::nothing_but_the_mission;
use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::model::{Gate, Model};
use testkit::persona::{Crew, Job, Role};

/// The report of a mission stands in the conversation of its run, once, for the user's own model to see when it is asked
/// next; nobody has asked it anything, not even for a title.
async fn reported_once(house: &House, mission: &str) {
    nothing_but_the_mission(&house.model);
    let server = house.serve().await;
    let sessions = server.get("/session").await;
    let mut reports = 0;
    for session in sessions.as_array().unwrap() {
        let texts = server.texts(session["id"].as_str().unwrap()).await;
        let report = format!("Report of mission {mission},");
        let is = |(text, ignored): &&(String, bool)| text.starts_with(&report) && !ignored;
        reports += texts.iter().filter(is).count();
    }
    assert_eq!(reports, 1, "{sessions}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_waits_for_its_mission_and_ends_with_the_report() {
    let house = House::new().await;
    let output = house.ran("task", "Add one and two").await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    println!("{said}{told}");
    assert!(output.status.success(), "{said}{told}");
    reported_once(&house, "m1").await;
    assert!(house.user.files().contains_key("two.txt"));
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_queues_waits_for_its_turn_and_ends_with_its_own_report() {
    let (model, gates) = crate::tui::held().await;
    let house = House::with(model);
    let server = house.serve().await;
    let mut talk = server.talk().await;
    talk.types("task", "Add one and two", "m1 begins").await;
    house.model.until(works_on("one")).await;

    let run = house.run("queue", "Add one and two, later").spawn();
    let run = run.unwrap();
    // It is listed a moment before it stands in line.
    within("its place in line", async {
        let queued = "then m2: Add one and two, later";
        let mut told = String::new();
        while !told.contains(queued) {
            told = talk.types("status", "", "0 of 2 tasks landed").await;
        }
    })
    .await;
    talk.types("stop", "", "m1 is cancelled").await;
    gates.iter().for_each(Gate::open);

    let output = within("the end of the run", run.wait_with_output()).await;
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    reported_once(&house, "m2").await;
    assert!(house.user.files().contains_key("two.txt"));
    drop(server);
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_another_command_prints_what_it_is_told_and_asks_no_model() {
    let house = House::new().await;
    let output = house.ran("status", "").await;
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("there is no mission here yet"), "{output:?}");

    let output = house.ran("stop", "").await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("no mission"), "{output:?}");
    // Nothing was begun, so that nothing that a script waits for is there.
    let output = house.ran("task", "").await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("say what you want"), "{output:?}");
    // Whoever reads lines of JSON gets one, whatever it says.
    let mut run = house.opencode();
    run.args(["run", "--format", "json", "--command", "stop"]);
    let output = within("the end of the run", run.output()).await.unwrap();
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&line["type"], &line["exit"]),
        (&json!("orchestrator"), &json!(1))
    );
    let told = line["text"].as_str().unwrap();
    assert!(told.contains("no mission"), "{output:?}");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let left: Vec<_> = std::fs::read_dir(house.sockets())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("oc-"))
        .collect();
    assert_eq!(
        left,
        Vec::<String>::new(),
        "the socket of a run that is over"
    );
    assert!(house.model.log().is_empty(), "{:?}", house.model.log());
    house.ends().await;
}

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
    // Whoever waits knows from the beginning what for, and what is denied.
    for begins in [
        "m1 begins: Add one",
        "orchestrator cancel m1",
        "shell: denied",
    ] {
        assert!(told.contains(begins), "{told}");
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn whoever_interrupts_a_run_ends_the_waiting_and_not_the_mission() {
    let (model, gates) = crate::tui::held().await;
    let house = House::with(model);
    let run = house.run("task", "Add one and two").spawn().unwrap();
    house.model.until(works_on("one")).await;
    kill(run.id().unwrap(), Signal::INT);
    let output = within("the end of the run", run.wait_with_output()).await;
    assert_ne!(output.unwrap().status.code(), Some(0));
    gates.iter().for_each(Gate::open);
    completed(&house).await;
    nothing_but_the_mission(&house.model);
    house.ends().await;
}
