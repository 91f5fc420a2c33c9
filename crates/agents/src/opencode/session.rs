//! Finding the session of a turn again, and the names of its prompts.

use super::api::{Api, CallError};
use super::wire::{Message, Session, Speaker, Status};
use super::{Permissions, roles};
use crate::{NUDGES, Order};
use mission::ids::{Digest, MissionId};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// How often a model may be told to go on after it ran out of room.
pub(super) const GO_ON: u8 = 2;

/// How often an answer may be repaired.
pub(super) const REPAIRS: u8 = 2;

/// How many letters of a prompt's id say whose it is.
const MARK: usize = 14;
/// The same of a note's, before its number.
const NOTE_MARK: usize = 10;

/// The prompts that a turn may send, each at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The order itself.
    Work,
    /// Go on after the length ran out.
    GoOn(u8),
    /// Give the answer, in words.
    Answer,
    /// Give it in a schema: in a copy of the session.
    Schema,
    /// Give it again, without the faults.
    Repair(u8),
    /// What a person said meanwhile, by its number.
    Note(u32),
    /// What the engine itself tells it, by its number in the attempt.
    Nudge(u32),
}

impl Step {
    /// All but the notes.
    fn all() -> impl Iterator<Item = Self> {
        let go_on = (1..=GO_ON).map(Self::GoOn);
        let repairs = (1..=REPAIRS).map(Self::Repair);
        let nudges = (1..=NUDGES).map(Self::Nudge);
        [Self::Work, Self::Answer, Self::Schema]
            .into_iter()
            .chain(go_on)
            .chain(repairs)
            .chain(nudges)
    }

    fn name(self) -> String {
        match self {
            Self::Work => "work".to_owned(),
            Self::GoOn(n) => format!("go-on.{n}"),
            Self::Answer => "answer".to_owned(),
            Self::Schema => "schema".to_owned(),
            Self::Repair(n) => format!("repair.{n}"),
            Self::Nudge(n) => format!("nudge.{n}"),
            // Its number stands in the mark itself, so that no list of them is needed to know one.
            Self::Note(_) => "note".to_owned(),
        }
    }

    /// The part of a prompt's id that says whose it is; the same whenever and by whomever it is sent.
    fn mark(self, order: &Order) -> String {
        let text = format!(
            "{}\n{}\n{}\n{}\n{}",
            order.nonce,
            order.mission,
            order.turn,
            order.workspace.0,
            self.name()
        );
        let digest = Digest::of(text.as_bytes());
        match self {
            Self::Note(n) => format!("{}{n:x}", &digest.as_str()[..NOTE_MARK]),
            _ => digest.as_str()[..MARK].to_owned(),
        }
    }

    /// Which prompt of the order a message is.
    pub(super) fn of(message: &Message, order: &Order) -> Option<Self> {
        if message.info.role != Speaker::User {
            return None;
        }
        Self::named(&message.info.id, order)
    }

    /// Whether a message of this id is the prompt.
    pub(super) fn is(self, id: &str, order: &Order) -> bool {
        Self::named(id, order) == Some(self)
    }

    fn named(id: &str, order: &Order) -> Option<Self> {
        let mark = id.strip_prefix("msg_")?.get(12..)?;
        let note = || {
            let n = u32::from_str_radix(mark.get(NOTE_MARK..)?, 16).ok()?;
            Some(Self::Note(n))
        };
        let fits = |step: &Self| step.mark(order) == mark;
        Self::all().find(fits).or_else(|| note().filter(fits))
    }

    /// An id for the prompt that sorts after a message, as OpenCode's own ids do: the time, then the mark.
    pub(super) fn id(self, order: &Order, after: Option<&Message>) -> String {
        message_id(&self.mark(order), after)
    }
}

/// An id that sorts after a message, as OpenCode's own ids do: the time, then whose it is.
pub(super) fn message_id(mark: &str, after: Option<&Message>) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |t| t.as_millis());
    let now = u64::try_from(now).unwrap_or(0).wrapping_mul(0x1000) & 0xffff_ffff_ffff;
    let last = after
        .and_then(|m| u64::from_str_radix(m.info.id.get(4..16)?, 16).ok())
        .unwrap_or(0);
    format!("msg_{:012x}{mark}", now.max(last + 1))
}

/// What we search for. It is no name: whose a session is, its metadata says.
pub(super) fn tag_of(mission: MissionId) -> String {
    format!("[{mission}")
}

fn tag(order: &Order) -> String {
    tag_of(order.mission)
}

/// What a person sees in lists of sessions: `T1.1 Add login route [m7]`. A turn without a task is told by its role.
fn title(order: &Order) -> String {
    let named = match order.title == order.turn {
        true => format!("{} of the {}", order.turn, order.role),
        false => order.title.clone(),
    };
    let title: String = named
        .chars()
        .filter(|c| !c.is_control())
        .take(100)
        .collect();
    format!("{title} {}]", tag(order))
}

/// A session that is ready for an order.
pub(super) struct Opened {
    pub(super) id: String,
    /// The last message that an earlier lease of the turn has accounted for.
    pub(super) counted: Option<String>,
}

/// What of ours stands in a session.
fn ours(session: &Session) -> &Value {
    &session.metadata["orchestrator"]
}

fn turns(session: &Session) -> Vec<&str> {
    let turns = ours(session)["turns"].as_array();
    let turns = turns.map_or(&[][..], Vec::as_slice);
    turns.iter().filter_map(Value::as_str).collect()
}

/// Whether a session is one of a mission.
pub(super) fn is_of(session: &Session, mission: MissionId, nonce: &str) -> bool {
    let ours = ours(session);
    ours["nonce"] == nonce && ours["mission"] == mission.to_string()
}

/// Whether a session is the one of a turn.
fn belongs(session: &Session, order: &Order, turn: &str) -> bool {
    is_of(session, order.mission, &order.nonce) && turns(session).contains(&turn)
}

fn metadata(order: &Order, turns: &[&str], counted: Option<&str>) -> Value {
    json!({ "orchestrator": {
        "nonce": order.nonce,
        "mission": order.mission.to_string(),
        "turn": order.turn,
        "turns": turns,
        "epoch": order.epoch.0,
        "workspace": order.workspace.0,
        "counted": counted,
        "role": order.role.to_string(),
    } })
}

/// Whether a session of the order is at work in this server.
pub(super) async fn is_at_work(api: &Api, order: &Order) -> Result<bool, CallError> {
    for session in api.sessions(&order.directory, &tag(order)).await? {
        if belongs(&session, order, &order.turn)
            && !matches!(
                api.status(&order.directory, &session.id).await?,
                Status::Idle
            )
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The session of an order: the one that it has, the one that it goes on with, or a new one, which is made a child of
/// `parent`.
pub(super) async fn open(
    api: &Api,
    order: &Order,
    user: &Permissions,
    parent: Option<&str>,
) -> Result<Opened, CallError> {
    let rules = roles::rules(order.role, order.shell, user);
    let mut known = api.sessions(&order.directory, &tag(order)).await?;
    known.retain(|session| !order.closed.contains(&session.id));
    // When an answer was lost there may be two; everybody agrees on the older one.
    known.sort_by(|a, b| {
        let age = a.time.created.total_cmp(&b.time.created);
        age.then_with(|| a.id.cmp(&b.id))
    });
    // A conversation about a workspace that was set to something else since speaks of edits that are gone.
    let its_own =
        |s: &&Session| belongs(s, order, &order.turn) && ours(s)["workspace"] == order.workspace.0;
    for session in known.iter().filter(its_own) {
        if is_healthy(api, order, session).await? {
            return again(api, order, session, &rules).await;
        }
    }
    let continued = order.continues.as_deref();
    let earlier = continued.and_then(|turn| known.iter().find(|s| belongs(s, order, turn)));
    if let Some(earlier) = earlier
        && is_healthy(api, order, earlier).await?
    {
        let mut turns = turns(earlier);
        turns.push(&order.turn);
        let change = json!({ "metadata": metadata(order, &turns, None), "permission": rules });
        api.change(&order.directory, &earlier.id, &change).await?;
        let id = earlier.id.clone();
        return Ok(Opened { id, counted: None });
    }
    let mut body = json!({
        "title": title(order),
        "agent": roles::agent_name(order.role),
        "metadata": metadata(order, &[&order.turn], None),
        "permission": rules,
    });
    if let Some(parent) = parent {
        body["parentID"] = json!(parent);
    }
    let id = api.create(&order.directory, &body).await?.id;
    Ok(Opened { id, counted: None })
}

/// A copy of a turn's session.
pub(super) struct Copy {
    pub(super) id: String,
    /// Whether the lease that has the turn now made it.
    pub(super) is_of_this_lease: bool,
}

/// The copy of a session, as it stands with some message, in which the answer is asked for that the message does not hold:
/// the one that there is, or a new one.
pub(super) async fn copy(
    api: &Api,
    order: &Order,
    (session, last): (&str, &str),
) -> Result<Copy, CallError> {
    let known = api.sessions(&order.directory, &tag(order)).await?;
    let is_it = |s: &&Session| {
        is_of(s, order.mission, &order.nonce) && ours(s)["answers"].as_str() == Some(last)
    };
    if let Some(known) = known.iter().find(is_it) {
        return Ok(Copy {
            id: known.id.clone(),
            is_of_this_lease: ours(known)["epoch"] == order.epoch.0,
        });
    }
    let id = api.fork(&order.directory, session).await?.id;
    // It belongs to the mission, as whatever is closed with it, and to no turn, which would go on in it.
    let mut metadata = metadata(order, &[], None);
    metadata["orchestrator"]["answers"] = json!(last);
    let change = json!({
        "title": format!("answer of {}", title(order)),
        "metadata": metadata,
        "permission": roles::nothing_but_the_answer(),
    });
    api.change(&order.directory, &id, &change).await?;
    Ok(Copy {
        id,
        is_of_this_lease: true,
    })
}

/// Whether a session can be gone on with: what was said in it can be read. One of 1.18 that holds an answer in a form which
/// the server itself cannot read any more answers so for ever.
async fn is_healthy(api: &Api, order: &Order, session: &Session) -> Result<bool, CallError> {
    // The last page of it: what a turn reads of it first.
    let read = api.messages(&order.directory, &session.id, |_| true);
    match read.await {
        Ok(_) | Err(CallError::Long(..)) => Ok(true),
        Err(CallError::Down(why)) => Err(CallError::Down(why)),
        Err(error) => {
            tracing::warn!(%error, session = session.id, "a session cannot be gone on with");
            Ok(false)
        }
    }
}

/// The session that a turn has already. When it is leased anew, what stands there now was accounted for by the lease
/// before; the same lease, taken up by another engine, accounts for what that one could not tell.
async fn again(
    api: &Api,
    order: &Order,
    session: &Session,
    rules: &Value,
) -> Result<Opened, CallError> {
    let (directory, id) = (&order.directory, session.id.clone());
    if ours(session)["epoch"] == order.epoch.0 {
        let counted = ours(session)["counted"].as_str().map(str::to_owned);
        return Ok(Opened { id, counted });
    }
    let newest = api.newest(directory, &id).await?;
    let counted = newest.map(|message| message.info.id);
    let metadata = metadata(order, &turns(session), counted.as_deref());
    let change = json!({ "metadata": metadata, "permission": rules });
    api.change(directory, &id, &change).await?;
    Ok(Opened { id, counted })
}
