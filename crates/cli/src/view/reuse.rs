//! What was made once and used more than once, or before it was needed: workspaces, set-ups, and what tasks that waited
//! are about.

use super::lines::n_of;
use mission::mission::Mission;
use serde_json::{Value, json};

/// What no event tells of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ready {
    /// Of so many tasks the files were looked up while they waited and none has begun, …
    pub(crate) waits: usize,
    /// … its Worker was told by it, …
    pub(crate) used: usize,
    /// … or a part was looked up again.
    pub(crate) stale: usize,
    /// Set-ups that ran, how often what they made was brought along, and how often it stood there still.
    pub(crate) set_ups: u32,
    pub(crate) brought: u32,
    pub(crate) stood: u32,
}

/// A line for each that there was any of.
pub(crate) fn lines(mission: &Mission, ready: &Ready) -> String {
    let mut out = String::new();
    let workspaces = mission.workspaces();
    if workspaces.begun > 1 {
        let begun = n_of(workspaces.begun as usize, "time");
        out += &format!(
            "workspaces: a Worker began {begun}, {} where one had worked before\n",
            workspaces.warm
        );
    }
    if ready.set_ups > 0 {
        let [ran, brought, stood] =
            [ready.set_ups, ready.brought, ready.stood].map(|n| n_of(n as usize, "time"));
        out += &format!("set-ups: ran {ran}, brought along {brought}, still there {stood}\n");
    }
    let packs = ready.waits + ready.used + ready.stale;
    if packs > 0 {
        // A task that waits may still be told by it; of a mission that is over it was for nothing.
        let waits = match mission.outcome() {
            None => "waiting",
            Some(_) => "never used",
        };
        out += &format!(
            "looked up beforehand: files of {}, {} used, {} looked up again, {} {waits}\n",
            n_of(packs, "task"),
            ready.used,
            ready.stale,
            ready.waits,
        );
    }
    out
}

/// The same for machines.
pub(crate) fn machines(mission: &Mission, ready: &Ready) -> Value {
    let workspaces = mission.workspaces();
    json!({
        "worker_turns": workspaces.begun,
        "worker_turns_warm": workspaces.warm,
        "set_ups_run": ready.set_ups,
        "set_ups_brought": ready.brought,
        "set_ups_stood": ready.stood,
        "packs_prepared": ready.waits + ready.used + ready.stale,
        "packs_used": ready.used,
        "packs_stale": ready.stale,
        "packs_unused": ready.waits,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::frame::tests::running;

    #[test]
    fn what_was_of_use_is_told_and_what_there_was_none_of_is_not() {
        let mission = running(["a", "b", "c"]);
        let began = "workspaces: a Worker began 2 times, 0 where one had worked before\n";
        assert_eq!(lines(&mission, &Ready::default()), began);
        let ready = Ready {
            waits: 1,
            used: 4,
            stale: 2,
            set_ups: 1,
            brought: 3,
            stood: 9,
        };
        let told = "set-ups: ran 1 time, brought along 3 times, still there 9 times\n\
            looked up beforehand: files of 7 tasks, 4 used, 2 looked up again, 1 waiting\n";
        assert_eq!(lines(&mission, &ready), format!("{began}{told}"));
        let machines = machines(&mission, &ready);
        assert_eq!(machines["packs_prepared"], 7);
        assert_eq!(machines["packs_unused"], 1);
    }
}
