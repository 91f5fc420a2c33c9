//! The sample project of the demo, and the script of its crew.

use crate::error::{Error, Kind};
use agents::scripted::{Deed, Script};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// What the crew is asked for.
pub(crate) const REQUEST: &str =
    "Give notes numbers, and teach it find, done, tag, count, export and archive";

/// The script, as text.
pub(crate) const SCRIPT: &str = include_str!("demo/script.toml");

/// What to do about a script that is wrong although it comes with the program.
const BROKEN: &str = "this program is damaged: build or install it anew";

/// How much longer everybody thinks for those who want to watch.
const SLOW: u64 = 10;

/// The files of the project, and whether they may be executed.
const FILES: [(&str, &str, bool); 9] = [
    ("README.md", include_str!("demo/project/README.md"), false),
    (
        "command/add.sh",
        include_str!("demo/project/command/add.sh"),
        false,
    ),
    (
        "command/list.sh",
        include_str!("demo/project/command/list.sh"),
        false,
    ),
    ("help.txt", include_str!("demo/project/help.txt"), false),
    (
        "lib/store.sh",
        include_str!("demo/project/lib/store.sh"),
        false,
    ),
    ("notes", include_str!("demo/project/notes"), true),
    (
        "script/test",
        include_str!("demo/project/script/test"),
        true,
    ),
    (
        "test/add.sh",
        include_str!("demo/project/test/add.sh"),
        false,
    ),
    (
        "test/list.sh",
        include_str!("demo/project/test/list.sh"),
        false,
    ),
];

/// The script, at the pace that was asked for.
pub(crate) fn script(slow: bool) -> Result<Script, Error> {
    let mut script =
        Script::parse(SCRIPT).map_err(|error| Error::new(Kind::Script, error).hint(BROKEN))?;
    let deeds = script.turns.iter_mut().flat_map(|turn| &mut turn.steps);
    for deed in deeds {
        if let (Deed::Think(ms), true) = (deed, slow) {
            *ms *= SLOW;
        }
    }
    Ok(script)
}

/// Makes the project: a folder with files and a git repository with one commit.
pub(crate) fn make_project(at: &Path) -> Result<(), Error> {
    for (name, text, executable) in FILES {
        let path = at.join(name);
        let folder = path.parent().unwrap_or(at);
        std::fs::create_dir_all(folder).map_err(|error| Error::io("make", folder, &error))?;
        let mode = if executable { 0o755 } else { 0o644 };
        std::fs::write(&path, text)
            .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)))
            .map_err(|error| Error::io("write", &path, &error))?;
    }
    let git = crate::places::git_program()?;
    workbench::sample::commit_all(&git, at, "main", "Keep notes, and list them").map_err(|error| {
        Error::new(Kind::Setup, error)
            .hint("git has to work here: `git --version`, and room in the temporary folder")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_can_be_played_and_slowed_down() {
        let thinks = |slow| -> u64 {
            let script = script(slow).unwrap();
            let deeds = script.turns.iter().flat_map(|turn| &turn.steps);
            deeds
                .map(|deed| match deed {
                    Deed::Think(ms) => *ms,
                    _ => 0,
                })
                .sum()
        };
        assert_eq!(thinks(true), SLOW * thinks(false));
        assert!(
            thinks(false) < 10_000,
            "the demo is quick unless asked otherwise"
        );
    }
}
