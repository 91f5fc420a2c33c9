//! What an index says, and whether a folder holds just that, told without git wherever it is plain.
//!
//! Git's own rule: a file whose size, times, owner and number are those that the index noted has the content that the
//! index names, unless it was written so close to the index that its times prove nothing; then its content is hashed.
//! Whatever is not plain (another form of the index, submodules, converted line ends, much to hash) is for git to say.

mod index;

use crate::git::RepoPath;
use crate::repository::{Change, Changed, Entry};
use index::{Noted, modified, number, read};
use mission::ids::Digest;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The most bytes that are hashed here: what was checked out just now is little, and git is as fast with much.
const HASHED: u64 = 32 << 20;
/// A file that was written this close to the index may have been written again without a trace: the kernel's clock for
/// files goes on in steps of up to 10 ms.
const CLOSE: i128 = 100_000_000;
/// The same where the file system notes whole seconds, or every other one.
const CLOSE_IN_SECONDS: i128 = 3_000_000_000;

/// Which files of an index are looked at.
#[derive(Debug)]
pub(crate) enum Which {
    /// All, for the first time.
    All,
    /// All, where nobody is expected to have written anything.
    Untouched,
    /// Those that were written after [`differing`] looked at all of them.
    Those(HashSet<RepoPath>),
}

/// Whether the files below a folder are those of a listing, and the index says so too. What lies there beside them is
/// not looked at. `false` also where it cannot be told here, and for a file that somebody wrote anew with the same bytes,
/// unless `all` are looked at for the first time.
pub(crate) fn holds(
    root: &Path,
    index: &Path,
    listing: &[Entry],
    is_sha256: bool,
    which: &Which,
) -> bool {
    told(root, index, listing, is_sha256, which).unwrap_or(false)
}

fn told(
    root: &Path,
    index: &Path,
    listing: &[Entry],
    is_sha256: bool,
    which: &Which,
) -> io::Result<bool> {
    let written = nanos(&fs::metadata(index)?);
    let bytes = fs::read(index)?;
    let Some(noted) = read(&bytes, name_length(is_sha256)) else {
        return Ok(false);
    };
    if noted.len() != listing.len() {
        return Ok(false);
    }
    let mut look = Look::new(root, written, is_sha256)?;
    for (noted, entry) in noted.iter().zip(listing) {
        let names = noted.path == entry.path.as_bytes()
            && noted.mode() == entry.mode
            && hex(noted.id) == entry.id.as_str();
        if !names {
            return Ok(false);
        }
        if let Which::Those(paths) = which
            && !paths.contains(&entry.path)
        {
            continue;
        }
        let stands = match look.at(noted)? {
            Found::Same => true,
            Found::Touched => matches!(which, Which::All),
            _ => false,
        };
        if !stands {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The files that an index says are in a tree; nothing where it cannot be told here.
pub(crate) fn listed(index: &Path, is_sha256: bool) -> Option<Vec<Entry>> {
    let bytes = fs::read(index).ok()?;
    let entry = |noted: Noted<'_>| {
        Some(Entry {
            mode: noted.mode(),
            id: hex(noted.id).parse().ok()?,
            path: RepoPath::printed(noted.path),
        })
    };
    read(&bytes, name_length(is_sha256))?
        .into_iter()
        .map(entry)
        .collect()
}

/// What somebody has changed of the files that an index notes, as `git diff-files` tells it: what is new is not among
/// it. Nothing where it cannot be told here.
pub(crate) fn differing(root: &Path, index: &Path, is_sha256: bool) -> Option<Vec<Change>> {
    let written = nanos(&fs::metadata(index).ok()?);
    let bytes = fs::read(index).ok()?;
    let length = name_length(is_sha256);
    let zeros: Digest = "0".repeat(2 * length).parse().ok()?;
    let mut look = Look::new(root, written, is_sha256).ok()?;
    let mut changes = Vec::new();
    for noted in read(&bytes, length)? {
        let (changed, new_mode) = match look.at(&noted) {
            Ok(Found::Same) => continue,
            // Its bytes may be the same: what it is otherwise, a link to a file elsewhere or closed against writing, is
            // for whoever takes it to see.
            Ok(Found::Touched) => (Changed::Modified, noted.mode()),
            Ok(Found::Other(mode)) => (Changed::Modified, mode),
            Ok(Found::Nothing) => (Changed::Deleted, 0),
            Ok(Found::Unclear) | Err(_) => return None,
        };
        changes.push(Change {
            path: RepoPath::printed(noted.path),
            changed,
            old_mode: noted.mode(),
            new_mode,
            old: hex(noted.id).parse().ok()?,
            new: zeros.clone(),
        });
    }
    Some(changes)
}

/// What stands where an index notes a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// What it notes.
    Same,
    /// Another file with the same bytes, or the same file with something else about it.
    Touched,
    /// Something else, of this mode.
    Other(u32),
    /// No file and no link.
    Nothing,
    /// It is for git to say.
    Unclear,
}

/// A comparison of a folder with its index.
struct Look<'a> {
    root: &'a Path,
    written: i128,
    is_sha256: bool,
    hashed: u64,
    /// The root, and of the last file the folders down to it: those of the next one are mostly the same.
    open: Vec<(&'a [u8], OwnedFd)>,
}

impl<'a> Look<'a> {
    fn new(root: &'a Path, written: i128, is_sha256: bool) -> io::Result<Self> {
        let top = rustix::fs::open(root, FOLDER, Mode::empty())?;
        Ok(Self {
            root,
            written,
            is_sha256,
            hashed: 0,
            open: vec![(b"", top)],
        })
    }

    fn at(&mut self, noted: &Noted<'a>) -> io::Result<Found> {
        if !matches!(noted.mode(), 0o100_644 | 0o100_755 | 0o120_000) {
            return Ok(Found::Unclear);
        }
        let Some(found) = self.look_at(noted.path)? else {
            return Ok(Found::Nothing);
        };
        let kind = FileType::from_raw_mode(found.st_mode);
        let mode = match (kind, found.st_mode & 0o100) {
            (FileType::Symlink, _) => 0o120_000,
            (FileType::RegularFile, 0) => 0o100_644,
            (FileType::RegularFile, _) => 0o100_755,
            (FileType::Directory, _) => return Ok(Found::Nothing),
            _ => return Ok(Found::Unclear),
        };
        if mode != noted.mode() {
            return Ok(Found::Other(mode));
        }
        let as_noted = is_as_noted(&found, noted.stat);
        if as_noted && !is_close(modified(noted.stat), self.written) {
            return Ok(Found::Same);
        }
        let size = u64::try_from(found.st_size).unwrap_or(u64::MAX);
        self.hashed = self.hashed.saturating_add(size);
        if self.hashed > HASHED {
            return Ok(Found::Unclear);
        }
        let place = self.root.join(OsStr::from_bytes(noted.path));
        Ok(
            match content(&place, kind, size, self.is_sha256)? == hex(noted.id) {
                true if as_noted => Found::Same,
                true => Found::Touched,
                false => Found::Other(mode),
            },
        )
    }

    /// What is in a place, or nothing: what lies behind a link is not in the workspace. One that cannot be looked at, as
    /// behind a closed folder, is an error: it may be there.
    fn look_at(&mut self, path: &'a [u8]) -> io::Result<Option<Stat>> {
        let folder = parent(path);
        while !is_in(folder, self.last().0) {
            self.open.pop();
        }
        while self.last().0 != folder {
            let (above, opened) = self.last();
            let from = above.len() + usize::from(!above.is_empty());
            let rest = &folder[from..];
            let name = rest.split(|byte| *byte == b'/').next().unwrap_or(rest);
            let below = rustix::fs::openat(opened, name, FOLDER, Mode::empty());
            let Some(below) = there(below)? else {
                return Ok(None);
            };
            self.open.push((&folder[..from + name.len()], below));
        }
        let name = &path[folder.len() + usize::from(!folder.is_empty())..];
        let found = rustix::fs::statat(self.last().1, name, AtFlags::SYMLINK_NOFOLLOW);
        there(found)
    }

    fn last(&self) -> (&'a [u8], &OwnedFd) {
        let (path, opened) = &self.open[self.open.len() - 1];
        (path, opened)
    }
}

/// How folders are opened: links are none.
const FOLDER: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// What was found, or nothing where no such thing is there.
fn there<T>(found: rustix::io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        found => Ok(Some(found?)),
    }
}

/// Whether a folder is another one or lies in it.
fn is_in(folder: &[u8], other: &[u8]) -> bool {
    other.is_empty()
        || folder
            .strip_prefix(other)
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

/// The folder of a path; nothing for the topmost.
fn parent(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte == b'/');
    &path[..end.unwrap_or(0)]
}

/// Bytes of the name of an object.
fn name_length(is_sha256: bool) -> usize {
    if is_sha256 { 32 } else { 20 }
}

/// Whether a file's time says nothing about what was done to it after the index was written.
fn is_close(modified: i128, written: i128) -> bool {
    let in_seconds = modified % 1_000_000_000 == 0 && written % 1_000_000_000 == 0;
    let close = if in_seconds { CLOSE_IN_SECONDS } else { CLOSE };
    modified + close >= written
}

fn nanos(data: &Metadata) -> i128 {
    i128::from(data.mtime()) * 1_000_000_000 + i128::from(data.mtime_nsec())
}

/// Whether nothing about a file has changed that the index notes. Of each number it keeps the low 32 bits, and of the
/// times no fractions where git was built so.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the index keeps the low 32 bits"
)]
fn is_as_noted(found: &Stat, stat: &[u8]) -> bool {
    let now = [
        (0, found.st_ctime as u32),
        (1, found.st_ctime_nsec as u32),
        (2, found.st_mtime as u32),
        (3, found.st_mtime_nsec as u32),
        (5, found.st_ino as u32),
        (7, found.st_uid),
        (8, found.st_gid),
        (9, found.st_size as u32),
    ];
    now.iter().all(|(n, now)| number(stat, *n) == *now)
}

/// The name of the object that git would make of a file's bytes as they are.
fn content(place: &Path, kind: FileType, size: u64, is_sha256: bool) -> io::Result<String> {
    use sha1::Digest as _;
    let bytes = match kind.is_symlink() {
        true => fs::read_link(place)?.as_os_str().as_bytes().to_owned(),
        false => bytes_of(place, size)?,
    };
    let head = format!("blob {}\0", bytes.len());
    Ok(match is_sha256 {
        true => hex(&sha2::Sha256::new()
            .chain_update(head)
            .chain_update(bytes)
            .finalize()),
        false => hex(&sha1::Sha1::new()
            .chain_update(head)
            .chain_update(bytes)
            .finalize()),
    })
}

/// The bytes of a file that was looked at. Whatever somebody puts there meanwhile is not followed, waited for or read
/// without end.
fn bytes_of(place: &Path, size: u64) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let file = fs::File::options()
        .read(true)
        .custom_flags(flags as i32)
        .open(place)?;
    let mut bytes = Vec::new();
    file.take(size.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| DIGITS[usize::from(digit)] as char)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::PathBuf;
    use std::process::Command;
    use std::time::{Duration, SystemTime};

    /// A folder that git has checked out, its index and what the tree holds.
    struct Checked {
        root: PathBuf,
        listing: Vec<Entry>,
        is_sha256: bool,
        _dir: tempfile::TempDir,
    }

    impl Checked {
        fn out(format: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().to_owned();
            git(&root, &["init", "-q", &format!("--object-format={format}")]);
            fs::create_dir(root.join("sub")).unwrap();
            for (name, text) in [("a", "a\n"), ("sub/b.sh", "b\n"), ("sub/long name", "")] {
                fs::write(root.join(name), text).unwrap();
            }
            fs::set_permissions(root.join("sub/b.sh"), fs::Permissions::from_mode(0o755)).unwrap();
            symlink("a", root.join("link")).unwrap();
            git(&root, &["add", "-A"]);
            Self {
                listing: listing(&root),
                root,
                is_sha256: format == "sha256",
                _dir: dir,
            }
        }

        fn index(&self) -> PathBuf {
            self.root.join(".git/index")
        }

        fn holds(&self) -> bool {
            holds(
                &self.root,
                &self.index(),
                &self.listing,
                self.is_sha256,
                &Which::All,
            )
        }

        /// What differs from the index is told as git tells it, once git has compared what it knows by its times only.
        fn says_what_git_says(&self, what: &str) {
            let Some(told) = differing(&self.root, &self.index(), self.is_sha256) else {
                assert!(what.contains("cut off"), "{what}");
                return;
            };
            git(&self.root, &["update-index", "-q", "--refresh"]);
            let words = ["diff-files", "-z", "--raw", "--no-abbrev", "--no-renames"];
            let said = crate::repository::parse_raw(&git(&self.root, &words)).unwrap();
            assert_eq!(told, said, "{what}");
        }

        /// As if the index had been written long after the files.
        fn age(&self) {
            let later = SystemTime::now() + Duration::from_secs(60);
            let index = fs::File::options().write(true).open(self.index()).unwrap();
            index.set_modified(later).unwrap();
        }
    }

    fn listing(root: &Path) -> Vec<Entry> {
        let said = git(root, &["ls-files", "-z", "--stage"]);
        let listing = crate::repository::entries(&said, |words| match words[..] {
            [mode, id, _] => Some((mode, id)),
            _ => None,
        });
        listing.unwrap()
    }

    fn git(root: &Path, words: &[&str]) -> Vec<u8> {
        let ran = Command::new("git").args(words).current_dir(root).output();
        let ran = ran.unwrap();
        // A refresh ends with 1 where something differs.
        let fine = ran.status.success() || words.contains(&"--refresh");
        assert!(fine, "{words:?}");
        ran.stdout
    }

    #[test]
    fn what_was_checked_out_is_known_to_stand_by_its_times_or_by_its_content() {
        for format in ["sha1", "sha256"] {
            let checked = Checked::out(format);
            assert!(checked.holds(), "{format}: by its content");
            checked.age();
            assert!(checked.holds(), "{format}: by its times");
            // Touched and as it was.
            fs::write(checked.root.join("a"), "a\n").unwrap();
            assert!(checked.holds(), "{format}: touched");
        }
    }

    #[test]
    fn whatever_differs_is_seen() {
        type Change = (&'static str, fn(&Path));
        let changes: [Change; 9] = [
            ("other bytes of the same length", |root| {
                fs::write(root.join("a"), "x\n").unwrap();
            }),
            ("a file that is gone", |root| {
                fs::remove_file(root.join("a")).unwrap();
            }),
            ("a file that may not be run any more", |root| {
                let mode = fs::Permissions::from_mode(0o644);
                fs::set_permissions(root.join("sub/b.sh"), mode).unwrap();
            }),
            ("a link that leads elsewhere", |root| {
                fs::remove_file(root.join("link")).unwrap();
                symlink("b", root.join("link")).unwrap();
            }),
            ("a file in place of a link", |root| {
                fs::remove_file(root.join("link")).unwrap();
                fs::write(root.join("link"), "a").unwrap();
            }),
            ("a folder in place of a file", |root| {
                fs::remove_file(root.join("a")).unwrap();
                fs::create_dir(root.join("a")).unwrap();
            }),
            (
                "a folder that was moved away and is a link to where it is now",
                |root| {
                    fs::rename(root.join("sub"), root.join(".git/sub")).unwrap();
                    symlink(".git/sub", root.join("sub")).unwrap();
                },
            ),
            ("an index of something else", |root| {
                fs::write(root.join("new"), "").unwrap();
                git(root, &["add", "new"]);
            }),
            ("an index that is cut off", |root| {
                let bytes = fs::read(root.join(".git/index")).unwrap();
                fs::write(root.join(".git/index"), &bytes[..100]).unwrap();
            }),
        ];
        for (what, change) in changes {
            for aged in [false, true] {
                let checked = Checked::out("sha1");
                if aged {
                    checked.age();
                }
                change(&checked.root);
                assert!(!checked.holds(), "{what}, aged: {aged}");
                // Git compares whole seconds, and believes an index that says to be newer.
                if !aged {
                    checked.says_what_git_says(what);
                }
            }
        }
    }

    #[test]
    fn folders_whose_names_begin_alike_are_told_apart() {
        let mut checked = Checked::out("sha1");
        let paths = ["d/b-c/x", "d/b/c/x", "d/b/x", "d/bb/x", "d/x", "db/x"];
        for path in paths {
            let place = checked.root.join(path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, path).unwrap();
        }
        git(&checked.root, &["add", "-A"]);
        checked.listing = listing(&checked.root);
        assert!(checked.holds());
        for (n, path) in (1..).zip(paths) {
            fs::write(checked.root.join(path), "another").unwrap();
            let told = differing(&checked.root, &checked.index(), false).unwrap();
            let told: Vec<String> = told.iter().map(|it| it.path.to_string()).collect();
            assert_eq!(told, paths[..n]);
        }
    }

    #[test]
    fn a_time_proves_something_if_it_is_well_before_the_index_for_its_file_system() {
        let second = 1_000_000_000;
        let at = |whole: i128, nanos: i128| whole * second + nanos;
        assert!(is_close(at(10, 5), at(10, 9_000_000)));
        assert!(is_close(at(11, 0), at(10, 5)), "a clock that was put back");
        assert!(!is_close(at(10, 5), at(10, 200_000_000)));
        assert!(is_close(at(10, 0), at(12, 0)), "whole seconds");
        assert!(!is_close(at(10, 0), at(14, 0)));
    }

    #[test]
    fn a_change_that_puts_the_times_back_is_seen() {
        let checked = Checked::out("sha1");
        let file = checked.root.join("a");
        let was = fs::metadata(&file).unwrap().modified().unwrap();
        checked.age();
        fs::write(&file, "x\n").unwrap();
        let opened = fs::File::options().write(true).open(&file).unwrap();
        opened.set_modified(was).unwrap();
        assert!(!checked.holds());
    }

    #[test]
    fn what_is_not_plain_is_left_to_git() {
        let checked = Checked::out("sha1");
        git(&checked.root, &["update-index", "--index-version=4"]);
        assert!(!checked.holds(), "another form of the index");
        let mut checked = Checked::out("sha1");
        checked.listing[0].mode = 0o160_000;
        assert!(!checked.holds(), "a submodule");
        fs::remove_file(checked.index()).unwrap();
        assert!(!checked.holds(), "no index");
    }
}
