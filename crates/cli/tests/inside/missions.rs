//! From a typed command to the report, under a server that a client of the user talks to.

use crate::house::{House, LIMIT};
use std::collections::BTreeSet;
use testkit::persona::Role;

/// Waits until a conversation fits, and returns its texts; what the board said on the way goes into the set.
async fn until(
    server: &crate::house::Server,
    session: &str,
    boards: &mut BTreeSet<String>,
    fits: impl Fn(&[(String, bool)]) -> bool,
) -> Vec<(String, bool)> {
    let mut events = server.events().await;
    let found = tokio::time::timeout(LIMIT, async {
        loop {
            let texts = server.texts(session).await;
            let board = texts.iter().find(|(text, _)| text.starts_with("## m"));
            boards.extend(board.map(|(text, _)| text.clone()));
            if fits(&texts) {
                return texts;
            }
            events.next().await;
        }
    });
    match found.await {
        Ok(texts) => texts,
        Err(_) => panic!("{:?}", server.texts(session).await),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typed_task_becomes_a_mission_without_a_model_call_for_the_command() {
    let house = House::new().await;
    let server = house.serve().await;
    let session = server.session().await;
    let mut events = server.events().await;
    assert_eq!(
        server
            .command(&session, "task", "\"Add one and two\"")
            .await,
        500
    );
    let toasts = events.until("m1 begins").await;
    assert!(toasts.contains("tui.toast.show"), "{toasts}");
    let mut boards = BTreeSet::new();
    let over = |texts: &[(String, bool)]| {
        texts
            .iter()
            .any(|(text, _)| text.starts_with("Report of mission m1"))
    };
    let texts = until(&server, &session, &mut boards, over).await;
    println!("{boards:#?}\n{texts:#?}");
    assert_eq!(texts.len(), 2, "a board and a report: {texts:?}");
    let (board, ignored) = &texts[0];
    assert!(
        *ignored && board.starts_with("## m1 completed: Add one and two"),
        "{board}"
    );
    assert!(board.contains("- T2 landed: Add two"), "{board}");
    let (report, ignored) = &texts[1];
    assert!(
        !ignored && report.len() <= 1_500 && report.contains("changed: one.txt, two.txt"),
        "{report}"
    );
    assert!(boards.len() >= 3, "the board moves: {boards:?}");
    let asked = house.model.log();
    let for_nobody = asked
        .iter()
        .filter(|request| Role::of(request) == Role::Host);
    assert_eq!(for_nobody.count(), 0, "only the mission asked the model");
    let files = house.user.files();
    assert_eq!(files.get("two.txt").map(String::as_str), Some("two\n"));

    let (status, _) = server.say(&session, "Why is there a two.txt?").await;
    assert_eq!(status, 200);
    let asked = house.model.log();
    let last = asked
        .iter()
        .rfind(|request| request.asked().contains("Why is there"))
        .unwrap();
    let body = last.body.to_string();
    assert!(body.contains("Report of mission m1"), "{body}");
    assert!(
        !body.contains("## m1"),
        "the board is not for the model: {body}"
    );
    drop(server);
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_waits_for_its_mission_and_ends_with_the_report() {
    let house = House::new().await;
    let mut command = house.opencode();
    command.args(["run", "--command", "task", "Add one and two"]);
    let output = crate::house::within("the end of the run", command.output()).await;
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    println!("{said}{told}");
    assert!(output.status.success(), "{said}{told}");
    let asked = house.model.log();
    let users = asked
        .iter()
        .filter(|request| Role::of(request) == Role::Host && request.offers("bash"));
    let users: Vec<&str> = users.map(|request| request.asked()).collect();
    assert_eq!(users.len(), 1, "the report is one turn: {users:?}");
    assert!(users[0].contains("Report of mission m1"), "{users:?}");
    assert!(house.user.files().contains_key("two.txt"));
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_task_is_told_of_the_one_that_runs_and_of_one_that_nobody_runs() {
    let (model, _gates) = crate::tui::held().await;
    let house = House::with(model);
    let words = ["task", "Add one and two", "--allow", "shell"];
    let terminal = house.user.start(&words);
    let works =
        |log: &[testkit::model::Request]| log.iter().any(|asked| Role::of(asked) == Role::Worker);
    house.model.until(works).await;
    terminal.crash().await;
    house.user.deserted().await;

    let server = house.serve().await;
    let session = server.session().await;
    let mut events = server.events().await;
    let mut typed = async |name: &str, arguments: &str, told: &str| {
        assert_eq!(server.command(&session, name, arguments).await, 500);
        events.until(told).await;
    };
    typed("task", "Add three", "m1 is not over, and nobody runs it").await;
    typed("stop", "", "m1 is cancelled").await;
    typed("task", "Add one and two", "m2 begins").await;
    typed("task", "Add three", "m2 runs here already").await;
    typed("stop", "", "m2 is cancelled").await;
    let list = house.user.run(&["list"]).await.said;
    assert!(!list.contains("Add three"), "{list}");
    drop(server);
    house.ends().await;
}
