//! What the program does not do by itself yet: a plugin for the screen, and failures halfway.

use super::*;

/// A user with these files of OpenCode, and a plugin for its screen too.
fn world(files: &[(&str, &str)]) -> (tempfile::TempDir, World) {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("opencode");
    fs::create_dir(&config).unwrap();
    for (name, text) in files {
        fs::write(config.join(name), text).unwrap();
    }
    let layout = Layout::new(dir.path().join("state"));
    let world = World {
        entry: plugin::entry(&layout).unwrap(),
        layout,
        config,
        program: "/bin/orchestrator".into(),
        screen: true,
    };
    (dir, world)
}

fn texts(world: &World) -> Vec<(String, String)> {
    let entries = fs::read_dir(&world.config)
        .unwrap()
        .map(|entry| entry.unwrap());
    let one = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path()).unwrap();
        (
            entry.file_name().into_string().unwrap(),
            text.replace(&world.entry, "OURS"),
        )
    };
    let mut all: Vec<(String, String)> = entries.map(one).collect();
    all.sort();
    all
}

#[test]
fn a_plugin_for_the_screen_is_registered_there_too_and_goes_again() {
    let schema = SCREEN.schema;
    let new = format!("{{\n  \"$schema\": \"{schema}\",\n  \"plugin\": [\"OURS\"]\n}}\n");
    for (name, before, after) in [
        (None, "", new.as_str()),
        (
            Some("tui.json"),
            "{\"theme\":\"x\"}",
            "{\"theme\":\"x\", \"plugin\": [\"OURS\"]}",
        ),
        (
            Some("tui.jsonc"),
            "{\"plugin\":[\"a\"]} // b",
            "{\"plugin\":[\"a\", \"OURS\"]} // b",
        ),
    ] {
        let mut files = vec![("opencode.json", "{}")];
        files.extend(name.map(|name| (name, before)));
        let (_dir, world) = world(&files);
        let old = texts(&world);
        assert_eq!(world.install().unwrap().changed.len(), 2);
        let wanted = (name.unwrap_or("tui.jsonc").to_owned(), after.to_owned());
        assert_eq!(
            texts(&world),
            [
                ("opencode.json".into(), "{\"plugin\": [\"OURS\"]}".into()),
                wanted
            ]
        );
        assert!(world.install().unwrap().changed.is_empty(), "twice is once");
        world.uninstall().unwrap();
        assert_eq!(texts(&world), old);
    }
}

#[test]
fn of_two_files_for_the_screen_either_counts() {
    let (_dir, world) = world(&[("opencode.json", "{}"), ("tui.jsonc", "{\"plugin\":[]}")]);
    let lower = format!("{{\"plugin\":[\"{}\"]}}", world.entry);
    fs::write(world.config.join("tui.json"), lower).unwrap();
    assert_eq!(
        world.install().unwrap().changed,
        [world.config.join("opencode.json")]
    );
}

#[test]
fn a_file_for_the_screen_that_is_wrong_keeps_the_other_one_as_it_is() {
    let (_dir, world) = world(&[("opencode.json", "{}"), ("tui.json", "{")]);
    let old = texts(&world);
    assert!(world.install().is_err());
    assert_eq!(texts(&world), old);
}

#[test]
fn what_was_changed_before_something_failed_is_put_back() {
    let (_dir, world) = world(&[("opencode.json", "{}"), ("tui.json", "{}")]);
    let old = texts(&world);
    let mut done = Done::default();
    let _lock = world.lock(&mut done).unwrap();
    let failed = world.until_it_holds(&mut done, |_| {
        let mut plan = world.plan_install()?;
        // There is no such folder, so the second file cannot be written.
        plan.changes[1].seen.real = "/nowhere/tui.json".into();
        Ok(plan)
    });
    assert_eq!(
        done.changed,
        [world.config.join("opencode.json")],
        "the first was changed"
    );
    assert!(failed.is_err());
    assert_eq!(texts(&world), old);
}

#[test]
fn a_file_that_never_keeps_still_is_given_up_and_all_is_put_back() {
    let (_dir, world) = world(&[("opencode.json", "{}"), ("tui.json", "{}")]);
    let (mut done, mut n) = (Done::default(), 0);
    let _lock = world.lock(&mut done).unwrap();
    let failed = world.until_it_holds(&mut done, |_| {
        let plan = world.plan_install()?;
        n += 1;
        fs::write(world.config.join("tui.json"), format!("{{\"n\":{n}}}")).unwrap();
        Ok(plan)
    });
    assert!(failed.unwrap_err().to_string().contains("keeps writing"));
    let wanted = [
        ("opencode.json", "{}".to_owned()),
        ("tui.json", format!("{{\"n\":{TRIES}}}")),
    ];
    assert_eq!(
        texts(&world),
        wanted.map(|(name, text)| (name.to_owned(), text))
    );
}
