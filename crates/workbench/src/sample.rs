//! Makes a small repository out of files, for trying the program where there is nothing of anyone's to lose.

use crate::git::{Error, Git};
use std::path::Path;

/// Makes a folder a git repository whose only commit holds everything in it. Nobody's configuration is read, so that it
/// comes out the same everywhere.
///
/// # Errors
/// What git said.
pub fn commit_all(git: &Git, folder: &Path, branch: &str, message: &str) -> Result<(), Error> {
    git.call("init")
        .standing_in(folder)
        .arg("--quiet")
        .arg("--template=")
        .arg(format!("--initial-branch={branch}"))
        .run()?;
    let git_dir = folder.join(".git");
    let call = |what| git.call(what).git_dir(&git_dir).work_tree(folder);
    call("add").arg("--all").run()?;
    let who = ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"];
    let mail = ["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"];
    let call = call("commit").args(["--quiet", "--message", message]);
    let call = who
        .into_iter()
        .fold(call, |call, name| call.env(name, "sample"));
    let call = mail
        .into_iter()
        .fold(call, |call, name| call.env(name, "sample@localhost"));
    call.run()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_becomes_a_repository_with_one_clean_commit() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("script")).unwrap();
        std::fs::write(dir.path().join("script/test"), "#!/bin/sh\n").unwrap();
        let git = Git::find().unwrap();
        commit_all(&git, dir.path(), "main", "Begin").unwrap();
        let git_dir = dir.path().join(".git");
        let ask = |what, words: &[&str]| {
            let call = git.call(what).git_dir(&git_dir).work_tree(dir.path());
            call.args(words).text().unwrap()
        };
        assert_eq!(ask("status", &["--porcelain", "--branch"]), "## main");
        assert_eq!(ask("log", &["--format=%an %s"]), "sample Begin");
    }
}
