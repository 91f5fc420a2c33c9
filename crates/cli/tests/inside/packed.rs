//! From the packed files into an empty home, and into the real OpenCode from there.

use crate::house::{House, PROGRAM, kill, within};
use crate::tui::{Screen, stands};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use testkit::model::{Gate, Model};
use testkit::opencode;
use testkit::user::User;
use tokio::process::Command;

/// What a command printed; it has to end well.
async fn output(command: &mut Command) -> String {
    let output = within("the end of a command", command.kill_on_drop(true).output()).await;
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {said}{told}");
    said
}

/// The command that packs.
fn pack() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pack"))
}

/// The packages of this program, with what npm would otherwise ask a registry for left out.
async fn packages(into: &Path) -> Vec<PathBuf> {
    let mut command = pack();
    command.args(["--program", PROGRAM, "--into"]);
    let said = output(command.arg(into)).await;
    let files = said.lines().filter(|line| line.ends_with(".tgz"));
    files.map(PathBuf::from).collect()
}

/// Installs packages into a folder as OpenCode does: without running anything of theirs.
async fn install(user: &User, folder: &Path, words: &[&str], packages: &[PathBuf]) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("package.json"), "{}").unwrap();
    let mut npm = user.command("npm".as_ref());
    npm.args(["install", "--offline", "--ignore-scripts", "--no-audit"]);
    npm.args(["--no-fund", "--no-update-notifier"]);
    output(npm.args(words).args(packages).current_dir(folder)).await;
}

fn package(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file.join("package.json")).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_packed_is_installed_into_an_empty_home_and_starts_the_engine() {
    let model = Model::start(|_| unreachable!("a status asks no model")).await;
    let user = User::new("none", &model.url(), &[("a.txt", "a\n")]);
    let packages = packages(&user.home().path().join("packages")).await;
    assert_eq!(packages.len(), 2, "{packages:?}");
    // Where OpenCode would have put it for `opencode-orchestrator` in its configuration.
    let cache = user.home().path().join("cache/opencode/packages");
    let folder = cache.join("opencode-orchestrator@latest");
    install(&user, &folder, &[], &packages).await;

    let modules = folder.join("node_modules");
    let plugin = package(&modules.join("opencode-orchestrator"));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(plugin["version"], version);
    let scripts = plugin["scripts"].as_object().unwrap();
    assert!(!scripts.keys().any(|name| name.contains("install")));
    let optional = plugin["optionalDependencies"].as_object().unwrap();
    assert_eq!(optional.len(), 4);
    assert!(optional.values().all(|asked| asked == version));
    let engines = fs::read_dir(modules.join("@opencode-orchestrator")).unwrap();
    let engines: Vec<PathBuf> = engines.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(engines.len(), 1, "{engines:?}");
    let name = engines[0].strip_prefix(&modules).unwrap().to_str().unwrap();
    assert!(optional.contains_key(name), "{name} {optional:?}");
    let engine = package(&engines[0]);
    assert_eq!(engine["version"], version);
    assert_eq!(engine["scripts"], Value::Null);
    for page in engine["man"].as_array().unwrap() {
        assert!(engines[0].join(page.as_str().unwrap()).is_file(), "{page}");
    }
    assert!(engines[0].join("completions/orchestrator.bash").is_file());

    let linked = modules.join(".bin/orchestrator");
    let said = output(user.command(&linked).arg("--version")).await;
    assert_eq!(said, format!("orchestrator {version}\n"));
    // For everybody on the machine: the program is found by its name, and `man` finds its pages.
    let everywhere = user.home().path().join("everywhere");
    install(
        &user,
        &everywhere,
        &["--global", "--prefix", "."],
        &packages,
    )
    .await;
    let global = everywhere.join("bin/orchestrator");
    assert_eq!(output(user.command(&global).arg("--version")).await, said);
    assert!(
        everywhere
            .join("share/man/man1/orchestrator-task.1")
            .exists()
    );
    let program = engines[0].join("orchestrator");
    let house = House { user, model };
    loads(&house, &program).await;

    // The script of the package is the command, under the name that users know.
    let user = &house.user;
    let mut npm = user.command("npm".as_ref());
    npm.args(["run", "cleanup:plugin", "--", "--even-here"]);
    output(npm.current_dir(modules.join("opencode-orchestrator"))).await;
    let config = fs::read_to_string(user.home().config_dir().join("opencode.json")).unwrap();
    assert!(!config.contains("opencode-orchestrator"), "{config}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_installed_works_on_the_screen_and_a_mission_that_runs_is_found_again() {
    let (model, gates) = crate::tui::held().await;
    let user = User::new(PROGRAM, &model.url(), &[("a.txt", "a\n")]);
    user.home().knows_all_models();
    let house = House { user, model };
    let installed = house.user.run(&["install", "--even-here"]).await;
    assert_eq!(installed.code, Some(0), "{}", installed.said);
    let mut screen = Screen::open(&house, &[]).await;
    screen.shows("Ask anything").await;
    screen.types("/task Add one and two").await;
    screen.shows("- T1 working: Add one").await;
    screen.quit().await;
    assert!(house.service().is_some(), "the mission goes on");

    // Nothing but OpenCode is started, in the same folder.
    let mut screen = Screen::sized(&house, &[], 160).await;
    screen.shows("Ask anything").await;
    let seen = screen.shows("m1 0/2").await;
    println!("{seen}");
    screen.writes("/mission", "/mission").await;
    screen.tmux(&["send-keys", "Enter"]).await;
    let seen = screen.shows("T1    working").await;
    println!("{seen}");
    gates.iter().for_each(Gate::open);
    screen.shows("m1 completed: Add one and two").await;
    crate::tui::nothing_but_the_mission(&house.model);
    screen.quit().await;
    assert!(house.user.files().contains_key("two.txt"));
    house.ends().await;
}

/// The real OpenCode loads the plugin by its name, into its server and onto its screen, and a command that is typed
/// reaches the program of the package.
async fn loads(house: &House, program: &Path) {
    let mut config = opencode::config(&house.model.url());
    let named = json!(["opencode-orchestrator"]);
    config["plugin"] = named.clone();
    let home = house.user.home();
    home.configure(&config);
    let file = home.config_dir().join("tui.json");
    fs::write(file, json!({ "plugin": named }).to_string()).unwrap();
    let mut screen = Screen::open(house, &[]).await;
    screen.shows("Ask anything").await;
    screen.types("/task").await;
    screen.shows("say what you want").await;
    let line = format!("{} serve", program.display());
    let running = house.user.processes();
    let found = running.iter().find(|(_, words)| words.starts_with(&line));
    let (engine, _) = found.unwrap_or_else(|| panic!("{running:#?}"));
    screen
        .until("the command again", |seen| stands(seen, "/task"))
        .await;
    screen.tmux(&["send-keys", "C-u"]).await;
    screen.writes("/mission", "/mission").await;
    screen.tmux(&["send-keys", "Enter"]).await;
    screen.shows("There is no mission here yet").await;
    screen.tmux(&["send-keys", "Escape"]).await;
    screen
        .until("the conversation", |seen| !seen.contains("esc back"))
        .await;
    screen.quit().await;
    kill(*engine, Signal::TERM);
    house.user.deserted().await;
}

#[tokio::test]
async fn a_program_that_needs_a_newer_glibc_is_known() {
    let mut command = pack();
    command.args(["--needs", PROGRAM]);
    let said = output(&mut command).await;
    // What a plain build asks for is what the machine that builds has, and that is never so old.
    assert!(
        said.contains("needs glibc 2.") && !said.contains("2.17 "),
        "{said}"
    );
}
