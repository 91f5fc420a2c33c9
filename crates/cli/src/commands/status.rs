//! `orchestrator status`: what runs, what waits for what until when, what is asked.

use crate::args::OneOrLast;
use crate::error::{Error, Exit};
use crate::host::Store;
use crate::view::{
    self, ahead, asked, cost, escape, foresight, frame, json, pace, reuse, screen, sessions, stuck,
    summary, table,
};
use engine::clock::Clock;
use engine::doing::{self, Doing};
use mission::mission::Mission;
use mission::time::Timestamp;
use mission::waits::{Kind, Wait};
use std::fmt::Write as _;

pub(crate) fn run(args: &OneOrLast) -> Result<Exit, Error> {
    let store = Store::open()?;
    let id = store.find(args.mission)?;
    let (mission, _) = store.load(id)?;
    let owned = store.owner(id)?.is_some();
    // A mission that nobody runs stands where its last event left it, and its time with it.
    let now = if owned {
        Clock::new().now()
    } else {
        mission.last()
    };
    let noted = doing::seen(&store.layout.mission(&mission.full_name()));
    // What a killed engine did last it does no longer.
    let doing = match owned {
        true => noted,
        false => noted.of_nobody(),
    };
    let waits = waits(&mission, owned, now, &doing);
    view::data(&match args.json {
        true => machines(&mission, owned, now, &waits, &doing).to_string(),
        false => text(&mission, owned, now, &waits, &doing),
    });
    Ok(Exit::Good)
}

/// How it stands, in one word: a mission that is not over and that nobody runs has stopped.
fn standing(mission: &Mission, owned: bool) -> &'static str {
    match mission.outcome() {
        None if !owned => "stopped",
        _ => mission.phase_word(),
    }
}

fn text(mission: &Mission, owned: bool, now: Timestamp, waits: &[Wait], doing: &Doing) -> String {
    let mut out = String::new();
    let (id, word) = (mission.id(), standing(mission, owned));
    let request = escape::short(mission.request(), 120);
    writeln!(out, "{id} {word}: {request}").ok();
    if !owned && !mission.due().is_empty() {
        writeln!(out, "nobody runs it; go on with: orchestrator resume {id}").ok();
    }
    if mission.tasks().next().is_some() {
        writeln!(
            out,
            "\n{}",
            summary::tasks(mission, screen::room()).trim_end()
        )
        .ok();
    }
    let rows: Vec<Vec<String>> = waits.iter().map(|wait| row(wait, now)).collect();
    if !rows.is_empty() {
        let table = table::table(&["what", "waits for", "at most"], &rows, screen::room());
        writeln!(out, "\n{}", table.trim_end()).ok();
    }
    if let Some(silence) = doing.silence
        && waits.iter().any(|wait| matches!(wait.kind, Kind::Turn(_)))
    {
        writeln!(
            out,
            "a turn of which nothing is heard for {silence} is over sooner"
        )
        .ok();
    }
    for (question, asked) in mission.questions() {
        writeln!(out, "\n{question} asks: {}", escape::text(&asked.text)).ok();
        let choices = frame::answers(asked);
        writeln!(
            out,
            "  answer: orchestrator answer {id} {question} {choices}"
        )
        .ok();
    }
    write!(out, "\n{}", pace::lines(mission)).ok();
    out.push_str(&ahead::lines(mission));
    out.push_str(&asked::lines(mission, now));
    out.push_str(&stuck::lines(mission));
    out.push_str(&foresight::lines(mission));
    writeln!(out, "{}", cost::line(mission, now)).ok();
    out.push_str(&sessions::lines(mission));
    out.push_str(&reuse::lines(mission, &doing.ready.clone().into()));
    out
}

/// Everything that waits. Where nobody runs the mission, only what waits for a person does.
fn waits(mission: &Mission, owned: bool, now: Timestamp, doing: &Doing) -> Vec<Wait> {
    let mut waits = mission.waits(now);
    waits.retain(|wait| owned || matches!(wait.kind, Kind::Question(_)));
    let set_up = doing.set_up.clone().map(|set_up| Wait {
        kind: Kind::Preparing,
        until: set_up.until,
        who: "set-up".to_owned(),
        cause: frame::SetUp::from(set_up).told(),
    });
    waits.extend(set_up);
    waits
}

fn row(wait: &Wait, now: Timestamp) -> Vec<String> {
    vec![
        escape::short(&wait.who, 60),
        escape::short(&wait.cause, 80),
        wait.until.since(now).to_string(),
    ]
}

fn machines(
    mission: &Mission,
    owned: bool,
    now: Timestamp,
    waits: &[Wait],
    doing: &Doing,
) -> serde_json::Value {
    let mut told = json::summary(mission, &doing.ready.clone().into(), now);
    let waits: Vec<serde_json::Value> = waits
        .iter()
        .map(
            |wait| serde_json::json!({ "who": wait.who, "cause": wait.cause, "until": wait.until }),
        )
        .collect();
    let questions: Vec<serde_json::Value> = mission
        .questions()
        .map(|(id, question)| {
            serde_json::json!({ "id": id.to_string(), "text": question.text, "choices": question.choices, "deadline": question.deadline })
        })
        .collect();
    told["owned"] = owned.into();
    told["silence"] = serde_json::json!(doing.silence);
    told["waits"] = waits.into();
    told["questions"] = questions.into();
    told
}
