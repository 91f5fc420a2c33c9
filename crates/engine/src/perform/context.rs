//! What of the repository a Worker's brief carries: the files around its task, and what the project asks of agents.

use super::Error;
use agents::brief::Assignment;
use mission::ids::{CommitId, TreeId};
use mission::invisible;
use std::collections::BTreeSet;
use workbench::git::RepoPath;
use workbench::repository::{Changed, Content, MissionRepository};

/// The most files of a repository that are looked at.
const LOOKED_AT: usize = 20_000;
/// The most files that a brief names; an agent looks for the others itself.
const NAMED: usize = 60;
/// The most of the project's instructions to agents that a brief carries, in bytes.
const HABITS: usize = 8_000;
/// Where projects write down what they ask of agents, the most common first. OpenCode reads none of them for us: the
/// project's own configuration is off.
const HABITS_IN: [&str; 2] = ["AGENTS.md", "CLAUDE.md"];

/// Files that matter to a task, and what the project asks of agents: the file's name and its text.
type Context = (Vec<String>, Option<(String, String)>);

/// What a project asks of agents.
struct Habits {
    name: String,
    /// Its text, in which all is seen.
    text: String,
    /// What was not.
    hidden: Vec<invisible::Shown>,
}

/// What is known of a mission's own base: its files and its habits. Every Worker's brief begins with it, so it is read
/// once.
#[derive(Debug)]
pub(crate) struct Origin {
    commit: CommitId,
    pub(super) files: Vec<String>,
    habits: Option<(String, String)>,
}

impl Origin {
    pub(super) fn read(repository: &MissionRepository, commit: &CommitId) -> Result<Self, Error> {
        let tree = repository.tree_of(commit).map_err(Error::new)?;
        let (files, _) = repository
            .list_files(&tree, LOOKED_AT)
            .map_err(Error::new)?;
        Ok(Self {
            commit: commit.clone(),
            files: files.iter().map(|file| file.path.to_string()).collect(),
            habits: habits(repository, &tree)?.map(|habits| (habits.name, habits.text)),
        })
    }
}

fn habits(repository: &MissionRepository, tree: &TreeId) -> Result<Option<Habits>, Error> {
    for name in HABITS_IN {
        let path = RepoPath::new(name).map_err(Error::new)?;
        let found = repository.read_file(tree, &path, HABITS);
        if let Some(Content::File { bytes, cut, .. }) = found.map_err(Error::new)? {
            let mut text = String::from_utf8_lossy(&bytes).into_owned();
            // A model reads what no person sees.
            let (shown, hidden) = invisible::reveal(&text);
            text = shown;
            let is_longer = text.len() > HABITS;
            text.truncate(text.floor_char_boundary(HABITS));
            if cut || is_longer {
                text.push_str("\n… and more; read the file.");
            }
            let name = name.to_owned();
            return Ok(Some(Habits { name, text, hidden }));
        }
    }
    Ok(None)
}

/// A note on what nobody sees in what a project asks of agents, if there is any.
pub(super) fn hidden_note(
    repository: &MissionRepository,
    commit: &CommitId,
) -> Result<Option<String>, Error> {
    let tree = repository.tree_of(commit).map_err(Error::new)?;
    let Some(Habits { name, hidden, .. }) = habits(repository, &tree)? else {
        return Ok(None);
    };
    let Some(first) = hidden.first() else {
        return Ok(None);
    };
    Ok(Some(format!(
        "{name} holds characters that nobody sees, the first of them {first}; agents are shown them like this"
    )))
}

/// What a Worker should know of the commit that it stands on. What other tasks have landed since the mission's own base
/// is no part of it: an agent is told of what it builds on, and not of its siblings.
pub(super) fn of(
    repository: &MissionRepository,
    base: &CommitId,
    origin: &Origin,
    assignment: &Assignment,
) -> Result<Context, Error> {
    let mut gone = BTreeSet::new();
    if *base != origin.commit {
        let changes = repository.changed_files(&origin.commit, base);
        let changes = changes.map_err(Error::new)?.into_iter();
        let deleted = changes.filter(|change| change.changed == Changed::Deleted);
        gone.extend(deleted.map(|change| change.path.to_string()));
    }
    let there = origin.files.iter().filter(|file| !gone.contains(*file));
    let named = around(there, &assignment.writes, &assignment.goal);
    Ok((named, origin.habits.clone()))
}

/// The files that the task names, then those beside the ones that it is expected to write.
fn around<'a>(
    files: impl IntoIterator<Item = &'a String>,
    writes: &[String],
    goal: &str,
) -> Vec<String> {
    // A forecast is a path or a pattern; where a pattern begins to be one, the folder before it is meant.
    let folders: Vec<&str> = writes
        .iter()
        .map(|path| {
            let plain = path.split(['*', '?', '[', '{']).next().unwrap_or_default();
            plain.rsplit_once('/').map_or("", |(folder, _)| folder)
        })
        .collect();
    let words: Vec<&str> = goal
        .split(|c: char| c.is_whitespace() || "`'\"(),;:".contains(c))
        .map(|word| word.trim_end_matches('.'))
        .collect();
    let (mut named, mut beside) = (Vec::new(), Vec::new());
    for file in files {
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        if writes.contains(file) || words.contains(&file.as_str()) {
            named.push(file.clone());
        } else if folders.contains(&folder) && beside.len() < NAMED {
            beside.push(file.clone());
        }
    }
    named.append(&mut beside);
    named.truncate(NAMED);
    named
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_worker_is_told_which_files_are_there_around_its_task() {
        let files = [
            "a.md",
            "src/login.rs",
            "src/main.rs",
            "src/deep/x.rs",
            "tests/t.rs",
        ];
        let files = files.map(str::to_owned);
        let goal = "As `tests/t.rs` shows.";
        let told = around(&files, &["src/login.rs".into(), "src/*.rs".into()], goal);
        assert_eq!(told, ["src/login.rs", "tests/t.rs", "src/main.rs"]);
        let many: Vec<String> = (0..1000).map(|n| format!("f{n}")).collect();
        assert_eq!(around(&many, &["new".into()], "").len(), NAMED);
    }

    #[test]
    fn a_worker_is_not_told_what_others_have_landed() {
        let sample = sample::mission(&[("a.txt", "a\n"), ("b.txt", "b\n")]);
        let repository = sample.bench.repository().unwrap();
        let base = &sample.base.commit;
        std::fs::create_dir_all(sample.bench.place.lanes()).unwrap();
        let lane = sample.bench.place.lane("worker-1");
        let workspace = repository.workspace(&lane, base, &[]).unwrap();
        std::fs::remove_file(lane.join("b.txt")).unwrap();
        std::fs::write(lane.join("AGENTS.md"), "Obey.\n").unwrap();
        std::fs::write(lane.join("c.txt"), "c\n").unwrap();
        let tree = repository.collect(&workspace, base).unwrap().tree;
        let landed = repository
            .commit_attempt(base, &tree, "landed\n", sample::WHEN)
            .unwrap();
        let asks = Assignment {
            writes: vec!["d.txt".into()],
            ..Assignment::default()
        };
        let origin = Origin::read(&repository, base).unwrap();
        let told = of(&repository, &landed, &origin, &asks).unwrap();
        assert_eq!(told, (vec!["a.txt".to_owned()], None));
    }

    #[test]
    fn what_nobody_sees_in_what_the_project_asks_of_agents_is_shown_and_noted() {
        let note = "AGENTS.md holds characters that nobody sees, the first of them <U+E0041>; agents are shown them like this";
        for (text, told, noted) in [
            ("Use tabs.\u{E0041}\n", "Use tabs.<U+E0041>\n", Some(note)),
            ("Use tabs.\n", "Use tabs.\n", None),
        ] {
            let sample = sample::mission(&[("AGENTS.md", text)]);
            let repository = sample.bench.repository().unwrap();
            let base = &sample.base.commit;
            let origin = Origin::read(&repository, base).unwrap();
            let (_, habits) = of(&repository, base, &origin, &Assignment::default()).unwrap();
            assert_eq!(habits, Some(("AGENTS.md".into(), told.to_owned())));
            let told = hidden_note(&repository, base).unwrap();
            assert_eq!(told.as_deref(), noted);
        }
    }

    #[test]
    fn what_the_project_asks_of_agents_is_passed_on_bounded() {
        let long = "x".repeat(HABITS + 1);
        for (text, told) in [
            ("Use tabs.\n", "Use tabs.\n".to_owned()),
            (
                &long,
                format!("{}\n… and more; read the file.", "x".repeat(HABITS)),
            ),
        ] {
            let sample = sample::mission(&[("a.txt", "a\n"), ("CLAUDE.md", text)]);
            let repository = sample.bench.repository().unwrap();
            let base = &sample.base.commit;
            let origin = Origin::read(&repository, base).unwrap();
            let asks = Assignment::default();
            let (files, habits) = of(&repository, base, &origin, &asks).unwrap();
            assert_eq!(files, [""; 0]);
            assert_eq!(habits, Some(("CLAUDE.md".into(), told)));
        }
    }
}
