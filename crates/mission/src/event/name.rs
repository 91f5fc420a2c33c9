//! What each kind of event is called where it is stored.

use super::Event;

macro_rules! names {
    ($($kind:ident => $name:literal,)+) => {
        impl Event {
            /// The event's name as it is stored.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$kind { .. } => $name,)+
                }
            }

            /// How many kinds of event there are; the simulator shows that it saw each.
            pub const KINDS: usize = [$($name),+].len();
        }
    };
}

names! {
    Opened => "opened",
    Prepared => "prepared",
    SetUp => "set_up",
    TurnStarted => "turn_started",
    TurnLent => "turn_lent",
    TurnTold => "turn_told",
    TurnServed => "turn_served",
    TurnNudged => "turn_nudged",
    Stagnated => "stagnated",
    Diagnosed => "diagnosed",
    TurnEnded => "turn_ended",
    ModelNamed => "model_named",
    ModelLimited => "model_limited",
    ModelSwitched => "model_switched",
    ProviderHeld => "provider_held",
    BreakerOpened => "breaker_opened",
    IntentRead => "intent_read",
    PlannedAhead => "planned_ahead",
    PlanRefused => "plan_refused",
    Planned => "planned",
    PlanEdited => "plan_edited",
    SplitRefused => "split_refused",
    Worked => "worked",
    Reused => "reused",
    GateStarted => "gate_started",
    GateEnded => "gate_ended",
    GateLost => "gate_lost",
    Rejected => "rejected",
    Accepted => "accepted",
    ConflictForeseen => "conflict_foreseen",
    Parked => "parked",
    TaskFailed => "task_failed",
    Disputed => "disputed",
    LandingStarted => "landing_started",
    Stacked => "stacked",
    LandingFailed => "landing_failed",
    Landed => "landed",
    TaskDone => "task_done",
    Asked => "asked",
    QuestionClosed => "question_closed",
    TodoEdited => "todo_edited",
    Woke => "woke",
    Paused => "paused",
    Unpaused => "unpaused",
    Steered => "steered",
    TaskRetried => "task_retried",
    TaskSkipped => "task_skipped",
    TaskPrioritised => "task_prioritised",
    CancelAsked => "cancel_asked",
    Halted => "halted",
    Sealed => "sealed",
    Resumed => "resumed",
    DeliverAsked => "deliver_asked",
    DeliveryPlanned => "delivery_planned",
    Delivered => "delivered",
    DeliveryRefused => "delivery_refused",
    UndoAsked => "undo_asked",
    Undone => "undone",
    UndoFailed => "undo_failed",
    SessionUsed => "session_used",
    SessionRetired => "session_retired",
    SessionClosed => "session_closed",
    Cleaned => "cleaned",
    CleanFailed => "clean_failed",
    Pressed => "pressed",
    Relieved => "relieved",
    EnvironmentChanged => "environment_changed",
}

/// Whether a number need not be stored.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "that is how serde asks")]
pub(super) fn is_nothing(n: &u64) -> bool {
    *n == 0
}
