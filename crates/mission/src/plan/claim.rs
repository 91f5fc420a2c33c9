//! What a task wants to itself, which characters its texts may have, and what no path and no command may be.

use super::*;

/// What a task wants to itself has plain names, and leaves something for others.
pub(super) fn check_claim(task: &TaskDraft, id: &str, faults: &mut Vec<Fault>) {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    let good = |name: &&String| {
        !name.is_empty() && name.len() <= limits::KEY_BYTES && name.chars().all(plain)
    };
    for name in task.resources.iter().filter(|name| !good(name)) {
        faults.push(Fault::BadResource {
            id: id.to_owned(),
            name: name.chars().take(limits::KEY_BYTES).collect(),
        });
    }
    let found = task.resources.len();
    if found > limits::TASK_RESOURCES {
        faults.push(Fault::Length {
            id: id.to_owned(),
            field: "resources",
            found,
            most: limits::TASK_RESOURCES,
            unit: "entries",
        });
    }
    if let Some(found) = task.weight.filter(|n| !(1..=limits::WEIGHT).contains(n)) {
        faults.push(Fault::Weight {
            id: id.to_owned(),
            found,
        });
    }
}

/// What a title is shown in is one line, and a program can be handed no NUL.
pub(super) fn check_characters(task: &TaskDraft, id: &str, faults: &mut Vec<Fault>) {
    let mut control = |field, what| {
        faults.push(Fault::Control {
            id: id.to_owned(),
            field,
            what,
        });
    };
    if task.title.trim().contains(char::is_control) {
        control("title", "a line break or another control character");
    }
    let in_command = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if task.acceptance.iter().any(|line| line.contains(in_command)) {
        control("acceptance command", "a control character");
    }
}

/// Each once, sorted: who names the same resources stands in the same line.
pub(super) fn resources(names: &[String]) -> Vec<String> {
    let names: BTreeSet<&String> = names.iter().collect();
    names.into_iter().cloned().collect()
}

/// Why a forecast's path is refused, if it is.
pub(super) fn path_fault(path: &str) -> Option<&'static str> {
    let windows_drive =
        path.len() >= 2 && path.as_bytes()[1] == b':' && path.as_bytes()[0].is_ascii_alphabetic();
    if path.is_empty() {
        Some("it is empty")
    } else if path.len() > limits::PATH_BYTES {
        Some("it is too long")
    } else if path.contains('\0') {
        Some("it holds a NUL")
    } else if path.starts_with('/')
        || path.starts_with('\\')
        || path.starts_with('~')
        || windows_drive
    {
        Some("it is absolute")
    } else if path.contains("://") {
        Some("it is an address")
    } else if path.split(['/', '\\']).any(|part| part == "..") {
        Some("it leaves the root")
    } else {
        None
    }
}

/// Whether a shell line cannot fail. Only the plainest forms: everything else is told by running it on the base.
pub(super) fn trivial(command: &str) -> bool {
    let line = command.trim().trim_end_matches(';').trim();
    let always = ["true", ":", "exit", "exit 0", "/bin/true", "/usr/bin/true"];
    always.contains(&line)
        || line.ends_with("|| true")
        || line.ends_with("|| :")
        || line.ends_with("|| exit 0")
        || line.ends_with("; true")
        || line.ends_with("; exit 0")
        || (line.starts_with("echo ") && !line.contains(['|', '&', ';', '>', '`', '$']))
}
