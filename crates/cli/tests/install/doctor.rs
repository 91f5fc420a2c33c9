//! What the doctor finds, and what it does when it is told to.

use super::{Home, Ran, mode, ran};
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;
use testkit::opencode;
use testkit::terminal::Terminal;

/// The programs of a user: those named, and nothing else that the machine has.
fn programs(home: &Home, names: &[&str]) -> PathBuf {
    let bin = home.path().join("bin");
    fs::create_dir_all(&bin).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    for name in names.iter().filter(|name| !bin.join(name).exists()) {
        let found = match *name {
            "opencode" => opencode::program(),
            name => {
                let mut all = std::env::split_paths(&path).map(|folder| folder.join(name));
                all.find(|path| path.is_file()).unwrap()
            }
        };
        symlink(found, bin.join(name)).unwrap();
    }
    bin
}

fn command(home: &Home, names: &[&str], words: &[&str]) -> Command {
    let bin = programs(home, names);
    let project = home.path().join("project");
    fs::create_dir_all(&project).unwrap();
    let mut command = home.command(&[&["doctor"], words].concat());
    command.env("PATH", bin).current_dir(project);
    for what in ["AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "SHARE"] {
        command.env(format!("OPENCODE_DISABLE_{what}"), "1");
    }
    command
}

/// What it says to machines.
struct Told {
    code: Option<i32>,
    all: Value,
}

impl Told {
    fn new(ran: &Ran) -> Self {
        let all = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"));
        Self {
            code: ran.code,
            all,
        }
    }

    /// The finding about something, checked for its verdict and for what it says.
    #[track_caller]
    fn finds(&self, about: &str, verdict: &str, saying: &str) -> &Value {
        let all = self.all["findings"].as_array().unwrap();
        let found = all.iter().filter(|found| found["about"] == about);
        let fits =
            |found: &&Value| found["verdict"] == verdict && found.to_string().contains(saying);
        let fitting = found.clone().find(fits);
        fitting.unwrap_or_else(|| panic!("{about}: {:#?}", found.collect::<Vec<_>>()))
    }
}

/// Without OpenCode, which takes seconds to start and is not what is looked at.
fn without_opencode(home: &Home) -> Told {
    Told::new(&ran(&mut command(home, &["git"], &["--json"])))
}

/// A user of OpenCode with a model that is never asked.
fn with_model(home: &Home, more: (&str, Value)) {
    let mut config = opencode::config("http://127.0.0.1:9/v1");
    config[more.0] = more.1;
    home.write("opencode.json", config.to_string());
}

#[test]
fn where_all_is_well_it_says_what_opencode_loads_and_ends_with_nought() {
    let home = Home::new();
    with_model(&home, ("username", "ada".into()));
    home.install().ends(0, &[]);
    home.run(&["list"]).ends(0, &[]);
    // Not noted as fetched yet: then OpenCode would wait for a registry, and that is offered to be mended.
    let told = without_opencode(&home);
    told.finds("first start", "note", "--fix");
    assert_eq!(told.code, Some(1), "there is no OpenCode");
    told.finds("model", "broken", "npm install -g opencode-ai");

    let words = ["--fix", "--yes", "--json"];
    let fixed = ran(&mut command(&home, &["git", "opencode"], &words));
    assert!(
        fixed.err.contains("done: write an empty node_modules"),
        "{fixed:?}"
    );
    let told = Told::new(&fixed);
    told.finds("first start", "good", opencode::VERSION);
    told.finds("configuration", "good", "the list that counts");
    told.finds("configuration", "good", "installed for OpenCode's screen");
    let loaded = told.finds("loaded", "good", "ours among them");
    let from = format!("file://{} from {}", home.entry(), home.config().display());
    assert!(
        loaded["told"].as_array().unwrap().contains(&from.into()),
        "{loaded}"
    );
    told.finds("model", "good", "model mock/m1 (set in the configuration)");
    told.finds("git", "good", "2.");
    told.finds("store", "good", "every link holds");
    told.finds("confinement", "note", "with your rights");
    told.finds("program", "note", "build folder");
    assert_eq!(told.code, Some(0), "{:#}", told.all);

    let screen = home.config().join("tui.jsonc");
    let text = fs::read(&screen).unwrap();
    fs::remove_file(&screen).unwrap();
    let told = without_opencode(&home);
    told.finds(
        "configuration",
        "note",
        "not installed for OpenCode's screen",
    );
    fs::write(&screen, text).unwrap();

    let plain = ran(&mut command(&home, &[], &[]));
    assert_eq!(plain.code, Some(0), "{plain:?}");
    assert!(
        plain.out.contains("good    model            OpenCode"),
        "{}",
        plain.out
    );
}

#[test]
fn an_entry_that_does_not_count_is_found_and_mended() {
    let home = Home::new();
    let dead = format!("{{\"plugin\": [\"{}\"]}}", home.entry());
    home.write("opencode.json", &dead);
    home.write("opencode.jsonc", "{\"plugin\": []}");
    let told = without_opencode(&home);
    let found = told.finds("configuration", "broken", "does not count");
    let why = "counts for nothing, because opencode.jsonc has a list";
    assert!(found.to_string().contains(why), "{found}");
    assert_eq!(told.code, Some(1));
    let words = ["--fix", "--yes", "--even-here", "--json"];
    let told = Told::new(&ran(&mut command(&home, &["git"], &words)));
    told.finds("configuration", "good", "counts for nothing");
    assert!(home.text("opencode.jsonc").contains(&home.entry()));
    assert_eq!(home.text("opencode.json"), dead);
}

#[test]
fn an_entry_that_stands_twice_is_found_and_mended() {
    let home = Home::new();
    let entry = home.entry();
    home.write(
        "opencode.json",
        format!("{{\"plugin\": [\"{entry}\", \"a\", \"{entry}/\"]}}"),
    );
    without_opencode(&home).finds("configuration", "broken", "twice");
    let words = ["--fix", "--yes", "--even-here", "--json"];
    let told = Told::new(&ran(&mut command(&home, &["git"], &words)));
    told.finds("configuration", "good", "2 plugins");
    assert_eq!(
        home.text("opencode.json"),
        format!("{{\"plugin\": [\"a\", \"{entry}\"]}}")
    );
}

#[test]
fn nobody_is_there_to_be_asked_so_nothing_is_mended() {
    let home = Home::new().with("opencode.json", "{}");
    let before = home.configuration();
    let ran = ran(&mut command(&home, &["git"], &["--fix"]));
    ran.ends(2, &["nobody is here to be asked", "--yes"]);
    // In a build folder nothing is installed, not even when it is asked for.
    let ran = super::ran(&mut command(&home, &["git"], &["--fix", "--yes"]));
    ran.ends(1, &["build folder", "--even-here"]);
    assert_eq!(home.configuration(), before);
    assert!(!home.state().exists());
}

#[test]
fn somebody_at_the_terminal_is_asked_before_each_repair() {
    let home = Home::new().with("opencode.json", "{}");
    let before = home.configuration();
    let asked = |answer: &str| {
        let doctor = command(&home, &["git"], &["--fix", "--even-here"]);
        let mut terminal = Terminal::start(&doctor);
        terminal.sees("install the plugin into OpenCode? [y/N]");
        // Whatever else is asked is answered with no.
        terminal.types(&format!("{answer}\nno\nno\n"));
        let code = terminal.ends();
        (code, terminal)
    };
    for no in ["n", "", "yes please"] {
        assert_eq!(asked(no).0, Some(1));
        assert_eq!(home.configuration(), before, "{no:?}");
        assert!(!home.state().exists());
    }
    let (_, mut terminal) = asked("y");
    terminal.sees("done: install the plugin");
    assert!(home.text("opencode.json").contains(&home.entry()));
}

#[test]
fn without_a_login_it_says_what_to_type() {
    let home = Home::new();
    // What this machine's user is logged in to, and the provider that needs none, are no user's of this test.
    home.write("opencode.json", "{\"enabled_providers\": []}");
    let told = Told::new(&ran(&mut command(&home, &["git", "opencode"], &["--json"])));
    told.finds("model", "broken", "opencode auth login");
    assert_eq!(told.code, Some(1));
}

#[test]
fn files_that_opencode_cannot_read_are_named_and_not_tried_on_it() {
    for (text, saying) in [
        ("{\n\"plugin\": \"a\"}", "line 2, column 11"),
        ("{\"plugin\": [", "a value is missing"),
        (
            "{\"plugin\": [\"a\", {\"b\": 1}]}",
            "entry 2 of `plugin` is an object",
        ),
        ("{\"plugin\": [[\"a\"]]}", "entry 1 of `plugin` is an array"),
    ] {
        let home = Home::new().with("opencode.json", text);
        without_opencode(&home).finds("configuration", "broken", saying);
    }
    let home = Home::new().with("opencode.json", "{}");
    let pipe = home.config().join("opencode.jsonc");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let told = Told::new(&ran(&mut command(&home, &["git", "opencode"], &["--json"])));
    told.finds("configuration", "broken", "is no file");
    told.finds("loaded", "note", "was not asked");
    told.finds("model", "note", "was not asked");
    assert_eq!(told.code, Some(1));
}

#[test]
fn folders_that_others_may_use_are_found_and_closed() {
    let home = Home::new();
    home.install().ends(0, &[]);
    let doors = home.state().join("run");
    fs::create_dir(&doors).unwrap();
    for folder in [&doors, &home.state()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let told = without_opencode(&home);
    told.finds("state directory", "broken", "mode 777");
    told.finds("sockets", "broken", "mode 777");
    ran(&mut command(
        &home,
        &["git"],
        &["--fix", "--yes", "--even-here"],
    ));
    assert_eq!((mode(&doors), mode(&home.state())), (0o700, 0o700));
}

#[test]
fn a_log_that_cannot_be_written_or_make_place_is_found() {
    let home = Home::new();
    let log = home.state().join("logs/service.log");
    let told = without_opencode(&home);
    told.finds("log", "good", "not there yet");
    assert!(!log.exists(), "a look makes nothing");

    fs::create_dir_all(log.parent().unwrap()).unwrap();
    fs::write(&log, vec![b'x'; 12_345]).unwrap();
    fs::write(home.state().join("logs/service.log.1"), vec![b'x'; 500]).unwrap();
    let told = without_opencode(&home);
    told.finds("log", "good", "service.log: 13 kB");
    let all = "full ones before it: 1, 1 kB; all of them take at most 5243 kB";
    told.finds("log", "good", all);
    assert_eq!(fs::metadata(&log).unwrap().len(), 12_345);

    fs::create_dir(home.state().join("logs/service.log.2")).unwrap();
    let told = without_opencode(&home);
    told.finds("log", "broken", "service.log.2 is no file");
    fs::rename(&log, home.path().join("kept")).unwrap();
    symlink(home.path().join("kept"), &log).unwrap();
    let told = without_opencode(&home);
    told.finds("log", "broken", "it cannot be written: it is a link");

    // One that is to be elsewhere, in a folder that nobody makes.
    let config = home.config().join("../opencode-orchestrator");
    fs::create_dir_all(&config).unwrap();
    let elsewhere = home.path().join("nowhere/engine.log");
    let names = format!("[log]\nfile = {:?}\n", elsewhere.to_str().unwrap());
    fs::write(config.join("config.toml"), names).unwrap();
    let told = without_opencode(&home);
    told.finds("log", "broken", "nothing can be made in");
    told.finds("log", "broken", "log.file");
    fs::write(config.join("config.toml"), "[lok]\n").unwrap();
    let told = without_opencode(&home);
    told.finds("log", "broken", "ORC013");
}

#[test]
fn old_files_of_the_plugin_are_found_and_written_anew() {
    let home = Home::new();
    home.install().ends(0, &[]);
    let folder = home.state().join("plugin");
    fs::write(folder.join("engine.json"), "{\"version\": \"0.0.1\"}").unwrap();
    let told = without_opencode(&home);
    told.finds("plugin", "broken", "written by version 0.0.1");
    let words = ["--fix", "--yes", "--even-here", "--json"];
    let told = Told::new(&ran(&mut command(&home, &["git"], &words)));
    told.finds("plugin", "good", "as this program carries it");
}

#[test]
fn a_missing_git_and_a_broken_store_are_found() {
    let home = Home::new();
    fs::create_dir_all(home.state()).unwrap();
    fs::write(
        home.state().join("journal.db"),
        "this is no store, and was never one",
    )
    .unwrap();
    let told = Told::new(&ran(&mut command(&home, &[], &["--json"])));
    told.finds("git", "broken", "2.38");
    told.finds("store", "broken", "journal.db");
    assert_eq!(told.code, Some(1));
    let store = fs::read(home.state().join("journal.db")).unwrap();
    assert_eq!(store, b"this is no store, and was never one");
}

#[test]
fn a_plugin_that_comes_from_npm_is_told_apart_from_ours() {
    let home = Home::new().with(
        "opencode.json",
        "{\"plugin\": [\"opencode-orchestrator@1.2.3\"]}",
    );
    let told = without_opencode(&home);
    told.finds(
        "plugin",
        "note",
        "from npm, as `opencode-orchestrator@1.2.3`",
    );
    told.finds(
        "configuration",
        "good",
        "ours as `opencode-orchestrator@1.2.3`",
    );
}

#[test]
fn an_engine_that_stands_still_and_one_of_another_version_are_told_apart() {
    let home = Home::new();
    let run = home.state().join("run");
    fs::create_dir_all(&run).unwrap();
    fs::set_permissions(&run, fs::Permissions::from_mode(0o700)).unwrap();
    let socket = run.join("service.sock");
    // The kernel takes connections for a process that does nothing.
    let listener = UnixListener::bind(&socket).unwrap();
    let told = without_opencode(&home);
    told.finds("engine", "broken", "takes connections and does not answer");
    told.finds(
        "engine",
        "broken",
        &format!("kill -9 {}", std::process::id()),
    );
    // How many guests before are still in line is not for this to say: each is answered, and those are gone.
    std::thread::spawn(move || {
        for mut guest in listener.incoming().flatten() {
            writeln!(
                guest,
                "{{\"refused\": \"the engine is of version 9.9.9\", \"leaving\": false}}"
            )
            .ok();
        }
    });
    let told = without_opencode(&home);
    told.finds("engine", "note", "the engine is of version 9.9.9");
}

#[test]
fn a_repair_that_hangs_is_ended_with_the_reason() {
    let home = Home::new().with("opencode.json", "{}");
    let held = fs::File::open(home.config()).unwrap();
    held.lock().unwrap();
    let words = ["--fix", "--yes", "--even-here", "--time", "2s"];
    let ran = ran(&mut command(&home, &["git"], &words));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let told = "it took more than 2000 ms: waiting for another install, which holds OpenCode's configuration";
    assert!(ran.err.contains(told), "{ran:?}");
    assert_eq!(home.text("opencode.json"), "{}");
}
