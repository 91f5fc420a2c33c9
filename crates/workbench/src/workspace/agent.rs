//! The repository that an agent sees in its workspace: set anew each time, and never read for anything but commits.

use super::{Workspace, collect};
use crate::disk::{self, Failure};
use crate::repository::{MissionRepository, alternates_line};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

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

/// Its folders.
const FOLDERS: &[&str] = &["objects", "objects/info", "refs", "info"];

/// Makes the repository anew. What is there already and is a plain file of its own is written over in place: on ext4 a
/// new file costs the more the more files were removed in the last seconds.
pub(super) fn make(mission: &MissionRepository, workspace: &Workspace) -> Result<(), Failure> {
    let format = if mission.is_sha256() {
        "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectFormat = sha256\n"
    } else {
        "[core]\n\trepositoryformatversion = 0\n"
    };
    let objects = alternates_line(&mission.store().join("objects"));
    let mut files = vec![
        ("config", format!("{format}{CONFIG}").into_bytes()),
        ("HEAD", format!("{}\n", workspace.commit()).into_bytes()),
        ("objects/info/alternates", objects),
    ];
    for name in ["info/exclude", "info/attributes", "shallow"] {
        let bytes = disk::read_if_there(&mission.store().join(name))?;
        files.extend(
            bytes
                .filter(|bytes| !bytes.is_empty())
                .map(|bytes| (name, bytes)),
        );
    }
    let dir = workspace.agent_dir();
    let wanted = |name: &str| name == "index" || files.iter().any(|(file, _)| *file == name);
    keep_only(&dir, "", &wanted)?;
    for folder in FOLDERS {
        disk::make(&dir.join(folder))?;
    }
    for (name, bytes) in &files {
        let path = dir.join(name);
        write_over(&path, bytes).map_err(disk::failed("write", &path))?;
    }
    copy_index(&workspace.index(), &dir.join("index"))
}

/// Removes everything in a folder that is neither one of [`FOLDERS`] nor a wanted file that has no other name (writing to
/// that changes nothing elsewhere), and what is closed against its owner.
fn keep_only(folder: &Path, name: &str, wanted: &dyn Fn(&str) -> bool) -> Result<(), Failure> {
    match fs::symlink_metadata(folder) {
        Ok(data) if data.is_dir() && data.mode() & 0o700 == 0o700 => {}
        _ => return disk::remove(folder),
    }
    for entry in fs::read_dir(folder).map_err(disk::failed("list", folder))? {
        let entry = entry.map_err(disk::failed("list", folder))?;
        let path = entry.path();
        let data = entry.metadata().map_err(disk::failed("look at", &path))?;
        let own = entry.file_name();
        let name = match name {
            "" => own.to_string_lossy().into_owned(),
            _ => format!("{name}/{}", own.to_string_lossy()),
        };
        if data.is_dir() && FOLDERS.contains(&name.as_str()) {
            keep_only(&path, &name, wanted)?;
            continue;
        }
        let stays = data.is_file() && data.nlink() == 1 && data.mode() & 0o600 == 0o600;
        if !(stays && wanted(&name)) {
            disk::remove(&path)?;
        }
    }
    Ok(())
}

/// Writes a file where it is, unless it holds just this.
fn write_over(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let same = fs::metadata(path).is_ok_and(|data| data.len() == bytes.len() as u64)
        && fs::read(path).is_ok_and(|there| there == bytes);
    if same { Ok(()) } else { fs::write(path, bytes) }
}

/// Puts the `.git` file into a workspace, unless it is there.
pub(super) fn point_to(workspace: &Workspace) -> Result<(), Failure> {
    if collect::find_tampering(workspace).is_none() {
        return Ok(());
    }
    let file = workspace.pointer();
    disk::remove(&file)?;
    fs::write(&file, pointer(workspace)).map_err(disk::failed("write", &file))
}

/// Copies an index with its time, against which git judges which files to read again.
pub(super) fn copy_index(from: &Path, to: &Path) -> Result<(), Failure> {
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
