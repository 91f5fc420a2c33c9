//! Makes a workspace ready for work: what set-up makes (packages, environments, build caches) is made once for each
//! state of the lock files, in a workspace of its own, and brought along to the others.

use super::{Bench, Error, blocking};
use crate::doing::{self, Noted, SetUp};
use crate::layout::Place;
use mission::gate::Program;
use mission::ids::{CommitId, Digest};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use workbench::checks;
use workbench::disk;
use workbench::fault;
use workbench::git::RepoPath;
use workbench::process::{self, Command, End, Limits};
use workbench::recipe::{self, Ecosystem, Means, Recipe};
use workbench::repository::MissionRepository;
use workbench::workspace::Workspace;

/// A set-up command that failed: what was run and the last that it said.
#[derive(Clone, Debug)]
pub(crate) struct SetupFailed {
    /// By what its folder would be found again.
    pub(crate) key: Digest,
    pub(crate) command: String,
    pub(crate) tail: String,
}

/// Every recipe that this mission knows: those that it was prepared with, none before, and those that work brought
/// since. A recipe keeps its place among them.
pub(crate) fn recipes(bench: &Bench) -> Result<Vec<Recipe>, Error> {
    let mut all = first_recipes(bench)?;
    all.extend(read(&bench.place.later_recipes())?);
    Ok(all)
}

/// The recipes of the base.
pub(crate) fn first_recipes(bench: &Bench) -> Result<Vec<Recipe>, Error> {
    read(&bench.place.recipes())
}

fn read(path: &Path) -> Result<Vec<Recipe>, Error> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(Error::lasting),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::new(error)),
    }
}

/// The recipes of what lies in a folder, with those among them learned that nobody knew: what they make is no work of
/// anybody. A first task may bring the manifest that all after it are set up by.
pub(crate) fn learn(
    place: &Place,
    repository: &MissionRepository,
    root: &Path,
) -> Result<Vec<Recipe>, Error> {
    // Two at once would write over each other what they learned.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let first = read(&place.recipes())?;
    let own: Vec<Recipe> = first
        .iter()
        .filter(|recipe| recipe.ecosystem == Ecosystem::Own)
        .cloned()
        .collect();
    let here = recipe::under(checks::detect(root).recipes, &own);
    let mut later = read(&place.later_recipes())?;
    let known = later.len();
    for recipe in &here {
        if !first.contains(recipe) && !later.contains(recipe) && later.len() < LATER {
            later.push(recipe.clone());
        }
    }
    if later.len() > known {
        set_aside(repository, &later)?;
        let bytes = serde_json::to_vec(&later).map_err(Error::new)?;
        super::deliver::write_durably(&place.later_recipes(), &bytes)?;
    }
    Ok(here)
}

/// Keeps what recipes make out of everybody's work: a project need not ignore it.
pub(crate) fn set_aside(repository: &MissionRepository, recipes: &[Recipe]) -> Result<(), Error> {
    let litter: Vec<&str> = recipes
        .iter()
        .flat_map(|recipe| recipe.litter().iter().copied())
        .collect();
    repository
        .set_aside(&kept(recipes), &litter)
        .map_err(Error::new)
}

/// The recipes of a workspace's commit: those of the base, unless the commit has other manifests.
async fn recipes_at(bench: &Bench, workspace: &Workspace) -> Result<Vec<Recipe>, Error> {
    let first = read(&bench.place.recipes())?;
    let Some(base) = base(bench)? else {
        return Ok(first);
    };
    let (place, workspace) = (bench.place.clone(), workspace.clone());
    bench
        .with_repository(move |repository| {
            let changes = repository
                .changed_files(&base, workspace.commit())
                .map_err(Error::new)?;
            let is_manifest = |change: &workbench::repository::Change| {
                let name = change.path.to_string();
                recipe::is_manifest(name.rsplit('/').next().unwrap_or(&name))
            };
            match changes.iter().any(is_manifest) {
                true => learn(&place, repository, workspace.path()),
                false => Ok(first),
            }
        })
        .await
}

/// What the mission started from; nothing before it is known.
fn base(bench: &Bench) -> Result<Option<CommitId>, Error> {
    let bytes = match std::fs::read(bench.place.base()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(Error::new)?,
    };
    let snapshot: workbench::snapshot::Base =
        serde_json::from_slice(&bytes).map_err(Error::lasting)?;
    Ok(Some(snapshot.commit))
}

/// Variables that the recipes' tools need.
pub(crate) fn variables(recipes: &[Recipe]) -> Vec<&str> {
    let names: BTreeSet<&str> = recipes
        .iter()
        .flat_map(|recipe| &recipe.variables)
        .map(String::as_str)
        .collect();
    names.into_iter().collect()
}

/// The paths that stay in a lane when it is set to another commit.
pub(crate) fn kept(recipes: &[Recipe]) -> Vec<RepoPath> {
    let brought = recipes.iter().flat_map(|recipe| &recipe.bring);
    brought
        .filter_map(|bring| RepoPath::new(bring.path.as_bytes()).ok())
        .collect()
}

/// The most recipes that are learned after the base's: what work adds is set up, what it invents over and over is not.
const LATER: usize = 50;

/// What a lane is for, which decides what may be left in it from one use to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// An agent works there. What it installs stays for whoever works there next.
    Work,
    /// Evidence is made there. What was brought along and has been written to since is brought along again: one tree's
    /// tests must not decide what another tree's tests find. Build caches, which are cloned or not brought at all, stay.
    Proof,
}

/// Makes a workspace ready. A set-up that fails leaves its part of the workspace as it is and is told.
pub(crate) async fn make_ready(
    bench: &Bench,
    recipes: &[Recipe],
    workspace: &Workspace,
    (lane, purpose): (&str, Use),
    cancel: &CancellationToken,
) -> Result<Vec<SetupFailed>, Error> {
    let mut failures = Vec::new();
    let here = recipes_at(bench, workspace).await?;
    let known = self::recipes(bench)?;
    let all = if known.is_empty() { recipes } else { &known };
    for (n, recipe) in all.iter().enumerate() {
        if !known.is_empty() && !here.contains(recipe) {
            // What another tree was set up with must not decide what this one's tests find.
            leave_out(bench, workspace, (lane, n), recipe)?;
            continue;
        }
        let key = recipe::prepared_key(workspace.path(), recipe).map_err(Error::new)?;
        let note = bench.place.lane_note(&format!("{lane}.recipe-{n}"));
        let state = {
            let (recipe, root, key) = (recipe.clone(), workspace.path().to_owned(), key.clone());
            move || stands(&root, &recipe, &key, purpose)
        };
        let noted = std::fs::read_to_string(&note).ok();
        if noted.is_some() && noted == blocking(state.clone()).await.ok() {
            count(bench, recipe, |ready| ready.stood += 1);
            continue;
        }
        let prepared = {
            // One set-up at a time: two would share caches of their tools, and the second is usually not needed.
            let _turn = bench.setups.lock().await;
            match prepared(bench, recipe, &key, (workspace.commit(), lane), cancel).await? {
                Ok(prepared) => prepared,
                Err(failed) => {
                    failures.push(failed);
                    continue;
                }
            }
        };
        // The note goes first: what was brought along only in part belongs to no key.
        forget(&note)?;
        let (brings, to, cancel) = (recipe.clone(), workspace.path().to_owned(), cancel.clone());
        blocking(move || bring(&prepared, &to, &brings, &cancel)).await?;
        fault::point("set-up.brought");
        if let Some(folder) = note.parent() {
            std::fs::create_dir_all(folder).map_err(Error::new)?;
        }
        std::fs::write(&note, blocking(state).await?).map_err(Error::new)?;
        fault::point("set-up.noted");
        count(bench, recipe, |ready| ready.brought += 1);
    }
    Ok(failures)
}

/// Notes for people what became of a recipe whose set-up takes time.
fn count(bench: &Bench, recipe: &Recipe, counts: impl FnOnce(&mut doing::Ready)) {
    if recipe.setup.is_some() {
        doing::change(&bench.place, |doing| counts(&mut doing.ready));
    }
}

/// Takes away what was brought along for a tree that was set up otherwise.
fn leave_out(
    bench: &Bench,
    workspace: &Workspace,
    (lane, n): (&str, usize),
    recipe: &Recipe,
) -> Result<(), Error> {
    let note = bench.place.lane_note(&format!("{lane}.recipe-{n}"));
    if note.exists() {
        clear(workspace.path(), recipe)?;
        forget(&note)?;
    }
    Ok(())
}

/// What is noted of a recipe whose paths stand in a lane as they were brought.
fn stands(root: &Path, recipe: &Recipe, key: &Digest, purpose: Use) -> Result<String, Error> {
    if purpose == Use::Work {
        return Ok(key.to_string());
    }
    let whole = recipe
        .bring
        .iter()
        .filter(|bring| bring.means != Means::CloneOnly);
    let state = recipe::state_of(root, whole.map(|bring| bring.path.as_str()));
    Ok(format!("{key} {}", state.map_err(Error::new)?))
}

/// Forgets what was brought along to a lane, before it is emptied.
pub(crate) fn forget_lane(bench: &Bench, recipes: usize, lane: &str) -> Result<(), Error> {
    (0..recipes).try_for_each(|n| forget(&bench.place.lane_note(&format!("{lane}.recipe-{n}"))))
}

fn forget(note: &Path) -> Result<(), Error> {
    match std::fs::remove_file(note) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::new(error)),
        _ => {
            fault::point("set-up.forgotten");
            Ok(())
        }
    }
}

/// Remembers that a set-up fails on the base already: then it is no fault of a tree on which it fails alike.
pub(crate) fn blame_base(bench: &Bench, failed: &SetupFailed) -> Result<(), Error> {
    let mark = of_base(bench, failed);
    std::fs::create_dir_all(mark.parent().unwrap_or(&mark)).map_err(Error::new)?;
    std::fs::write(mark, b"").map_err(Error::new)?;
    fault::point("set-up.blamed");
    Ok(())
}

/// Whether a set-up failed on the base alike.
pub(crate) fn fails_on_base(bench: &Bench, failed: &SetupFailed) -> bool {
    of_base(bench, failed).exists()
}

fn of_base(bench: &Bench, failed: &SetupFailed) -> PathBuf {
    let folder = bench.place.prepared(failed.key.short());
    folder.with_extension("fails-on-base")
}

fn bring(from: &Path, to: &Path, recipe: &Recipe, cancel: &CancellationToken) -> Result<(), Error> {
    clear(to, recipe)?;
    recipe::bring_along(from, to, &recipe.bring, cancel).map_err(Error::new)?;
    if let Some(venv) = &recipe.venv
        && to.join(venv).exists()
    {
        recipe::move_venv(from, to, venv).map_err(Error::new)?;
    }
    Ok(())
}

fn clear(root: &Path, recipe: &Recipe) -> Result<(), Error> {
    let mut brought = recipe.bring.iter();
    brought.try_for_each(|bring| disk::remove(&root.join(&bring.path)).map_err(Error::new))?;
    fault::point("set-up.cleared");
    Ok(())
}

/// Gives a prepared workspace the files of the user's folder that their configuration names.
async fn give_files(
    recipe: &Recipe,
    folder: &Path,
    cancel: &CancellationToken,
) -> Result<(), Error> {
    if let Some(from) = recipe.files_from.clone() {
        let named = recipe.files.iter().map(|path| recipe::Bring {
            path: path.clone(),
            means: Means::CloneOrCopy,
        });
        let (named, to, cancel) = (named.collect::<Vec<_>>(), folder.to_owned(), cancel.clone());
        blocking(move || {
            // A file that is part of the project is there already.
            let missing: Vec<_> = named
                .into_iter()
                .filter(|file| to.join(&file.path).symlink_metadata().is_err())
                .collect();
            recipe::bring_along(&from, &to, &missing, &cancel).map_err(Error::new)
        })
        .await?;
    }
    Ok(())
}

/// The folder in which set-up ran for a key, now or before.
async fn prepared(
    bench: &Bench,
    recipe: &Recipe,
    key: &Digest,
    (commit, lane): (&CommitId, &str),
    cancel: &CancellationToken,
) -> Result<Result<PathBuf, SetupFailed>, Error> {
    let folder = bench.place.prepared(key.short());
    let done = folder.with_extension("done");
    if done.exists() {
        return Ok(Ok(folder));
    }
    if let Some(failed) = bench.failed_setups.lock().await.get(key) {
        return Ok(Err(failed.clone()));
    }
    let repository: MissionRepository = bench.repository()?;
    let (path, at) = (folder.clone(), commit.clone());
    blocking(move || {
        std::fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(Error::new)?;
        repository
            .workspace(&path, &at, &[])
            .map(|_| ())
            .map_err(Error::new)
    })
    .await?;
    give_files(recipe, &folder, cancel).await?;
    fault::point("set-up.before");
    if let Some(setup) = &recipe.setup
        && let Some(tail) = run(bench, recipe, setup, (&folder, lane), cancel).await?
    {
        let failed = SetupFailed {
            key: key.clone(),
            command: setup.to_string(),
            tail,
        };
        let mut known = bench.failed_setups.lock().await;
        known.insert(key.clone(), failed.clone());
        return Ok(Err(failed));
    }
    fault::point("set-up.ran");
    std::fs::write(&done, b"").map_err(Error::new)?;
    fault::point("set-up.done");
    count(bench, recipe, |ready| ready.set_ups += 1);
    Ok(Ok(folder))
}

/// Runs a set-up command in its folder. One that fails gives the last that it said.
async fn run(
    bench: &Bench,
    recipe: &Recipe,
    setup: &Program,
    (folder, lane): (&Path, &str),
    cancel: &CancellationToken,
) -> Result<Option<String>, Error> {
    let command = Command {
        program: setup.clone(),
        directory: folder.join(&recipe.directory),
        environment: process::clean(
            &bench.settings.environment,
            &variables(std::slice::from_ref(recipe)),
        ),
        limits: Limits {
            wall: Duration::from_millis(mission::limits::SET_UP.0),
            ..Limits::default()
        },
        spill: None,
    };
    let now = bench.clock.now();
    let set_up = SetUp {
        command: setup.to_string(),
        lane: lane.to_owned(),
        since: now,
        until: now + mission::limits::SET_UP,
    };
    let _noted = Noted::new(&bench.place, set_up);
    let ran = command
        .run(&bench.settings.guard, cancel, &mut |_| {})
        .await
        .map_err(Error::new)?;
    match ran.end {
        End::Cancelled => Err(Error::new("the set-up was cancelled")),
        End::Exited(0) => Ok(None),
        _ => Ok(Some(ran.output.tail)),
    }
}

/// A bench's memory of set-ups that failed in this life of the engine: they are not tried again for every lane.
pub(crate) type FailedSetups = tokio::sync::Mutex<std::collections::BTreeMap<Digest, SetupFailed>>;

/// Shared by all performers.
pub(crate) type Setups = Arc<tokio::sync::Mutex<()>>;

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use workbench::recipe::Bring;

    fn deps() -> Recipe {
        Recipe {
            ecosystem: Ecosystem::Npm,
            directory: String::new(),
            setup: None,
            keyed_by: vec!["lock".into()],
            bring: vec![Bring {
                path: "deps".into(),
                means: Means::CloneOrCopy,
            }],
            variables: Vec::new(),
            tools: Vec::new(),
            files: Vec::new(),
            files_from: None,
            venv: None,
        }
    }

    #[tokio::test]
    async fn what_was_brought_along_in_part_is_brought_again() {
        let sample = sample::mission(&[("lock", "1"), ("deps/x", "x")]);
        let (bench, recipes) = (&sample.bench, [deps()]);
        let lane = bench.place.lane("gate-1");
        std::fs::create_dir_all(bench.place.lanes()).unwrap();
        let repository = bench.repository().unwrap();
        let workspace = repository
            .workspace(&lane, &sample.base.commit, &[])
            .unwrap();
        let (never, cancelled) = (CancellationToken::new(), CancellationToken::new());
        cancelled.cancel();
        let lane_of = ("gate-1", Use::Proof);
        let ready = |cancel| make_ready(bench, &recipes, &workspace, lane_of, cancel);
        ready(&never).await.unwrap();
        std::fs::write(lane.join("lock"), "2").unwrap();
        assert!(ready(&cancelled).await.is_err());
        assert!(!lane.join("deps").exists(), "it was cut short");
        std::fs::write(lane.join("lock"), "1").unwrap();
        ready(&never).await.unwrap();
        assert!(lane.join("deps/x").exists());
    }

    #[test]
    fn what_was_brought_goes_although_its_folders_may_not_be_written() {
        use std::os::unix::fs::PermissionsExt as _;
        let lane = tempfile::tempdir().unwrap();
        let closed = lane.path().join("deps/of/modules");
        std::fs::create_dir_all(&closed).unwrap();
        std::fs::write(closed.join("file"), "x").unwrap();
        // Go's module cache is made so.
        for folder in [closed.as_path(), closed.parent().unwrap()] {
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o555)).unwrap();
        }
        clear(lane.path(), &deps()).unwrap();
        assert!(!lane.path().join("deps").exists());
        std::os::unix::fs::symlink("/nowhere", lane.path().join("deps")).unwrap();
        clear(lane.path(), &deps()).unwrap();
        assert!(lane.path().join("deps").symlink_metadata().is_err());
        clear(lane.path(), &deps()).unwrap();
    }

    #[tokio::test]
    async fn what_one_tree_left_in_the_lane_of_gates_is_gone_for_the_next() {
        let sample = sample::mission(&[("lock", "1")]);
        let (bench, recipes) = (&sample.bench, [deps()]);
        std::fs::create_dir_all(bench.place.lanes()).unwrap();
        let never = CancellationToken::new();
        let repository = bench.repository().unwrap();
        for (lane, purpose) in [("gate-1", Use::Proof), ("worker-1", Use::Work)] {
            let path = bench.place.lane(lane);
            let keep = kept(&recipes);
            let workspace = || repository.workspace(&path, &sample.base.commit, &keep);
            let ready = async |workspace: &Workspace| {
                make_ready(bench, &recipes, workspace, (lane, purpose), &never)
                    .await
                    .unwrap();
            };
            // Set-up has run.
            let first = workspace().unwrap();
            let key = recipe::prepared_key(first.path(), &recipes[0]).unwrap();
            let prepared = bench.place.prepared(key.short());
            std::fs::create_dir_all(prepared.join("deps/made")).unwrap();
            std::fs::write(prepared.join("deps/made/by"), "set-up").unwrap();
            std::fs::write(prepared.with_extension("done"), "").unwrap();
            ready(&first).await;
            let inode = || {
                std::os::unix::fs::MetadataExt::ino(&path.join("deps/made/by").metadata().unwrap())
            };
            let first = inode();
            ready(&workspace().unwrap()).await;
            assert_eq!(inode(), first, "what nobody wrote to stays as it is");
            std::fs::write(path.join("deps/runner"), "always green").unwrap();
            ready(&workspace().unwrap()).await;
            let left = path.join("deps/runner").exists();
            assert_eq!(left, purpose == Use::Work, "{lane}");
        }
    }
}
