//! The terms of a mission: what its user agreed to, fixed when it opens.

use crate::limits;
use crate::rules::Rule;
use crate::time::Millis;
use crate::turn::Role;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a mission may use and how it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Workers at once.
    pub workers: u32,
    /// Attempts at one task that may end by the agent's fault.
    pub attempts: u32,
    /// Stuck tasks that the Planner may be asked to cut anew; none in missions from before there was such a thing.
    #[serde(default, skip_serializing_if = "is_none")]
    pub splits: u32,
    /// Reviews that may reject with green gates before a task is disputed; 0 leaves reviews out.
    pub review_rounds: u32,
    /// Tokens in all.
    pub tokens: u64,
    /// Money in all, in millionths of a US dollar; `None` leaves it to the tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_usd: Option<u64>,
    /// Tokens that one task may use, all its attempts and reviews together; `None` is half of all, or all of a plan of one
    /// task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_tokens: Option<u64>,
    /// Turns that may ask a model until the seal; `None` is [`limits::TURNS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<u32>,
    /// A plan that is forecast to use more tokens than this waits for a person's word; `None` is what is left of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask_above: Option<u64>,
    /// The longest that one attempt may take.
    pub attempt: Millis,
    /// The longest that the mission may run until its seal.
    pub mission: Millis,
    /// The longest that one acceptance command may take.
    pub acceptance: Millis,
    /// Whether the plan waits for a person's word.
    pub approve: bool,
    /// Whether somebody may answer questions; if not, each takes its default at once.
    pub attended: bool,
    /// How the result is handed over once the mission is completed.
    pub deliver: Deliver,
    /// The models that a role is carried out by, in this order, where its own is broken or held for long; each as
    /// `provider/model`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fallbacks: BTreeMap<Role, Vec<String>>,
    /// Whether the Planner begins beside the Commander, from the request alone; missions from before there was such a
    /// thing do not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plan_ahead: bool,
    /// What agents ask for that is answered beforehand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            workers: limits::WORKERS,
            attempts: limits::ATTEMPTS,
            splits: limits::SPLITS,
            review_rounds: limits::REVIEW_ROUNDS,
            tokens: limits::TOKENS,
            micro_usd: None,
            task_tokens: None,
            turns: None,
            ask_above: None,
            attempt: limits::ATTEMPT,
            mission: limits::MISSION,
            acceptance: Millis::from_mins(15),
            approve: false,
            attended: true,
            deliver: Deliver::Worktree,
            fallbacks: BTreeMap::new(),
            plan_ahead: false,
            rules: Vec::new(),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands a reference to whoever says what is left out"
)]
fn is_none(splits: &u32) -> bool {
    *splits == 0
}

/// How a result is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deliver {
    /// As changed files in the user's folder, nothing staged or committed.
    Worktree,
    /// As a new branch in the user's repository.
    Branch,
    /// As one commit on the branch that is checked out.
    Commit,
    /// Not at all until asked.
    None,
}
