//! A turn of which no event is heard: how often it is looked at.

use crate::lost::behind;
use crate::world::alone;
use agents::Agent as _;
use mission::turn::{Outcome, Role};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use testkit::model::Reply;

/// The pauses between the looks at what is asked, in the order in which they came to the server.
fn pauses(between: &Path) -> Vec<Duration> {
    let times = std::fs::read_to_string(between.join("times")).unwrap();
    let looks: Vec<u64> = times
        .lines()
        .filter_map(|line| line.strip_suffix(" GET /permission"))
        .map(|time| time.parse().unwrap())
        .collect();
    let pauses = looks.windows(2);
    pauses.map(|p| Duration::from_nanos(p[1] - p[0])).collect()
}

#[test]
fn looks_get_rarer_while_nothing_changes_and_come_soon_again_after_a_change() {
    alone(async {
        let least = Duration::from_millis(20);
        let (world, between) = behind("", |settings| {
            settings.pace.stream_silence = Duration::ZERO;
            settings.pace.reconnect = Duration::from_secs(3600);
            settings.pace.poll_least = least;
            // Looks that became rarer and nothing else would outlast the turn's limit before the second command ends.
            settings.pace.poll_most = Duration::from_secs(3600);
        })
        .await;
        // Each command changes nothing until it was looked at so many times. A look of those may have found its beginning.
        let looks = 7;
        let log = between.join("log");
        let wait = format!(
            "tail -n 0 -f '{}' | grep -m {looks} -x 'GET /permission' >> out.txt",
            log.display()
        );
        world.stage.on("rarer", move |r| match r.step() {
            0 | 1 => Reply::call("bash", json!({ "command": wait, "description": "waits" })),
            _ => Reply::fenced(&json!({ "status": "done", "summary": "did it" })),
        });
        let order = world.order(Role::Worker, "rarer");
        let file = order.directory.join("out.txt");
        let outcome = world.run(order).await;
        assert!(matches!(outcome, Outcome::Answered { .. }), "{outcome:?}");
        let seen = std::fs::read_to_string(file).unwrap();
        assert_eq!(seen.lines().count(), 2 * looks);
        let pauses = pauses(&between);
        let rare = pauses.iter().filter(|pause| **pause >= least * 32).count();
        assert!(rare >= 2, "once in each command: {pauses:?}");
        println!("{pauses:?}");
        world.opencode.close().await;
    });
}
