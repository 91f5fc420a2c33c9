//! Many at once.

use super::{Home, ran};
use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn of_twelve_installs_at_once_one_registers() {
    let home = Home::new().with("opencode.json", "{\n  \"plugin\": [\n    \"a\"\n  ]\n}\n");
    let start = |word: &str| {
        let mut command = home.command(&[word, "--even-here"]);
        command.stderr(Stdio::piped()).spawn().unwrap()
    };
    let running: Vec<_> = (0..12).map(|_| start("install")).collect();
    let said: Vec<String> = running
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(0), "{said}");
            said
        })
        .collect();
    for file in ["opencode.json", "tui.jsonc"] {
        let told = format!("registered in {}", home.config().join(file).display());
        let registered = said.iter().filter(|said| said.contains(&told));
        assert_eq!(registered.count(), 1, "{file}: {said:#?}");
    }
    let wanted = format!(
        "{{\n  \"plugin\": [\n    \"a\",\n    \"{}\"\n  ]\n}}\n",
        home.entry()
    );
    assert_eq!(home.text("opencode.json"), wanted);
    assert_eq!(home.configuration().len(), 2);
    // Six that put it in and six that take it out: it is in there once or not at all.
    let mixed = (0..12).map(|n| start(["install", "uninstall"][n % 2]));
    for child in mixed.collect::<Vec<_>>() {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    let (text, entry) = (home.text("opencode.json"), home.entry());
    assert!(text.matches(&entry).count() <= 1, "{text}");
    home.uninstall().ends(0, &[]);
    assert_eq!(
        home.text("opencode.json"),
        "{\n  \"plugin\": [\n    \"a\"\n  ]\n}\n"
    );
}

/// Whoever takes the plugin out again removes the folder that only it had needed, and whoever waited for that folder does
/// not go on in one that is gone.
#[test]
fn of_twelve_at_once_where_there_was_no_folder_none_is_in_anothers_way() {
    let home = Home::new();
    for _ in 0..3 {
        let start = |n: usize| {
            let mut command = home.command(&[["install", "uninstall"][n % 2], "--even-here"]);
            let states = ["state", "other"].map(|name| home.path().join(name));
            command.env("ORCHESTRATOR_STATE_DIR", &states[n / 2 % 2]);
            command.stderr(Stdio::piped()).spawn().unwrap()
        };
        for child in (0..12).map(start).collect::<Vec<_>>() {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{said}");
        }
        for state in ["state", "other"] {
            let mut command = home.command(&["uninstall", "--even-here"]);
            command.env("ORCHESTRATOR_STATE_DIR", home.path().join(state));
            ran(&mut command).ends(0, &[]);
        }
        // A file that one of them has made and the other has written to is neither's alone, and stays without an entry.
        let left = home.configuration();
        let ours = |text: &String| text.contains(home.path().to_str().unwrap());
        assert!(!left.values().any(ours), "{left:?}");
    }
}

#[test]
fn an_editor_that_writes_meanwhile_loses_nothing() {
    let home = Home::new().with("opencode.json", "{\"saved\": 0}");
    let over = AtomicBool::new(false);
    let (file, next) = (
        home.config().join("opencode.json"),
        home.path().join("next"),
    );
    let saved = std::thread::scope(|scope| {
        // It saves as editors do: what it last saved, with something new, whole, under another name that it then moves.
        let editor = scope.spawn(|| {
            let mut n = 0;
            while !over.load(Ordering::SeqCst) {
                n += 1;
                fs::write(&next, format!("{{\"saved\": {n}}}")).unwrap();
                fs::rename(&next, &file).unwrap();
                std::thread::yield_now();
            }
            n
        });
        for _ in 0..10 {
            for word in ["install", "uninstall"] {
                let ran = home.run(&[word, "--even-here"]);
                let gave_way = ran.err.contains("another program keeps writing");
                assert!(ran.code == Some(0) || gave_way, "{ran:?}");
            }
        }
        over.store(true, Ordering::SeqCst);
        editor.join().unwrap()
    });
    home.uninstall().ends(0, &[]);
    assert_eq!(
        home.text("opencode.json"),
        format!("{{\"saved\": {saved}}}")
    );
    assert_eq!(home.configuration().len(), 1, "{:?}", home.configuration());
}
