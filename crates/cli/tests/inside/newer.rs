//! An engine of a later version beside one that carries missions out.

use crate::house::{House, PROGRAM, kill, within};
use crate::missions::works_on;
use rustix::process::Signal;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use testkit::model::Gate;

/// This program as one of a later version: it says another number of the same length.
fn newer(house: &House, version: &str) -> PathBuf {
    let ours = env!("CARGO_PKG_VERSION").as_bytes();
    assert_eq!(version.len(), ours.len());
    let mut bytes = std::fs::read(PROGRAM).unwrap();
    let windows = bytes.windows(ours.len()).enumerate();
    let places = windows.filter(|(_, window)| *window == ours);
    let places: Vec<usize> = places.map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "it says its version");
    for at in places {
        bytes[at..at + ours.len()].copy_from_slice(version.as_bytes());
    }
    let program = house.user.home().path().join("newer");
    std::fs::write(&program, bytes).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    program
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_one_takes_up_what_an_older_one_carries_out() {
    let (model, gates) = crate::tui::held().await;
    let house = House::with(model);
    let old = house.serve().await;
    let mut talk = old.talk().await;
    talk.types("task", "Add one and two", "m1 begins").await;
    house.model.until(works_on("one")).await;
    let before = house.service().expect("an engine runs");

    // The user brings plugin and program up to date, and starts another OpenCode.
    let version = "9.9.9";
    house.engine(&newer(&house, version));
    let package = house.plugin().join("package.json");
    let text = std::fs::read_to_string(&package).unwrap();
    let named = |version: &str| format!("\"version\": \"{version}\"");
    let text = text.replace(&named(env!("CARGO_PKG_VERSION")), &named(version));
    std::fs::write(&package, text).unwrap();
    let new = house.serve().await;
    let mut later = new.talk().await;
    later.types("status", "", "0 of 2 tasks landed").await;
    assert_eq!(house.service(), None, "{before} has made place");
    // The older plugin is told why it is not served any more, and starts nothing in the newer one's place.
    talk.types("status", "", "start OpenCode anew").await;

    gates.iter().for_each(Gate::open);
    let mut events = new.events().await;
    within("the report", async {
        while !new
            .texts(&talk.session)
            .await
            .iter()
            .any(|(text, _)| text.contains("Report of mission m1"))
        {
            events.next().await;
        }
    })
    .await;
    let log = house.user.run(&["log", "m1"]).await;
    assert!(
        !log.said.contains("T1.2"),
        "its attempt goes on: {}",
        log.said
    );
    assert!(house.user.files().contains_key("two.txt"));
    drop((old, new));
    let engine = house
        .user
        .processes()
        .into_iter()
        .find(|(_, line)| line.contains("/newer serve"));
    kill(engine.expect("the newer one runs").0, Signal::TERM);
    house.user.deserted().await;
}
