//! What the user has: his logins count, his programs stay off, and nobody but us talks to our server.

use crate::world::{World, alone, shared};
use agents::Agent as _;
use mission::turn::{Outcome, Role};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Stdio;
use testkit::model::Reply;
use testkit::opencode::Home;

fn report() -> Reply {
    Reply::fenced(&json!({ "status": "done", "summary": "did it" }))
}

fn write(file: &str) -> Reply {
    Reply::call("write", json!({ "filePath": file, "content": "x\n" }))
}

/// What a program of the user leaves behind when it runs.
fn canary(home: &Home, name: &str) -> PathBuf {
    home.path().join(format!("canary-{name}"))
}

const PROGRAMS: [&str; 5] = ["mcp", "mcp2", "plugin", "formatter", "tool"];

/// Two MCP servers, a plugin, a formatter and a tool, each of which leaves a trace.
fn programs(home: &Home) {
    let touch = |name: &str| format!("echo x >> {}", canary(home, name).display());
    let plugin = home.path().join("plugin.js");
    let code = format!(
        "import fs from 'fs'\nexport default {{ id: 'c', server: async () => {{ fs.appendFileSync({:?}, 'x'); return {{}} }} }}",
        canary(home, "plugin")
    );
    std::fs::write(&plugin, code).unwrap();
    let tools = home.config_dir().join("tool");
    std::fs::create_dir_all(&tools).unwrap();
    let code = format!(
        "import fs from 'fs'\nfs.appendFileSync({:?}, 'x')\nexport default {{ description: 'd', args: {{}}, execute: async () => 'x' }}",
        canary(home, "tool")
    );
    std::fs::write(tools.join("mine.js"), code).unwrap();
    let mut config = configured(home);
    config["plugin"] = json!([format!("file://{}", plugin.display())]);
    config["mcp"] = json!({
        "one": { "type": "local", "command": ["sh", "-c", touch("mcp")] },
        "two": { "type": "local", "command": ["sh", "-c", touch("mcp2")], "enabled": true },
    });
    config["formatter"] = json!({
        "mine": { "command": ["sh", "-c", touch("formatter"), "$FILE"], "extensions": [".txt"] },
    });
    home.configure(&config);
}

fn configured(home: &Home) -> Value {
    let before = std::fs::read(home.config_dir().join("opencode.json")).unwrap();
    serde_json::from_slice(&before).unwrap()
}

#[test]
fn nothing_of_the_user_but_the_files_of_his_tools_is_run_for_eight_workers() {
    alone(async {
        let world = World::with(programs, |_| {}).await;
        let probe = world
            .opencode
            .probe(&world.home.project(), Role::Worker, None)
            .await
            .unwrap();
        assert_eq!(
            (probe.model.as_str(), probe.because),
            ("mock/m1", "set in the configuration")
        );
        assert_eq!(probe.mcp_off, ["one", "two"]);
        world.stage.on("eight-", |r| match r.step() {
            0 => write("x.txt"),
            _ => report(),
        });
        let orders = (0..8).map(|n| world.order(Role::Worker, &format!("eight-{n}")));
        let outcomes = futures_util::future::join_all(orders.map(|order| world.run(order))).await;
        for outcome in outcomes {
            assert!(matches!(outcome, Outcome::Answered { .. }), "{outcome:?}");
        }
        let left = |world: &World| PROGRAMS.map(|name| canary(&world.home, name).exists());
        // OpenCode 1.18.33 has no way to leave the last ones out: their files are run, and no agent of ours is offered them.
        let last = [false, false, false, false, true];
        assert_eq!(left(&world), last, "of {PROGRAMS:?}");
        let log = world.log("eight-");
        let offered = log.iter().any(|request| request.offers("mine"));
        assert!(!log.is_empty() && !offered, "a tool of the user's own");
        world.opencode.close().await;
        // The same user without us: all of them are found and started.
        world.stage.on("control", |r| match r.step() {
            0 => write("y.txt"),
            _ => Reply::text("Done."),
        });
        let ran = tokio::process::Command::new(testkit::opencode::program())
            .args(["run", "control"])
            .envs(world.home.env())
            .current_dir(world.home.project())
            // It believes this more than where it is.
            .env("PWD", world.home.project())
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        assert_eq!(left(&world), [true; 5], "of {PROGRAMS:?}: {ran:?}");
    });
}

#[test]
fn what_the_user_tells_an_agent_of_ours_is_told_to_it() {
    alone(async {
        let world = World::with(
            |home| {
                let mut config = configured(home);
                config["agent"]["orchestrator-worker"] = json!({ "prompt": "Mind the tabs." });
                home.configure(&config);
            },
            |_| {},
        )
        .await;
        world.stage.on("told", |_| report());
        let outcome = world.run(world.order(Role::Worker, "told")).await;
        assert!(matches!(outcome, Outcome::Answered { .. }), "{outcome:?}");
        let system = world.log("told")[0].system.clone();
        let wish = system.find("Mind the tabs.").expect("it is told");
        let form = system
            .find("End your last message")
            .expect("the form stays");
        assert!(
            system.starts_with("You are a Worker.") && wish < form,
            "{system}"
        );
        world.opencode.close().await;
    });
}

#[test]
fn a_login_of_the_user_is_used() {
    alone(async {
        let world = World::with(
            |home| {
                std::fs::create_dir_all(home.data_dir()).unwrap();
                let login = json!({ "mock": { "type": "api", "key": "key-of-his-login" } });
                std::fs::write(home.data_dir().join("auth.json"), login.to_string()).unwrap();
                let mut config = configured(home);
                let options = &mut config["provider"]["mock"]["options"];
                options.as_object_mut().unwrap().remove("apiKey");
                home.configure(&config);
            },
            |_| {},
        )
        .await;
        world.stage.on("logged-in", |_| report());
        let outcome = world.run(world.order(Role::Worker, "logged-in")).await;
        assert!(matches!(outcome, Outcome::Answered { .. }), "{outcome:?}");
        let shown = world.log("logged-in")[0].authorization.clone();
        assert_eq!(shown.as_deref(), Some("Bearer key-of-his-login"));
        world.opencode.close().await;
    });
}

#[test]
fn nobody_without_our_password_is_served() {
    shared(async |world| {
        let (port, password) = world.door();
        assert!(password.len() >= 64, "it is not to be guessed");
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        for path in [
            "/global/health",
            "/global/event",
            "/event",
            "/session",
            "/doc",
        ] {
            let url = format!("http://127.0.0.1:{port}{path}");
            for password in [None, Some("opencode")] {
                let mut asked = http.get(&url);
                if let Some(password) = password {
                    asked = asked.basic_auth("opencode", Some(password));
                }
                let answer = asked.send().await.unwrap();
                assert_eq!(answer.status(), 401, "{path} {password:?}");
            }
            // OpenCode takes the same in an address, too.
            let answer = http.get(format!("{url}?auth_token=b3BlbmNvZGU6eA=="));
            assert_eq!(answer.send().await.unwrap().status(), 401, "{path}");
        }
        asked_by_a_page(&http, port, &password).await;
    });
}

/// A page in a browser comes no further than the password, whatever it says of itself; whoever has that is asked nothing
/// else by OpenCode 1.18.33, neither where a page is from nor for whom it takes the server.
async fn asked_by_a_page(http: &reqwest::Client, port: u16, password: &str) {
    use reqwest::Method;
    for origin in ["http://evil.example", "http://localhost:3000", "null"] {
        for host in ["127.0.0.1", "evil.example"] {
            let ask = |method: Method| {
                let url = format!("http://127.0.0.1:{port}/session");
                let asked = http.request(method, url).header("origin", origin);
                asked.header("host", format!("{host}:{port}"))
            };
            let posted = ask(Method::POST).header("content-type", "text/plain");
            let posted = posted.body("{}").send().await.unwrap();
            assert_eq!(posted.status(), 401, "{origin} {host}");
            // A browser asks this by itself before it sends what is not plain, and sends it if its page is named.
            let asked = ask(Method::OPTIONS).header("access-control-request-method", "POST");
            let asked = asked.send().await.unwrap();
            let named = asked.headers().get("access-control-allow-origin");
            assert_eq!(asked.status(), 204, "{origin} {host}");
            assert_eq!(named.is_some(), origin.contains("localhost"), "{asked:?}");
            let known = ask(Method::GET).basic_auth("opencode", Some(password));
            assert_eq!(known.send().await.unwrap().status(), 200, "{origin} {host}");
        }
    }
}
