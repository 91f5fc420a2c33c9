//! The engine that OpenCode starts, as a program.

use crate::house::{House, within};
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use testkit::model::Gate;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_start_at_once_one_runs_and_it_ends_when_nothing_is_left() {
    let house = House::new().await;
    let words = ["serve", "--idle", "2s"];
    let (one, two) = (house.user.start(&words), house.user.start(&words));
    let (one, two) = tokio::join!(one.end(), two.end());
    let said = [one.said.as_str(), two.said.as_str()].concat();
    assert_eq!((one.code, two.code), (Some(0), Some(0)), "{said}");
    assert_eq!(said.matches("it runs already").count(), 1, "{said}");
    assert_eq!(said.matches("nothing was left to do").count(), 1, "{said}");
    assert!(!house.sockets().join("service.sock").exists());
    house.user.deserted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_others_may_write_to_is_named() {
    let house = House::new().await;
    fs::create_dir_all(house.sockets()).unwrap();
    let state = house.sockets().join("..");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(house.sockets(), fs::Permissions::from_mode(0o777)).unwrap();
    let ran = house.user.run(&["serve"]).await;
    assert_eq!(ran.code, Some(1), "{}", ran.said);
    assert!(
        ran.said.contains("ORC012") && ran.said.contains("is open to other users"),
        "{}",
        ran.said
    );
}

/// What stands in the service log.
fn logged(house: &House) -> String {
    fs::read_to_string(house.sockets().join("../logs/service.log")).unwrap_or_default()
}

/// A start of the engine that finds nothing to do, as a person would type it.
async fn starts(house: &House) -> String {
    let ran = house.user.run(&["serve", "--idle", "1ms"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    ran.said
}

#[tokio::test(flavor = "multi_thread")]
async fn each_start_goes_on_with_the_log_and_says_the_same_to_whoever_looks() {
    let house = House::new().await;
    for _ in 0..2 {
        let said = starts(&house).await;
        assert_eq!(said.trim(), "nothing was left to do");
    }
    let text = logged(&house);
    let version = env!("CARGO_PKG_VERSION");
    let begins = format!("version {version} begins, process ");
    assert_eq!(text.matches(&begins).count(), 2, "{text}");
    assert_eq!(text.matches("nothing was left to do").count(), 2, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_where_the_configuration_says() {
    let house = House::new().await;
    let (config, elsewhere) = (
        house
            .user
            .home()
            .path()
            .join("config/opencode-orchestrator"),
        house.user.home().path().join("elsewhere.log"),
    );
    fs::create_dir_all(&config).unwrap();
    let names = format!("[log]\nfile = {:?}\n", elsewhere.to_str().unwrap());
    fs::write(config.join("config.toml"), names).unwrap();
    starts(&house).await;
    let text = fs::read_to_string(&elsewhere).unwrap();
    assert!(text.ends_with(" nothing was left to do\n"), "{text}");
    assert_eq!(logged(&house), "");
    // A configuration that cannot be read takes the log from nobody.
    fs::write(config.join("config.toml"), "[lok]\n").unwrap();
    let said = starts(&house).await;
    assert!(said.contains("ORC013"), "{said}");
    assert!(logged(&house).contains("ORC013"), "{}", logged(&house));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_whose_log_cannot_be_written_says_so_and_works() {
    let house = House::new().await;
    starts(&house).await;
    let log = house.sockets().join("../logs/service.log");
    let kept = house.user.home().path().join("kept");
    fs::write(&kept, "kept").unwrap();
    fs::remove_file(&log).unwrap();
    symlink(&kept, &log).unwrap();
    let said = starts(&house).await;
    assert!(said.contains("cannot be written: it is a link"), "{said}");
    assert!(said.contains("nothing was left to do"), "{said}");
    assert_eq!(fs::read_to_string(&kept).unwrap(), "kept");
    // What the plugin gives it for its first words does not take the place of a log without end.
    let start = house.sockets().join("start.log");
    let full = 2 << 20;
    fs::write(&start, vec![b'\n'; full]).unwrap();
    let words = OpenOptions::new().append(true).open(&start).unwrap();
    let mut serve = house.user.command(crate::house::PROGRAM.as_ref());
    serve.args(["serve", "--idle", "1ms"]).stderr(words);
    assert!(serve.status().await.unwrap().success());
    let text = fs::read_to_string(&start).unwrap();
    assert!(text.len() < full + 1_000, "{}", text.trim_start());
    assert!(
        !text.contains("nothing was left to do"),
        "{}",
        text.trim_start()
    );
    // Inside OpenCode nobody sees it, and nothing else is different.
    let server = house.serve().await;
    let session = server.session().await;
    let mut events = server.events().await;
    server.command(&session, "status", "").await;
    events.until("there is no mission here yet").await;
    drop(server);
    house.ends().await;
    assert_eq!(fs::read_to_string(&kept).unwrap(), "kept");
    let start = fs::read_to_string(&start).unwrap();
    assert!(start.contains("cannot be written: it is a link"), "{start}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_the_plugin_starts_says_everything_to_its_log() {
    let house = House::new().await;
    let server = house.serve().await;
    let session = server.session().await;
    let mut events = server.events().await;
    server.command(&session, "status", "").await;
    events.until("there is no mission here yet").await;
    let engine = house.service().expect("an engine runs");
    // What it says by itself, such as of a panic, goes the same way.
    let stderr = fs::read_link(format!("/proc/{engine}/fd/2")).unwrap();
    let log = house.sockets().join("../logs/service.log");
    assert_eq!(stderr, log.canonicalize().unwrap());
    drop(server);
    house.ends().await;
    let text = logged(&house);
    assert!(
        text.contains(" begins, process ") && text.contains(" ended; missions"),
        "{text}"
    );
    let start = fs::read_to_string(house.sockets().join("start.log")).unwrap();
    assert_eq!(start, "");
}

/// A guest of the engine, as OpenCode's screen is one.
struct Guest(BufReader<UnixStream>);

impl Guest {
    /// Comes in as soon as there is an engine.
    async fn come(house: &House) -> Self {
        Self::says(house, json!({})).await
    }

    /// The same, and says this of itself.
    async fn says(house: &House, mut hello: Value) -> Self {
        let socket = house.sockets().join("service.sock");
        let stream = within("an engine", async {
            loop {
                match UnixStream::connect(&socket).await {
                    Ok(stream) => return stream,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        });
        let mut guest = Self(BufReader::new(stream.await));
        let version = env!("CARGO_PKG_VERSION");
        hello["talk"] = json!(1);
        hello["version"] = json!(version);
        hello["pid"] = json!(1);
        guest.say(&hello).await;
        guest.hear("talk").await;
        guest
    }

    async fn say(&mut self, line: &Value) {
        let line = format!("{line}\n");
        self.0.get_mut().write_all(line.as_bytes()).await.unwrap();
    }

    /// The next line that has this.
    async fn hear(&mut self, key: &str) -> Value {
        within(key, async {
            loop {
                let mut line = String::new();
                assert_ne!(self.0.read_line(&mut line).await.unwrap(), 0);
                let said: Value = serde_json::from_str(&line).unwrap();
                if !said[key].is_null() {
                    return said;
                }
            }
        })
        .await
    }

    /// Types a command, and gives what is said of it.
    async fn types(&mut self, house: &House, id: u64, command: &str, arguments: &str) -> String {
        let directory = house.user.project();
        self.say(
            &json!({ "id": id, "want": "command", "key": format!("k{id}"), "command": command,
            "arguments": arguments, "session": "s", "directory": directory }),
        )
        .await;
        self.answer(id).await["say"].as_str().unwrap().to_owned()
    }

    /// The answer to what it asked under this number; others that come before it are let go.
    async fn answer(&mut self, id: u64) -> Value {
        loop {
            let said = self.hear("say").await;
            if said["id"] == id {
                return said;
            }
        }
    }

    /// Looks until the first row of the panel says something.
    async fn until(&mut self, house: &House, what: &str) -> Value {
        let mut seen = String::new();
        for id in 10.. {
            let directory = house.user.project();
            self.say(&json!({ "id": id, "want": "look", "directory": directory, "seen": seen }))
                .await;
            let view = self.hear("id").await["view"].take();
            if view["panel"][0]["text"] == what {
                return view;
            }
            assert_ne!(view["seen"], seen.as_str(), "nothing is answered twice");
            view["seen"].as_str().unwrap().clone_into(&mut seen);
        }
        unreachable!("a look ends only by what is seen")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_sees_what_a_terminal_carries_out_and_looks_once_at_a_time() {
    let (model, gates) = crate::tui::held().await;
    let house = House::with(model);
    let engine = house.user.start(&["serve", "--idle", "10m"]);
    let mut guest = Guest::come(&house).await;
    let look = |id: u64, seen: &Value, page: u16| json!({ "id": id, "want": "look", "directory": house.user.project(), "seen": seen, "page": page });
    guest.say(&look(1, &json!(""), 80)).await;
    let first = guest.hear("id").await;
    let text = &first["view"]["page"][0]["text"];
    assert!(
        text.as_str().unwrap().contains("no mission here yet"),
        "{first}"
    );
    assert_eq!(first["view"]["panel"], json!([]));
    // Of two looks the second is the one that counts; the first is over, and shows nothing.
    guest.say(&look(2, &first["view"]["seen"], 80)).await;
    guest.say(&look(3, &json!(""), 0)).await;
    let (one, other) = (guest.hear("id").await, guest.hear("id").await);
    let (two, three) = match one["id"] == 2 {
        true => (one, other),
        false => (other, one),
    };
    assert_eq!(
        (&two["id"], &two["view"]),
        (&json!(2), &Value::Null),
        "{two}"
    );
    assert_eq!(three["view"]["page"], json!([]), "{three}");

    let task = house.user.start(&["task", "Add one and two"]);
    let view = guest.until(&house, "Mission m1 running").await;
    assert_eq!(view["badge"]["text"], "m1 0/2", "{view}");
    assert_eq!(view["mission"], "m1");
    // What was meant for another mission than the one that is here by now is not done to this one.
    let stop = json!({ "id": 5, "want": "command", "key": "k", "command": "stop", "session": "s",
        "directory": house.user.project(), "mission": "m7" });
    guest.say(&stop).await;
    let said = guest.hear("say").await;
    let told = said["say"].as_str().unwrap();
    assert!(
        told.contains("m7 is not the mission here any more; it is m1"),
        "{said}"
    );
    // Whoever waits for what a terminal carries out gets the report of it. Where there is nothing to wait for, as where an
    // engine could not take a mission up, an exit code would say that it is over.
    let wait = |id: u64, mission: &str| json!({ "id": id, "want": "wait", "mission": mission });
    guest.say(&wait(6, "m7")).await;
    let said = guest.hear("say").await;
    assert_eq!((&said["id"], &said["exit"]), (&json!(6), &Value::Null));
    guest.say(&wait(7, "m1")).await;
    gates.iter().for_each(Gate::open);
    assert_eq!(task.end().await.code, Some(0));
    let said = guest.hear("say").await;
    let report = said["say"].as_str().unwrap();
    assert!(report.starts_with("Report of mission m1"), "{said}");
    assert_eq!((&said["id"], &said["exit"]), (&json!(7), &json!(0)));
    // What is over was none of this conversation's, and there is no panel of it any more.
    let gone = within("a panel that goes", async {
        loop {
            guest.say(&look(4, &json!(""), 0)).await;
            let view = guest.hear("id").await["view"].take();
            if view["panel"] == json!([]) {
                return view;
            }
        }
    });
    assert_eq!(gone.await["badge"]["text"], "");
    house.ends().await;
    engine.end().await;
}

/// A mission of one task whose Worker says that it is there, and goes on when somebody writes into a pipe; the first one
/// has one of its own, so that it does not take what is written for the second.
const HELD: &str = r#"
[[turn]]
role = "commander"

[[turn.end.answer.plan.tasks]]
id = "one"
title = "One"
goal = "One."
writes = ["one.txt"]
acceptance = ["test -e one.txt"]

[turn.end.answer]
kind = "small"

[[turn]]
role = "worker"
steps = [{ run = "echo x >> HOME/there; case $PWD in */m1-*) cat HOME/never ;; *) cat HOME/pipe ;; esac" }, { write = { path = "one.txt", text = "1" } }]
end.answer = { status = "done", summary = "It is there." }

[[turn]]
role = "reviewer"
end.answer = { accept = true }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_queued_mission_gets_its_report_though_a_terminal_begins_it() {
    let house = House::new().await;
    let home = house.user.home().path().to_owned();
    let mut mkfifo = std::process::Command::new("mkfifo");
    mkfifo.args([home.join("pipe"), home.join("never")]);
    assert!(mkfifo.status().unwrap().success());
    let script = home.join("held.toml");
    fs::write(&script, HELD.replace("HOME", home.to_str().unwrap())).unwrap();
    let agent = format!("scripted:{}", script.display());
    let at_work = async |n: usize| {
        within("a Worker", async {
            let there = || fs::read_to_string(home.join("there")).unwrap_or_default();
            while there().lines().count() < n {
                tokio::task::yield_now().await;
            }
        })
        .await;
    };
    let engine = house.user.start(&["serve", "--agent", &agent]);
    let mut guest = Guest::come(&house).await;
    let begun = guest.types(&house, 1, "task", "Hold on").await;
    assert!(begun.starts_with("m1 begins"), "{begun}");
    let queued = guest.types(&house, 2, "queue", "Go on").await;
    assert!(queued.starts_with("m2 waits until m1 is over"), "{queued}");
    at_work(1).await;
    guest
        .say(&json!({ "id": 3, "want": "wait", "mission": "m2" }))
        .await;
    let terminal = house.user.start(&["resume", "m2", "--agent", &agent]);
    at_work(2).await;

    // Its turn comes, and it has been taken.
    guest.types(&house, 4, "stop", "").await;
    for id in 5.. {
        if !guest
            .types(&house, id, "status", "")
            .await
            .contains("then m2")
        {
            break;
        }
    }
    fs::write(home.join("pipe"), "go\n").unwrap();
    let terminal = terminal.end().await;
    assert_eq!(terminal.code, Some(0), "{}", terminal.said);
    let end = guest.answer(3).await;
    let report = end["say"].as_str().unwrap();
    assert!(report.starts_with("Report of mission m2"), "{end}");
    assert_eq!(end["exit"], 0, "{end}");
    house.ends().await;
    engine.end().await;
}

/// One task, whose proof is a program that is found by those alone who look for it in the right place.
const LOOKED_FOR: &str = r#"
[[turn]]
role = "commander"
[turn.end.answer]
kind = "small"
plan.tasks = [{ id = "one", title = "One", goal = "One.", writes = ["one.txt"], acceptance = ["only-there && test -e one.txt"] }]
[[turn]]
role = "worker"
steps = [{ write = { path = "one.txt", text = "1" } }]
end.answer = { status = "done", summary = "did it" }
[[turn]]
role = "reviewer"
end.answer = { accept = true }
"#;

/// One engine serves all of a user's folders, of which each may have programs of its own.
#[tokio::test(flavor = "multi_thread")]
async fn checks_find_the_programs_of_the_opencode_in_which_a_mission_was_asked_for() {
    let house = House::new().await;
    let home = house.user.home().path().to_owned();
    let tools = home.join("tools");
    fs::create_dir(&tools).unwrap();
    fs::write(tools.join("only-there"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(tools.join("only-there"), fs::Permissions::from_mode(0o755)).unwrap();
    let script = home.join("script.toml");
    fs::write(&script, LOOKED_FOR).unwrap();
    let agent = format!("scripted:{}", script.display());
    let engine = house.user.start(&["serve", "--agent", &agent]);
    let others = std::env::var("PATH").unwrap();
    let path = format!("{}:{others}", tools.display());
    let mut guest = Guest::says(&house, json!({ "path": path })).await;
    guest.types(&house, 1, "task", "Add one").await;
    guest
        .say(&json!({ "id": 2, "want": "wait", "mission": "m1" }))
        .await;
    let end = guest.answer(2).await;
    assert_eq!(end["exit"], 0, "{end}");
    house.ends().await;
    engine.end().await;
}
