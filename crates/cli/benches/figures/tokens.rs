//! What a mission of ours has a model read, beside the same tasks in plain sessions of OpenCode's own agent.
//!
//! Tokens are estimated, by one rule on both sides: four bytes of what the model reads (tools, instructions, messages) are
//! one. What a provider's cache could serve is what a request has in common, from its beginning on, with an earlier one.

use super::opencode::{mission, raw};
use super::{line, told};
use std::collections::HashMap;
use std::time::Duration;
use testkit::model::Request;
use testkit::persona::Role;

/// Independent tasks.
const TASKS: usize = 8;
/// So many bytes are counted as one token. Tokenizers of today's models need 3.5 to 4.5 for English and for code.
const BYTES: usize = 4;

/// Eight tasks on four lanes, so that every lane has a second one, with all that a mission asks beyond its Workers.
pub(super) async fn beside_plain_sessions() {
    let (ours, prompts) = mission(TASKS, Duration::ZERO, &["--workers", "4"]).await;
    let plain = raw(prompts, TASKS, Duration::ZERO).await;
    let mission = Read::of(&ours.log, |_| true);
    println!(
        "{TASKS} tasks; a token is estimated as {BYTES} bytes that the model reads, and known is what a request has in common \
         with earlier ones from its beginning on, which a cache could serve"
    );
    told("  a mission: intent, plan, Workers and reviews", mission);
    for (who, roles) in [
        ("intent and plan", &[Role::Commander, Role::Planner][..]),
        ("Workers", &[Role::Worker]),
        ("reviews", &[Role::Reviewer]),
    ] {
        let own = Read::of(&ours.log, |asked| roles.contains(&Role::of(asked)));
        told(&format!("    {who}"), own);
    }
    let sessions = Read::of(&plain.log, |_| true);
    told(
        "  the Workers' prompts in plain sessions, and nothing else",
        sessions,
    );
    let ratio = mission.input as f64 / sessions.input as f64;
    line(
        "  the mission / the plain sessions",
        format!("{ratio:.2}"),
        "≤ 1: planning and reviews cost less than lean turns save",
        ratio <= 1.0,
    );
    let fresh = mission.fresh() as f64 / sessions.fresh() as f64;
    told("  … of what no cache could serve", format!("{fresh:.2}"));
    extensions(&ours.log);
}

/// What a model was given to read, in tokens.
#[derive(Clone, Copy, Default)]
struct Read {
    requests: usize,
    input: usize,
    /// As the same session's request before.
    session: usize,
    /// As any request before, of whichever session.
    any: usize,
}

impl Read {
    /// What those requests came to that are meant; a cache knows the others as well.
    fn of(log: &[Request], meant: impl Fn(&Request) -> bool) -> Self {
        let mut read = Self::default();
        let mut last: HashMap<&Option<String>, &str> = HashMap::new();
        let texts: Vec<String> = log.iter().map(Request::read_by_the_model).collect();
        for (n, (asked, text)) in log.iter().zip(&texts).enumerate() {
            let before = last.insert(&asked.session, text);
            if !meant(asked) {
                continue;
            }
            let any = texts[..n].iter().map(|other| common(other, text));
            read.requests += 1;
            read.input += text.len() / BYTES;
            read.session += before.map_or(0, |before| common(before, text)) / BYTES;
            read.any += any.max().unwrap_or(0) / BYTES;
        }
        read
    }

    fn fresh(self) -> usize {
        self.input - self.any
    }
}

impl std::fmt::Display for Read {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let k = |tokens: usize| format!("{:.1}k", tokens as f64 / 1000.0);
        let (input, session, any) = (k(self.input), k(self.session), k(self.any));
        let told = format!(
            "{input} in {} requests; known from the session {session}, from any {any}",
            self.requests
        );
        f.pad(&told)
    }
}

/// How many bytes two texts have in common from their beginning on.
fn common(one: &str, other: &str) -> usize {
    let same = one.bytes().zip(other.bytes());
    same.take_while(|(a, b)| a == b).count()
}

/// Whether requests go on where the ones before them ended, in a session and from a lane's task to its next.
fn extensions(log: &[Request]) {
    let (mut pairs, mut extend, mut next, mut same) = (0, 0, 0, 0);
    for (n, asked) in log.iter().enumerate() {
        let before = &log[..n];
        if let Some(own) = before.iter().rfind(|other| other.session == asked.session) {
            pairs += 1;
            extend += usize::from(asked.extends(own));
            continue;
        }
        let lane =
            |other: &&Request| Role::of(other) == Role::Worker && other.folder() == asked.folder();
        if Role::of(asked) == Role::Worker
            && let Some(task) = before.iter().rfind(lane)
        {
            next += 1;
            same += usize::from(asked.constant() == task.constant());
        }
    }
    line(
        "  requests that are their session's one before and something more",
        format!("{extend} of {pairs}"),
        "all",
        extend == pairs,
    );
    line(
        "  tasks that begin with all of the constant part of their lane's last",
        format!("{same} of {next}"),
        "all, and there are some",
        same == next && next > 0,
    );
}
