//! `orchestrator list`: all missions.

use crate::args::ListArgs;
use crate::error::{Error, Exit};
use crate::host::Store;
use crate::view::{self, escape, lines, screen, table};
use engine::clock::Clock;
use journal::{Hold, MissionRow};
use mission::seal::Outcome;
use mission::time::Millis;

pub(crate) fn run(args: &ListArgs) -> Result<Exit, Error> {
    let store = Store::open()?;
    let mut rows = store.journal.missions()?;
    // The word is only derived, and may have been dropped with all that is: then the events say it.
    for row in rows.iter_mut().filter(|row| row.status.is_empty()) {
        if let Ok((mission, _)) = store.load(row.mission) {
            mission.phase_word().clone_into(&mut row.status);
        }
    }
    if args.json {
        for row in rows {
            let line = serde_json::json!({
                "mission": row.mission, "state": standing(&row), "running": live(&row),
                "project": row.project, "request": row.request, "created": row.created, "events": row.head.seq,
            });
            view::data(&line.to_string());
        }
        return Ok(Exit::Good);
    }
    if rows.is_empty() {
        view::note("there is no mission yet; start one: orchestrator task \"…\"");
        return Ok(Exit::Good);
    }
    let now = Clock::new().now();
    let cells: Vec<Vec<String>> = rows
        .iter()
        .rev()
        .map(|row| {
            vec![
                row.mission.to_string(),
                standing(row).to_owned(),
                ago(now.since(row.created)),
                escape::end(&row.project, 40),
                escape::short(&row.request, 70),
            ]
        })
        .collect();
    view::data(&table::table(
        &["mission", "state", "began", "folder", "request"],
        &cells,
        screen::room(),
    ));
    Ok(Exit::Good)
}

/// How long ago, in the largest unit that it has.
fn ago(time: Millis) -> String {
    let units = [("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000)];
    let found = units.iter().find(|(_, ms)| time.0 >= *ms);
    found.map_or("just now".to_owned(), |(unit, ms)| {
        let n = usize::try_from(time.0 / ms).unwrap_or(usize::MAX);
        format!("{} ago", lines::n_of(n, unit))
    })
}

fn live(row: &MissionRow) -> bool {
    let lease = row.lease.as_ref();
    lease.is_some_and(|lease| lease.hold == Hold::Live)
}

/// How it stands, in one word: a mission that is not over and that nobody runs has stopped.
fn standing(row: &MissionRow) -> &str {
    let over = Outcome::ALL
        .iter()
        .any(|outcome| outcome.word() == row.status);
    if row.status.is_empty() {
        "-"
    } else if over || live(row) {
        &row.status
    } else {
        "stopped"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_a_mission_is_told_in_its_largest_unit() {
        let told = [59_999, 60_000, 7_200_000, 3 * 86_400_000].map(|ms| ago(Millis(ms)));
        assert_eq!(
            told,
            ["just now", "1 minute ago", "2 hours ago", "3 days ago"]
        );
    }
}
