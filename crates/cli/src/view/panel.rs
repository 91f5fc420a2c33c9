//! A mission as OpenCode's screen shows it: a panel beside the conversation, a page of its own, what there is to answer.
//! A pure function of the mission, the signs of life, the time and the width.

use super::frame::{self, Signs, count};
use super::{board, escape, stuck, summary};
use engine::reception::{Ask, Choice, Row, View};
use mission::event::Turn;
use mission::ids::Digest;
use mission::mission::{Lease, Mission, State, TaskState};
use mission::question::{self, About, Question, QuestionId, permit};
use mission::seal::Outcome;
use mission::time::Timestamp;

/// The most tasks in the panel: it shares its column with what OpenCode shows there.
const TASKS: usize = 12;
/// The most characters of a line in the panel, which is about 38 columns wide and breaks what is longer.
const WIDE: usize = 72;
/// The most lines in the panel about who gets nowhere; all of them stand on the page.
const STUCK: usize = 3;
/// Hexadecimal digits of a view's name.
const NAME: usize = 16;

const INFO: &str = "info";
const GOOD: &str = "success";
const LOOK: &str = "warning";
const BAD: &str = "error";
const MUTED: &str = "muted";

/// How somebody looks at a mission.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Whether a process carries it out.
    pub(crate) runs: bool,
    /// Whether it stands in the panel.
    pub(crate) panel: bool,
    /// The columns of the page; none where it is not looked at.
    pub(crate) page: u16,
}

/// What there is to see where there is no mission.
pub(crate) fn nothing(page: u16) -> View {
    let none = row(
        MUTED,
        "There is no mission here yet: /task Add a health check",
    );
    named(View {
        page: (page > 0).then_some(none).into_iter().collect(),
        ..View::default()
    })
}

/// What there is to see of a mission. `line` tells of those that wait for it.
pub(crate) fn view(
    mission: &Mission,
    signs: &Signs,
    now: Timestamp,
    look: Look,
    line: &str,
) -> View {
    let asks: Vec<Ask> = mission
        .questions()
        .map(|(id, question)| ask(mission, id, question))
        .collect();
    named(View {
        seen: String::new(),
        mission: Some(mission.id()),
        badge: match look.panel {
            true => badge(mission, look.runs),
            false => Row::default(),
        },
        panel: match look.panel {
            true => panel(mission, signs, look.runs),
            false => Vec::new(),
        },
        page: match look.page {
            0 => Vec::new(),
            width => page(mission, signs, now, usize::from(width), look.runs, line),
        },
        commands: commands(mission, look.runs),
        asks,
    })
}

/// A view of which the name tells whether it is another one.
fn named(mut view: View) -> View {
    let bytes = serde_json::to_vec(&view).unwrap_or_default();
    Digest::of(&bytes).as_str()[..NAME].clone_into(&mut view.seen);
    view
}

fn row(tone: &str, text: &str) -> Row {
    Row {
        tone: tone.to_owned(),
        text: text.replace('\t', "    "),
    }
}

fn tone(mission: &Mission, runs: bool) -> &'static str {
    match mission.outcome() {
        Some(Outcome::Completed | Outcome::Answered) => GOOD,
        Some(Outcome::Failed) => BAD,
        Some(_) => LOOK,
        None if mission.questions().next().is_some() || !runs => LOOK,
        None => INFO,
    }
}

/// How it stands, in one word.
fn word(mission: &Mission, runs: bool) -> &'static str {
    match mission.outcome() {
        None if !runs => "stands still",
        _ => mission.phase_word(),
    }
}

fn badge(mission: &Mission, runs: bool) -> Row {
    let (id, n) = (mission.id(), mission.tasks().count());
    let text = match mission.questions().next() {
        Some((asked, _)) => format!("{id} asks {asked}"),
        None if runs && mission.outcome().is_none() && n > 0 => {
            format!("{id} {}/{n}", mission.landed())
        }
        None => format!("{id} {}", word(mission, runs)),
    };
    row(tone(mission, runs), &text)
}

fn panel(mission: &Mission, signs: &Signs, runs: bool) -> Vec<Row> {
    let head = format!("Mission {} {}", mission.id(), word(mission, runs));
    let mut rows = vec![
        row(tone(mission, runs), &head),
        row(MUTED, &escape::short(mission.request(), WIDE)),
    ];
    let (tasks, more) = best(mission.tasks().collect());
    for task in tasks {
        let (tone, mark) = mark(&task.state);
        let title = escape::short(&task.task.title, WIDE);
        rows.push(row(tone, &format!("{mark} {} {title}", task.task.id)));
        let doing = doing(mission, signs, task);
        rows.extend(doing.map(|doing| row(MUTED, &format!("  {doing}"))));
    }
    if more > 0 {
        rows.push(row(MUTED, &format!("and {more} more")));
    }
    let set_up = signs.sets_up();
    rows.extend(set_up.map(|told| row(MUTED, &format!("set-up: {told}"))));
    if mission.outcome().is_none() {
        let told = stuck::lines(mission);
        let told = told.lines().take(STUCK);
        rows.extend(told.map(|line| row(LOOK, &escape::short(line, 2 * WIDE))));
    }
    for (id, question) in mission.questions() {
        let asked = ask(mission, id, question);
        rows.push(row(LOOK, &escape::short(&asked.text, 2 * WIDE)));
    }
    if mission.questions().next().is_some() {
        rows.push(row(LOOK, "/mission answers it"));
    }
    if !runs && mission.outcome().is_none() {
        rows.push(row(LOOK, "/resume goes on"));
    }
    let budget = mission.budget();
    let (spent, limit) = (count(budget.spent), count(budget.limit));
    let (landed, n) = (mission.landed(), mission.tasks().count());
    let of = if n > 0 {
        format!("{landed} of {n} landed, ")
    } else {
        String::new()
    };
    rows.push(row(MUTED, &format!("{of}{spent} of {limit} tokens")));
    rows
}

/// The tasks in the panel, in the order of the plan, and how many others there are: where not all have room, what is
/// being done or went wrong comes before what is to come, and that before what is done.
fn best(all: Vec<&TaskState>) -> (Vec<&TaskState>, usize) {
    let rank = |task: &TaskState| match mark(&task.state).0 {
        INFO | BAD => 0,
        MUTED => 1,
        _ => 2,
    };
    let mut kept: Vec<usize> = (0..all.len()).collect();
    kept.sort_by_key(|n| (rank(all[*n]), *n));
    kept.truncate(TASKS);
    kept.sort_unstable();
    let more = all.len() - kept.len();
    (kept.into_iter().map(|n| all[n]).collect(), more)
}

fn mark(state: &State) -> (&'static str, char) {
    match state {
        State::Landed => (GOOD, '✓'),
        State::Failed { .. } | State::Disputed => (BAD, '✗'),
        State::Waiting { .. } | State::Ready | State::Parked { .. } => (MUTED, '○'),
        State::Skipped { .. } => (MUTED, '–'),
        _ => (INFO, '●'),
    }
}

/// What is done for a task at this moment.
fn doing(mission: &Mission, signs: &Signs, task: &TaskState) -> Option<String> {
    let is_for = |lease: &Lease| match lease.turn {
        Turn::Work { attempt } | Turn::Review { attempt, .. } => attempt.task == task.task.id,
        Turn::Split { task: of, .. } => of == task.task.id,
        Turn::Intent { .. } | Turn::Plan { .. } => false,
    };
    let heard = mission
        .leases()
        .filter(|(_, lease)| is_for(lease))
        .find_map(|(epoch, _)| signs.said(epoch));
    match (heard, &task.state) {
        (Some(heard), _) => Some(escape::short(heard, WIDE)),
        (None, State::Working { .. } | State::Landed | State::Ready | State::Waiting { .. }) => {
            None
        }
        (None, state) => Some(state.word().to_owned()),
    }
}

fn page(
    mission: &Mission,
    signs: &Signs,
    now: Timestamp,
    width: usize,
    runs: bool,
    line: &str,
) -> Vec<Row> {
    if mission.outcome().is_some() {
        let facts = summary::facts(mission, Some(width));
        let rows = facts.lines().map(|text| row("", text));
        return rows.chain(rest(line)).collect();
    }
    let request = escape::short(mission.request(), width);
    let mut rows = vec![row(MUTED, &request), Row::default()];
    if !runs {
        let told = format!("{} stands still, and nobody runs it", mission.id());
        rows.push(row(LOOK, &told));
    }
    let frame = frame::frame(mission, signs, now, width);
    rows.extend(frame.iter().map(|text| row("", text)));
    if mission.tasks().next().is_some() {
        rows.push(Row::default());
        let tasks = summary::tasks(mission, Some(width));
        rows.extend(tasks.trim_end().lines().map(|text| row("", text)));
    }
    let told = stuck::lines(mission);
    if !told.is_empty() {
        rows.push(Row::default());
        rows.extend(told.lines().map(|text| row(LOOK, text)));
    }
    for (id, question) in mission.questions() {
        rows.push(Row::default());
        let told = escape::text(&question.text);
        let mut lines = told.lines();
        let first = lines.next().unwrap_or_default();
        rows.push(row(
            LOOK,
            &format!("{id} asks{}: {first}", who(mission, question)),
        ));
        rows.extend(lines.map(|text| row(LOOK, text)));
    }
    rows.extend(rest(line));
    rows
}

fn rest(line: &str) -> impl Iterator<Item = Row> {
    line.lines().map(|text| row(MUTED, text))
}

fn who(mission: &Mission, question: &Question) -> String {
    let who = board::for_whom(mission, question);
    who.map(|who| format!(" for {who}")).unwrap_or_default()
}

fn ask(mission: &Mission, id: QuestionId, question: &Question) -> Ask {
    let text = escape::short(&question.text, 600);
    Ask {
        id: id.to_string(),
        text: format!("{id} asks{}: {text}", who(mission, question)),
        choices: question
            .choices
            .iter()
            .map(|word| choice(word, question))
            .collect(),
        free: question.is_free(),
    }
}

fn choice(word: &str, question: &Question) -> Choice {
    let about = match (&question.about, word) {
        (About::Permission { kind, .. }, _) if kind == question::QUESTION => "",
        (About::Permission { .. }, permit::ONCE) => "this once",
        (About::Permission { .. }, permit::MISSION) => "for the rest of this mission",
        (About::Permission { .. }, permit::PROJECT) => "in this project, from now on",
        (About::Permission { .. }, permit::DENY) => "no; the agent goes on without it",
        _ => "",
    };
    Choice {
        word: word.to_owned(),
        shown: escape::line(word),
        about: about.to_owned(),
    }
}

fn commands(mission: &Mission, runs: bool) -> Vec<String> {
    let names: &[&str] = match mission.outcome() {
        Some(Outcome::Completed | Outcome::Answered) => &[],
        Some(_) => &["resume"],
        None if !runs => &["resume", "stop"],
        None if mission.pause().is_some() => &["resume", "stop"],
        None => &["pause", "stop"],
    };
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::frame::SetUp;
    use super::super::frame::tests::{asked, at, running};
    use super::*;
    use agents::Sign;
    use mission::ids::Epoch;

    const LOOKED: Look = Look {
        runs: true,
        panel: true,
        page: 0,
    };

    fn drawn(rows: &[Row]) -> Vec<String> {
        rows.iter()
            .map(|row| format!("{:7} {}", row.tone, row.text).trim_end().to_owned())
            .collect()
    }

    #[test]
    fn the_panel_tells_each_task_what_is_done_for_it_and_what_is_asked() {
        let mut mission = running(["Add the endpoint", "Describe it", "Count requests"]);
        mission.apply(at(72), &asked("run: npm install left-pad"));
        let mut signs = Signs::default();
        signs.hear(at(70), Epoch(2), Sign::Doing("edits README.md".into()));
        let set_up = SetUp {
            command: "npm ci".into(),
            lane: "worker-1".into(),
            since: at(60),
            until: at(600),
        };
        signs.doing(None, Some(set_up));
        let seen = view(&mission, &signs, at(75), LOOKED, "");
        assert_eq!(
            drawn(&seen.panel),
            [
                "warning Mission m7 running",
                "muted   Add a health check",
                "info    ● T1 Add the endpoint",
                "info    ● T2 Describe it",
                "muted     edits README.md",
                "muted   ○ T3 Count requests",
                "muted   set-up: `npm ci` for worker 1",
                "warning q1 asks for T1.1: run: npm install left-pad",
                "warning /mission answers it",
                "muted   0 of 3 landed, 0 of 5.0M tokens",
            ]
        );
        assert_eq!(drawn(&[seen.badge]), ["warning m7 asks q1"]);
        assert_eq!(seen.commands, ["pause", "stop"]);
        let words: Vec<_> = seen.asks[0]
            .choices
            .iter()
            .map(|c| (&*c.word, &*c.about))
            .collect();
        assert_eq!(
            words,
            [
                ("allow", "this once"),
                ("deny", "no; the agent goes on without it")
            ]
        );
        assert!(seen.page.is_empty(), "nobody looks at it");
    }

    #[test]
    fn who_gets_nowhere_is_told_beside_the_conversation_and_on_the_page() {
        let mut mission = running(["Add the endpoint", "Describe it", "Count requests"]);
        for event in stuck::tests::stuck() {
            mission.apply(at(72), &event);
        }
        let page = Look { page: 80, ..LOOKED };
        let seen = view(&mission, &Signs::default(), at(75), page, "");
        let expected = [
            "warning T2.1 is looping and was told so: `cargo test` for the fourth time",
            "warning T1 stagnated: 1 diagnosis, \"read the lock file\"; it is ready",
        ];
        for rows in [drawn(&seen.panel), drawn(&seen.page)] {
            let told: Vec<&String> = rows.iter().filter(|row| row.starts_with(LOOK)).collect();
            let told: Vec<&String> = told
                .into_iter()
                .filter(|row| !row.contains("running"))
                .collect();
            assert_eq!(told, expected, "{rows:#?}");
        }
    }

    #[test]
    fn a_view_has_another_name_where_there_is_something_else_to_see_and_only_there() {
        let mut mission = running(["a", "b", "c"]);
        let signs = Signs::default();
        let name = |mission: &Mission, now, look| view(mission, &signs, now, look, "").seen;
        let first = name(&mission, at(75), LOOKED);
        // Time alone changes nothing in the panel; the page tells it.
        assert_eq!(first, name(&mission, at(80), LOOKED));
        let page = Look { page: 80, ..LOOKED };
        assert_ne!(name(&mission, at(75), page), name(&mission, at(80), page));
        let runs = Look {
            runs: false,
            ..LOOKED
        };
        assert_ne!(first, name(&mission, at(75), runs));
        mission.apply(at(72), &asked("run: x"));
        assert_ne!(first, name(&mission, at(75), LOOKED));
        assert_ne!(nothing(0).seen, nothing(80).seen);
        assert!(
            !nothing(0).seen.is_empty(),
            "who has seen nothing is told so once"
        );
    }

    #[test]
    fn what_comes_from_outside_is_drawn_and_does_nothing() {
        let bad = "a\t\u{1b}]52;c;eA==\u{7}\u{202E}b\nc";
        let mut mission = running([bad, bad, bad]);
        mission.apply(at(72), &asked(bad));
        let mut signs = Signs::default();
        signs.hear(at(73), Epoch(1), Sign::Doing(bad.into()));
        let page = Look { page: 80, ..LOOKED };
        let seen = view(&mission, &signs, at(75), page, "");
        let rows = seen.panel.iter().chain(&seen.page).map(|row| &row.text);
        let asks = seen.asks.iter().map(|ask| &ask.text);
        let choices = seen.asks.iter().flat_map(|ask| &ask.choices);
        let choices = choices.map(|choice| &choice.shown);
        for text in rows.chain(asks).chain(choices).chain([&seen.badge.text]) {
            let harmless = |c: char| !c.is_control() && c != '\u{202E}';
            assert!(text.chars().all(harmless), "{text:?}");
        }
    }

    #[test]
    fn of_many_tasks_those_that_are_at_work_are_shown() {
        let mission = running(["a", "b", "c"]);
        let one: Vec<&TaskState> = mission.tasks().collect();
        let marks: Vec<char> = one.iter().map(|task| mark(&task.state).1).collect();
        assert_eq!(marks, ['●', '●', '○']);
        let many: Vec<&TaskState> = std::iter::repeat_n(one[2], 20).chain([one[0]]).collect();
        let (tasks, more) = best(many);
        assert_eq!((tasks.len(), more), (TASKS, 21 - TASKS));
        assert_eq!(tasks.last().map(|task| task.task.id), Some(one[0].task.id));
    }
}
