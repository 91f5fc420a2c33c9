//! People: they answer, edit what they saw, lose patience, change files, and want the result.

use crate::world::{What, World};
use mission::ids::{Digest, TaskId};
use mission::input::Input;
use mission::mission::{Delivery, Mission, State, TaskState};
use mission::plan::{PlanEdit, Priority, TaskChange};
use mission::question::{About, Answered, Question, QuestionId};
use mission::schedule::{Gauge, Sample};
use mission::steering::Dependents;
use mission::terms::Deliver;
use mission::todo::{LineId, TodoEdit};
use std::collections::{BTreeMap, BTreeSet};

/// Nobody wants more than this of one mission.
pub(crate) const MOST_GOALS: usize = 50;

/// What somebody waits to hear about.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    /// A change of a line of which they saw this version, or a new line.
    Edit(Option<(LineId, u64)>),
    /// Anything else.
    Other,
}

#[derive(Debug, Default)]
pub(crate) struct People {
    /// The version of the plan that somebody saw some time ago.
    plan: Option<u64>,
    /// Lines as somebody saw them some time ago.
    seen: Vec<(LineId, u64)>,
    /// What a delivery last wrote into the user's folder.
    pub(crate) delivered: BTreeMap<String, Option<u64>>,
    /// What somebody last wrote there, and at which step.
    pub(crate) edits: BTreeMap<String, (Option<u64>, u64)>,
    /// The lists that were delivered.
    pub(crate) handed: Vec<(u32, Digest)>,
    /// Deliveries that were given up before they wrote anything.
    pub(crate) hung: BTreeSet<u32>,
}

fn me() -> String {
    "me".into()
}

impl World {
    /// Somebody looks at the mission, and does at most one thing.
    pub(crate) fn person_looks(&mut self) {
        let again = self.minutes(1, 12);
        self.after(again, What::Person);
        let Some(engine) = self.engine.take() else {
            return;
        };
        let wanted = self.wanted(engine.desk.mission());
        self.engine = Some(engine);
        if let Some(input) = wanted {
            self.person_wants(input);
        }
    }

    pub(crate) fn person_wants(&mut self, input: Input) {
        let wish = match &input {
            Input::Edit {
                edit: TodoEdit::Tick { line, saw } | TodoEdit::Note { line, saw, .. },
                ..
            } => Wish::Edit(Some((*line, *saw))),
            Input::Edit { .. } => Wish::Edit(None),
            _ => Wish::Other,
        };
        self.wish(wish, input);
    }

    fn wanted(&mut self, mission: &Mission) -> Option<Input> {
        let busy = self.calm || self.rng.chance(600);
        if let Some((id, question)) = mission.questions().next().filter(|_| busy) {
            return Some(self.answer(id, question));
        }
        let goes_on = Input::Resume {
            by: me(),
            more_tokens: 0,
            more_money: 0,
            replan: false,
        };
        if mission.pause().is_some() && (self.calm || self.rng.chance(300)) {
            return Some(goes_on);
        }
        // Somebody frees the disk.
        let short = mission.full().or(mission.cramped());
        if short.is_some() && (self.calm || self.rng.chance(500)) {
            let sample = Sample::default();
            return Some(Input::Sampled { sample });
        }
        if self.calm {
            // In the end everything is wanted after all.
            let skipped = |task: &&TaskState| matches!(task.state, State::Skipped { .. });
            let again = mission.tasks().find(skipped).map(|task| task.task.id);
            return again.map(|task| Input::Retry {
                task,
                note: String::new(),
                by: me(),
            });
        }
        if mission.outcome().is_some() {
            return self.wanted_of_the_sealed(mission);
        }
        let person = self.scenario.faults.person;
        match self.rng.below(40) {
            0 if self.rng.chance(person / 2) => Some(match self.rng.chance(500) {
                true => Input::Cancel { by: me() },
                false => Input::Abort { by: me() },
            }),
            1 => Some(Input::Deliver {
                form: Deliver::Branch,
            }),
            2 => Some(Input::Undo { by: me() }),
            3 => Some(Input::Resume {
                by: me(),
                more_tokens: 1,
                more_money: 0,
                replan: false,
            }),
            4..12 => self.edit(mission),
            12 | 13 => Some(Input::Pause { by: me() }),
            17 | 18 => Some(Input::Sampled {
                sample: self.machine(),
            }),
            14..17 => Some(self.steer(mission)),
            19..25 => self.of_one_task(mission),
            25..29 => self.of_the_plan(mission),
            _ => None,
        }
    }

    /// Something is said to one task or to all.
    fn steer(&mut self, mission: &Mission) -> Input {
        let tasks: Vec<TaskId> = mission.tasks().map(|task| task.task.id).collect();
        let task = self
            .rng
            .pick(&tasks)
            .copied()
            .filter(|_| self.rng.chance(500));
        Input::Steer {
            task,
            text: "mind this too".to_owned(),
            by: me(),
        }
    }

    /// Something is wanted of one task, whatever it is doing.
    fn of_one_task(&mut self, mission: &Mission) -> Option<Input> {
        let tasks: Vec<TaskId> = mission.tasks().map(|task| task.task.id).collect();
        let task = *self.rng.pick(&tasks)?;
        Some(match self.rng.below(6) {
            0..3 => Input::Retry {
                task,
                note: (*self.rng.pick(&["", "like this", "or like that"])?).to_owned(),
                by: me(),
            },
            3 => Input::Skip {
                task,
                why: "not now".into(),
                dependents: *self.rng.pick(&[
                    Dependents::Ask,
                    Dependents::Skip,
                    Dependents::Run,
                    Dependents::Run,
                ])?,
                by: me(),
            },
            _ => Input::Prioritise {
                task,
                priority: *self
                    .rng
                    .pick(&[Priority::Low, Priority::Normal, Priority::High])?,
                by: me(),
            },
        })
    }

    /// The plan as somebody saw it, now or some time ago, is changed.
    fn of_the_plan(&mut self, mission: &Mission) -> Option<Input> {
        let now = mission.plan_version();
        let saw = self.people.plan.filter(|_| self.rng.chance(300));
        self.people.plan = Some(now);
        let tasks: Vec<TaskId> = mission.tasks().map(|task| task.task.id).collect();
        let task = *self.rng.pick(&tasks)?;
        let edit = match self.rng.below(5) {
            0 | 1 if self.scenario.goals.len() < MOST_GOALS => {
                self.scenario.more_goals(&mut self.rng, 1);
                self.audit.goals.clone_from(&self.scenario.goals);
                let key = self.scenario.goals.last()?.key.clone();
                let mut task = self.scenario.draft_of(&key)?;
                // Whatever else it should need is not in this plan, or is.
                let known = |need: &String| mission.tasks().any(|task| task.task.key == *need);
                task.needs.retain(known);
                PlanEdit::Add { task }
            }
            0..3 => PlanEdit::Drop { task },
            3 => PlanEdit::Set {
                task,
                to: TaskChange {
                    needs: Some(match self.rng.chance(500) {
                        true => Vec::new(),
                        false => vec![self.rng.pick(&tasks)?.to_string()],
                    }),
                    ..TaskChange::default()
                },
            },
            _ => PlanEdit::Set {
                task,
                to: TaskChange {
                    priority: Some(*self.rng.pick(&[Priority::Low, Priority::High])?),
                    goal: Some("Bring it about otherwise".into()),
                    writes: self.rng.chance(500).then(|| vec!["src/k1".into()]),
                    ..TaskChange::default()
                },
            },
        };
        // As somebody does who takes the whole plan into an editor.
        let edit = match self.rng.chance(250) {
            true => PlanEdit::Several {
                edits: vec![
                    edit,
                    PlanEdit::Drop {
                        task: *self.rng.pick(&tasks)?,
                    },
                ],
            },
            false => edit,
        };
        let (saw, by) = (saw.unwrap_or(now), me());
        Some(Input::EditPlan { edit, saw, by })
    }

    /// A machine that is busy, less busy or idle, and may have been so for long enough.
    pub(crate) fn machine(&mut self) -> Sample {
        let now = *self.rng.pick(&[95, 75, 30]).unwrap_or(&0);
        let least = if self.rng.chance(700) { now } else { 0 };
        let busy = Gauge { now, least };
        match self.rng.below(5) {
            0 => Sample {
                memory: busy,
                ..Sample::default()
            },
            4 => Sample {
                held_up: busy,
                ..Sample::default()
            },
            1 => Sample {
                processors: Gauge {
                    now: now * 5,
                    least: least * 5,
                },
                ..Sample::default()
            },
            2 => {
                self.coverage.saw("a look at the disk");
                Sample {
                    disk: now * 2,
                    full: least * 2,
                    ..Sample::default()
                }
            }
            _ => Sample {
                stalled: Gauge {
                    now: now / 3,
                    least: least / 3,
                },
                ..Sample::default()
            },
        }
    }

    fn wanted_of_the_sealed(&mut self, mission: &Mission) -> Option<Input> {
        if self.rng.chance(self.scenario.faults.person / 4) {
            self.person_edits_a_file();
        }
        let forms = [
            Deliver::Worktree,
            Deliver::Branch,
            Deliver::Commit,
            Deliver::None,
        ];
        match self.rng.below(10) {
            0 | 1 => {
                let form = *self.rng.pick(&forms).unwrap_or(&Deliver::None);
                Some(Input::Deliver { form })
            }
            2 => Some(Input::Undo { by: me() }),
            3 if matches!(mission.delivery(), Delivery::Done { .. }) => {
                Some(Input::Undo { by: me() })
            }
            4 | 5 if matches!(mission.delivery(), Delivery::Undone | Delivery::Refused) => {
                Some(Input::Deliver {
                    form: Deliver::Worktree,
                })
            }
            4 => self.edit(mission),
            5 if self.rng.chance(500) => self.of_one_task(mission),
            5 => Some(Input::Cancel { by: me() }),
            _ => {
                let more_tokens = self.rng.weigh(&[(2, 0), (3, 3_000_000)]);
                let good = mission.outcome().is_some_and(crate::audit::is_good);
                let replan = self.rng.chance(if good { 800 } else { 250 });
                if replan && self.scenario.goals.len() < MOST_GOALS {
                    let more = self.rng.range(2, 9);
                    self.scenario.more_goals(&mut self.rng, more);
                    self.audit.goals.clone_from(&self.scenario.goals);
                }
                Some(Input::Resume {
                    by: me(),
                    more_tokens,
                    more_money: more_tokens * 3,
                    replan,
                })
            }
        }
    }

    fn answer(&mut self, id: QuestionId, question: &Question) -> Input {
        let text = match (&question.about, self.calm) {
            (About::Plan, true) => "yes".to_owned(),
            (About::Permission { .. }, true) => "allow".to_owned(),
            (About::Dispute { .. }, true) => "retry".to_owned(),
            (About::Plan, false) if self.rng.chance(700) => "yes".to_owned(),
            _ if !self.calm && self.rng.chance(100) => String::new(),
            (About::Blocked { .. }, false) if self.rng.chance(400) => "leave".to_owned(),
            _ => self
                .rng
                .pick(&question.choices)
                .cloned()
                .unwrap_or_else(|| "try it like this".to_owned()),
        };
        // It may be answered where the agent's host shows it, by whatever word that has.
        if let About::Permission { epoch, token, .. } = &question.about
            && self.rng.chance(300)
        {
            let by = "opencode".to_owned();
            let request = (*epoch, *token);
            let said = Answered { text, by };
            return Input::AnsweredElsewhere { request, said };
        }
        let id = if !self.calm && self.rng.chance(50) {
            QuestionId(id.0 + 7)
        } else {
            id
        };
        Input::Answer { id, text, by: me() }
    }

    /// An edit of a line as somebody sees it now, or saw it before others wrote on it.
    pub(crate) fn edit(&mut self, mission: &Mission) -> Option<Input> {
        let tasks: Vec<LineId> = mission
            .tasks()
            .map(|task| LineId::Task(task.task.id))
            .collect();
        if self.rng.chance(150) {
            return Some(Input::Edit {
                edit: TodoEdit::Propose {
                    text: "and this".into(),
                },
                by: me(),
            });
        }
        // A few lines are where everybody writes.
        let few = &tasks[..tasks.len().min(3)];
        let line = *self.rng.pick(few)?;
        let now = (line, mission.todo().line(line).version);
        let old = self.rng.pick(&self.people.seen).copied();
        self.people.seen.push(now);
        if self.people.seen.len() > 8 {
            self.people.seen.remove(0);
        }
        let (line, saw) = old.filter(|_| self.rng.chance(500)).unwrap_or(now);
        let edit = match self.rng.chance(500) {
            true => TodoEdit::Tick { line, saw },
            false => TodoEdit::Note {
                line,
                saw,
                text: "mind this".into(),
            },
        };
        Some(Input::Edit { edit, by: me() })
    }
}
