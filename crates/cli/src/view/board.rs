//! A mission as OpenCode shows it: a board in the conversation, toasts, and a report that the model reads too.

use super::frame::count;
use super::{escape, stuck, summary};
use mission::event::{Event, Recorded};
use mission::mission::{Delivery, Mission, Phase};
use mission::question::{About, Question, QuestionId};
use mission::seal::Outcome;
use std::fmt::Write as _;

/// The most tasks that a board shows; more do not fit on a screen.
const TASKS: usize = 30;
/// The most questions that a board shows.
const QUESTIONS: usize = 5;
/// The most lines about who gets nowhere.
const STUCK: usize = 5;
/// The longest report, in bytes: it stands in the conversation for good, and every later request pays for it.
const REPORT: usize = 1_500;

/// The board, as Markdown that is also read as it is.
pub(crate) fn board(mission: &Mission) -> String {
    let mut out = format!(
        "## {} {}: {}\n\n",
        mission.id(),
        mission.phase_word(),
        inline(mission.request(), 120)
    );
    writeln!(out, "{}", progress(mission)).ok();
    let n = mission.tasks().count();
    if n > 0 {
        out.push('\n');
    }
    for task in mission.tasks().take(TASKS) {
        let tries = match task.n {
            0 | 1 => String::new(),
            n => format!(" (try {n})"),
        };
        let (id, word) = (task.task.id, task.state.word());
        let title = inline(&task.task.title, 80);
        writeln!(out, "- {id} {word}{tries}: {title}").ok();
    }
    if n > TASKS {
        writeln!(out, "- and {} more", n - TASKS).ok();
    }
    for line in stuck::lines(mission).lines().take(STUCK) {
        writeln!(out, "\n{}", inline(line, 300)).ok();
    }
    for (id, question) in mission.questions().take(QUESTIONS) {
        writeln!(out, "\n{}", asks(mission, id, question)).ok();
    }
    let budget = mission.budget();
    let reported = match budget.unknown {
        true => format!(" ({} of them reported)", count(budget.reported)),
        false => String::new(),
    };
    writeln!(
        out,
        "\n{} of {} tokens{reported}, {} model calls",
        count(budget.spent),
        count(budget.limit),
        budget.calls
    )
    .ok();
    out
}

/// Where a mission stands, in a few lines.
pub(crate) fn brief(mission: &Mission, runs: bool) -> String {
    let id = mission.id();
    let request = escape::short(mission.request(), 80);
    let mut out = format!(
        "{id} {}: {request}\n{}",
        mission.phase_word(),
        progress(mission)
    );
    for (id, question) in mission.questions().take(QUESTIONS) {
        write!(out, "\n{}", asks(mission, id, question)).ok();
    }
    if !runs && mission.outcome().is_none() {
        write!(out, "\nnobody runs it: orchestrator resume {id}").ok();
    }
    out
}

/// What is worth a toast, and whether it is good news; `None` for a thing that somebody has to look at.
pub(crate) fn milestone(mission: &Mission, recorded: &Recorded) -> Option<(String, Option<bool>)> {
    let id = mission.id();
    Some(match &recorded.event {
        Event::Planned { plan } => (
            format!("{id}: {} tasks planned", plan.tasks.len()),
            Some(false),
        ),
        Event::Landed { .. } | Event::TaskDone { .. } => {
            (format!("{id}: {}", progress(mission)), Some(false))
        }
        Event::TaskFailed { task, why } => (
            format!("{id}: {task} failed: {}", escape::short(why, 160)),
            None,
        ),
        Event::Stagnated { .. } => {
            let told = stuck::told(mission, &recorded.event)?;
            (format!("{id}: {}", escape::short(&told, 240)), None)
        }
        Event::Paused { by } => (
            format!("{id} is paused by {} (/resume)", escape::short(by, 40)),
            Some(false),
        ),
        Event::Unpaused { .. } => (format!("{id} goes on"), Some(false)),
        Event::Asked { id: asked, .. } => {
            let question = mission.questions().find(|(open, _)| open == asked);
            let (_, question) = question?;
            (asks(mission, *asked, question), None)
        }
        Event::Sealed { outcome, .. } => {
            let good = matches!(outcome, Outcome::Completed | Outcome::Answered);
            (format!("{id} is {outcome}"), good.then_some(true))
        }
        Event::Delivered { files, .. } => (format!("{id}: {files} files delivered"), Some(true)),
        Event::DeliveryRefused { why, hint } => {
            let (why, hint) = (escape::short(why, 160), escape::short(hint, 120));
            (format!("{id}: not delivered: {why} ({hint})"), None)
        }
        _ => return None,
    })
}

/// What came of a mission, for the user and for the model that the user talks to.
pub(crate) fn report(mission: &Mission) -> String {
    let id = mission.id();
    let begin = format!(
        "Report of mission {id}, which orchestrator carried out here. For information; nothing is asked of you.\n\n```text\n"
    );
    let undo = match mission.delivery() {
        Delivery::Done { .. } => format!(", `orchestrator undo {id}` takes it back"),
        _ => String::new(),
    };
    let end = format!(
        "\n```\n`orchestrator diff {id}` shows the change, `orchestrator summary {id}` all of this{undo}."
    );
    // Nothing in it may end the block that it stands in.
    let facts = summary::facts(mission, None).replace("```", "'''");
    let room = REPORT - begin.len() - end.len();
    let facts = facts.trim();
    if facts.len() <= room {
        return format!("{begin}{facts}{end}");
    }
    let mut cut = room - "\n…".len();
    while !facts.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{begin}{}\n…{end}", &facts[..cut])
}

/// Where it is on its way, in one line.
fn progress(mission: &Mission) -> String {
    let (n, landed) = (mission.tasks().count(), mission.landed());
    match (mission.outcome(), mission.phase()) {
        (Some(_), _) if n == 0 => mission
            .reasons()
            .first()
            .map_or("It is over.".to_owned(), |reason| inline(reason, 200)),
        (Some(_), _) => format!("{landed} of {n} tasks landed; {}", delivered(mission)),
        (None, Phase::Preparing) => "The base is prepared and checked.".to_owned(),
        (None, Phase::Reading) => "The Commander reads the request.".to_owned(),
        (None, Phase::Planning) => "The Planner writes the plan.".to_owned(),
        (None, Phase::Approving) => "The plan waits for your word.".to_owned(),
        (None, Phase::Running | Phase::Sealed) => {
            let turns = mission.leases().count();
            let checks = mission.gate_leases().count();
            format!(
                "{landed} of {n} tasks landed; agents at work: {turns}, checks running: {checks}"
            )
        }
    }
}

fn delivered(mission: &Mission) -> &'static str {
    match mission.delivery() {
        Delivery::Done { .. } => "delivered",
        Delivery::Wanted(_) | Delivery::Planned { .. } => "the delivery is under way",
        Delivery::Undoing { .. } | Delivery::Undone => "the delivery was taken back",
        Delivery::Refused | Delivery::None => "nothing of yours was changed",
    }
}

/// For whom a question is asked, if it is an agent's.
pub(super) fn for_whom(mission: &Mission, question: &Question) -> Option<String> {
    match question.about {
        About::Permission { epoch, .. } => mission.lease(epoch).map(|lease| lease.turn.told()),
        _ => None,
    }
}

/// A question, with what to type.
pub(crate) fn asks(mission: &Mission, id: QuestionId, question: &Question) -> String {
    let who = for_whom(mission, question);
    let who = who.map(|who| format!(" for {who}")).unwrap_or_default();
    let mut choices = question.choices.clone();
    if question.is_free() {
        choices.push("TEXT".to_owned());
    }
    let choices = inline(&choices.join(" or "), 80);
    format!(
        "{id} asks{who}: {} (type /answer {id} {choices})",
        inline(&question.text, 300)
    )
}

/// Text from elsewhere inside a line of Markdown: no link, image, tag, code or table comes of it, and what is shown as
/// plain text is still read.
fn inline(text: &str, most: usize) -> String {
    let mut out = String::new();
    for c in escape::short(text, most).chars() {
        if matches!(c, '\\' | '`' | '[' | ']' | '<' | '*' | '|') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use mission::ids::MissionId;
    use mission::terms::Terms;
    use mission::time::Timestamp;

    fn opened(request: &str) -> Mission {
        let (mission, _) = Mission::open(
            Timestamp(0),
            MissionId(7),
            "0".into(),
            "/p".into(),
            request.into(),
            Terms::default(),
        );
        mission
    }

    #[test]
    fn text_from_outside_stays_one_harmless_line_of_the_board() {
        let request = "x\n# y\n- [z](http://e) ![i](http://e/i) <img src=e> `c` \u{1b}[2J\u{202E}\n```\n| a |";
        let shown = board(&opened(request));
        let first = shown.lines().next().unwrap();
        assert!(
            first.starts_with("## m7 preparing: x # y - \\[z\\]"),
            "{first}"
        );
        assert_eq!(
            shown.lines().filter(|line| line.starts_with('#')).count(),
            1
        );
        let bare = ['`', '[', '<', '|'].iter().any(|c| {
            let all = shown.matches(*c).count();
            all != shown.matches(&format!("\\{c}")).count()
        });
        assert!(!bare, "{shown}");
        assert!(
            !shown.chars().any(|c| c.is_control() && c != '\n'),
            "{shown:?}"
        );
    }

    #[test]
    fn who_gets_nowhere_stands_on_the_board_and_a_task_that_stagnates_is_told() {
        let mut mission = super::super::frame::tests::running(["a", "b", "c"]);
        let (v, at) = (mission::event::VERSION, Timestamp(2_000_000));
        let mut toasts = Vec::new();
        for event in stuck::tests::stuck() {
            mission.apply(at, &event);
            toasts.extend(milestone(&mission, &Recorded { v, at, event }));
        }
        let shown = board(&mission);
        let loops = "T2.1 is looping and was told so: \\`cargo test\\` for the fourth time\n";
        let task = "T1 stagnated: 1 diagnosis, \"read the lock file\"; it is ready\n";
        assert!(shown.contains(loops) && shown.contains(task), "{shown}");
        let told = "m7: T1 stagnates, 2 attempts in a row ended alike (the same failure): the next one looks for the cause first and has to name another strategy";
        assert_eq!(toasts, [(told.to_owned(), None)]);
    }

    #[test]
    fn a_report_is_short_and_nothing_ends_its_block() {
        let request = "``` \u{1b}]52;c;eA==\u{7} ".repeat(300);
        let told = report(&opened(&request));
        assert!(told.len() <= REPORT, "{}", told.len());
        assert_eq!(told.matches("```").count(), 2, "{told}");
        assert!(
            !told.chars().any(|c| c.is_control() && c != '\n'),
            "{told:?}"
        );
    }
}
