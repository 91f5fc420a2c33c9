//! The program with the real OpenCode and a scripted model: from the request to the user's files.
#![cfg(test)]
#[path = "opencode/bounds.rs"]
mod bounds;
#[cfg(feature = "faults")]
#[path = "opencode/closing.rs"]
mod closing;
#[path = "opencode/foreseen.rs"]
mod foreseen;
#[path = "opencode/header.rs"]
mod header;
#[path = "opencode/judged.rs"]
mod judged;
#[path = "opencode/outage.rs"]
mod outage;
#[path = "opencode/planted.rs"]
mod planted;

use mission::event::Recorded;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use testkit::model::{Gate, Model, Reply, Request, Tokens};
use testkit::opencode::{config, priced};
use testkit::persona::{Crew, Job, Role};
use testkit::user::User;

const PROJECT: &[(&str, &str)] = &[
    ("math.mjs", "export const add = (a, b) => a + b;\n"),
    (
        "math.test.mjs",
        "import test from 'node:test';\nimport assert from 'node:assert';\n\
         import { add } from './math.mjs';\n\
         test('adds', () => assert.equal(add(1, 2), 3));\n",
    ),
    (
        "package.json",
        "{ \"name\": \"sample\", \"scripts\": { \"test\": \"node --test\" } }\n",
    ),
];

/// What proves a task of the sample project.
fn proof(name: &str, call: &str, result: i32) -> String {
    format!(
        "node -e \"import('./{name}.mjs').then(m => process.exit(m.{call} === {result} ? 0 : 1))\""
    )
}

/// A crew that does its work well, but for one first attempt.
fn crew() -> Crew {
    let module = |name: &str, text: &str, call: &str, result: i32| {
        let file = format!("{name}.mjs");
        Job::new(name, &file, text, proof(name, call, result))
    };
    let sub = "export const sub = (a, b) => a - b;\n";
    let mul = "export const mul = (a, b) => a * b;\n";
    let all = "export * from './sub.mjs';\nexport * from './mul.mjs';\n";
    let jobs = vec![
        module("sub", sub, "sub(3,2)", 1).at_first("export const sub = (a, b) => a + b;\n"),
        module("mul", mul, "mul(3,2)", 6),
        module("all", all, "mul(3,m.sub(3,1))", 6).needs(&["sub", "mul"]),
    ];
    Crew::new("Add sub, mul and a module that exports both.", jobs)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_becomes_verified_work_in_the_users_files() {
    let crew = crew();
    let goals: Vec<String> = crew.jobs().iter().map(Job::goal).collect();
    let model = Model::start(move |request| crew.answer(request)).await;
    let user = User::new(env!("CARGO_BIN_EXE_orchestrator"), &model.url(), PROJECT);
    let request = "Add sub and mul, and a module that exports both";
    let ran = user.run(&["task", request, "--allow", "shell"]).await;
    let said = &ran.said;
    println!("{said}");
    assert_eq!(ran.code, Some(0), "{said}");
    assert!(
        said.contains("T1.1 turned down"),
        "the first attempt at sub is wrong: {said}"
    );
    for file in ["sub.mjs", "mul.mjs", "all.mjs"] {
        assert!(
            user.files().contains_key(file),
            "{file} was not delivered: {said}"
        );
    }
    let log = model.log();
    let calls = |role: Role| log.iter().filter(|r| Role::of(r) == role).count();
    assert_eq!(calls(Role::Commander), 1, "the intent is one call");
    assert_eq!(calls(Role::Planner), 1, "the plan is one call");
    assert_eq!(
        calls(Role::Reviewer),
        3,
        "each attempt that passed is reviewed by one call"
    );
    assert_eq!(calls(Role::Worker), 8, "four attempts of two steps");
    assert_eq!(log.len(), 13, "nothing else asks the model");
    // A Worker is told of its own task and of what that builds on, and of nothing else in the plan.
    let mut orders = [0; 3];
    for request in log.iter().filter(|r| Role::of(r) == Role::Worker) {
        let body = request.body.to_string();
        let told: Vec<bool> = goals
            .iter()
            .map(|goal| body.contains(goal.as_str()))
            .collect();
        assert_eq!(
            told.iter().filter(|told| **told).count(),
            1,
            "a Worker sees one order: {body}"
        );
        let own = told.iter().position(|told| *told).expect("one is told");
        orders[own] += 1;
        let others = ["sub.mjs", "mul.mjs", "all.mjs"];
        for (n, other) in others.iter().enumerate() {
            // Only the last task builds on others; what it writes names them.
            let may = n == own || own == 2;
            assert!(
                may || !body.contains(other),
                "it is told of {other}: {body}"
            );
        }
        assert!(
            !body.contains("exports both"),
            "the request and the goal are the Planner's: {body}"
        );
    }
    assert_eq!(
        orders,
        [4, 2, 2],
        "each request holds the order of its task"
    );
    user.deserted().await;
}

/// All that lies below a folder, by its path: folders, links and files, with what they hold.
fn listing(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let bytes = match path.is_dir() {
                true => {
                    folders.push(path.clone());
                    Vec::new()
                }
                false => std::fs::read(&path).expect("a file"),
            };
            found.insert(path, bytes);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_user_without_opencode_login_or_model_is_told_what_to_type_and_nothing_is_created()
{
    let model = Model::start(|_| Reply::text("Hello.")).await;
    let user =
        User::new(env!("CARGO_BIN_EXE_orchestrator"), &model.url(), PROJECT).has_only(&["git"]);
    let before = listing(&user.project());
    let state = user.home().path().join("state/opencode-orchestrator");
    let refused = async |words: &[&str], what: &str, hint: &str| {
        let words = [&["task", "Add sub"][..], words].concat();
        let ran = user.run(&words).await;
        let said = &ran.said;
        assert_eq!(ran.code, Some(1), "{said}");
        for text in [
            "error[ORC008]",
            what,
            "Nothing was created and nothing was spent",
        ] {
            assert!(said.contains(text), "no {text:?} in: {said}");
        }
        let hint = format!("hint: {hint}");
        assert!(
            said.lines().any(|line| line.trim() == hint),
            "no {hint:?} in: {said}"
        );
        let now = listing(&user.project());
        // OpenCode keeps its own name of a repository there, at whichever of its starts.
        let paths = now.keys().chain(before.keys());
        let paths = paths.filter(|path| !path.ends_with(".git/opencode"));
        let other: BTreeSet<_> = paths
            .filter(|path| now.get(*path) != before.get(*path))
            .collect();
        assert!(other.is_empty(), "{other:?}: {said}");
        assert!(!state.exists(), "{said}");
        user.deserted().await;
    };
    let unknown = ["--model", "mock/unheard-of"];
    refused(&unknown, "mock/unheard-of", "opencode models").await;
    let mut nobody = config(&model.url());
    nobody["enabled_providers"] = json!([]);
    nobody["provider"] = json!({});
    for name in ["model", "small_model"] {
        nobody.as_object_mut().expect("an object").remove(name);
    }
    user.home().configure(&nobody);
    refused(&[], "provider", "opencode auth login").await;
    std::fs::remove_file(user.home().path().join("bin/opencode")).expect("a link");
    let both = "npm install -g opencode-ai && opencode auth login";
    refused(&[], "there is no program `opencode`", both).await;
    assert_eq!(model.log().len(), 0, "no model was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_workers_of_a_user_with_mcp_servers_a_plugin_and_a_login_start_none_of_his_programs()
{
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|name| format!("word-{name}"));
    let jobs = names.iter().map(|name| Job::word(name)).collect();
    let crew = Crew::new("Add eight words.", jobs);
    let all = Gate::default();
    let held = all.clone();
    let model = Model::start(move |request| match Role::of(request) {
        // No Worker goes on before all of them are there.
        Role::Worker if request.step() == 0 => crew.answer(request).after(&held),
        _ => crew.answer(request),
    })
    .await;
    let user = User::new(
        env!("CARGO_BIN_EXE_orchestrator"),
        &model.url(),
        &[("base.txt", "base\n")],
    );
    let home = user.project().parent().unwrap().to_owned();
    let canary = home.join("canary");
    let touch = format!("echo x >> {}", canary.display());
    let config = home.join("config/opencode/opencode.json");
    let text = std::fs::read_to_string(&config).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["mcp"] = json!({
        "one": { "type": "local", "command": ["sh", "-c", touch] },
        "two": { "type": "local", "command": ["sh", "-c", touch], "enabled": true },
    });
    let plugin = home.join("plugin.js");
    let code = format!(
        "import fs from 'fs'\nexport default {{ id: 'c', server: async () => {{ fs.appendFileSync({canary:?}, 'x'); return {{}} }} }}"
    );
    std::fs::write(&plugin, code).unwrap();
    value["plugin"] = json!([format!("file://{}", plugin.display())]);
    // The key stands in his login and nowhere else.
    let options = value["provider"]["mock"]["options"].as_object_mut();
    options.unwrap().remove("apiKey");
    std::fs::write(&config, value.to_string()).unwrap();
    let data = home.join("data/opencode");
    std::fs::create_dir_all(&data).unwrap();
    let login = r#"{ "mock": { "type": "api", "key": "key-of-his-login" } }"#;
    std::fs::write(data.join("auth.json"), login).unwrap();

    let words = [
        "task",
        "Add eight words",
        "--allow",
        "shell",
        "--workers",
        "8",
    ];
    let running = user.start(&words);
    let workers = |log: &[Request]| log.iter().filter(|r| Role::of(r) == Role::Worker).count();
    model.until(|log| workers(log) == 8).await;
    all.open();
    let ran = running.end().await;
    println!("{} in {:?}", ran.said, ran.took);
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    assert!(!canary.exists(), "a program of the user ran: {}", ran.said);
    let keys = model.log().into_iter().map(|r| r.authorization);
    let keys: BTreeSet<_> = keys.collect();
    assert_eq!(keys, [Some("Bearer key-of-his-login".to_owned())].into());
    for name in &names {
        let file = format!("{name}.txt");
        assert!(user.files().contains_key(&file), "{file}: {}", ran.said);
    }
    user.deserted().await;
}

/// One call of the crew's model is 1,000 tokens: a cent.
const PRICE: f64 = 10.0;

#[tokio::test(flavor = "multi_thread")]
async fn no_turn_begins_past_the_cost_limit_and_a_person_may_raise_it() {
    let jobs = ["one", "two", "three"].map(Job::word).to_vec();
    let crew = Crew::new("Add three words.", jobs);
    let model = Model::start(move |request| crew.answer(request)).await;
    let user = User::new(
        env!("CARGO_BIN_EXE_orchestrator"),
        &model.url(),
        &[("README.md", "words\n")],
    );
    user.home().configure(&priced(&model.url(), PRICE));
    let limits = ["--workers", "1", "--reviews", "0", "--cost", "0.07"];
    let ran = user
        .run(
            &[
                &["task", "Add three words", "--allow", "shell"][..],
                &limits,
            ]
            .concat(),
        )
        .await;
    assert_eq!(ran.code, Some(4), "{}", ran.said);
    // Two cents for reading and planning, two for each task. A third one has no room: a turn reserves a quarter of the limit.
    for words in [
        "the cost limit is reached: $0.06 of $0.07",
        "used for 2 landed changes 4000 tokens, $0.04 (each 2000 tokens, $0.02); reading and planning 2000 tokens, $0.02",
        "model calls 6, $0.06 of $0.07",
        "at the price so far (a guess by the sizes of its tasks)",
    ] {
        assert!(ran.said.contains(words), "no {words:?} in: {}", ran.said);
    }
    assert_eq!(model.log().len(), 6, "nothing more is asked");
    let ran = user
        .run(&["resume", "--cost", "1", "--allow", "shell"])
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    assert!(ran.said.contains("$0.08 of $1.07"), "{}", ran.said);
    assert_eq!(
        model.log().len(),
        8,
        "only what had not landed is worked on"
    );
    user.deserted().await;
}

/// Calls before the first Worker's: the request is read, and the plan is written.
const PLANNING: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn a_running_turn_goes_past_the_cost_limit_by_one_call_at_most() {
    let jobs = vec![Job::word("one")];
    let crew = Crew::new("Add a word.", jobs);
    // A Worker that writes one file after the other and never comes to an end. From the ninth on no call is answered: how
    // many more begin before it is heard that the eighth went past the limit is no matter of this machine's speed then.
    let (asked, never) = (AtomicUsize::new(0), Gate::default());
    let model = Model::start(move |request| match Role::of(request) {
        Role::Worker => {
            let n = request.messages.len();
            let file = json!({ "filePath": format!("{n}.txt"), "content": "more\n" });
            let reply = Reply::call("write", file).tokens(Tokens::new(900, 100, 500));
            match asked.fetch_add(1, Ordering::Relaxed) < 8 - PLANNING {
                true => reply,
                false => reply.after(&never),
            }
        }
        _ => crew.answer(request),
    })
    .await;
    let user = User::new(
        env!("CARGO_BIN_EXE_orchestrator"),
        &model.url(),
        &[("README.md", "words\n")],
    );
    user.home().configure(&priced(&model.url(), PRICE));
    let ran = user
        .run(&[
            "task",
            "Add a word",
            "--allow",
            "shell",
            "--reviews",
            "0",
            "--cost",
            "0.07",
        ])
        .await;
    assert_eq!(ran.code, Some(1), "{}", ran.said);
    assert!(
        ran.said.contains("the cost limit is reached"),
        "{}",
        ran.said
    );
    assert!(ran.said.contains("$0.08 of $0.07"), "{}", ran.said);
    // Seven calls are paid for, and the eighth goes past the limit. When it is told, the next one may have begun, and is
    // broken off.
    let calls = model.log().len();
    assert!((8..=9).contains(&calls), "{calls} calls: {}", ran.said);
    user.deserted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_answer_what_opencode_asks_for_and_what_the_user_denies_there_is_never_allowed() {
    let crew = Crew::new("Add a word.", vec![Job::word("word-a")]);
    let model = Model::start(move |request| {
        let reply = crew.answer(request);
        let bash = |command| json!({ "command": command, "description": "does it" });
        // OpenCode takes one refusal for all that waits, so what is allowed comes by itself.
        match (Role::of(request), request.step()) {
            (Role::Worker, 0) => reply
                .and_call("bash", bash("git push origin main"))
                .and_call("bash", bash("rm -f nothing")),
            (Role::Worker, 1) => Reply::call("bash", bash("echo hello $(nice)")),
            _ => reply,
        }
    })
    .await;
    let user = User::new(env!("CARGO_BIN_EXE_orchestrator"), &model.url(), PROJECT);
    let mut settings = config(&model.url());
    settings["permission"] = json!({ "bash": { "git push *": "deny" } });
    user.home().configure(&settings);
    let place = user.home().config_dir();
    let place = place.parent().expect("a folder of all programs");
    let place = place.join("opencode-orchestrator");
    std::fs::create_dir_all(&place).expect("a folder");
    let rule = |action: &str, pattern: &str| {
        format!("[[rules]]\naction = \"{action}\"\nkind = \"bash\"\npattern = \"{pattern}\"\n")
    };
    let rules = [rule("allow", "*"), rule("deny", "rm *")].concat();
    std::fs::write(place.join("config.toml"), rules).expect("a file");
    // Nobody is there, and nothing is allowed beforehand but by the rules.
    let ran = user.run(&["task", "Add a word"]).await;
    let said = &ran.said;
    assert_eq!(ran.code, Some(0), "{said}");
    let answered = |text: &str| assert!(said.contains(text), "{text}: {said}");
    answered("asks: run: echo hello $(nice)");
    answered("answered by policy: rule 1: allow");
    answered("asks: run: rm -f nothing");
    answered("answered by policy: rule 2: deny");
    assert!(
        !said.contains("run: git push"),
        "it is not even asked: {said}"
    );
    // It ran behind the engine, as all that agents start.
    let own = rustix::process::getpriority_process(None).expect("a priority");
    let hello = format!("hello {}", (own + 5).min(19));
    let heard = |request: &Request| request.results().iter().any(|it| it.contains(&hello));
    assert!(model.log().iter().any(heard), "{hello}");
    user.deserted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_model_stands_in_while_a_provider_refuses_for_long() {
    let crew = Crew::new("Add two words.", ["one", "two"].map(Job::word).to_vec());
    let other = crew.clone();
    let refusing = Model::start(move |request| match Role::of(request) {
        Role::Worker => Reply::busy("300"),
        _ => crew.answer(request),
    })
    .await;
    let standing_in = Model::start(move |request| other.answer(request)).await;
    let user = User::new(
        env!("CARGO_BIN_EXE_orchestrator"),
        &refusing.url(),
        &[("README.md", "words\n")],
    );
    let mut settings = config(&refusing.url());
    settings["provider"]["other"] = config(&standing_in.url())["provider"]["mock"].clone();
    settings["enabled_providers"] = json!(["mock", "other"]);
    user.home().configure(&settings);
    let request = ["task", "Add two words", "--allow", "shell"];
    let ran = user
        .run(&[&request[..], &["--fallback", "other/m1"]].concat())
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    let told = "other/m1 stood in for the worker's own model";
    assert!(ran.said.contains(told), "{}", ran.said);
    assert!(
        !ran.said.contains("T1.2") && !ran.said.contains("T2.2"),
        "no attempt is lost: {}",
        ran.said
    );
    let works = |model: &Model| {
        let log = model.log();
        log.iter().filter(|r| Role::of(r) == Role::Worker).count()
    };
    assert!(
        works(&refusing) <= 2,
        "each Worker asks it once at the most"
    );
    assert_eq!(works(&standing_in), 4, "two tasks of two calls");
    user.deserted().await;
}

/// What the first Worker of a lane is told, reads and says is in no request of the next one in the same workspace, and at
/// the end nothing of either is left at the host.
#[tokio::test(flavor = "multi_thread")]
async fn a_lanes_next_task_is_told_nothing_of_the_one_before_and_no_session_outlives_the_mission() {
    const READ: &str = "secret-that-is-read";
    const SAID: &str = "secret-that-is-said";
    let crew = Crew::new("Add words.", vec![Job::word("alpha"), Job::word("beta")]);
    let goals: Vec<String> = crew.jobs().iter().map(Job::goal).collect();
    let model = Model::start(move |request| {
        let is_first = crew.job(request).is_some_and(|job| job.name() == "alpha");
        match (Role::of(request), request.step()) {
            (Role::Worker, 0) if is_first => {
                let folder = request.folder().expect("a Worker has a folder");
                let file = format!("{folder}/notes.txt");
                Reply::call("read", json!({ "filePath": file }))
            }
            (Role::Worker, 1) if is_first => {
                let folder = request.folder().expect("a Worker has a folder");
                let file = format!("{folder}/alpha.txt");
                Reply::call("write", json!({ "filePath": file, "content": "alpha\n" }))
            }
            (Role::Worker, _) if is_first => {
                Reply::fenced(&json!({ "status": "done", "summary": SAID, "notes": [SAID] }))
            }
            _ => crew.answer(request),
        }
    })
    .await;
    let files = [("notes.txt", READ)];
    let user = User::new(env!("CARGO_BIN_EXE_orchestrator"), &model.url(), &files);
    let words = ["task", "Add words", "--allow", "shell", "--yes"];
    let lanes = ["--workers", "1", "--reviews", "0"];
    let ran = user.run(&[&words[..], &lanes].concat()).await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    let log = model.log();
    let of = |goal: &str| -> Vec<&Request> {
        let told = log.iter().filter(|r| Role::of(r) == Role::Worker);
        told.filter(|r| r.body.to_string().contains(goal)).collect()
    };
    let (first, next) = (of(&goals[0]), of(&goals[1]));
    let holds = |requests: &[&Request], secret: &str| {
        let mut bodies = requests.iter().map(|r| r.body.to_string());
        bodies.any(|body| body.contains(secret))
    };
    assert!(holds(&first, READ), "the first one reads it");
    assert_eq!(next.len(), 2, "it writes and it reports");
    assert_eq!(
        next[0].folder(),
        first[0].folder(),
        "they share a workspace"
    );
    assert_ne!(next[0].session, first[0].session, "and no session");
    for secret in [READ, SAID, &goals[0], "alpha"] {
        assert!(!holds(&next, secret), "the next one is told {secret}");
    }
    // Of the Commander, the Planner and two Workers.
    let told = "sessions: 4 opened, 0 times gone on with, 4 closed";
    assert!(ran.said.contains(told), "{}", ran.said);
    let looked = user.run(&["status", "m1"]).await;
    assert!(looked.said.contains(told), "{}", looked.said);
    let log = user.run(&["log", "--why"]).await;
    assert!(log.said.contains("is closed: replaced"), "{}", log.said);
    assert!(
        log.said.contains("worker lane 1 works in another"),
        "{}",
        log.said
    );
    assert_eq!(kept_at_the_host(&user), 0);
    user.deserted().await;
}

/// What a mission has noted.
async fn recorded(user: &User) -> Vec<Recorded> {
    let log = user.run(&["log", "m1", "--json"]).await;
    let lines = log.said.lines();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// How many sessions OpenCode's own store holds.
fn kept_at_the_host(user: &User) -> u32 {
    let store = user.home().data_dir().join("opencode.db");
    assert!(store.is_file(), "OpenCode keeps its sessions there");
    let ask = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('select count(*) from session').fetchone()[0])";
    let asked = std::process::Command::new("python3")
        .args(["-c", ask])
        .arg(&store)
        .output()
        .expect("Python runs");
    let said = String::from_utf8_lossy(&asked.stdout);
    let errors = String::from_utf8_lossy(&asked.stderr);
    said.trim()
        .parse()
        .unwrap_or_else(|_| panic!("{said}{errors}"))
}
