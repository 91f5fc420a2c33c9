//! From a typed command to the report, under a server that a client of the user talks to.

use crate::house::{House, LIMIT, kill, within};
use crate::tui::nothing_but_the_mission;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::model::{Gate, Model, Request};
use testkit::persona::Role;
use testkit::user::git;

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
    nothing_but_the_mission(&house.model);
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
async fn a_second_task_is_told_of_the_one_that_runs_and_of_one_that_nobody_runs() {
    let (model, _gates) = crate::tui::held().await;
    let house = House::with(model);
    let words = ["task", "Add one and two", "--allow", "shell"];
    let terminal = house.user.start(&words);
    let works = |log: &[Request]| log.iter().any(|asked| Role::of(asked) == Role::Worker);
    house.model.until(works).await;
    terminal.crash().await;
    house.user.deserted().await;

    let server = house.serve().await;
    let mut talk = server.talk().await;
    talk.types("task", "Add three", "m1 is not over, and nobody runs it")
        .await;
    talk.types("skip", "T2 not now", "nobody runs m1 now: /resume goes on")
        .await;
    talk.types("resume", "", "m1 goes on").await;
    talk.types("resume", "", "m1 runs already").await;
    talk.types("stop", "", "m1 is cancelled").await;
    talk.types("task", "Add one and two", "m2 begins").await;
    talk.types("task", "Add three", "m2 runs here. Enter queues this")
        .await;
    let output = house.ran("task", "Add three").await;
    assert_eq!(output.status.code(), Some(1), "nothing began: {output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("m2 runs here"), "{output:?}");
    let runs = |texts: &[(String, bool)]| {
        texts
            .iter()
            .any(|(text, _)| text.starts_with("## m2 running"))
    };
    until(&server, &talk.session, &mut BTreeSet::new(), runs).await;
    talk.types("stop", "", "m2 is cancelled").await;
    talk.types("resume", "", "m2 goes on").await;
    talk.types("stop", "", "m2 is cancelled").await;
    talk.types("retry", "T1 in capitals", "m2 goes on").await;
    talk.types("stop", "", "m2 is cancelled").await;
    let list = house.user.run(&["list"]).await.said;
    assert!(!list.contains("Add three"), "{list}");
    drop(server);
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_missions_begin_one_after_the_other_and_outlive_the_engine() {
    let (model, _gates) = crate::tui::held().await;
    let house = House::with(model);
    let server = house.serve().await;
    let mut talk = server.talk().await;
    talk.types("queue", "Add one", "m1 begins: Add one").await;
    let offered = talk.types("task", "Add two", "tui.prompt.append").await;
    assert!(offered.contains("/queue Add two"), "{offered}");
    talk.types("queue", "\"Add two\"", "m2 waits until m1 is over: Add two")
        .await;
    talk.types("queue", "Add three", "m3 waits until m2 is over")
        .await;
    talk.types("queue", "Add four", "m4 waits until m3 is over")
        .await;
    talk.types("status", "", "then m2: Add two").await;
    let cancelled = house.user.run(&["cancel", "m3"]).await;
    assert_eq!(cancelled.code, Some(0), "{}", cancelled.said);

    // Whoever takes the first one up knows of the others.
    let engine = house.service().expect("an engine runs");
    kill(engine, Signal::KILL);
    within("the end of the engine", testkit::user::gone(engine)).await;
    talk.types("status", "", "then m2: Add two").await;

    talk.types("stop", "", "m1 is cancelled").await;
    let session = talk.session.clone();
    let begins = async |board: &str| {
        let stands =
            |texts: &[(String, bool)]| texts.iter().any(|(text, _)| text.starts_with(board));
        until(&server, &session, &mut BTreeSet::new(), stands).await;
    };
    begins("## m2 ").await;
    talk.types("stop", "", "m2 is cancelled").await;
    begins("## m4 ").await;
    talk.types("stop", "", "m4 is cancelled").await;
    drop(server);
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_while_nobody_was_there_is_told_once_by_the_next_opencode() {
    let (model, gates) = crate::tui::held().await;
    let house = House::with(model);
    let server = house.serve().await;
    let mut talk = server.talk().await;
    talk.types("task", "Add one and two", "m1 begins").await;
    house.model.until(works_on("one")).await;
    let session = talk.session.clone();
    drop(server);
    house.ends().await;
    gates.iter().for_each(Gate::open);
    let ran = house.user.run(&["resume", "m1", "--allow", "shell"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    let asked = house.model.log().len();

    // Nothing is typed in it.
    let server = house.serve().await;
    let mut events = server.events().await;
    server.session().await;
    events.until("m1 is completed; its report stands in").await;
    let told = |texts: &[(String, bool)]| {
        let of = |(text, _): &&(String, bool)| text.starts_with("Report of mission m1");
        texts.iter().filter(of).count()
    };
    until(&server, &session, &mut BTreeSet::new(), |texts| {
        told(texts) > 0
    })
    .await;
    let note = house.sockets().join("../fronts/m1.json");
    within("the end of what is to be told", async {
        while note.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(server);
    house.ends().await;

    let server = house.serve().await;
    let mut talk = server.talk().await;
    talk.types("status", "", "m1 completed").await;
    assert_eq!(told(&server.texts(&session).await), 1);
    assert_eq!(house.model.log().len(), asked, "no model was asked");
    drop(server);
    house.ends().await;
}

/// Whether a Worker has been asked for one of the crew's two tasks.
pub(crate) fn works_on(name: &'static str) -> impl Fn(&[Request]) -> bool {
    let crew = crate::house::crew();
    move |log| {
        let is = |asked: &Request| crew.job(asked).is_some_and(|job| job.name() == name);
        log.iter()
            .any(|asked| Role::of(asked) == Role::Worker && is(asked))
    }
}

/// Whose requests hold a word, and for which task.
fn who_knows(log: &[Request], word: &str) -> BTreeSet<String> {
    let crew = crate::house::crew();
    let name = |asked| crew.job(asked).map(|job| job.name().to_owned());
    log.iter()
        .filter(|asked| asked.body.to_string().contains(word))
        .map(|asked| {
            format!(
                "{:?} of {}",
                Role::of(asked),
                name(asked).unwrap_or_default()
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_mission_begins_no_turn_and_what_is_said_meanwhile_is_known_afterwards() {
    let (model, gates) = crate::tui::held().await;
    let house = House::with(model);
    let server = house.serve().await;
    let mut talk = server.talk().await;
    talk.types("task", "Add one and two", "m1 begins").await;
    house.model.until(works_on("one")).await;
    talk.types(
        "steer",
        "T1 in capitals",
        "every turn for T1 that begins from now on is told, and 1 turn that runs now at its next step",
    )
    .await;
    talk.types(
        "pause",
        "",
        "m1 is paused: no turn begins any more; 1 turn runs on",
    )
    .await;
    gates[0].open();
    let mut boards = BTreeSet::new();
    let landed = |texts: &[(String, bool)]| {
        let stands = |text: &str| text.starts_with("## m1 paused") && text.contains("T1 judging");
        texts.iter().any(|(text, _)| stands(text))
    };
    until(&server, &talk.session, &mut boards, landed).await;
    talk.types(
        "steer",
        "T2 mind the umlauts",
        "every turn for T2 that begins from now on is told",
    )
    .await;
    talk.types("steer", "T7 x", "there is no task T7").await;
    assert!(
        !works_on("two")(&house.model.log()),
        "a turn began in the pause"
    );
    let status = house.user.run(&["status", "m1"]).await.said;
    assert!(status.contains("paused"), "{status}");

    talk.types("resume", "", "m1 goes on").await;
    gates[1].open();
    let over = |texts: &[(String, bool)]| {
        texts
            .iter()
            .any(|(text, _)| text.starts_with("Report of mission m1"))
    };
    until(&server, &talk.session, &mut boards, over).await;
    let log = house.model.log();
    let knows = |word: &str| who_knows(&log, word);
    let one = ["Reviewer of one".to_owned(), "Worker of one".to_owned()];
    assert_eq!(
        knows("in capitals"),
        BTreeSet::from(one),
        "whoever was at work is told, and it is judged by that"
    );
    let two = ["Reviewer of two".to_owned(), "Worker of two".to_owned()];
    assert_eq!(knows("the umlauts"), BTreeSet::from(two));
    drop(server);
    house.ends().await;
}

/// One process of OpenCode works in as many folders as it is asked about, over the one connection that it made first.
#[tokio::test(flavor = "multi_thread")]
async fn a_mission_of_a_servers_second_folder_is_shown_there_though_the_engine_is_killed() {
    let (model, gates) = crate::tui::held().await;
    let house = House::with(model);
    let server = house.serve().await;
    let mut talk = server.talk().await;
    talk.types("status", "", "there is no mission here yet")
        .await;
    let other = house.user.home().path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("a.txt"), "a\n").unwrap();
    let commit = "-c user.name=u -c user.email=u@localhost commit -qm a";
    for line in ["init -q", "add -A", commit] {
        git(&other, &line.split(' ').collect::<Vec<_>>());
    }
    let there = server.at(&other);
    let mut talk = there.talk().await;
    talk.types("task", "Add one and two", "m1 begins").await;
    house.model.until(works_on("one")).await;
    kill(house.service().expect("an engine runs"), Signal::KILL);
    gates.iter().for_each(Gate::open);
    let mut boards = BTreeSet::new();
    let over = |texts: &[(String, bool)]| {
        texts
            .iter()
            .any(|(text, _)| text.starts_with("Report of mission m1"))
    };
    until(&there, &talk.session, &mut boards, over).await;
    drop(server);
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_runs_is_tried_again_with_a_note_and_another_is_left_out() {
    let (model, gates) = crate::tui::held().await;
    let house = House::with(model);
    let server = house.serve().await;
    let mut talk = server.talk().await;
    talk.types("task", "Add one and two", "m1 begins").await;
    house.model.until(works_on("one")).await;
    talk.types("retry", "soon", "which task? /retry T2 use argon2")
        .await;
    talk.types(
        "retry",
        "T1 in capitals",
        "T1 is tried again: T1.2 has begun",
    )
    .await;
    let told = house.user.run(&["skip", "T2", "--reason", "not now"]).await;
    assert!(told.said.contains("T2 is skipped"), "{}", told.said);
    talk.types("skip", "T2 not now", "T2 is skipped").await;
    gates.iter().for_each(Gate::open);
    let over = |texts: &[(String, bool)]| {
        let report = |text: &str| {
            text.starts_with("Report of mission m1") && text.contains("was skipped by")
        };
        texts.iter().any(|(text, _)| report(text))
    };
    until(&server, &talk.session, &mut BTreeSet::new(), over).await;
    let log = house.model.log();
    assert_eq!(
        who_knows(&log, "in capitals"),
        BTreeSet::from(["Reviewer of one".to_owned(), "Worker of one".to_owned()]),
    );
    assert!(!works_on("two")(&log), "what is skipped is never begun");
    let log = house.user.run(&["log", "m1"]).await.said;
    assert_eq!(log.matches("is skipped by").count(), 1, "{log}");
    drop(server);
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_are_allowed_for_the_project_are_asked_about_once() {
    let crew = crate::house::crew();
    let model = Model::start(move |request: &Request| {
        let reply = crew.answer(request);
        match (Role::of(request), crew.job(request), request.step()) {
            (Role::Worker, Some(job), 0) => {
                let command = format!("echo hello > {}.said", job.name());
                let bash = serde_json::json!({ "command": command, "description": "greets" });
                reply.and_call("bash", bash)
            }
            _ => reply,
        }
    });
    let house = House::with(model.await);
    let server = house.serve().await;
    let mut talk = server.talk().await;
    let session = talk.session.clone();
    let says = async |what: &str| {
        let said = |texts: &[(String, bool)]| texts.iter().any(|(text, _)| text.contains(what));
        until(&server, &session, &mut BTreeSet::new(), said).await;
    };
    talk.types("task", "Add one and two", "m1 begins").await;
    says("q1 asks for ").await;
    talk.types("answer", "q1 project", "q1 is answered").await;
    says("Report of mission m1").await;
    let log = house.user.run(&["log", "m1"]).await.said;
    assert!(
        log.matches(" asks: run:").count() <= 2,
        "both at once at the most: {log}"
    );
    talk.types("task", "Add one and two", "m2 begins").await;
    says("Report of mission m2").await;
    let log = house.user.run(&["log", "m2"]).await.said;
    assert!(!log.contains(" asks: "), "nobody is asked: {log}");
    drop(server);
    house.ends().await;
}

/// What the user has set up for themselves: other models, a default agent of their own with a model of its own, a command
/// of the name of one of ours, and something more for our Workers.
fn sets_up(house: &House) {
    let home = house.user.home();
    let file = home.config_dir().join("opencode.json");
    let text = std::fs::read_to_string(file).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    let models = &mut config["provider"]["mock"]["models"];
    for name in ["m2", "m3"] {
        models[name] = models["m1"].clone();
    }
    config["default_agent"] = json!("gardener");
    config["agent"] = json!({
        "gardener": { "mode": "primary", "prompt": "You are the gardener.", "model": "mock/m3" },
        "orchestrator-worker": { "model": "mock/m2", "prompt": "Indent by tabs." },
    });
    config["permission"] = json!({ "webfetch": "deny", "bash": { "git push *": "ask" } });
    config["command"] = json!({ "status": { "template": "How are the plants?" } });
    home.configure(&config);
}

/// Workers have the model and the words that the user gave them, and nobody else has.
fn asked_as_set_up(log: &[Request]) {
    for asked in log {
        let expected = match Role::of(asked) {
            Role::Worker => "m2",
            Role::Host => continue,
            _ => "m1",
        };
        assert_eq!(asked.model, expected, "{}", asked.system);
    }
    let mut workers = log.iter().filter(|asked| Role::of(asked) == Role::Worker);
    assert!(workers.all(|asked| asked.system.contains("Indent by tabs.")));
}

/// The agents that a server knows in the user's folder.
async fn names(server: &crate::house::Server) -> Vec<String> {
    let agents = server.get("/agent").await;
    let agents = agents.as_array().unwrap().iter();
    let mut names: Vec<String> = agents
        .map(|agent| agent["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn models_and_agents_of_the_user_are_theirs_before_and_after_a_mission() {
    let house = House::new().await;
    sets_up(&house);
    let server = house.serve().await;
    let config = server.get("/config").await;
    assert_eq!(config["default_agent"], "gardener");
    let (rules, agents) = (config["permission"].clone(), names(&server).await);
    let own = json!({ "webfetch": "deny", "bash": { "git push *": "ask" } });
    assert_eq!(rules, own);
    let of_ours = agents.iter().filter(|name| name.contains("orchestrator"));
    assert_eq!(
        of_ours.collect::<Vec<_>>(),
        ["orchestrator-worker"],
        "that is the user's own"
    );
    let chosen = server.session().await;
    let said = json!({
        "agent": "plan", "model": { "providerID": "mock", "modelID": "m2" },
        "parts": [{ "type": "text", "text": "Hello." }],
    });
    let (status, _) = server
        .post(&format!("/session/{chosen}/message"), &said)
        .await;
    assert_eq!(status, 200);
    // One conversation has an agent and a model that the user chose, the other nothing yet.
    for (mission, session, agent, model) in [
        ("m1", chosen, "plan", "m2"),
        ("m2", server.session().await, "gardener", "m3"),
    ] {
        server.command(&session, "task", "Add one and two").await;
        if mission == "m2" {
            // Where it is posted is the same, however it ends.
            server.command(&session, "stop", "").await;
        }
        let over = |texts: &[(String, bool)]| {
            let report = format!("Report of mission {mission}");
            texts.iter().any(|(text, _)| text.starts_with(&report))
        };
        until(&server, &session, &mut BTreeSet::new(), over).await;
        let messages = server.get(&format!("/session/{session}/message")).await;
        let of_user = |message: &&Value| message["info"]["role"] == "user";
        for message in messages.as_array().unwrap().iter().filter(of_user) {
            let info = &message["info"];
            assert_eq!(
                (&info["agent"], &info["model"]["modelID"]),
                (&json!(agent), &json!(model))
            );
        }
    }
    assert_eq!(server.get("/config").await["permission"], rules);
    assert_eq!(names(&server).await, agents);
    asked_as_set_up(&house.model.log());

    // A command of the name of ours, and a word of the user, go to their own agent.
    let session = server.session().await;
    assert_eq!(server.command(&session, "status", "").await, 200);
    let log = house.model.log();
    let plants = log
        .iter()
        .find(|asked| asked.asked().contains("How are the plants?"));
    let plants = plants.expect("their own command asked their model");
    assert!(
        plants.system.starts_with("You are the gardener."),
        "{}",
        plants.system
    );
    drop(server);
    house.ends().await;
}
