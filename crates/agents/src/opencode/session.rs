//! Finding the session of a turn again, and the names of its prompts.

use super::api::{Api, CallError};
use super::wire::{Message, Session, Speaker};
use super::{Permissions, roles};
use crate::Order;
use mission::ids::Digest;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// How often a model may be told to go on after it ran out of room.
pub(super) const GO_ON: u8 = 2;

/// How often an answer may be repaired.
pub(super) const REPAIRS: u8 = 2;

/// The prompts that a turn may send, each at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The order itself.
    Work,
    /// Go on after the length ran out.
    GoOn(u8),
    /// Give the answer in a schema.
    Answer,
    /// Give it again, without the faults.
    Repair(u8),
}

impl Step {
    fn all() -> impl Iterator<Item = Self> {
        let go_on = (1..=GO_ON).map(Self::GoOn);
        let repairs = (1..=REPAIRS).map(Self::Repair);
        [Self::Work, Self::Answer]
            .into_iter()
            .chain(go_on)
            .chain(repairs)
    }

    fn name(self) -> String {
        match self {
            Self::Work => "work".to_owned(),
            Self::GoOn(n) => format!("go-on.{n}"),
            Self::Answer => "answer".to_owned(),
            Self::Repair(n) => format!("repair.{n}"),
        }
    }

    /// The part of a prompt's id that says whose it is; the same whenever and by whomever it is sent.
    fn mark(self, order: &Order) -> String {
        let text = format!(
            "{}\n{}\n{}\n{}",
            order.nonce,
            order.mission,
            order.turn,
            self.name()
        );
        Digest::of(text.as_bytes()).as_str()[..14].to_owned()
    }

    /// Which prompt of the order a message is.
    pub(super) fn of(message: &Message, order: &Order) -> Option<Self> {
        if message.info.role != Speaker::User {
            return None;
        }
        let mark = message.info.id.strip_prefix("msg_")?.get(12..)?;
        Self::all().find(|step| step.mark(order) == mark)
    }

    /// An id for the prompt that sorts after a message, as OpenCode's own ids do: the time, then the mark.
    pub(super) fn id(self, order: &Order, after: Option<&Message>) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |t| t.as_millis());
        let now = u64::try_from(now).unwrap_or(0).wrapping_mul(0x1000) & 0xffff_ffff_ffff;
        let last = after
            .and_then(|m| u64::from_str_radix(m.info.id.get(4..16)?, 16).ok())
            .unwrap_or(0);
        format!("msg_{:012x}{}", now.max(last + 1), self.mark(order))
    }
}

/// What a person sees in lists of sessions, and what we search for.
fn tag(order: &Order) -> String {
    format!("[{} ", order.mission)
}

fn title(order: &Order) -> String {
    let title: String = order
        .title
        .chars()
        .filter(|c| !c.is_control())
        .take(100)
        .collect();
    format!("{title} {}{}]", tag(order), order.turn)
}

/// Whether a session is the one of a turn.
fn belongs(session: &Session, order: &Order, turn: &str) -> bool {
    let ours = &session.metadata["orchestrator"];
    let turns = ours["turns"].as_array().map_or(&[][..], Vec::as_slice);
    ours["nonce"] == order.nonce
        && ours["mission"] == order.mission.to_string()
        && turns.iter().any(|t| t == turn)
}

fn metadata(order: &Order, turns: &[&str]) -> Value {
    json!({ "orchestrator": {
        "nonce": order.nonce,
        "mission": order.mission.to_string(),
        "turn": order.turn,
        "turns": turns,
        "epoch": order.epoch.0,
        "role": order.role.to_string(),
    } })
}

/// The session of an order: the one that it has, the one that it goes on with, or a new one.
pub(super) async fn open(
    api: &Api,
    order: &Order,
    user: &Permissions,
) -> Result<String, CallError> {
    let rules = roles::rules(order.role, order.shell, user);
    let known = api.sessions(&order.directory, &tag(order)).await?;
    // When an answer was lost there may be two; everybody agrees on the older one.
    let of = |turn: &str| {
        let fitting = known.iter().filter(|s| belongs(s, order, turn));
        fitting.min_by(|a, b| {
            a.time
                .created
                .total_cmp(&b.time.created)
                .then_with(|| a.id.cmp(&b.id))
        })
    };
    if let Some(session) = of(&order.turn) {
        return Ok(session.id.clone());
    }
    if let Some(earlier) = order.continues.as_deref().and_then(of) {
        let turns = earlier.metadata["orchestrator"]["turns"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        let mut turns: Vec<&str> = turns.iter().filter_map(Value::as_str).collect();
        turns.push(&order.turn);
        let change = json!({ "metadata": metadata(order, &turns), "permission": rules });
        api.change(&order.directory, &earlier.id, &change).await?;
        return Ok(earlier.id.clone());
    }
    let body = json!({
        "title": title(order),
        "agent": roles::agent_name(order.role),
        "metadata": metadata(order, &[&order.turn]),
        "permission": rules,
    });
    Ok(api.create(&order.directory, &body).await?.id)
}
