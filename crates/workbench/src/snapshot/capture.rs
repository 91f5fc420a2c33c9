//! Turning a folder of files into a tree: the same steps for the user's folder and for a workspace.
//!
//! It starts from an index that is right for unchanged files, so those are not read. Only paths whose file differs in
//! size or times are hashed, through the mission's repository, where no filter is configured.

use super::{ATTRIBUTES, Error, LeftOut, Reason, special};
use crate::disk::{self, Failure};
use crate::git::{Call, RepoPath};
use crate::repository::{self, Change, Changed, Entry, Listing, MissionRepository};
use crate::standing;
use mission::ids::{CommitId, Digest, TreeId};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// A file whose filter is Git LFS is stored as a pointer of this form.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";

/// How a path with a filter is taken; filters themselves are never run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filtered {
    /// A changed LFS file becomes its pointer; any other filter is an error.
    Point,
    /// The path stays as it was and is named.
    LeaveOut,
}

/// How nested repositories are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nested {
    /// They are left out and named.
    LeaveOut,
    /// Their files count as plain files.
    Plain,
}

/// Bounds on what is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The most bytes of one untracked file.
    pub(crate) untracked_each: u64,
    /// The most bytes of all untracked files.
    pub(crate) untracked_all: u64,
    /// The most untracked files.
    pub(crate) untracked_count: usize,
    /// The most bytes of any changed file.
    pub(crate) each: u64,
}

/// A folder about to be captured.
pub(crate) struct Capture<'a> {
    pub(crate) mission: &'a MissionRepository,
    pub(crate) root: &'a Path,
    pub(crate) index: &'a Path,
    pub(crate) settings: &'a [(String, OsString)],
    /// What the index holds, in its order.
    pub(crate) tracked: Listing,
    /// What the result will be compared with, if anything: git is asked while it writes the tree.
    pub(crate) against: Option<&'a CommitId>,
    pub(crate) bounds: Bounds,
    pub(crate) filtered: Filtered,
    pub(crate) nested: Nested,
    /// What was taken out of the folder: it is not gone where it is not there.
    pub(crate) hidden: &'a [&'a [u8]],
}

/// What was found.
pub(crate) struct Captured {
    pub(crate) tree: TreeId,
    pub(crate) untracked: usize,
    /// At most [`LISTED`].
    pub(crate) left_out: Vec<LeftOut>,
    /// How many more were left out.
    pub(crate) unlisted: usize,
    /// Whether a file that was taken has another name, here or elsewhere.
    pub(crate) linked: bool,
}

/// How many paths that were left out are named.
const LISTED: usize = 1000;

/// Paths on their way into the index.
#[derive(Default)]
struct Plan {
    take: Vec<RepoPath>,
    untracked: BTreeSet<RepoPath>,
    forget: Vec<RepoPath>,
    /// How many untracked files were not even looked at.
    beyond: usize,
    /// Paths whose stored form is known without git's hashing the file.
    stored: Vec<(RepoPath, u32, Digest)>,
    /// What git says of the tracked paths in `take`.
    changes: Vec<Change>,
    left_out: Vec<LeftOut>,
}

/// What stands in the folder.
struct Seen {
    /// What differs from the index.
    changed: Vec<Change>,
    /// What git does not see, in the folders that hold something tracked.
    specials: Vec<RepoPath>,
    /// What the index does not hold, as git lists it.
    untracked: Vec<u8>,
}

impl Capture<'_> {
    /// A call that sees the folder's files and the capture's own index.
    fn call(&self, what: &'static str) -> Call {
        self.mission
            .call(what)
            .work_tree(self.root)
            .index(self.index)
            .settings(self.settings)
    }

    pub(crate) fn run(&self) -> Result<Captured, Error> {
        let tracked = self.tracked.as_slice();
        let mut plan = Plan::default();
        let folders = folders(tracked);
        let Seen {
            changed,
            specials,
            untracked,
        } = self.look(&folders)?;
        self.plan_changed(changed, &mut plan);
        self.plan_untracked(&untracked, &mut plan)?;
        self.name_submodules(tracked, &mut plan);
        self.name_specials(specials, &folders, &mut plan)?;
        let linked = plan.take.iter().any(|path| {
            fs::symlink_metadata(path.below(self.root)).is_ok_and(|data| data.nlink() > 1)
        });
        if self.rules_may_apply(tracked, &plan.take) {
            self.set_apart(&mut plan)?;
        }
        let tree = self.write(&plan)?;
        plan.left_out.sort();
        plan.left_out.dedup();
        let unlisted = plan.beyond + plan.left_out.len().saturating_sub(LISTED);
        plan.left_out.truncate(LISTED);
        Ok(Captured {
            tree,
            linked,
            untracked: plan.untracked.len(),
            left_out: plan.left_out,
            unlisted,
        })
    }

    fn look(&self, folders: &BTreeSet<Vec<u8>>) -> Result<Seen, Error> {
        std::thread::scope(|scope| {
            let told = scope.spawn(|| self.told());
            let (specials, others) = special::in_folders(self.root, folders);
            // Git would wait for ever for rules that are a pipe, so nothing is asked of it before.
            special::refuse_as_rules(self.root, &specials, others)?;
            let changed = scope.spawn(|| joined(told).map_or_else(|| self.changed(), Ok));
            let words = ["-z", "--others", "--exclude-standard"];
            let untracked = self.call("ls-files").args(words).bytes();
            Ok(Seen {
                changed: joined(changed)?,
                specials,
                untracked: untracked?,
            })
        })
    }

    /// What differs from the index, where it can be told without git.
    fn told(&self) -> Option<Vec<Change>> {
        // What somebody has configured is for git to apply.
        self.settings
            .is_empty()
            .then(|| standing::differing(self.root, self.index, self.mission.is_sha256()))
            .flatten()
    }

    /// The same as git says it.
    fn changed(&self) -> Result<Vec<Change>, Error> {
        let words = [
            "-z",
            "--raw",
            "--no-abbrev",
            "--no-renames",
            "--ignore-submodules=all",
        ];
        let listing = self.call("diff-files").args(words).bytes()?;
        Ok(repository::parse_raw(&listing)?)
    }

    fn plan_changed(&self, changes: Vec<Change>, plan: &mut Plan) {
        for change in changes {
            if change.old_mode == 0o160_000 {
                continue;
            }
            let path = change.path.clone();
            if change.changed == Changed::Deleted {
                if !self.hidden.iter().any(|name| path.is_within(name)) {
                    plan.forget.push(path);
                }
                continue;
            }
            match fs::symlink_metadata(path.below(self.root)) {
                Ok(data) if !data.is_dir() => match self.refusal(&path, &data, self.bounds.each) {
                    Some(why) => plan.left_out.push(LeftOut { path, why }),
                    None => {
                        plan.take.push(path);
                        plan.changes.push(change);
                    }
                },
                _ => plan.forget.push(path),
            }
        }
    }

    fn plan_untracked(&self, listing: &[u8], plan: &mut Plan) -> Result<(), Error> {
        let mut total = 0;
        let mut paths = Vec::new();
        for record in repository::records(listing) {
            match record.strip_suffix(b"/") {
                Some(folder) => {
                    self.enter_nested(&RepoPath::printed(folder), &mut paths, plan, 0)?;
                }
                None => paths.push(RepoPath::printed(record)),
            }
        }
        plan.beyond = paths.len().saturating_sub(self.bounds.untracked_count);
        paths.truncate(self.bounds.untracked_count);
        for path in paths {
            let Ok(data) = fs::symlink_metadata(path.below(self.root)) else {
                continue;
            };
            let each = self.bounds.untracked_each.min(self.bounds.each);
            let why = self.refusal(&path, &data, each).or_else(|| {
                (total + data.len() > self.bounds.untracked_all)
                    .then_some(Reason::TooMuchInAll { bytes: data.len() })
            });
            match why {
                Some(why) => plan.left_out.push(LeftOut { path, why }),
                None => {
                    total += data.len();
                    plan.untracked.insert(path.clone());
                    plan.take.push(path);
                }
            }
        }
        Ok(())
    }

    /// Lists the files of a repository inside the folder without asking that repository anything.
    fn enter_nested(
        &self,
        folder: &RepoPath,
        paths: &mut Vec<RepoPath>,
        plan: &mut Plan,
        depth: usize,
    ) -> Result<(), Error> {
        let place = folder.below(self.root);
        let is_folder = fs::symlink_metadata(&place).is_ok_and(|data| data.is_dir());
        if self.nested == Nested::LeaveOut || depth > 4 || !is_folder {
            let (path, why) = (folder.clone(), Reason::NestedRepository);
            plan.left_out.push(LeftOut { path, why });
            return Ok(());
        }
        let nothing = self.mission.passing();
        let call = self
            .mission
            .call("ls-files")
            .work_tree(&place)
            .index(&nothing.0)
            .settings(self.settings);
        let listing = call
            .args(["-z", "--others", "--exclude-standard"])
            .bytes()?;
        for record in repository::records(&listing) {
            let mut whole = folder.as_bytes().to_owned();
            whole.push(b'/');
            whole.extend_from_slice(record.strip_suffix(b"/").unwrap_or(record));
            let whole = RepoPath::printed(&whole);
            if record.ends_with(b"/") {
                self.enter_nested(&whole, paths, plan, depth + 1)?;
            } else {
                paths.push(whole);
            }
        }
        Ok(())
    }

    /// Why a path cannot be taken as it is on disk.
    fn refusal(&self, path: &RepoPath, data: &Metadata, each: u64) -> Option<Reason> {
        let kind = data.file_type();
        if kind.is_symlink() {
            return None;
        }
        if !kind.is_file() {
            return Some(Reason::Special);
        }
        if data.len() > each {
            return Some(Reason::TooLarge { bytes: data.len() });
        }
        let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits();
        let opened = File::options()
            .read(true)
            .custom_flags(flags as i32)
            .open(path.below(self.root));
        opened.is_err().then_some(Reason::Unreadable)
    }

    /// Files in a submodule's folder belong to another repository. Naming them is all that can be done.
    fn name_submodules(&self, tracked: &[Entry], plan: &mut Plan) {
        for Entry { path, .. } in tracked.iter().filter(|entry| entry.mode == 0o160_000) {
            let full = fs::read_dir(path.below(self.root))
                .is_ok_and(|mut entries| entries.next().is_some());
            if full && self.nested == Nested::Plain {
                let (path, why) = (path.clone(), Reason::Submodule);
                plan.left_out.push(LeftOut { path, why });
            }
        }
    }

    /// Pipes, sockets and devices are invisible to git. They are looked for in every folder that holds a known file.
    fn name_specials(
        &self,
        mut found: Vec<RepoPath>,
        seen: &BTreeSet<Vec<u8>>,
        plan: &mut Plan,
    ) -> Result<(), Error> {
        let folders = plan.take.iter().map(|path| path.parent().to_owned());
        let new: BTreeSet<Vec<u8>> = folders.filter(|folder| !seen.contains(folder)).collect();
        found.extend(special::in_folders(self.root, &new).0);
        let ignored = self.call("check-ignore").ignored_among(&found)?;
        found.retain(|path| !ignored.contains(path));
        plan.left_out.extend(found.into_iter().map(|path| LeftOut {
            path,
            why: Reason::Special,
        }));
        Ok(())
    }

    /// Whether how some paths are stored may depend on attributes or settings. Where there is no file that could say so,
    /// git need not be asked.
    fn rules_may_apply(&self, tracked: &[Entry], paths: &[RepoPath]) -> bool {
        if paths.is_empty() {
            return false;
        }
        let own = self.mission.store().join("info/attributes");
        let own = fs::metadata(own).is_ok_and(|data| data.len() > 0);
        // Who has settings of his own may have named more files with rules in them.
        own || !self.settings.is_empty() || has_attributes(self.root, tracked, paths)
    }

    /// Takes out of what git is to hash the paths that it must not, or need not, hash.
    fn set_apart(&self, plan: &mut Plan) -> Result<(), Error> {
        let is_link = |path: &RepoPath| {
            fs::symlink_metadata(path.below(self.root)).is_ok_and(|data| data.is_symlink())
        };
        let given = attributes(self.call("check-attr"), &plan.take)?;
        let mut apart = BTreeSet::new();
        for (path, name, filter) in &given {
            if name == "filter" && !is_link(path) {
                self.take_filtered(path, filter, plan)?;
                apart.insert(path.clone());
            }
        }
        let always =
            |(name, value): &(String, OsString)| name == "core.autocrlf" && value != "false";
        let all = self.settings.iter().any(always);
        let converted: BTreeSet<&RepoPath> = given.iter().map(|(path, _, _)| path).collect();
        let maybe = |path: &RepoPath| (all || converted.contains(path)) && !apart.contains(path);
        let candidates = plan.changes.iter().filter(|change| maybe(&change.path));
        let candidates: Vec<Change> = candidates.cloned().collect();
        // A file that was stored with other line ends than git would store today looks changed after any touch. As
        // long as its bytes are those that are stored, it is not.
        let same = self.mission.unchanged_bytes(self.root, &candidates)?;
        for change in candidates
            .into_iter()
            .filter(|change| same.contains(&change.path))
        {
            apart.insert(change.path.clone());
            plan.stored.push((change.path, change.new_mode, change.old));
        }
        plan.take.retain(|path| !apart.contains(path));
        Ok(())
    }

    /// Takes a path with a `filter` attribute as its LFS pointer, or leaves it out.
    fn take_filtered(&self, path: &RepoPath, filter: &str, plan: &mut Plan) -> Result<(), Error> {
        let (path, filter) = (path.clone(), filter.to_owned());
        if self.filtered == Filtered::Point && filter != "lfs" {
            return Err(Error::Filter { path, filter });
        }
        let place = path.below(self.root);
        if filter == "lfs" {
            let (text, made) = pointer(&place)?;
            if self.filtered == Filtered::Point || !made {
                let words = ["-w", "-t", "blob", "--stdin"];
                let id = self
                    .mission
                    .call("hash-object")
                    .args(words)
                    .input(text)
                    .text()?;
                let tracked = plan.changes.iter().find(|change| change.path == path);
                let mode = tracked.map_or(0o100_644, |change| change.new_mode);
                plan.stored.push((path, mode, id.parse()?));
                return Ok(());
            }
        }
        plan.untracked.remove(&path);
        let why = Reason::Filter { name: filter };
        plan.left_out.push(LeftOut { path, why });
        Ok(())
    }

    /// Puts what is planned into the index, and gives the tree that this makes.
    fn write(&self, plan: &Plan) -> Result<TreeId, Error> {
        let mut lines = Vec::new();
        let mut line = |head: &str, path: &RepoPath| {
            lines.extend_from_slice(head.as_bytes());
            lines.extend_from_slice(path.as_bytes());
            lines.push(0);
        };
        for path in &plan.forget {
            line(&format!("0 {}\t", self.mission.zeros()), path);
        }
        for (path, mode, id) in &plan.stored {
            line(&format!("{mode:o} {id}\t"), path);
        }
        if !lines.is_empty() {
            self.call("update-index")
                .args(["-z", "--index-info"])
                .input(lines)
                .run()?;
        }
        if !plan.take.is_empty() {
            let words = ["-z", "--add", "--remove", "--replace", "--stdin"];
            self.call("update-index")
                .args(words)
                .input_paths(&plan.take)
                .run()?;
        }
        let write = || Ok::<TreeId, Error>(self.call("write-tree").text()?.parse()?);
        let Some(base) = self.against else {
            return write();
        };
        // What the tree holds stands in the index, so nobody has to be asked what differs.
        let (tree, listed) = std::thread::scope(|scope| {
            let listed = scope.spawn(|| standing::listed(self.index, self.mission.is_sha256()));
            let tree = write();
            (tree, joined(listed))
        });
        let tree = tree?;
        if let Some(listed) = listed {
            self.mission.keep_tree(base, &tree, listed)?;
        }
        Ok(tree)
    }
}

/// What a thread came to.
fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    let came_to = thread.join();
    came_to.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The folders that hold something tracked, and the root.
fn folders(tracked: &[Entry]) -> BTreeSet<Vec<u8>> {
    // Most entries stand in the folder of the one before.
    let mut of_each: Vec<&[u8]> = tracked.iter().map(|entry| entry.path.parent()).collect();
    of_each.dedup();
    let root = std::iter::once(Vec::new());
    of_each
        .into_iter()
        .map(<[u8]>::to_owned)
        .chain(root)
        .collect()
}

/// Whether attributes may apply to some paths of a folder: one of its tracked files is named so, or one stands above a
/// path.
pub(crate) fn has_attributes(root: &Path, tracked: &[Entry], paths: &[RepoPath]) -> bool {
    let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
    let mut folders = BTreeSet::new();
    for path in paths {
        let mut folder = path.parent();
        while folders.insert(folder) && !folder.is_empty() {
            let end = folder.iter().rposition(|byte| *byte == b'/');
            folder = &folder[..end.unwrap_or(0)];
        }
    }
    let rules = |folder: &[u8]| {
        let folder = root.join(OsStr::from_bytes(folder));
        is_there(&folder.join(OsStr::from_bytes(ATTRIBUTES)))
    };
    tracked.iter().any(|entry| entry.path.name() == ATTRIBUTES) || folders.into_iter().any(rules)
}

/// The attributes that decide how files are stored, where they are set: path, name, value.
fn attributes(call: Call, paths: &[RepoPath]) -> Result<Vec<(RepoPath, String, String)>, Error> {
    let names = ["-z", "--stdin", "filter", "text", "eol", "crlf"];
    let said = call.args(names).input_paths(paths).bytes()?;
    let words: Vec<&[u8]> = said
        .strip_suffix(&[0])
        .unwrap_or(&said)
        .split(|b| *b == 0)
        .collect();
    let set = words
        .chunks_exact(3)
        .filter(|three| !matches!(three[2], b"unspecified" | b"unset" | b""));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(set
        .map(|three| (RepoPath::printed(three[0]), text(three[1]), text(three[2])))
        .collect())
}

/// The LFS pointer of a file, and whether it had to be made.
fn pointer(place: &Path) -> Result<(Vec<u8>, bool), Failure> {
    use sha2::{Digest as _, Sha256};
    use std::fmt::Write as _;
    use std::io::Read;
    let mut file = File::open(place).map_err(disk::failed("read", place))?;
    let (mut hash, mut size, mut head) = (Sha256::new(), 0, Vec::new());
    let mut chunk = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut chunk).map_err(disk::failed("read", place))?;
        if n == 0 {
            break;
        }
        if size == 0 {
            head = chunk[..n].to_owned();
        }
        hash.update(&chunk[..n]);
        size += n;
    }
    // LFS stores an empty file as it is.
    if size == 0 || (size < 1024 && head.starts_with(POINTER)) {
        return Ok((head, false));
    }
    let mut text = String::from_utf8_lossy(POINTER).into_owned() + "oid sha256:";
    for byte in hash.finalize() {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
    }
    write!(text, "\nsize {size}\n").expect("writing to a string cannot fail");
    Ok((text.into_bytes(), true))
}
