//! Which sweep passes which point, so that none stands in the sources at which nothing ever dies.
//!
//! A sweep is a test of its own and knows only what it passed itself. Each is held to the points that stand here under its
//! name, and the list is held to the sources.

#![expect(dead_code, reason = "each program of tests uses a part of it")]

use std::collections::BTreeSet;

/// The large mission that dies many times.
pub(crate) const MISSION: &str = "a mission";
/// What comes after a mission, and what the large one has not.
pub(crate) const COMMANDS: &str = "commands";
/// An answer that outlasts its mission.
pub(crate) const ANSWER: &str = "an answer";
/// Installing and uninstalling.
pub(crate) const INSTALL: &str = "an install";

/// The points that a sweep passes.
pub(crate) const SWEPT: &[(&str, &[&str])] = &[
    (
        MISSION,
        &[
            "alive.noted",
            "deliver.after",
            "deliver.before",
            "deliver.file after",
            "deliver.file before",
            "deliver.file exchanged",
            "deliver.file kept",
            "deliver.file removed",
            "deliver.file staged",
            "deliver.file taken out",
            "deliver.files flushed",
            "deliver.list written",
            "deliver.plan before",
            "deliver.plan kept",
            "deliver.plan listed",
            "doing.noted",
            "doing.written",
            "gate.before",
            "gate.run after",
            "gate.run before",
            "keep.put",
            "keep.written",
            "line.moved",
            "loop.append after",
            "loop.append before",
            "loop.started",
            "move.after",
            "move.before",
            "open.after",
            "open.before",
            "open.kept",
            "open.leased",
            "open.named",
            "prepare.base",
            "prepare.before",
            "prepare.line",
            "prepare.pin",
            "prepare.recipes",
            "prepare.repository",
            "prepare.snapshot",
            "prepare.workspace",
            "repository.begun",
            "repository.written",
            "set-up.after",
            "set-up.of the base",
            "socket.opened",
            "socket.removed",
            "stack.after",
            "stack.before",
            "take.leased",
            "tidy.after",
            "tidy.before",
            "tidy.folder removed",
            "tidy.lane removed",
            "tidy.sides removed",
            "turn.agent after",
            "turn.agent before",
            "turn.before",
            "turn.collect before",
            "turn.collect commit",
            "turn.collect noted",
            "turn.collect tree",
            "turn.note removed",
            "turn.note written",
            "turn.send after",
            "turn.send before",
            "turn.steps kept",
            "turn.workspace made",
            "turn.workspace ready",
            "workspace.checked out",
            "workspace.cleaned",
            "workspace.forgotten",
            "workspace.hidden",
            "workspace.index kept",
            "workspace.index taken",
            "workspace.let go",
            "workspace.noted",
            "workspace.pointed",
            "workspace.removed",
            "writing.half said",
            "writing.locked",
            "writing.said",
        ],
    ),
    (
        COMMANDS,
        &[
            "clean.after",
            "clean.before",
            "clean.moved",
            "clean.unpinned",
            "deliver.branch made",
            "deliver.branch sent",
            "deliver.commit applied",
            "deliver.commit index replaced",
            "deliver.commit index written",
            "deliver.commit locked",
            "deliver.commit marked",
            "deliver.commit moved",
            "deliver.commit sent",
            "deliver.files kept",
            "once.append after",
            "once.append before",
            "provider.before",
            "provider.kept",
            "provider.removed",
            "provider.written",
            "repository.rules written",
            "rescue.kept",
            "set-up.before",
            "set-up.blamed",
            "set-up.brought",
            "set-up.cleared",
            "set-up.done",
            "set-up.forgotten",
            "set-up.noted",
            "set-up.ran",
            "tidy.attempt kept",
            "tidy.lane rescued",
            "tidy.note removed",
            "tidy.prepared removed",
            "turn.rescued",
            "undo.after",
            "undo.before",
            "undo.branch removed",
            "undo.commit files",
            "undo.commit moved",
            "undo.file removed",
            "undo.file restored",
            "undo.files flushed",
            "unpin.after",
        ],
    ),
    (
        ANSWER,
        &["allowed.before", "allowed.written", "allowed.kept"],
    ),
    (
        INSTALL,
        &[
            "install.backed up",
            "install.aside",
            "install.checked",
            "install.exchanged",
            "install.flushed",
            "install.folder made",
            "install.folder removed",
            "install.locked",
            "install.own put",
            "install.own written",
            "install.prepared",
            "install.put",
            "install.record removed",
            "install.recorded",
            "install.removed",
        ],
    ),
];

/// The points that none passes, with the reason.
pub(crate) const NEVER: &[(&str, &[&str])] = &[
    (
        "sessions are those of OpenCode, and the agents of the sweeps are scripted: a test of the real one dies there",
        &["session.close after", "session.close before"],
    ),
    (
        "it is kept of a conversation of OpenCode, and the sweeps have none",
        &["note.forgotten"],
    ),
];

/// The points of a sweep.
pub(crate) fn of(sweep: &str) -> BTreeSet<&'static str> {
    let own = SWEPT.iter().filter(|(name, _)| *name == sweep);
    own.flat_map(|(_, points)| points.iter().copied()).collect()
}

/// A sweep has passed all points that are its own.
#[track_caller]
pub(crate) fn all_passed(sweep: &str, passed: &BTreeSet<String>) {
    let never: Vec<&str> = of(sweep)
        .into_iter()
        .filter(|point| !passed.contains(*point))
        .collect();
    assert!(never.is_empty(), "{sweep} never passes {never:?}");
}
