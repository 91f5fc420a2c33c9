//! Files that change in the middle of a delivery.

use super::*;
use std::os::unix::fs::PermissionsExt as _;

const FORM: Form = Form {
    link: false,
    mode: None,
    executable: false,
    flush: true,
};

fn world() -> (tempfile::TempDir, Jail, RepoPath) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    let jail = Jail::open(dir.path()).unwrap();
    (dir, jail, RepoPath::new("folder/a").unwrap())
}

fn holds(text: &'static str) -> impl Fn(&Found) -> bool {
    move |found| matches!(found, Found::Entry(entry) if entry.digest == Digest::of(text.as_bytes()))
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir.join("folder")).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn an_edit_between_the_look_and_the_writing_comes_back() {
    let (dir, jail, path) = world();
    let file = dir.path().join("folder/a");
    std::fs::write(&file, "old").unwrap();
    jail.stage(&path, &mut &b"new"[..], &FORM, Beside::New)
        .unwrap();
    std::fs::write(&file, "edited").unwrap();
    let swap = |fresh| {
        jail.swap_in(&path, Beside::New, fresh, holds("old"))
            .unwrap()
    };
    assert!(!swap(false));
    assert_eq!(std::fs::read(&file).unwrap(), b"edited");
    assert_eq!(names(dir.path()), ["a"]);
    // Where there was nothing, somebody has made one.
    jail.stage(&path, &mut &b"new"[..], &FORM, Beside::New)
        .unwrap();
    assert!(!swap(true));
    assert_eq!(std::fs::read(&file).unwrap(), b"edited");
    // Where there was one, somebody has removed it.
    jail.stage(&path, &mut &b"new"[..], &FORM, Beside::New)
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(!swap(false));
    assert!(names(dir.path()).is_empty());
    // And nobody did anything.
    std::fs::write(&file, "old").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    jail.stage(&path, &mut &b"new"[..], &FORM, Beside::New)
        .unwrap();
    assert!(swap(false));
    assert_eq!(std::fs::read(&file).unwrap(), b"new");
    assert_eq!(names(dir.path()), ["a"]);
}

#[test]
fn an_edit_between_the_look_and_the_removal_comes_back() {
    let (dir, jail, path) = world();
    let file = dir.path().join("folder/a");
    std::fs::write(&file, "edited").unwrap();
    assert!(!jail.take_out(&path, holds("old")).unwrap());
    assert_eq!(std::fs::read(&file).unwrap(), b"edited");
    assert_eq!(names(dir.path()), ["a"]);
    std::fs::write(&file, "old").unwrap();
    assert!(jail.take_out(&path, holds("old")).unwrap());
    assert!(
        !dir.path().join("folder").exists(),
        "an emptied folder goes"
    );
}

#[test]
fn what_a_crash_left_beside_a_file_is_told_from_an_edit() {
    let (dir, jail, path) = world();
    let folder = dir.path().join("folder");
    let beside = |end| folder.join(passing(&path, end));
    let (new, old, out) = (
        beside(Beside::New),
        beside(Beside::Old),
        beside(Beside::Out),
    );
    // What is there, what lies beside it, and what is to be there after.
    let cases = [
        ("old", &new, "ne", "old"),
        ("old", &new, "new", "old"),
        ("new", &new, "old", "new"),
        ("new", &new, "edited", "edited"),
        ("new", &old, "ol", "new"),
        ("old", &old, "new", "old"),
        ("old", &old, "edited", "edited"),
        ("", &out, "edited", "edited"),
        ("", &out, "old", ""),
    ];
    for (there, place, left, after) in cases {
        let file = folder.join("a");
        std::fs::remove_file(&file).ok();
        std::fs::create_dir_all(&folder).unwrap();
        if !there.is_empty() {
            std::fs::write(&file, there).unwrap();
        }
        std::fs::write(place, left).unwrap();
        jail.settle(&path, holds("old"), holds("new")).unwrap();
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(found, after, "{there:?} with {left:?} in {place:?}");
        assert_eq!(folder.exists(), !after.is_empty());
        let names = if folder.exists() {
            names(dir.path())
        } else {
            Vec::new()
        };
        assert!(names.iter().all(|name| name == "a"), "{names:?}");
    }
}
