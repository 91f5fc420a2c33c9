//! Hands the result over, and takes it back. The list of files is on disk, and its digest in the journal, before the
//! first byte of the user's changes.

use super::writing::{self, Turn, Whose};
use super::{Bench, Error, blocking, still_owed};
use crate::layout::{Layout, Place};
use mission::ids::{CommitId, Digest};
use mission::input::Input;
use mission::mission::Mission;
use mission::terms::Deliver;
use mission::time::Timestamp;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;
use workbench::delivery::{self, Broken, DeliveryPlan, Planned, Refusal};
use workbench::fault;
use workbench::git::UserEnvironment;
use workbench::repository::{MissionRepository, Project};
use workbench::snapshot::Base;

/// What every form of delivery needs.
#[derive(Clone)]
struct Facts {
    n: u32,
    project: PathBuf,
    branch: String,
    commit: Option<CommitId>,
    id: String,
    when: Timestamp,
}

fn facts(mission: &Mission, n: u32) -> Facts {
    Facts {
        n,
        project: mission.project().into(),
        branch: format!("orchestrator/{}", mission.id()),
        commit: mission.head().map(|(commit, _)| commit.clone()),
        id: mission.id().to_string(),
        when: mission.opened(),
    }
}

/// A delivery to be planned.
pub(crate) struct Plan {
    facts: Facts,
    form: Deliver,
}

/// A planned delivery to be done.
pub(crate) struct Apply {
    facts: Facts,
    form: Deliver,
    plan: Digest,
}

/// A delivery to be taken back.
pub(crate) struct Undo {
    n: u32,
    facts: Facts,
    form: Deliver,
}

pub(crate) fn plan(mission: &Mission, n: u32, form: Deliver) -> Plan {
    Plan {
        facts: facts(mission, n),
        form,
    }
}

pub(crate) fn apply(mission: &Mission, n: u32, form: Deliver, plan: &Digest) -> Apply {
    Apply {
        facts: facts(mission, n),
        form,
        plan: plan.clone(),
    }
}

pub(crate) fn undo(mission: &Mission, n: u32, delivery: u32) -> Undo {
    let handed = mission.handed();
    Undo {
        n,
        facts: Facts {
            commit: handed.and_then(|handed| handed.commit.clone()),
            ..facts(mission, delivery)
        },
        form: handed.map_or(Deliver::None, |handed| handed.form),
    }
}

/// The tools of a delivery, and the turn to write into the project.
struct Desk {
    project: Project,
    repository: MissionRepository,
    base: Base,
    commit: CommitId,
    place: Place,
    turn: Turn,
}

impl Desk {
    /// Opens what a delivery needs, once no other mission writes into the project.
    fn open(
        facts: &Facts,
        place: Place,
        tools: Tools,
        cancel: &CancellationToken,
    ) -> Result<Self, Error> {
        let project = match tools.project {
            Some(found) => found,
            None => {
                let git = tools.repository.git();
                Project::find(git, &facts.project, &tools.environment).map_err(Error::lasting)?
            }
        };
        // By the root, since missions may have begun in different folders of one project.
        let whose = Whose {
            layout: &tools.layout,
            place: &place,
        };
        let turn = Turn::take(whose, project.root(), writing::WAIT, cancel)?;
        let base = std::fs::read(place.base()).map_err(Error::lasting)?;
        let base = serde_json::from_slice(&base).map_err(Error::lasting)?;
        let commit = facts
            .commit
            .clone()
            .ok_or_else(|| Error::lasting("nothing has landed"))?;
        Ok(Self {
            project,
            repository: tools.repository,
            base,
            commit,
            place,
            turn,
        })
    }

    fn stored_plan(&self, n: u32) -> Result<(DeliveryPlan, Digest), Error> {
        let bytes = std::fs::read(self.place.delivery(n)).map_err(Error::lasting)?;
        let plan = serde_json::from_slice(&bytes).map_err(Error::lasting)?;
        Ok((plan, Digest::of(&bytes)))
    }

    fn old(&self, n: u32) -> PathBuf {
        self.place.old(n)
    }
}

/// What a desk is opened with.
struct Tools {
    repository: MissionRepository,
    environment: UserEnvironment,
    layout: Layout,
    /// As it was found when this very delivery was planned, if that was just now.
    project: Option<Project>,
}

/// The project of a delivery that was planned in this life of the engine, and its number.
pub(super) type PlannedIn = Arc<Mutex<Option<(u32, Project)>>>;

/// Runs something that blocks at the desk of a delivery.
async fn at_desk(
    bench: &Bench,
    cancel: &CancellationToken,
    facts: &Facts,
    work: impl FnOnce(&mut Desk) -> Result<Input, Error> + Send + 'static,
) -> Result<Input, Error> {
    let (place, facts) = (bench.place.clone(), facts.clone());
    let planned = bench
        .planned
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let tools = Tools {
        project: planned
            .filter(|(n, _)| *n == facts.n)
            .map(|(_, found)| found),
        // The one that is open already: opening removes locks, and other performers may hold them.
        repository: bench.repository()?,
        environment: bench.settings.git.clone(),
        layout: bench.settings.layout.clone(),
    };
    let cancel = cancel.clone();
    blocking(move || {
        let mut desk = Desk::open(&facts, place, tools, &cancel)?;
        // One that was given up while it waited must not write behind the back of what came after it.
        still_owed(&cancel)?;
        work(&mut desk)
    })
    .await
}

impl Plan {
    pub(crate) async fn perform(
        self,
        bench: &Bench,
        cancel: &CancellationToken,
    ) -> Result<Input, Error> {
        if self.form == Deliver::Branch {
            let commit = self.facts.commit.as_ref().map_or("", CommitId::as_str);
            let plan = Digest::of(format!("{} {commit}", self.facts.branch).as_bytes());
            return Ok(Input::DeliveryPlanned {
                n: self.facts.n,
                plan,
                files: 0,
            });
        }
        let planned_in = bench.planned.clone();
        at_desk(bench, cancel, &self.facts.clone(), move |desk| {
            fault::point("deliver.plan before");
            let planned = desk.repository.plan_delivery(
                &desk.project,
                &desk.base,
                &desk.commit,
                self.facts.when,
            );
            let plan = match planned.map_err(Error::lasting)? {
                Planned::Ready(plan) => plan,
                Planned::Refused(refusal) => return Ok(refused(&refusal, &self.facts)),
            };
            desk.repository
                .keep_old(&desk.project, &plan, &desk.old(self.facts.n))
                .map_err(Error::new)?;
            fault::point("deliver.plan kept");
            let bytes = serde_json::to_vec(&plan).map_err(Error::new)?;
            write_durably(&desk.place.delivery(self.facts.n), &bytes)?;
            fault::point("deliver.plan listed");
            let found = Some((self.facts.n, desk.project.clone()));
            *planned_in.lock().unwrap_or_else(PoisonError::into_inner) = found;
            Ok(Input::DeliveryPlanned {
                n: self.facts.n,
                plan: Digest::of(&bytes),
                files: plan.files.len() as u32,
            })
        })
        .await
    }
}

impl Apply {
    pub(crate) async fn perform(
        self,
        bench: &Bench,
        cancel: &CancellationToken,
    ) -> Result<Input, Error> {
        let n = self.facts.n;
        let done = at_desk(bench, cancel, &self.facts.clone(), move |desk| {
            fault::point("deliver.before");
            let done = match self.form {
                Deliver::Branch => self.branch(desk),
                Deliver::Worktree | Deliver::Commit | Deliver::None => self.files(desk),
            };
            fault::point("deliver.after");
            done
        })
        .await;
        match done {
            // Nothing of this one was written.
            Err(Error {
                why,
                waits_for: Some(hint),
                ..
            }) => Ok(Input::DeliveryRefused { n, why, hint }),
            done => done,
        }
    }

    fn branch(&self, desk: &Desk) -> Result<Input, Error> {
        let name = &self.facts.branch;
        match desk
            .repository
            .deliver_branch(&desk.project, name, &desk.commit)
        {
            Ok(_) => Ok(Input::Delivered {
                n: self.facts.n,
                place: format!("branch {name}"),
                files: 0,
            }),
            Err(error) => Ok(Input::DeliveryRefused {
                n: self.facts.n,
                why: error.to_string(),
                hint: format!(
                    "rename or delete the branch, then: orchestrator deliver {} --as branch",
                    self.facts.id
                ),
            }),
        }
    }

    fn files(&self, desk: &mut Desk) -> Result<Input, Error> {
        let (plan, digest) = desk.stored_plan(self.facts.n)?;
        if digest != self.plan {
            return Err(Error::lasting(
                "the stored list of files is not the one that was journaled; deliver again",
            ));
        }
        let files = plan.files.len() as u32;
        desk.turn.begin()?;
        let (project, old) = (&desk.project, desk.old(self.facts.n));
        let (done, place) = match self.form {
            Deliver::Commit => (
                desk.repository
                    .deliver_commit(project, &desk.base, &plan, &desk.commit, &old),
                "a commit on your branch".to_owned(),
            ),
            _ => (
                desk.repository.deliver_files(project, &plan, &old),
                "your working tree".to_owned(),
            ),
        };
        let is_half = done.as_ref().is_err_and(|broken| broken.stuck.is_some());
        if !is_half {
            desk.turn.end()?;
        }
        match done {
            Ok(()) => Ok(Input::Delivered {
                n: self.facts.n,
                place,
                files,
            }),
            // Something of it may be left. It is tried again, and given up it is what `undo` takes back.
            Err(broken @ Broken { stuck: Some(_), .. }) => Err(Error::new(broken)),
            // All is as it was: somebody wrote one of the files after they were listed, a file or the branch cannot be
            // written, the disk is full.
            Err(broken) => Ok(Input::DeliveryRefused {
                n: self.facts.n,
                why: broken.to_string(),
                hint: match *broken.why {
                    delivery::Error::NotOnBranch { .. } => {
                        format!("orchestrator deliver {} --as branch", self.facts.id)
                    }
                    _ => format!("orchestrator deliver {}", self.facts.id),
                },
            }),
        }
    }
}

impl Undo {
    pub(crate) async fn perform(
        self,
        bench: &Bench,
        cancel: &CancellationToken,
    ) -> Result<Input, Error> {
        at_desk(bench, cancel, &self.facts.clone(), move |desk| {
            fault::point("undo.before");
            let writes = self.form != Deliver::Branch;
            if writes {
                desk.turn.begin()?;
            }
            let left = match self.form {
                Deliver::Branch => self.branch(desk),
                Deliver::Commit => self.commit(desk),
                Deliver::Worktree | Deliver::None => self.files(desk),
            };
            // What cannot be taken back stays as it is, and nobody waits for it; what may be is tried again.
            let over = left.as_ref().err().is_none_or(Error::is_final);
            if writes && over {
                desk.turn.end()?;
            }
            let left = left?;
            fault::point("undo.after");
            Ok(Input::Undone { n: self.n, left })
        })
        .await
    }

    fn commit(&self, desk: &Desk) -> Result<Vec<String>, Error> {
        let (plan, _) = desk.stored_plan(self.facts.n)?;
        let (undone, branch) = desk
            .repository
            .undo_commit(
                &desk.project,
                &desk.base,
                &plan,
                &desk.commit,
                &desk.old(self.facts.n),
            )
            .map_err(|error| match error {
                // A person has to do something about it first.
                stays @ delivery::Error::CommitStays { .. } => Error::lasting(stays),
                other => Error::new(other),
            })?;
        let branch = branch.map(|name| format!("the commit on branch {name}"));
        let kept = undone.kept.iter().map(ToString::to_string);
        Ok(kept.chain(branch).collect())
    }

    fn branch(&self, desk: &Desk) -> Result<Vec<String>, Error> {
        let name = &self.facts.branch;
        let gone = desk
            .repository
            .undo_branch(&desk.project, name, &desk.commit)
            .map_err(|error| match error {
                used @ delivery::Error::BranchInUse { .. } => Error::lasting(used),
                other => Error::new(other),
            })?;
        Ok((!gone)
            .then(|| format!("branch {name}"))
            .into_iter()
            .collect())
    }

    fn files(&self, desk: &Desk) -> Result<Vec<String>, Error> {
        let (plan, _) = desk.stored_plan(self.facts.n)?;
        let undone = desk
            .repository
            .undo(&desk.project, &plan, &desk.old(self.facts.n))
            .map_err(Error::new)?;
        Ok(undone.kept.iter().map(ToString::to_string).collect())
    }
}

fn refused(refusal: &Refusal, facts: &Facts) -> Input {
    let id = &facts.id;
    let branch = format!("orchestrator deliver {id} --as branch");
    let (why, hint) = match refusal {
        Refusal::BranchChanged { .. } => (
            "another branch is checked out than when the mission began".to_owned(),
            format!("check the first branch out and run `orchestrator deliver {id}`, or: {branch}"),
        ),
        Refusal::Conflicts { paths } => {
            let names: Vec<String> = paths
                .iter()
                .take(10)
                .map(|conflict| conflict.path.to_string())
                .collect();
            (
                format!(
                    "you have changed what the result changes: {}",
                    names.join(", ")
                ),
                branch,
            )
        }
        Refusal::Blocked { paths } => {
            let name =
                |blocked: &delivery::Blocked| format!("{} ({})", blocked.path, blocked.obstacle);
            let names: Vec<String> = paths.iter().take(10).map(name).collect();
            (
                format!("some files cannot be written: {}", names.join(", ")),
                branch,
            )
        }
        Refusal::Restless => (
            "your files changed while they were looked at, three times over".to_owned(),
            format!("orchestrator deliver {id}"),
        ),
    };
    Input::DeliveryRefused {
        n: facts.n,
        why,
        hint,
    }
}

/// Old or new, never half, and on the disk when it returns.
pub(super) fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let next = path.with_extension("next");
    let mut file = File::create(&next).map_err(Error::new)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(Error::new)?;
    fault::point("deliver.list written");
    std::fs::rename(&next, path).map_err(Error::new)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::new)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use std::time::Duration;

    #[test]
    fn missions_that_began_in_different_folders_of_one_project_take_turns() {
        let on = CancellationToken::new();
        let sample = sample::mission(&[("a.txt", "a\n"), ("sub/b.txt", "b\n")]);
        let root = sample.root.join("project");
        let git = std::process::Command::new("git")
            .args(["init", "-q"])
            .arg(&root)
            .status();
        assert!(git.unwrap().success());
        let (bench, layout) = (&sample.bench, &sample.bench.settings.layout);
        let facts = |project: PathBuf| Facts {
            n: 1,
            project,
            branch: String::new(),
            commit: Some(sample.base.commit.clone()),
            id: "m1".to_owned(),
            when: sample::WHEN,
        };
        let tools = || Tools {
            repository: bench.repository().unwrap(),
            environment: bench.settings.git.clone(),
            layout: layout.clone(),
            project: None,
        };
        for folder in ["project", "project/sub"] {
            let facts = facts(sample.root.join(folder));
            let desk = Desk::open(&facts, bench.place.clone(), tools(), &on)
                .ok()
                .unwrap();
            let whose = Whose {
                layout,
                place: &bench.place,
            };
            let other = Turn::take(whose, &root, Duration::ZERO, &on);
            assert!(other.is_err_and(|error| error.is_final()), "{folder}");
            drop(desk);
        }
    }
}
