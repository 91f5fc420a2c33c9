//! What a plan is forecast to use before it is carried out, and the word that a person has to give where that is much.

use crate::event::Event;
use crate::ids::TaskId;
use crate::limits;
use crate::mission::{Mission, State, TaskState};
use crate::plan::{Edited, Size, TaskKind};
use crate::planted;
use crate::question::{About, QuestionId};
use crate::spending::dollars;
use crate::time::Timestamp;
use std::collections::BTreeSet;

/// What the tasks that have not landed are forecast to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Tokens, of which they have used none yet.
    pub tokens: u64,
    /// In millionths of a US dollar, by what the tokens of this mission cost so far; `None` while no price is known.
    pub money: Option<u64>,
    /// Whether all of it follows from tasks of the same sizes that this mission has landed; else some of it is a guess by
    /// size.
    pub learned: bool,
}

impl Mission {
    /// What the tasks are forecast to use that have neither landed nor been left out: each once, with one review. What fails
    /// is tried again, and uses more.
    pub fn forecast(&self) -> Forecast {
        let costs = [Size::Small, Size::Medium, Size::Large].map(|size| self.costs_of(size));
        let each = self.tasks.values().filter(is_open);
        let each: Vec<(u64, bool)> = each.map(|task| costs[place(task.task.size)]).collect();
        let tokens = each.iter().map(|(tokens, _)| tokens).sum();
        Forecast {
            tokens,
            money: self.budget.money.worth(tokens),
            learned: !each.is_empty() && each.iter().all(|(_, learned)| *learned),
        }
    }

    /// What a task of this size uses, and whether that is learned.
    pub(crate) fn costs_of(&self, size: Size) -> (u64, bool) {
        let landed = self.tasks.values().filter(|task| {
            task.task.kind == TaskKind::Agent
                && task.task.size == size
                && task.state == State::Landed
                && task.tokens > 0
        });
        let (n, all) = landed.fold((0u64, 0u64), |(n, all), task| (n + 1, all + task.tokens));
        if n >= u64::from(limits::LEARNED) {
            return (all / n, true);
        }
        let review = match self.terms.review_rounds {
            0 => 0,
            _ => limits::FORECAST_REVIEW,
        };
        (limits::FORECAST[place(size)] + review, false)
    }

    /// Above how many tokens a plan waits for a person's word.
    fn asks_above(&self) -> u64 {
        self.terms.ask_above.unwrap_or(self.left())
    }

    /// The tokens that nothing has used yet. Those that are lent to turns are for tasks that the forecast counts.
    fn left(&self) -> u64 {
        self.budget.free() + self.budget.reserved
    }

    /// Whether a change of the plan by a person makes it use more than before, and more than it may without their word.
    pub(crate) fn becomes_dear(&self, after: &Edited) -> bool {
        let changed: BTreeSet<TaskId> = after.tasks.iter().map(|task| task.id).collect();
        let stays = |task: &&TaskState| {
            let id = task.task.id;
            !changed.contains(&id) && !after.dropped.contains(&id)
        };
        let kept = self.tasks.values().filter(is_open).filter(stays);
        let kept = kept.map(|task| task.task.size);
        let agents = after.tasks.iter();
        let agents = agents.filter(|task| task.kind == TaskKind::Agent);
        let sizes = kept.chain(agents.map(|task| task.size));
        let tokens: u64 = sizes.map(|size| self.costs_of(size).0).sum();
        let dear = tokens > self.forecast().tokens && tokens > self.asks_above();
        dear && !planted!("forecast_ignored")
    }

    /// Reckons whether a new plan needs a person's word.
    pub(crate) fn reckon_forecast(&mut self) {
        let dear = self.forecast().tokens > self.asks_above();
        self.wants_word = dear && !planted!("forecast_ignored");
    }

    /// Asks for a person's word on the plan, where that is wanted.
    pub(crate) fn ask_word(&self, now: Timestamp) -> Vec<Event> {
        if !self.terms.approve && !self.wants_word {
            return Vec::new();
        }
        let Forecast { tokens, money, .. } = self.forecast();
        let cost = money.map_or(String::new(), |money| format!(", {}", dollars(money)));
        let above = self.terms.ask_above.map_or_else(
            || format!("{} are left", self.left()),
            |above| format!("above {above} it has to be asked for"),
        );
        let dear = match self.wants_word {
            true => format!(" It is forecast to use about {tokens} tokens{cost}; {above}."),
            false => String::new(),
        };
        vec![Event::Asked {
            id: QuestionId(self.last_question + 1),
            about: About::Plan,
            text: match self.tasks.len() {
                1 => format!("Carry out this plan of one task?{dear}"),
                n => format!("Carry out this plan of {n} tasks?{dear}"),
            },
            choices: vec!["yes".into(), "no".into()],
            default: "no".into(),
            deadline: now + limits::QUESTION,
        }]
    }
}

/// Whether an agent has still to do a task.
fn is_open(task: &&TaskState) -> bool {
    let done = matches!(task.state, State::Landed | State::Skipped { .. });
    task.task.kind == TaskKind::Agent && !done
}

/// Where the number for a size stands.
fn place(size: Size) -> usize {
    match size {
        Size::Small => 0,
        Size::Medium => 1,
        Size::Large => 2,
    }
}
