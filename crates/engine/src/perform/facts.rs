//! What a piece of work does to what judges it, read from both sides of its diff.

use super::Error;
use mission::ids::{CommitId, TreeId};
use mission::work::TestFacts;
use std::collections::BTreeSet;
use workbench::git::RepoPath;
use workbench::repository::{Content, MissionRepository};
use workbench::testdiff::{self, Touched};

/// The most touched files that are looked into.
const FILES: usize = 2_000;
/// The most bytes of one file that are looked into.
const BYTES: usize = 2 << 20;

/// The facts, and the paths among the touched that no agent may write.
pub(super) fn of(
    repository: &MissionRepository,
    base: &CommitId,
    commit: &CommitId,
    tree: &TreeId,
    touched: &[&RepoPath],
) -> Result<(TestFacts, Vec<String>), Error> {
    let before = repository.tree_of(base).map_err(Error::new)?;
    let bytes = |tree: &TreeId, path: &RepoPath| -> Result<Option<Vec<u8>>, Error> {
        Ok(
            match repository
                .read_file(tree, path, BYTES)
                .map_err(Error::new)?
            {
                Some(Content::File { bytes, .. } | Content::Link(bytes)) => Some(bytes),
                Some(Content::Folder | Content::Submodule) | None => None,
            },
        )
    };
    let mut sides = Vec::new();
    for path in touched.iter().take(FILES) {
        sides.push((path.to_string(), bytes(&before, path)?, bytes(tree, path)?));
    }
    let found = testdiff::facts(sides.iter().map(|(path, base, new)| Touched {
        path,
        base: base.as_deref(),
        new: new.as_deref(),
    }));
    // A test file that lost no line only gained tests, which nobody has to declare.
    let counts = repository.numstat(base, commit).map_err(Error::new)?;
    let grown = counts
        .iter()
        .filter(|count| count.removed == Some(0))
        .map(|count| count.path.to_string());
    let grown: BTreeSet<String> = grown.collect();
    let (gained, changed) = found
        .changed
        .into_iter()
        .partition::<Vec<_>, _>(|path| grown.contains(path));
    let skips = found
        .skips_added
        .iter()
        .map(|skip| format!("{}: {} more {}", skip.path, skip.more, skip.mark));
    let fewer = found.fewer.iter().map(|fewer| {
        format!(
            "{}: {} tests are written, {} were",
            fewer.path, fewer.after, fewer.before
        )
    });
    let facts = TestFacts {
        added: found.added.into_iter().chain(gained).collect(),
        changed,
        silenced: skips
            .chain(fewer.filter(|fewer| {
                !found
                    .removed
                    .iter()
                    .any(|path| fewer.starts_with(path.as_str()))
            }))
            .collect(),
        removed: found.removed,
        gates: found
            .gate_definitions_changed
            .into_iter()
            .chain(found.runner_bent)
            .collect(),
    };
    Ok((facts, found.protected_touched))
}
