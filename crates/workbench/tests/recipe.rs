//! Prepared workspaces and what is brought along from them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use mission::gate::{GateResult, Program};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};
use support::{gate, run, run_gate, shell, write};
use tokio_util::sync::CancellationToken;
use workbench::process::End;
use workbench::recipe::{
    Bring, Brought, Ecosystem, Error, Means, Recipe, bring_along, move_venv, prepared_key,
};

fn bring(path: &str, means: Means) -> Bring {
    Bring {
        path: path.to_owned(),
        means,
    }
}

fn along(from: &Path, to: &Path, path: &str, means: Means) -> Result<Brought, Error> {
    bring_along(from, to, &[bring(path, means)], &CancellationToken::new())
        .map(|mut all| all.remove(0))
}

fn two_workspaces() -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
    let at = tempfile::tempdir().unwrap();
    let root = at.path().canonicalize().unwrap();
    let (from, to) = (root.join("base"), root.join("base-2"));
    fs::create_dir_all(&from).unwrap();
    fs::create_dir_all(&to).unwrap();
    (at, from, to)
}

#[test]
fn a_tree_is_brought_with_its_modes_times_and_links() {
    let (_at, from, to) = two_workspaces();
    write(&from, "deps/a/run", "#!/bin/sh\n");
    fs::set_permissions(from.join("deps/a/run"), fs::Permissions::from_mode(0o750)).unwrap();
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let file = fs::File::options()
        .write(true)
        .open(from.join("deps/a/run"))
        .unwrap();
    file.set_times(fs::FileTimes::new().set_modified(old))
        .unwrap();
    symlink("../a/run", from.join("deps/relative")).unwrap();
    symlink(from.join("deps/a"), from.join("deps/absolute")).unwrap();
    symlink("/usr/bin/env", from.join("deps/outside")).unwrap();
    symlink(".", from.join("deps/loop")).unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(from.join("deps/pipe"))
            .status()
            .unwrap()
            .success()
    );
    let brought = along(&from, &to, "deps", Means::CloneOrCopy).unwrap();
    assert_eq!(
        (
            brought.cloned + brought.copied,
            brought.linked,
            brought.odd,
            brought.left_out
        ),
        (1, 0, 1, None)
    );
    let run = fs::metadata(to.join("deps/a/run")).unwrap();
    assert_eq!(
        (run.permissions().mode() & 0o777, run.modified().unwrap()),
        (0o750, old)
    );
    assert_ne!(
        run.ino(),
        fs::metadata(from.join("deps/a/run")).unwrap().ino()
    );
    let leads = |name: &str| fs::read_link(to.join("deps").join(name)).unwrap();
    assert_eq!(leads("relative"), Path::new("../a/run"));
    assert_eq!(leads("absolute"), to.join("deps/a"));
    assert_eq!(leads("outside"), Path::new("/usr/bin/env"));
    assert_eq!(leads("loop"), Path::new("."));
}

#[test]
fn a_write_in_one_workspace_never_shows_in_the_other() {
    let (_at, from, to) = two_workspaces();
    write(&from, "deps/cache", "old");
    along(&from, &to, "deps", Means::CloneOrCopy).unwrap();
    write(&to, "deps/cache", "new");
    assert_eq!(fs::read_to_string(from.join("deps/cache")).unwrap(), "old");
    write(&from, "store/blob", "x");
    assert_eq!(
        along(&from, &to, "store", Means::HardLink).unwrap().linked,
        1
    );
    assert_eq!(fs::metadata(to.join("store/blob")).unwrap().nlink(), 2);
}

#[test]
fn a_cache_is_left_out_where_the_file_system_has_no_clones() {
    let (_at, from, to) = two_workspaces();
    write(&from, "target/debug/large", "x");
    let brought = along(&from, &to, "target", Means::CloneOnly).unwrap();
    assert_eq!(brought.left_out.is_none(), brought.cloned == 1);
    assert_eq!(to.join("target").exists(), brought.cloned == 1);
    assert!(!to.join("target.partial").exists());
}

#[test]
fn what_leads_out_of_a_workspace_is_refused() {
    let (at, from, to) = two_workspaces();
    write(&from, "packages/a/node_modules/x", "x");
    write(at.path(), "elsewhere/y", "y");
    // A repository may hold a link where the base workspace holds a folder.
    symlink(at.path().join("elsewhere"), to.join("packages")).unwrap();
    for path in [
        "packages/a/node_modules",
        "..",
        "../base",
        "/etc",
        "",
        "a/../../x",
    ] {
        let refused = along(&from, &to, path, Means::CloneOrCopy);
        assert!(
            matches!(refused, Err(Error::Outside { .. })),
            "{path}: {refused:?}"
        );
    }
    assert_eq!(
        fs::read_dir(at.path().join("elsewhere")).unwrap().count(),
        1
    );
    symlink("packages", from.join("node_modules")).unwrap();
    assert!(
        along(&from, &to, "node_modules", Means::CloneOrCopy)
            .unwrap()
            .left_out
            .is_some()
    );
    assert!(
        along(&from, &to, "absent", Means::CloneOrCopy)
            .unwrap()
            .left_out
            .is_some()
    );
}

#[test]
fn nothing_half_done_is_left_behind() {
    let (_at, from, to) = two_workspaces();
    write(&from, "deps/a", "x");
    write(&to, "deps.partial/of/an/earlier/try", "x");
    let cancel = CancellationToken::new();
    cancel.cancel();
    let cancelled = bring_along(&from, &to, &[bring("deps", Means::CloneOrCopy)], &cancel);
    assert!(matches!(cancelled, Err(Error::Cancelled)));
    assert_eq!(fs::read_dir(&to).unwrap().count(), 0);
    along(&from, &to, "deps", Means::CloneOrCopy).unwrap();
    assert!(matches!(
        along(&from, &to, "deps", Means::CloneOrCopy),
        Err(Error::Exists { .. })
    ));
}

#[test]
fn a_prepared_workspace_is_keyed_by_its_lock_files_and_set_up() {
    let (_at, from, to) = two_workspaces();
    let recipe = Recipe {
        ecosystem: Ecosystem::Npm,
        directory: String::new(),
        setup: Some(Program::Argv(vec!["npm".to_owned(), "ci".to_owned()])),
        keyed_by: vec!["package-lock.json".to_owned()],
        bring: Vec::new(),
        variables: Vec::new(),
        tools: Vec::new(),
        files: Vec::new(),
        files_from: None,
        venv: None,
    };
    write(&from, "package-lock.json", "{}");
    let key = prepared_key(&from, &recipe).unwrap();
    assert_ne!(
        key,
        prepared_key(&to, &recipe).unwrap(),
        "no lock file is not an empty one"
    );
    write(&to, "package-lock.json", "{}");
    write(&to, "unrelated.js", "1");
    assert_eq!(key, prepared_key(&to, &recipe).unwrap());
    let other = Recipe {
        setup: None,
        ..recipe
    };
    assert_ne!(key, prepared_key(&from, &other).unwrap());
}

#[tokio::test]
async fn node_modules_are_set_up_once_and_work_in_the_next_workspace() {
    let (_at, from, to) = two_workspaces();
    for root in [&from, &to] {
        write(
            root,
            "package.json",
            r#"{"name":"box","scripts":{"test":"said"},"dependencies":{"said":"file:./said"}}"#,
        );
        write(
            root,
            "said/package.json",
            r#"{"name":"said","version":"1.0.0","bin":{"said":"said.js"}}"#,
        );
        write(
            root,
            "said/said.js",
            "#!/usr/bin/env node\nconsole.log(__dirname)\n",
        );
        fs::set_permissions(root.join("said/said.js"), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let setup = run(&shell(&from, "npm install --offline --no-audit --no-fund")).await;
    assert_eq!(setup.end, End::Exited(0), "{}", setup.output.tail);
    let before = run_gate(&gate("npm test"), &to).await;
    assert!(
        matches!(before.result, GateResult::MissingTool { .. }),
        "{}",
        before.tail
    );
    along(&from, &to, "node_modules", Means::CloneOrCopy).unwrap();
    let after = run_gate(&gate("npm test"), &to).await;
    assert!(
        after.result.passed() && after.tail.contains(&format!("{}/said", to.display())),
        "{}",
        after.tail
    );
}

#[tokio::test]
async fn a_python_environment_works_after_its_move_and_imports_the_new_workspace() {
    let (_at, from, to) = two_workspaces();
    let setup = run(&shell(&from, "python3 -m venv --without-pip .venv")).await;
    assert_eq!(setup.end, End::Exited(0), "{}", setup.output.tail);
    for (root, text) in [(&from, "old"), (&to, "new")] {
        write(root, "src/box.py", &format!("NAME = '{text}'\n"));
    }
    // What pip leaves for an installed script and for an editable install.
    let packages = fs::read_dir(from.join(".venv/lib"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path()
        .join("site-packages");
    fs::write(
        packages.join("__editable__.box-1.0.pth"),
        format!("{}/src\n", from.display()),
    )
    .unwrap();
    let script = format!(
        "#!{}/.venv/bin/python\nimport box, sys\nprint(box.NAME, sys.prefix)\n",
        from.display()
    );
    write(&from, ".venv/bin/boxed", &script);
    fs::set_permissions(
        from.join(".venv/bin/boxed"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    assert_eq!(
        run(&shell(&from, ".venv/bin/boxed")).await.output.tail,
        format!("old {}/.venv\n", from.display())
    );
    along(&from, &to, ".venv", Means::CloneOrCopy).unwrap();
    assert!(
        run(&shell(&to, ".venv/bin/boxed"))
            .await
            .output
            .tail
            .starts_with("old "),
        "the danger is gone by itself"
    );
    assert!(move_venv(&from, &to, ".venv").unwrap() >= 2);
    assert_eq!(
        run(&shell(&to, ".venv/bin/boxed")).await.output.tail,
        format!("new {}/.venv\n", to.display())
    );
    assert_eq!(
        run(&shell(&from, ".venv/bin/boxed")).await.output.tail,
        format!("old {}/.venv\n", from.display())
    );
    // `base-2` begins with `base`: moving back must not make `base-2-2` of it.
    assert_eq!(move_venv(&from, &to, ".venv").unwrap(), 0);
}
