//! Runs the project's standard set-up on the base once, and sees what checks run with.

use super::gate::LANE;
use super::{Bench, Error, ready};
use mission::gate::{Gate, Program};
use mission::ids::{CommitId, Digest};
use mission::input::Input;
use mission::mission::Mission;
use std::collections::BTreeSet;
use std::path::Path;
use tokio_util::sync::CancellationToken;
use workbench::fault;
use workbench::gates::{Environment, Locks};
use workbench::recipe::Recipe;
use workbench::workspace::Workspace;

/// A set-up to be run.
pub(crate) struct Job {
    base: Option<CommitId>,
    /// The programs of the project's gates.
    tools: BTreeSet<String>,
}

pub(crate) fn job(mission: &Mission) -> Job {
    Job {
        base: mission.base().map(|base| base.commit.clone()),
        tools: tools_of(mission.gates()),
    }
}

impl Job {
    pub(crate) async fn perform(
        self,
        bench: &Bench,
        cancel: &CancellationToken,
    ) -> Result<Option<Input>, Error> {
        let Some(_lane) = bench.lanes.enter(LANE, cancel).await else {
            return Ok(None);
        };
        let base = self
            .base
            .ok_or_else(|| Error::lasting("there is no base"))?;
        let recipes = ready::first_recipes(bench)?;
        let path = bench.place.lane(LANE);
        let workspace = bench
            .with_repository(move |repository| {
                repository.workspace(&path, &base, &[]).map_err(Error::new)
            })
            .await?;
        let (notes, environment) =
            on_base(bench, &recipes, &self.tools, &workspace, cancel).await?;
        Ok((!cancel.is_cancelled()).then_some(Input::SetUp { environment, notes }))
    }
}

/// Sets an empty checkout of the base up, and gives what of it failed, and the environment of all checks.
pub(crate) async fn on_base(
    bench: &Bench,
    recipes: &[Recipe],
    tools: &BTreeSet<String>,
    workspace: &Workspace,
    cancel: &CancellationToken,
) -> Result<(Vec<String>, Digest), Error> {
    // The workspace was emptied of all that an earlier try has brought along.
    ready::forget_lane(bench, recipes.len(), LANE)?;
    let mut notes = Vec::new();
    let lane = (LANE, ready::Use::Proof);
    for failed in ready::make_ready(bench, recipes, workspace, lane, cancel).await? {
        ready::blame_base(bench, &failed)?;
        let tail = failed.tail.lines().last().unwrap_or_default();
        notes.push(format!(
            "set-up failed, so checks may not run: `{}`: {tail}",
            failed.command
        ));
    }
    fault::point("set-up.of the base");
    let environment = environment(bench, recipes, tools, workspace.path(), cancel).await?;
    // A tool that was not let finish is not a tool that is absent.
    if cancel.is_cancelled() {
        return Err(Error::new("it was cancelled"));
    }
    bench.environment.set(environment.clone()).ok();
    fault::point("set-up.after");
    Ok((notes, environment))
}

/// The same in a later life of the engine, in which a tool may be another: asked once, on the base, because a tree may
/// choose its tools.
pub(crate) async fn environment_now(
    bench: &Bench,
    base: &CommitId,
    of_gates: &BTreeSet<String>,
    cancel: &CancellationToken,
) -> Result<Digest, Error> {
    let measure = async || {
        let recipes = ready::first_recipes(bench)?;
        let path = bench.place.lane(LANE);
        if !with_recipes(of_gates, &recipes).is_empty() {
            let (path, base, kept) = (path.clone(), base.clone(), ready::kept(&recipes));
            bench
                .with_repository(move |repository| {
                    std::fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(Error::new)?;
                    let workspace = repository.workspace(&path, &base, &kept);
                    workspace.map(|_| ()).map_err(Error::new)
                })
                .await?;
        }
        let found = environment(bench, &recipes, of_gates, &path, cancel).await?;
        // A tool that was not let finish is not a tool that is absent.
        match cancel.is_cancelled() {
            true => Err(Error::new("it was cancelled")),
            false => Ok(found),
        }
    };
    bench.environment.get_or_try_init(measure).await.cloned()
}

/// The programs that gates begin with, as far as they are no part of the project, and what those run on.
pub(crate) fn tools_of(gates: &[Gate]) -> BTreeSet<String> {
    let first = gates.iter().filter_map(|gate| match &gate.program {
        Program::Argv(words) => words.first().filter(|word| !word.contains('/')),
        Program::Shell(_) => None,
    });
    let mut tools: BTreeSet<String> = first.cloned().collect();
    if ["npm", "npx", "pnpm", "yarn"]
        .iter()
        .any(|manager| tools.contains(*manager))
    {
        tools.insert("node".to_owned());
    }
    tools
}

fn with_recipes(of_gates: &BTreeSet<String>, recipes: &[Recipe]) -> Vec<String> {
    let own = recipes.iter().flat_map(|recipe| &recipe.tools);
    let all: BTreeSet<&String> = own.chain(of_gates).collect();
    all.into_iter().cloned().collect()
}

/// What evidence depends on besides the tree: the tools' versions and how workspaces are set up. Lock files are part
/// of the tree.
async fn environment(
    bench: &Bench,
    recipes: &[Recipe],
    of_gates: &BTreeSet<String>,
    workspace: &Path,
    cancel: &CancellationToken,
) -> Result<Digest, Error> {
    let tools = with_recipes(of_gates, recipes);
    let runner = super::gate::runner(bench, recipes);
    let versions = runner
        .versions(&tools, workspace, cancel)
        .await
        .map_err(Error::new)?;
    let setups: Vec<String> = recipes
        .iter()
        .filter_map(|recipe| Some(recipe.setup.as_ref()?.to_string()))
        .collect();
    Ok(Environment {
        versions,
        locks: Locks::new(),
        setup: setups.join("\n"),
    }
    .digest())
}
