//! Which ignore rules count for a result: the base's and the workspace's own.
//!
//! The rules that git reads are those on disk, which an agent can edit. Only where it has edited one are the base's
//! rules asked too, from a folder that holds the base's `.gitignore` files and nothing else.

use super::{Error, Workspace};
use crate::disk;
use crate::git::RepoPath;
use crate::repository::{self, Content, MissionRepository};
use crate::snapshot::{LeftOut, Reason};
use mission::ids::{CommitId, TreeId};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The largest `.gitignore` that is read; git's own bound is higher.
const RULES_LIMIT: usize = 1 << 20;

/// The most newly ignored paths that are named.
const NAMED: usize = 200;

impl MissionRepository {
    /// If a result changes ignore rules: takes out of its tree what the base ignores, and names what only the new
    /// rules ignore.
    pub(super) fn respect_old_rules(
        &self,
        workspace: &Workspace,
        base: &CommitId,
        tree: TreeId,
        index: &Path,
        left_out: &mut Vec<LeftOut>,
    ) -> Result<TreeId, Error> {
        let changes = self.changes(base.as_str(), tree.as_str(), false)?;
        if !changes
            .iter()
            .any(|change| change.path.name() == b".gitignore")
        {
            return Ok(tree);
        }
        let rules = self.passing();
        let folder = rules.0.with_extension("rules");
        let outcome = self.ask_old_rules(workspace, base, index, &folder, &changes, left_out);
        disk::remove(&folder)?;
        let forget = outcome?;
        if forget.is_empty() {
            return Ok(tree);
        }
        let mut lines = Vec::new();
        for path in &forget {
            lines.extend_from_slice(format!("0 {}\t", self.zeros()).as_bytes());
            lines.extend_from_slice(path.as_bytes());
            lines.push(0);
        }
        let call = |what| self.call(what).work_tree(workspace.path()).index(index);
        call("update-index")
            .args(["-z", "--index-info"])
            .input(lines)
            .run()?;
        left_out.extend(forget.into_iter().map(|path| LeftOut {
            path,
            why: Reason::Ignored,
        }));
        Ok(call("write-tree")
            .text()?
            .parse()
            .map_err(repository::Error::from)?)
    }

    fn ask_old_rules(
        &self,
        workspace: &Workspace,
        base: &CommitId,
        index: &Path,
        folder: &Path,
        changes: &[repository::Change],
        left_out: &mut Vec<LeftOut>,
    ) -> Result<Vec<RepoPath>, Error> {
        self.write_old_rules(base, folder)?;
        let added: Vec<RepoPath> = changes
            .iter()
            .filter(|change| change.old_mode == 0)
            .map(|change| change.path.clone())
            .collect();
        let forget = self.ignored_by(folder, &added)?;
        // What the workspace ignores now, whole folders as one.
        let words = [
            "-z",
            "--others",
            "--ignored",
            "--exclude-standard",
            "--directory",
        ];
        let listing = self
            .call("ls-files")
            .work_tree(workspace.path())
            .index(index)
            .args(words)
            .bytes()?;
        let mut hidden = Vec::new();
        for record in repository::records(&listing).take(20 * NAMED) {
            let path = RepoPath::printed(record.strip_suffix(b"/").unwrap_or(record));
            if record.ends_with(b"/") {
                // A rule for folders only sees folders that are there. A rule file of the base may stand in the way.
                drop(fs::create_dir_all(path.below(folder)));
            }
            hidden.push(path);
        }
        let before: BTreeSet<RepoPath> = self.ignored_by(folder, &hidden)?.into_iter().collect();
        let new = hidden
            .into_iter()
            .filter(|path| !before.contains(path))
            .take(NAMED);
        left_out.extend(new.map(|path| LeftOut {
            path,
            why: Reason::NewlyIgnored,
        }));
        Ok(forget)
    }

    fn write_old_rules(&self, base: &CommitId, folder: &Path) -> Result<(), Error> {
        disk::make(folder)?;
        let tree = self.tree_of(base)?;
        let listing = self.listing(tree.as_str())?;
        let all = listing.iter().map(|entry| &entry.path);
        for path in all.filter(|path| path.name() == b".gitignore") {
            if let Some(Content::File { bytes, .. }) = self.read_file(&tree, path, RULES_LIMIT)? {
                let place = path.below(folder);
                disk::make(place.parent().unwrap_or(folder))?;
                fs::write(&place, bytes).map_err(disk::failed("write", &place))?;
            }
        }
        Ok(())
    }

    fn ignored_by(&self, folder: &Path, paths: &[RepoPath]) -> Result<Vec<RepoPath>, Error> {
        Ok(self
            .call("check-ignore")
            .work_tree(folder)
            .arg("--no-index")
            .ignored_among(paths)?)
    }
}
