//! Two processes at one mission, and a person who interrupts it.

use crate::project;
use rustix::process::Signal;
use serde_json::json;
use testkit::world::{Script, Task, World, run, write};

fn plan() -> Script {
    let task = Task::new("a").writes("b.txt").proof("test -f b.txt");
    Script::plan([task])
}

/// A mission whose Worker comes to a meeting before it writes.
fn meets(world: &World) -> (testkit::world::Meeting, Script) {
    let meeting = world.meeting();
    let steps = [run(&meeting.line()), write("b.txt", "new\n")];
    (meeting, plan().worker("a", steps).reviewed())
}

#[test]
fn a_second_process_follows_the_first_to_its_end() {
    let world = project();
    let (meeting, script) = meets(&world);
    let mut owner = world.start_task(&script, &[]);
    owner.says("worker 1 starts");
    let mut follower = world.start(&["resume", "m1"]);
    follower.says("m1 is running already; following it");
    follower.says("worker 1 starts");
    meeting.come();
    owner.ended().ends(0, &["m1 completed"]);
    follower
        .ended()
        .ends(0, &["delivered 1 file", "m1 completed"]);
    assert_eq!(world.agent_log("m1").matches("start m1 T1.1 ").count(), 1);
}

#[test]
fn a_follower_says_so_when_the_owner_dies_and_the_mission_goes_on_with_whoever_comes() {
    let world = project();
    let (meeting, script) = meets(&world);
    let mut owner = world.start_task(&script, &[]);
    owner.says("worker 1 starts");
    let mut follower = world.start(&["resume", "m1"]);
    follower.says("worker 1 starts");
    owner.kill();
    follower.ended().ends(
        130,
        &["nobody runs m1 now; go on with: orchestrator resume m1"],
    );
    // The meeting is not with what the dead one's Worker was still running.
    world.all_gone();
    let resumed = world.start(&["resume", "m1"]);
    meeting.come();
    resumed.ended().ends(0, &["m1 completed"]);
    assert_eq!(world.read("b.txt"), "new\n");
    world.all_gone();
}

#[test]
fn a_word_to_a_running_mission_goes_to_its_owner() {
    let world = project();
    let (_meeting, script) = meets(&world);
    let mut owner = world.start_task(&script, &[]);
    owner.says("worker 1 starts");
    world.run(&["cancel", "m1"]).ends(0, &["m1 is cancelled"]);
    let ran = owner.ended();
    assert_eq!(ran.code, Some(6), "{}", ran.said());
    world.all_gone();
}

/// A mission whose Worker does not end by itself, and does not listen to whoever asks it to.
fn deaf(world: &World) -> testkit::world::Running {
    let meeting = world.meeting();
    let line = format!(
        "trap '' TERM INT HUP; {}; while :; do sleep 600; done",
        meeting.line()
    );
    let mut running = world.start_task(&plan().worker("a", [run(&line)]), &[]);
    running.says("worker 1 starts");
    meeting.come();
    running
}

#[test]
fn an_interrupt_winds_down_and_says_how_to_go_on() {
    let world = project();
    let running = deaf(&world);
    running.signal(Signal::INT);
    running.ended().ends(
        130,
        &[
            "winding down; once more to stop at once",
            "nothing is lost. Go on with: orchestrator resume m1",
        ],
    );
    goes_on(&world);
}

#[test]
fn a_second_interrupt_ends_the_program_at_once_and_leaves_what_a_crash_leaves() {
    let world = project();
    let mut running = deaf(&world);
    running.signal(Signal::INT);
    running.says("winding down");
    running.signal(Signal::INT);
    running.ended().ends(130, &[]);
    goes_on(&world);
}

/// Nothing lives on, nothing was changed, and the mission is as a crash would have left it.
fn goes_on(world: &World) {
    world.all_gone();
    assert_eq!(world.read("b.txt"), "");
    world.run(&["verify", "m1"]).ends(0, &["every link holds"]);
    let log = world.run(&["log", "m1"]).out;
    assert!(!log.contains("is cancelled"), "{log}");
    // The agent of the next life is less deaf.
    let place = world.place("m1").join("script.toml");
    let script = plan().worker("a", [write("b.txt", "new\n")]).reviewed();
    std::fs::write(place, script.text()).unwrap();
    world.run(&["resume", "m1"]).ends(0, &["m1 completed"]);
    assert_eq!(world.read("b.txt"), "new\n");
    let used = json!(world.status("m1")["tasks"][0]["attempt"]);
    assert!(
        !used.to_string().contains('2'),
        "no attempt is used up: {used}"
    );
    world.all_gone();
}

#[test]
fn what_an_agent_starts_and_hides_from_its_guard_ends_with_its_turn() {
    let world = project();
    // The shell's parent is its guard; what has left the group before lives on without it.
    let line = "p=$(mktemp -u); mkfifo $p; setsid sh -c \"trap '' TERM; echo > $p; exec sleep 7777\" & \
                cat $p; rm $p; kill -9 $PPID";
    let script = plan()
        .worker("a", [run(line), write("b.txt", "new\n")])
        .reviewed();
    world.task(&script, &[]).ends(0, &["m1 completed"]);
    let left: Vec<String> = world
        .processes()
        .into_iter()
        .filter(|process| process.contains("sleep 7777"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}
