//! What is on the disk before it is relied on, in the order in which the kernel was asked for it.

use super::{Home, ran};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use testkit::left_out;

/// What a command asked the kernel for: flushes, new names, names that go. Nothing where nobody may look.
fn traced(home: &Home, word: &str) -> Option<Vec<String>> {
    let allowed = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        left_out("no tracer on this machine: install strace");
        return None;
    }
    let (inner, trace) = (
        home.command(&[word, "--even-here"]),
        home.path().join("trace"),
    );
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-s", "4096", "-e"]);
    strace.arg("trace=fsync,fdatasync,/^rename,/^link,/^unlink");
    strace.arg("-o").arg(&trace);
    strace.arg(inner.get_program()).args(inner.get_args());
    strace.env_clear().current_dir(home.path());
    strace.envs(
        inner
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    ran(&mut strace).ends(0, &[]);
    let text = fs::read_to_string(trace).unwrap();
    Some(text.lines().map(str::to_owned).collect())
}

/// The place of the first call of this kind behind another one that names this path.
fn next(calls: &[String], from: usize, kind: &str, path: &str) -> Option<usize> {
    let found = calls[from..].iter().position(|call| {
        let named = [format!("<{path}>"), format!("\"{path}\"")];
        call.contains(kind) && named.iter().any(|named| call.contains(named))
    });
    found.map(|n| from + n)
}

fn folder(of: &str) -> &str {
    Path::new(of).parent().unwrap().to_str().unwrap()
}

#[test]
fn whatever_gets_a_name_is_flushed_before_it_and_the_name_before_the_next_step() {
    let home = Home::new().with("opencode.json", "{}");
    let Some(calls) = traced(&home, "install") else {
        return;
    };
    // Each file that was put into its place, by the place of that call.
    let mut put = BTreeMap::new();
    for (n, call) in calls
        .iter()
        .enumerate()
        .filter(|(_, call)| call.contains("rename"))
    {
        let paths: Vec<&str> = call.split('"').skip(1).step_by(2).collect();
        let [from, to] = paths[..] else {
            panic!("{call}");
        };
        let content = next(&calls[..n], 0, "sync(", from);
        assert!(content.is_some(), "{to} is not flushed: {calls:#?}");
        let name = next(&calls, n, "sync(", folder(to));
        let renamed = calls
            .iter()
            .skip(n + 1)
            .position(|call| call.contains("rename"));
        let before = renamed.map_or(calls.len(), |m| n + 1 + m);
        let flushed = name.is_some_and(|name| name < before);
        assert!(flushed, "the name of {to} is not flushed: {calls:#?}");
        put.insert(to.to_owned(), n);
    }
    let at = |path: std::path::PathBuf| put[path.to_str().unwrap()];
    let (server, screen) = (
        home.config().join("opencode.json"),
        home.config().join("tui.jsonc"),
    );
    // What was made is known before it is made, what goes is kept before it goes, and what OpenCode is told of is there.
    let first = at(server).min(at(screen));
    assert!(at(home.state().join("plugin/server.js")) < first);
    assert!(at(home.state().join("install.json")) < first);
    let backups = home.state().join("backups");
    let kept = |call: &String| call.contains("sync(") && call.contains("-opencode.json>");
    let content = calls.iter().position(kept).expect("the backup is flushed");
    let name = next(&calls, content, "sync(", backups.to_str().unwrap());
    assert!(name.is_some_and(|name| name < first), "{calls:#?}");

    // A file that was made goes: it is taken away, and what that left goes, and its name with it.
    let calls = traced(&home, "uninstall").unwrap();
    let made = home.config().join("tui.jsonc");
    let aside = next(&calls, 0, "rename", made.to_str().unwrap()).expect("it is taken away");
    let left = calls[aside].split('"').nth(3).expect("a second path");
    let gone = next(&calls, aside, "unlink", left).expect("it is removed");
    let name = next(&calls, gone, "sync(", home.config().to_str().unwrap());
    assert!(name.is_some(), "{calls:#?}");
}
