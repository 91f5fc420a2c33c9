//! The repository that an agent sees in its workspace: made anew each time, and never read for anything but commits.

use super::Workspace;
use crate::disk::{self, Failure};
use crate::repository::{MissionRepository, alternates_line};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;

/// What the user's own settings must not change in there. A filter with empty commands does nothing.
const CONFIG: &str = "\
[user]
\tname = agent
\temail = agent@localhost
[commit]
\tgpgSign = false
[core]
\tbare = false
\tfilemode = true
\tautocrlf = false
\tsafecrlf = false
\tfsmonitor = false
\thooksPath = /dev/null
\tlogAllRefUpdates = true
[gc]
\tauto = 0
[filter \"lfs\"]
\tclean =
\tsmudge =
\tprocess =
\trequired = false
[push]
\tdefault = nothing
";

/// The content of the `.git` file in a workspace.
pub(super) fn pointer(workspace: &Workspace) -> Vec<u8> {
    let mut text = b"gitdir: ".to_vec();
    text.extend_from_slice(workspace.agent_dir().as_os_str().as_bytes());
    text.push(b'\n');
    text
}

pub(super) fn make(mission: &MissionRepository, workspace: &Workspace) -> Result<(), Failure> {
    let dir = workspace.agent_dir();
    disk::remove(&dir)?;
    for folder in ["objects/info", "refs", "info"] {
        disk::make(&dir.join(folder))?;
    }
    let put = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        fs::write(&path, bytes).map_err(disk::failed("write", &path))
    };
    let format = if mission.is_sha256() {
        "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectFormat = sha256\n"
    } else {
        "[core]\n\trepositoryformatversion = 0\n"
    };
    put("config", format!("{format}{CONFIG}").as_bytes())?;
    put("HEAD", format!("{}\n", workspace.commit()).as_bytes())?;
    put(
        "objects/info/alternates",
        &alternates_line(&mission.store().join("objects")),
    )?;
    for name in ["info/exclude", "info/attributes", "shallow"] {
        let bytes = disk::read_if_there(&mission.store().join(name))?;
        if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
            put(name, &bytes)?;
        }
    }
    copy_index(&workspace.index(), &dir.join("index"))
}

/// Puts the `.git` file into a workspace, last of all: while it is there, the workspace was handed out.
pub(super) fn point_to(workspace: &Workspace) -> Result<(), Failure> {
    let file = workspace.pointer();
    fs::write(&file, pointer(workspace)).map_err(disk::failed("write", &file))
}

/// Copies an index with its time, against which git judges which files to read again.
pub(super) fn copy_index(from: &std::path::Path, to: &std::path::Path) -> Result<(), Failure> {
    fs::copy(from, to).map_err(disk::failed("copy", from))?;
    let time = fs::metadata(from)
        .and_then(|data| data.modified())
        .map_err(disk::failed("look at", from))?;
    let set = File::options()
        .write(true)
        .open(to)
        .and_then(|file| file.set_modified(time));
    set.map_err(disk::failed("set the time of", to))
}
