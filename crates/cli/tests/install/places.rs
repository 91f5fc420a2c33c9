//! Links, modes, owners, things that are no files, disks that are full, and places where nothing is changed.

use super::{Home, mode, ran};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::Command;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn mode_and_owner_stay() {
    for wanted in [0o600, 0o640, 0o444, 0o4755] {
        let home = Home::new().with("opencode.json", "{}");
        let file = home.config().join("opencode.json");
        let owner = if is_root() {
            (12_345, 54_321)
        } else {
            owner(&file)
        };
        chown(&file, Some(owner.0), Some(owner.1)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(wanted)).unwrap();
        home.there_and_back("opencode.json", r#"{"plugin": ["OURS"]}"#);
        assert_eq!((mode(&file), owner), (wanted, self::owner(&file)));
    }
}

fn owner(path: &Path) -> (u32, u32) {
    let data = fs::metadata(path).unwrap();
    (data.uid(), data.gid())
}

/// An access list by which somebody else may read a file, and its group may not, as Linux keeps it.
fn access_list() -> Vec<u8> {
    const NOBODY: u32 = u32::MAX;
    let (user, named, group, mask, other) = (1, 2, 4, 0x10, 0x20);
    let entries: [(u16, u16, u32); 5] = [
        (user, 6, NOBODY),
        (named, 4, 12_345),
        (group, 0, NOBODY),
        (mask, 4, NOBODY),
        (other, 0, NOBODY),
    ];
    let version = 2_u32.to_le_bytes();
    let entry = |(tag, right, id): (u16, u16, u32)| {
        let short = [tag.to_le_bytes(), right.to_le_bytes()].concat();
        [short, id.to_le_bytes().to_vec()].concat()
    };
    let entries = entries.into_iter().flat_map(entry);
    version.into_iter().chain(entries).collect()
}

#[test]
fn an_access_list_and_attributes_stay() {
    const LIST: &str = "system.posix_acl_access";
    let attribute = |file: &Path, name: &str| {
        let mut value = [0; 1024];
        let found = rustix::fs::getxattr(file, name, &mut value[..]);
        found.map(|n| value[..n].to_vec())
    };
    let set = |at: &Path, name: &str, value: &[u8]| {
        rustix::fs::setxattr(at, name, value, rustix::fs::XattrFlags::empty()).unwrap();
    };
    let home = Home::new().with("opencode.json", "{}");
    let file = home.config().join("opencode.json");
    set(&file, LIST, &access_list());
    set(&file, "user.of-ada", b"hers");
    for run in [Home::install, Home::uninstall] {
        run(&home).ends(0, &["opencode.json"]);
        assert_eq!(attribute(&file, LIST), Ok(access_list()));
        assert_eq!(attribute(&file, "user.of-ada"), Ok(b"hers".to_vec()));
        assert_eq!(mode(&file), 0o640);
    }
    // What is new in a folder may get a list from it, which a file that was there before did not have.
    fs::remove_file(&file).unwrap();
    home.write("opencode.json", "{}");
    set(&home.config(), "system.posix_acl_default", &access_list());
    home.install().ends(0, &["opencode.json"]);
    assert_eq!(attribute(&file, LIST), Err(rustix::io::Errno::NODATA));
}

#[test]
fn attributes_of_a_file_that_nobody_may_write_stay() {
    let home = Home::new().with("opencode.json", "{}");
    let file = home.config().join("opencode.json");
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&file, "user.of-ada", b"hers", flags).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    fs::create_dir(home.state()).unwrap();
    give_to_nobody(home.path());
    for word in ["install", "uninstall"] {
        as_nobody(&home, &[word, "--even-here"]).ends(0, &["opencode.json"]);
        let mut value = [0; 16];
        let n = rustix::fs::getxattr(&file, "user.of-ada", &mut value[..]).unwrap();
        assert_eq!((&value[..n], mode(&file)), (&b"hers"[..], 0o444), "{word}");
    }
}

#[test]
fn a_file_with_a_second_name_is_left_as_it_is() {
    let home = Home::new().with("opencode.json", "{}");
    let (file, other) = (
        home.config().join("opencode.json"),
        home.path().join("other"),
    );
    for run in [Home::install, Home::uninstall] {
        fs::hard_link(&file, &other).unwrap();
        let before = home.configuration();
        run(&home).ends(1, &["error[ORC014]", "opencode.json has 2 names"]);
        assert_eq!(home.configuration(), before);
        fs::remove_file(&other).unwrap();
        home.install().ends(0, &[]);
    }
    home.uninstall().ends(0, &[]);
    assert_eq!(home.text("opencode.json"), "{}");
}

#[test]
fn a_link_into_a_folder_of_dotfiles_stays_and_its_target_is_changed() {
    let home = Home::new();
    let dotfiles = home.path().join("dotfiles");
    fs::create_dir_all(&dotfiles).unwrap();
    fs::create_dir_all(home.config()).unwrap();
    fs::write(dotfiles.join("oc.json"), "{}\n").unwrap();
    symlink("../../dotfiles/oc.json", home.config().join("middle")).unwrap();
    symlink("middle", home.config().join("opencode.json")).unwrap();
    home.there_and_back("opencode.json", "{\"plugin\": [\"OURS\"]}\n");
    home.install().ends(0, &[]);
    let target = fs::read_to_string(dotfiles.join("oc.json")).unwrap();
    assert!(target.contains(&home.entry()), "{target}");
    assert_eq!(fs::read_dir(&dotfiles).unwrap().count(), 1);
}

#[test]
fn a_linked_folder_is_followed() {
    let home = Home::new();
    let real = home.path().join("dotfiles/opencode");
    fs::create_dir_all(&real).unwrap();
    fs::create_dir_all(home.config().parent().unwrap()).unwrap();
    symlink(&real, home.config()).unwrap();
    home.install().ends(0, &[]);
    assert!(real.join("opencode.jsonc").exists());
    home.uninstall().ends(0, &[]);
    assert_eq!(fs::read_dir(&real).unwrap().count(), 0);
    assert!(fs::symlink_metadata(home.config()).unwrap().is_symlink());
}

/// Puts something that is no file at a path.
type Make = fn(&Path);

#[test]
fn what_is_no_file_is_never_opened() {
    let make: [(&str, Make); 4] = [
        ("is no file", |at| {
            let made = Command::new("mkfifo").arg(at).status();
            assert!(made.unwrap().success());
        }),
        ("is no file", |at| fs::create_dir(at).unwrap()),
        ("is no file", |at| symlink("/dev/zero", at).unwrap()),
        ("is a link that leads nowhere", |at| {
            symlink("nowhere", at).unwrap();
        }),
    ];
    for (saying, make) in make {
        let home = Home::new().with("opencode.json", "{}");
        make(&home.config().join("opencode.jsonc"));
        home.untouched(&["opencode.jsonc", saying]);
    }
    let home = Home::new().with("opencode.json", "{}");
    fs::create_dir_all(home.state()).unwrap();
    let made = Command::new("mkfifo")
        .arg(home.state().join("install.lock"))
        .status();
    assert!(made.unwrap().success());
    home.install().ends(0, &[]);
}

/// The program as somebody to whom modes apply.
fn as_nobody(home: &Home, words: &[&str]) -> super::Ran {
    if !is_root() {
        return home.run(words);
    }
    // Where the tests run as root, the program is run as nobody, from a place that he may read.
    let program = home.path().join("orchestrator");
    fs::copy(env!("CARGO_BIN_EXE_orchestrator"), &program).unwrap();
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    setpriv.arg(program).args(words).env_clear();
    setpriv.env("PATH", std::env::var_os("PATH").unwrap());
    setpriv
        .env("HOME", home.path())
        .env("ORCHESTRATOR_STATE_DIR", home.state());
    ran(&mut setpriv)
}

fn give_to_nobody(path: &Path) {
    if !is_root() {
        return;
    }
    chown(path, Some(65534), Some(65534)).unwrap();
    for entry in fs::read_dir(path).into_iter().flatten() {
        give_to_nobody(&entry.unwrap().path());
    }
}

#[test]
fn a_read_only_folder_and_an_unreadable_file_are_left_with_a_message() {
    for (folder, file, saying) in [
        (0o500, 0o644, "could not be written"),
        (0o700, 0, "could not be read"),
    ] {
        let home = Home::new().with("opencode.json", "{}");
        fs::create_dir(home.state()).unwrap();
        give_to_nobody(home.path());
        let path = home.config().join("opencode.json");
        fs::set_permissions(&path, fs::Permissions::from_mode(file)).unwrap();
        fs::set_permissions(home.config(), fs::Permissions::from_mode(folder)).unwrap();
        let ran = as_nobody(&home, &["install", "--even-here"]);
        ran.ends(
            1,
            &["error[ORC014]", "opencode.json", saying, "ermission denied"],
        );
        fs::set_permissions(home.config(), fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(home.text("opencode.json"), "{}");
        assert_eq!(home.configuration().len(), 1);
    }
}

#[test]
fn a_full_disk_leaves_the_file_as_it_was() {
    // No file may grow beyond 64 blocks, and the signal for it is not heard: a write fails as it does on a full disk.
    let text = format!("{{\"x\": \"{}\"}}", "x".repeat(300_000));
    let home = Home::new().with("opencode.json", &text);
    let before = home.configuration();
    let mut sh = Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" install --even-here";
    sh.args(["-c", script, env!("CARGO_BIN_EXE_orchestrator")])
        .env_clear();
    sh.env("PATH", std::env::var_os("PATH").unwrap());
    sh.env("HOME", home.path())
        .env("ORCHESTRATOR_STATE_DIR", home.state());
    ran(&mut sh).ends(1, &["File too large"]);
    assert_eq!(home.configuration(), before);
    assert_eq!(
        fs::read_dir(home.state().join("backups")).unwrap().count(),
        0
    );
    home.there_and_back(
        "opencode.json",
        &text.replace('}', ", \"plugin\": [\"OURS\"]}"),
    );
}

/// A file that cannot be exchanged, as one that is brought into a container by itself: all was prepared, and its backup is
/// there.
#[test]
fn what_cannot_be_replaced_is_left_with_a_message_and_nothing_beside_it() {
    let unshare = ["--user", "--map-root-user", "--mount"];
    let allowed = Command::new("unshare").args(unshare).arg("true").output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        return testkit::left_out("this machine lets users have no mounts of their own");
    }
    let home = Home::new().with("opencode.json", "{}");
    let before = home.configuration();
    let inner = home.command(&["install", "--even-here"]);
    let mut outer = Command::new("unshare");
    outer.args(unshare).args([
        "sh",
        "-c",
        "mount --bind \"$1\" \"$1\" && exec \"$0\" install --even-here",
    ]);
    outer
        .arg(inner.get_program())
        .arg(home.config().join("opencode.json"))
        .env_clear();
    outer.envs(
        inner
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    ran(&mut outer).ends(
        1,
        &[
            "error[ORC014]",
            "opencode.json could not be replaced",
            "busy",
        ],
    );
    assert_eq!(home.configuration(), before);
    let kept = fs::read_dir(home.state().join("backups")).unwrap();
    assert_eq!(kept.count(), 1);
    home.there_and_back("opencode.json", r#"{"plugin": ["OURS"]}"#);
}

#[test]
fn a_folder_of_backups_that_is_a_link_is_used_only_where_nobody_else_may_write() {
    let home = Home::new().with("opencode.json", "{}");
    let elsewhere = home.path().join("elsewhere");
    fs::create_dir_all(home.state()).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, home.state().join("backups")).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o777)).unwrap();
    let before = home.configuration();
    home.install()
        .ends(1, &["error[ORC014]", "may be written by others"]);
    assert_eq!(home.configuration(), before);
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o700)).unwrap();
    home.there_and_back("opencode.json", r#"{"plugin": ["OURS"]}"#);
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 3);
    fs::remove_dir_all(&elsewhere).unwrap();
    home.install().ends(1, &["backups"]);
    assert_eq!(home.configuration(), before);
}

/// What npm has brought to OpenCode's cache is OpenCode's, and counts for nothing without an entry.
#[test]
fn a_copy_of_the_plugin_in_opencodes_cache_is_left_alone() {
    let home = Home::new().with(
        "opencode.json",
        r#"{"plugin": ["opencode-orchestrator@1.0.0"]}"#,
    );
    let cache = home
        .path()
        .join(".cache/opencode/packages/opencode-orchestrator@1.0.0");
    fs::create_dir_all(&cache).unwrap();
    fs::write(cache.join("package.json"), "{}").unwrap();
    home.install().ends(
        0,
        &[
            "registered already",
            "opencode-orchestrator@1.0.0",
            "from npm",
        ],
    );
    home.uninstall().ends(0, &["taken out of"]);
    assert_eq!(home.text("opencode.json"), r#"{"plugin": []}"#);
    assert_eq!(
        fs::read_to_string(cache.join("package.json")).unwrap(),
        "{}"
    );
}

#[test]
fn an_immutable_place_is_left_with_a_message() {
    let home = Home::new();
    let mut command = home.command(&["install", "--even-here"]);
    ran(command.env("XDG_CONFIG_HOME", "/proc/self")).ends(1, &["/proc/self/opencode"]);
}

#[test]
fn names_that_somebody_made_before_us_are_not_followed() {
    let home = Home::new().with("opencode.json", "{}");
    let bait = home.path().join("bait");
    fs::write(&bait, "bait").unwrap();
    fs::create_dir_all(home.state()).unwrap();
    for name in [
        ".opencode.json.orchestrator-x",
        ".opencode.json.orchestrator-000000000000",
    ] {
        symlink(&bait, home.config().join(name)).unwrap();
    }
    symlink(&bait, home.state().join("install.json")).unwrap();
    home.install().ends(0, &[]);
    home.uninstall().ends(0, &[]);
    assert_eq!(fs::read_to_string(&bait).unwrap(), "bait");
    // A lock that is a link is not taken.
    fs::remove_file(home.state().join("install.lock")).unwrap();
    symlink(&bait, home.state().join("install.lock")).unwrap();
    home.install().ends(1, &["install.lock"]);
    assert_eq!(fs::read_to_string(&bait).unwrap(), "bait");
}

#[test]
fn a_state_directory_that_others_may_write_is_not_used() {
    let home = Home::new().with("opencode.json", "{}");
    fs::create_dir_all(home.state()).unwrap();
    fs::set_permissions(home.state(), fs::Permissions::from_mode(0o777)).unwrap();
    home.install()
        .ends(1, &["error[ORC014]", "may be written by others"]);
    assert_eq!(home.text("opencode.json"), "{}");
}

#[test]
fn a_path_from_which_opencode_loads_nothing_is_refused() {
    let home = Home::new().with("opencode.json", "{}");
    let mut command = home.command(&["install", "--even-here"]);
    command.env("ORCHESTRATOR_STATE_DIR", home.path().join("what?"));
    ran(&mut command).ends(1, &["loads no plugin from a path with a `?`"]);
    assert_eq!(home.text("opencode.json"), "{}");
}

#[test]
fn a_ci_environment_and_a_build_folder_are_left_alone_and_told_so() {
    let home = Home::new().with("opencode.json", "{}");
    let before = home.configuration();
    for word in ["install", "uninstall"] {
        home.run(&[word])
            .ends(0, &["nothing was changed", "build folder", "--even-here"]);
        for (name, value) in [
            ("CI", "true"),
            ("GITHUB_ACTIONS", "true"),
            ("JENKINS_URL", "http://x"),
        ] {
            let mut command = home.command(&[word]);
            ran(command.env(name, value)).ends(0, &["nothing was changed", name]);
        }
    }
    assert_eq!(home.configuration(), before);
    assert!(!home.state().exists());
    let mut command = home.command(&["install", "--even-here"]);
    ran(command.env("CI", "true")).ends(0, &["registered in"]);
}

#[test]
fn the_folder_is_the_one_that_opencode_uses() {
    // A file below ~/.config counts for nothing where XDG_CONFIG_HOME names another place.
    let home = Home::new().with("opencode.json", "{}");
    let elsewhere = home.path().join("elsewhere");
    let run = |word: &str| {
        let mut command = home.command(&[word, "--even-here"]);
        command.env("XDG_CONFIG_HOME", &elsewhere);
        command.env("OPENCODE_CONFIG", home.path().join("own.json"));
        command.env("OPENCODE_CONFIG_DIR", home.path().join("missing"));
        ran(&mut command)
    };
    run("install").ends(0, &["elsewhere/opencode/opencode.jsonc"]);
    assert_eq!(home.text("opencode.json"), "{}");
    // What was installed there goes, though the variable is set no more.
    home.uninstall()
        .ends(0, &["removed", "elsewhere/opencode/opencode.jsonc"]);
    assert!(!elsewhere.join("opencode").exists());
}

#[test]
fn a_second_folder_gets_an_entry_of_its_own_and_the_first_keeps_its() {
    let home = Home::new().with("opencode.json", "{}");
    home.install().ends(0, &[".config/opencode/opencode.json"]);
    let installed = home.configuration();
    let elsewhere = home.path().join("elsewhere");
    fs::create_dir_all(elsewhere.join("opencode")).unwrap();
    let file = elsewhere.join("opencode/opencode.json");
    fs::write(&file, "{}").unwrap();
    let run = |word: &str| {
        let mut command = home.command(&[word, "--even-here"]);
        ran(command.env("XDG_CONFIG_HOME", &elsewhere))
    };
    run("install").ends(0, &["elsewhere/opencode/opencode.json"]);
    assert!(fs::read_to_string(&file).unwrap().contains(&home.entry()));
    assert_eq!(home.configuration(), installed);
    // Both go, since the plugin's files go: an entry that is left would lead nowhere.
    run("uninstall").ends(
        0,
        &[
            "elsewhere/opencode/opencode.json",
            ".config/opencode/opencode.json",
        ],
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "{}");
    assert_eq!(home.text("opencode.json"), "{}");
    assert_eq!(home.configuration().len(), 1);
}

#[test]
fn work_that_hangs_is_ended_with_the_reason() {
    let home = Home::new().with("opencode.json", "{}");
    home.install().ends(0, &[]);
    let held = fs::File::open(home.state().join("install.lock")).unwrap();
    held.lock().unwrap();
    let waits = home.run(&["uninstall", "--even-here", "--time", "2s"]);
    waits.ends(
        1,
        &["it took more than 2000 ms: waiting for another install"],
    );
    drop(held);
    // One with another state directory is kept out as well: each would tidy up what the other has just displaced.
    let held = fs::File::open(home.config()).unwrap();
    held.lock().unwrap();
    let mut command = home.command(&["install", "--even-here", "--time", "2s"]);
    command.env("ORCHESTRATOR_STATE_DIR", home.path().join("other"));
    ran(&mut command).ends(1, &["which holds OpenCode's configuration"]);
    drop(held);
    home.uninstall().ends(0, &["taken out of"]);
}
