//! Whatever is wrong with the engine, OpenCode works as without the plugin, and says what is wrong.

use crate::house::{House, Server};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixListener as Plain;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixListener;

/// A command comes to nothing, a toast says why, and the user's prompt is answered as ever.
async fn is_harmless(house: &House, server: &Server, says: &str) {
    let session = server.session().await;
    let mut events = server.events().await;
    assert_eq!(
        server.command(&session, "task", "Add one and two").await,
        500
    );
    let seen = events.until(says).await;
    assert!(seen.contains("tui.toast.show"), "{seen}");
    talks(house, server, &session).await;
    assert!(
        server
            .texts(&session)
            .await
            .iter()
            .all(|(text, _)| !text.contains("Add one and two"))
    );
}

/// An ordinary prompt is answered.
pub(crate) async fn talks(house: &House, server: &Server, session: &str) {
    let before = house.model.log().len();
    let (status, answer) = server.say(session, "Hello there").await;
    assert_eq!(status, 200, "{answer}");
    let log = house.model.log();
    assert!(
        log[before..]
            .iter()
            .any(|request| request.asked() == "Hello there")
    );
    let body = log.last().unwrap().body.to_string();
    assert!(
        !body.contains("orchestrator"),
        "nothing of ours is in a plain request: {body}"
    );
}

/// The folder of sockets as an engine would make it.
pub(crate) fn folder(house: &House) -> std::path::PathBuf {
    let folder = house.sockets();
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

/// Somebody on the engine's socket who answers each line as told; no answer, and the connection stands.
pub(crate) fn instead(
    house: &House,
    answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
) {
    let listener = UnixListener::bind(folder(house).join("service.sock")).unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                while stream.read_line(&mut line).await.is_ok_and(|n| n > 0) {
                    let Some(answer) = answer(&line) else {
                        break;
                    };
                    if !answer.is_empty() {
                        stream.get_mut().write_all(answer.as_bytes()).await.ok();
                    }
                    line.clear();
                }
                // A connection to which nothing more is said stands, until the test is over.
                std::future::pending::<()>().await;
                drop(stream);
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_program_it_says_so() {
    let house = House::new().await;
    house.engine("/nowhere/orchestrator".as_ref());
    let server = house.serve().await;
    is_harmless(&house, &server, "there is no program /nowhere/orchestrator").await;
    drop(server);
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ends_at_once_is_quoted() {
    let house = House::new().await;
    let program = house.user.home().path().join("bin/broken");
    fs::write(
        &program,
        "#!/bin/sh\necho 'no room on the moon' >&2\nexit 3\n",
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    house.engine(&program);
    let server = house.serve().await;
    is_harmless(&house, &server, "no room on the moon").await;
    drop(server);
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_never_says_who_it_is_costs_a_second() {
    let house = House::new().await;
    instead(&house, |_| Some(String::new()));
    let server = house.serve().await;
    is_harmless(&house, &server, "the engine does not answer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_never_answers_costs_a_second() {
    let house = House::new().await;
    let welcome = json!({ "talk": 1, "version": env!("CARGO_PKG_VERSION") });
    instead(&house, move |line| {
        let hello = line.contains("\"talk\"");
        Some(if hello {
            format!("{welcome}\n")
        } else {
            String::new()
        })
    });
    let server = house.serve().await;
    is_harmless(&house, &server, "the engine does not answer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_that_is_at_it_comes_to_is_told_when_it_is_there() {
    let house = House::new().await;
    let welcome = json!({ "talk": 1, "version": env!("CARGO_PKG_VERSION") });
    let typed = Mutex::new(Vec::new());
    instead(&house, move |line| {
        let said: Value = serde_json::from_str(line).unwrap();
        if said["talk"].is_number() {
            return Some(format!("{welcome}\n"));
        }
        // The first command is taken, and answered when the second one is typed.
        let mut typed = typed.lock().unwrap();
        typed.push(said["id"].clone());
        let id = &said["id"];
        let answer = |id: &Value, say: &str| json!({ "id": id, "say": say, "variant": "info" });
        let lines = match &typed[..] {
            [_] => vec![json!({ "id": id, "taken": true })],
            [first, _] => vec![
                answer(first, "the first is done"),
                answer(id, "this as well"),
            ],
            _ => return None,
        };
        Some(lines.iter().map(|line| format!("{line}\n")).collect())
    });
    let server = house.serve().await;
    let mut talk = server.talk().await;
    // Where the machine is so busy that even that took longer than a second, it is said that nobody answers; what comes of
    // it is told all the same.
    talk.types("resume", "", "\"message\":\"the engine ").await;
    talk.types("status", "", "the first is done").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_another_version_is_named() {
    let house = House::new().await;
    let server = house.serve().await;
    let session = server.session().await;
    server.command(&session, "status", "").await;
    drop(server);
    let package = house.plugin().join("package.json");
    let text = fs::read_to_string(&package).unwrap();
    let version = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(
        text.contains(&version),
        "the plugin's version is the program's: {text}"
    );
    fs::write(&package, text.replace(&version, "\"version\": \"0.0.1\"")).unwrap();
    let server = house.serve().await;
    is_harmless(&house, &server, "start OpenCode anew").await;
    drop(server);
    house.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_speaks_another_language_is_left_alone() {
    let house = House::new().await;
    instead(&house, |_| {
        Some("HTTP/1.1 400 Bad Request\r\n\r\n".to_owned())
    });
    let server = house.serve().await;
    is_harmless(&house, &server, "speaks another language").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_others_may_write_to_is_refused() {
    let house = House::new().await;
    fs::set_permissions(folder(&house), fs::Permissions::from_mode(0o777)).unwrap();
    drop(Plain::bind(house.sockets().join("service.sock")).unwrap());
    let server = house.serve().await;
    is_harmless(&house, &server, "is open to other users").await;
    assert_eq!(house.service(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_socket_of_the_user_is_refused_and_left_alone() {
    let house = House::new().await;
    let (kept, at) = (
        house.sockets().join("kept"),
        folder(&house).join("service.sock"),
    );
    fs::write(&kept, "kept").unwrap();
    symlink(&kept, &at).unwrap();
    let server = house.serve().await;
    is_harmless(&house, &server, "is not a socket of yours").await;
    assert_eq!(fs::read_to_string(&kept).unwrap(), "kept");
    assert!(at.is_symlink());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_another_user_is_refused_and_left_alone() {
    let house = House::new().await;
    let at = folder(&house).join("service.sock");
    let listens = Plain::bind(&at).unwrap();
    if let Err(error) = chown(&at, Some(1), None) {
        // Nobody but root can give one away, and there is no other way to make one. Where everything has to be shown, that is
        // not left out.
        assert!(std::env::var_os("CI").is_none(), "run it as root");
        return assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    }
    let server = house.serve().await;
    is_harmless(&house, &server, "is not a socket of yours").await;
    listens.set_nonblocking(true).unwrap();
    assert!(listens.accept().is_err(), "nobody talked to it");
    assert!(at.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_the_users_own_stays_theirs() {
    let house = House::new().await;
    let commands = house.user.home().config_dir().join("command");
    fs::create_dir_all(&commands).unwrap();
    fs::write(commands.join("task.md"), "My own task: $ARGUMENTS\n").unwrap();
    let server = house.serve().await;
    let session = server.session().await;
    assert_eq!(
        server.command(&session, "task", "water the plants").await,
        200
    );
    let log = house.model.log();
    assert!(
        log.iter()
            .any(|request| request.asked().contains("My own task: water the plants"))
    );
    assert_eq!(house.service(), None);
    let listed = server.get("/command").await.to_string();
    assert!(
        listed.contains("\"stop\""),
        "the others are there: {listed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn inside_the_engines_own_servers_there_is_no_plugin() {
    let house = House::new().await;
    let mut command = house.opencode();
    command
        .args(["debug", "config"])
        .env("ORCHESTRATOR_INSIDE", "1");
    let output = command.output().await.unwrap();
    let config = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && config.contains("\"mock/m1\""),
        "{config}"
    );
    assert!(!config.contains("orchestrator plugin"), "{config}");
}
