//! An engine of a later version beside one that carries missions out.

use crate::house::{House, PROGRAM, kill, within};
use crate::missions::works_on;
use crate::tui::nothing_but_the_mission;
use rustix::process::Signal;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use testkit::model::Gate;

const OURS: &str = env!("CARGO_PKG_VERSION");

/// A later version than ours, of the same length.
fn later() -> String {
    let later = format!("9{}", &OURS[1..]);
    assert_ne!(later, OURS);
    later
}

/// This program as one of a later version: it says another number.
fn newer(house: &House) -> PathBuf {
    let (ours, later) = (OURS.as_bytes(), later());
    let mut bytes = std::fs::read(PROGRAM).unwrap();
    let windows = bytes.windows(ours.len()).enumerate();
    let places = windows.filter(|(_, window)| *window == ours);
    let places: Vec<usize> = places.map(|(at, _)| at).collect();
    for at in places {
        bytes[at..at + ours.len()].copy_from_slice(later.as_bytes());
    }
    let program = house.user.home().path().join("newer");
    std::fs::write(&program, bytes).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let says = std::process::Command::new(&program)
        .arg("--version")
        .output();
    let says = String::from_utf8(says.unwrap().stdout).unwrap();
    assert_eq!(says.trim(), format!("orchestrator {later}"));
    program
}

/// The user brings the plugin up to date.
fn updates(house: &House) {
    let package = house.plugin().join("package.json");
    let text = std::fs::read_to_string(&package).unwrap();
    let named = |version: &str| format!("\"version\": \"{version}\"");
    assert!(text.contains(&named(OURS)), "{text}");
    let text = text.replace(&named(OURS), &named(&later()));
    std::fs::write(&package, text).unwrap();
}

/// The newer engines that run.
fn engines(house: &House) -> Vec<u32> {
    let all = house.user.processes().into_iter();
    let all = all.filter(|(_, line)| line.contains("/newer serve"));
    all.map(|(pid, _)| pid).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_one_takes_up_what_an_older_one_carries_out() {
    let (model, gates) = crate::tui::held().await;
    let house = House::with(model);
    let old = house.serve().await;
    let mut talk = old.talk().await;
    talk.types("status", "", "there is no mission here yet")
        .await;
    let run = house.run("task", "Add one and two").spawn().unwrap();
    house.model.until(works_on("one")).await;
    let before = house.service().expect("an engine runs");

    house.engine(&newer(&house));
    updates(&house);
    let new = house.serve().await;
    let mut later = new.talk().await;
    later.types("status", "", "0 of 2 tasks landed").await;
    within("the end of the older one", async {
        while house.service().is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // The older plugin is told why it is not served any more, and starts nothing in the newer one's place.
    let there = engines(&house);
    talk.types("status", "", "start OpenCode anew").await;
    assert_eq!(there.len(), 1, "{before} has made place");
    assert_eq!(engines(&house), there);

    // Who waits for the mission goes on waiting.
    gates.iter().for_each(Gate::open);
    let output = within("the end of the run", run.wait_with_output()).await;
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(said.contains("Report of mission m1"), "{said}");
    let log = house.user.run(&["log", "m1"]).await;
    assert!(
        !log.said.contains("T1.2"),
        "its attempt goes on: {}",
        log.said
    );
    assert!(house.user.files().contains_key("two.txt"));
    nothing_but_the_mission(&house.model);
    drop((old, new));
    assert_eq!(engines(&house), there, "it is the same one to the end");
    kill(there[0], Signal::TERM);
    house.user.deserted().await;
}

/// Only the plugin is newer: whoever made place for it would come back, and make place again.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_not_older_than_the_program_goes_on_and_says_why() {
    let (model, gates) = crate::tui::held().await;
    let house = House::with(model);
    let run = house.run("task", "Add one and two").spawn().unwrap();
    house.model.until(works_on("one")).await;
    let engine = house.service().expect("an engine runs");
    updates(&house);
    let new = house.serve().await;
    let mut later = new.talk().await;
    for program in [PROGRAM, "/nowhere/orchestrator"] {
        house.engine(program.as_ref());
        later.types("status", "", "carries 1 out").await;
        assert_eq!(house.service(), Some(engine));
    }
    gates.iter().for_each(Gate::open);
    let output = within("the end of the run", run.wait_with_output()).await;
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    drop(new);
    house.ends().await;
}
