//! What a person has allowed in a project for all missions. Kept outside the project, so that nothing in a repository
//! can allow itself anything.

use crate::layout::Layout;
use mission::ids::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use workbench::fault;

/// What is kept of one project.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// Its folder, as its missions name it; for people who look, and against two folders with one digest.
    project: PathBuf,
    kinds: BTreeSet<String>,
}

/// The file that says what is allowed in a project. Who removes it is asked again.
pub fn file(layout: &Layout, project: &Path) -> PathBuf {
    let digest = Digest::of(project.as_os_str().as_encoded_bytes());
    let name = format!("{}.json", digest.short());
    layout.root().join("allowed").join(name)
}

/// The kinds of things that are allowed in all missions of a project. What cannot be read allows nothing.
pub fn kinds(layout: &Layout, project: &Path) -> BTreeSet<String> {
    let text = std::fs::read(file(layout, project)).ok();
    let kept = text.and_then(|text| serde_json::from_slice::<Kept>(&text).ok());
    let kept = kept.filter(|kept| kept.project == project);
    kept.map(|kept| kept.kinds).unwrap_or_default()
}

/// Keeps that a kind is allowed from now on.
///
/// # Errors
/// If the file cannot be written; then it is asked about again.
pub(crate) fn remember(layout: &Layout, project: &Path, kind: &str) -> io::Result<()> {
    let mut kinds = kinds(layout, project);
    kinds.insert(kind.to_owned());
    let file = file(layout, project);
    let project = project.to_owned();
    let text = serde_json::to_vec(&Kept { project, kinds })?;
    fault::point("allowed.before");
    std::fs::create_dir_all(file.parent().unwrap_or(&file))?;
    let next = file.with_extension("next");
    std::fs::write(&next, text)?;
    fault::point("allowed.written");
    std::fs::rename(next, file)?;
    fault::point("allowed.kept");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_in_a_project_is_allowed_in_no_other_and_until_its_file_goes() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().to_owned());
        let (here, there) = (Path::new("/home/me/here"), Path::new("/home/me/there"));
        assert_eq!(kinds(&layout, here), BTreeSet::new());
        for kind in ["bash", "webfetch", "bash"] {
            remember(&layout, here, kind).unwrap();
        }
        let both = ["bash".to_owned(), "webfetch".to_owned()];
        assert_eq!(kinds(&layout, here), both.into());
        assert_eq!(kinds(&layout, there), BTreeSet::new());
        // One that was put in another's place allows nothing there.
        std::fs::copy(file(&layout, here), file(&layout, there)).unwrap();
        assert_eq!(kinds(&layout, there), BTreeSet::new());
        std::fs::write(file(&layout, here), "{").unwrap();
        assert_eq!(kinds(&layout, here), BTreeSet::new());
    }
}
