//! Bugs on purpose. Each stands in product code behind `cfg(planted)` so that the simulator can show that it would
//! find such a bug; without that `cfg` every [`planted!`](crate::planted!) is the constant `false`.

#[cfg(planted)]
thread_local! {
    static CHOSEN: std::cell::Cell<&'static str> = const { std::cell::Cell::new("") };
}

/// Every bug that is planted somewhere. A name that stands nowhere else in the product shows as never caught. What a
/// journal gets wrong is planted in the one in memory, which the simulator runs on; the one on disk is held to the same
/// promise by the contract that both pass.
#[cfg(planted)]
pub const ALL: &[&str] = &[
    "reply_released_before_commit",
    "epoch_unchecked_on_append",
    "landing_not_idempotent",
    "result_of_old_attempt_accepted",
    "evidence_of_another_tree_accepted",
    "evidence_of_another_environment_accepted",
    "pressure_ignored",
    "pressure_never_ends",
    "full_disk_ignored",
    "disk_stays_full",
    "workspace_made_without_room",
    "reservation_leaked_on_cancel",
    "dependency_counted_before_landing",
    "claim_trusted",
    "todo_version_unchecked",
    "deadline_never_strikes",
    "deadlines_strike_unattended",
    "refusal_uses_up_attempt",
    "question_never_closed",
    "lane_shared",
    "parked_task_forgotten_on_resume",
    "stale_stack_result_accepted",
    "gates_overbooked",
    "sealed_over_running_gates",
    "rejected_attempt_stays_queued",
    "lent_tokens_uncounted",
    "finished_work_run_again",
    "stale_delivery_accepted",
    "project_gate_ignored",
    "turn_started_without_time",
    "started_task_stays_ready",
    "changed_without_event",
    "seen_engine_ignored",
    "looking_counted_as_work",
    "refusal_charged",
    "refused_turn_tries_first",
    "refused_for_ever",
    "storm_blamed_on_turns",
    "last_in_queue_forgotten",
    "red_stack_never_split",
    "whole_red_stack_sent_back",
    "turn_started_in_a_pause",
    "note_told_twice",
    "step_never_given_up",
    "low_starves",
    "slot_above_cap",
    "waiter_not_woken",
    "slots_shrink_everywhere",
    "provider_slots_ignored",
    "resource_held_twice",
    "resource_leaked_on_cancel",
    "breaker_never_closes",
    "probe_not_limited",
    "session_shared",
    "session_uses_uncounted",
    "idle_sessions_stay",
    "hold_ignored",
    "waits_past_its_end",
    "long_hold_not_asked_anew",
    "hold_wakes_nobody",
    "hold_uses_up_attempt",
    "money_unlimited",
    "turns_unlimited",
    "task_unlimited",
    "review_not_held",
    "output_limit_ignored",
    "forecast_ignored",
    "machine_uses_up_attempt",
    "stagnation_unseen",
    "stale_diagnosis_accepted",
    "stuck_task_never_given_up",
    "split_without_bound",
    "piece_not_waited_for",
    "nudged_for_ever",
    "old_clash_accepted",
    "conflict_foreseen_twice",
    "both_make_way",
    "way_made_back",
    "deny_rule_ignored",
    "plan_version_unchecked",
    "retry_done_twice",
    "retry_counted_as_attempt",
    "skipped_task_runs",
    "priority_ignored",
    "circle_unchecked",
    "void_plan_taken",
    "void_plan_runs_on",
    "lane_too_few",
    "lanes_stay_closed",
];

/// Chooses the one bug that this thread has from now on; the empty name for none.
#[cfg(planted)]
pub fn choose(name: &'static str) {
    CHOSEN.with(|chosen| chosen.set(name));
}

/// Whether this thread has the bug of that name.
#[cfg(planted)]
pub fn chosen(name: &str) -> bool {
    CHOSEN.with(|chosen| chosen.get() == name)
}

/// Whether the named bug is planted here; `false` in every ordinary build.
#[macro_export]
macro_rules! planted {
    ($name:literal) => {{
        #[cfg(planted)]
        {
            $crate::planted::chosen($name)
        }
        #[cfg(not(planted))]
        {
            false
        }
    }};
}
