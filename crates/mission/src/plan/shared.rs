//! Files that many tasks touch a little: lock files and changelogs. Two tasks that both forecast one are not kept apart
//! for it; the merge queue sees what they really did.

const NAMES: [&str; 17] = [
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    "bun.lock",
    "bun.lockb",
    "cargo.lock",
    "uv.lock",
    "poetry.lock",
    "pipfile.lock",
    "pdm.lock",
    "go.sum",
    "go.work.sum",
    "gemfile.lock",
    "composer.lock",
    "flake.lock",
    "go.mod",
];

/// Whether a file of this name, without its folder, is one that many tasks touch. Upper and lower case are the same.
pub fn is_shared(name: &str) -> bool {
    let name = name.to_lowercase();
    let stem = name.split('.').next().unwrap_or(&name);
    NAMES.contains(&name.as_str())
        || matches!(stem, "changelog" | "changes" | "history" | "news")
        || (name.starts_with("requirements") && name.ends_with(".txt"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_files_and_changelogs_are_shared_and_sources_are_not() {
        for name in [
            "Cargo.lock",
            "CHANGELOG.md",
            "requirements-dev.txt",
            "go.mod",
        ] {
            assert!(is_shared(name), "{name}");
        }
        for name in ["lib.rs", "package.json", "historian.py", "changed.md"] {
            assert!(!is_shared(name), "{name}");
        }
    }
}
