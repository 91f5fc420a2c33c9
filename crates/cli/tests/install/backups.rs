//! The files as they were before.

use super::{Home, mode};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn of_each_file_the_last_five_are_kept_and_only_their_owner_reads_them() {
    let home = Home::new();
    for round in 0..8 {
        home.write("opencode.json", format!("{{\"round\": {round}}}"));
        let file = home.config().join("opencode.json");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        home.install().ends(0, &["the file as it was"]);
        home.uninstall().ends(0, &[]);
        assert_eq!(
            home.text("opencode.json"),
            format!("{{\"round\": {round}}}")
        );
    }
    let folder = home.state().join("backups");
    let mut all: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    all.sort();
    assert_eq!(mode(&folder), 0o700);
    for path in &all {
        assert_eq!(mode(path), 0o600);
    }
    let of = |name: &str| -> Vec<_> {
        let paths = all.iter();
        paths
            .filter(|path| path.to_string_lossy().ends_with(name))
            .collect()
    };
    let kept = of("-opencode.json");
    assert_eq!((kept.len(), of("-tui.jsonc").len()), (5, 5), "{all:?}");
    assert_eq!(all.len(), 10, "{all:?}");
    let newest = fs::read_to_string(kept[4]).unwrap();
    assert!(
        newest.contains("\"round\": 7") && newest.contains("plugin"),
        "{newest}"
    );
    let before_it = fs::read_to_string(kept[3]).unwrap();
    assert_eq!(before_it, "{\"round\": 7}");
}

#[test]
fn a_file_that_is_refused_is_not_kept_again_and_again() {
    let home = Home::new().with("opencode.json", "{");
    for _ in 0..8 {
        home.install().ends(1, &[]);
    }
    let kept = fs::read_dir(home.state().join("backups"))
        .into_iter()
        .flatten();
    assert_eq!(kept.count(), 0);
}

#[test]
fn store_and_missions_stay_when_the_plugin_goes() {
    let home = Home::new();
    home.run(&["list"]).ends(0, &[]);
    let kept = |name: &str| home.state().join(name);
    fs::create_dir_all(kept("missions/m1-x")).unwrap();
    home.install().ends(0, &[]);
    home.uninstall().ends(0, &[]);
    assert!(kept("journal.db").exists() && kept("missions/m1-x").exists());
    assert!(!kept("plugin").exists() && !kept("install.json").exists());
}

#[test]
fn the_plugins_folder_names_this_program_and_nothing_old_stays_in_it() {
    let home = Home::new();
    let folder = home.state().join("plugin");
    home.install().ends(0, &[]);
    let engine: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("engine.json")).unwrap()).unwrap();
    assert_eq!(engine["version"], env!("CARGO_PKG_VERSION"));
    let program = fs::canonicalize(env!("CARGO_BIN_EXE_orchestrator")).unwrap();
    assert_eq!(engine["program"], program.to_str().unwrap());
    assert_eq!(mode(&folder), 0o700);
    fs::write(folder.join("old.js"), "").unwrap();
    fs::write(folder.join("server.js"), "half").unwrap();
    home.install()
        .ends(0, &["registered already", "wrote the plugin's files"]);
    assert!(!folder.join("old.js").exists());
    assert!(
        fs::read_to_string(folder.join("server.js"))
            .unwrap()
            .contains("export default")
    );
}
