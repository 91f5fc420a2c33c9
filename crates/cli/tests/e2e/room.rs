//! A disk with too little room, which is a real file system that is small.

use crate::commands::script;
use crate::project;
use mission::event::{Event, Recorded, Turn};
use std::process::{Command, Output};
use testkit::world::{Script, Task, World, run, write};

/// Mounts a small file system as the state directory, fills half of it, and makes room once the program says that it
/// waits for some. What it said, what `status` said then and how it ended are written beside it.
const SCRIPT: &str = r#"
mount -t tmpfs -o size=100m,mode=700 none "$ORCHESTRATOR_STATE_DIR" || exit 90
: > "$SAID"
head -c 50000000 /dev/zero > "$ORCHESTRATOR_STATE_DIR/filler" || exit 91
"$0" "$@" >> "$SAID" 2>&1 &
tries=0
until grep -q "no turn and no check begins" "$SAID"; do
    tries=$((tries + 1))
    [ $tries -lt 900 ] || { cat "$SAID"; kill $!; exit 92; }
    kill -0 $! 2> /dev/null || { cat "$SAID"; exit 93; }
    sleep 0.1
done
"$0" status >> "$SAID" 2>&1
rm "$ORCHESTRATOR_STATE_DIR/filler"
wait $!
code=$?
"$0" log --json >> "$SAID" 2>&1
cat "$SAID"
exit $code
"#;

/// Mounts a small file system as the state directory, and takes so much of it while the first Worker is at work that one
/// more workspace does not fit, though work does. Once the program says so that Worker goes on, and the next one begins.
/// Then there is room again, and that one goes on when another has begun beside it.
const CRAMPED: &str = r#"
fails() { cat "$SAID"; kill $program; exit "$1"; }
hears() { timeout 60 cat "$MEET/$1" > "$MEET/heard" || fails 94; }
mount -t tmpfs -o size=200m,mode=700 none "$ORCHESTRATOR_STATE_DIR" || exit 90
: > "$SAID"
mkdir "$MEET" && mkfifo "$MEET/a" "$MEET/b" "$MEET/c" "$MEET/a-goes-on" "$MEET/b-goes-on" || exit 91
"$0" "$@" >> "$SAID" 2>&1 &
program=$!
hears a
free=$(df -k --output=avail "$ORCHESTRATOR_STATE_DIR" | tail -n 1)
head -c $(((free - 72 * 1024) * 1024)) /dev/zero > "$ORCHESTRATOR_STATE_DIR/filler" || fails 95
tries=0
until grep -q "one more workspace takes" "$SAID"; do
    tries=$((tries + 1))
    [ $tries -lt 300 ] || fails 92
    kill -0 $program 2> /dev/null || fails 93
    sleep 0.1
done
echo > "$MEET/a-goes-on"
hears b
"$0" status >> "$SAID" 2>&1
rm "$ORCHESTRATOR_STATE_DIR/filler"
hears c
echo > "$MEET/b-goes-on"
wait $program
code=$?
"$0" log --json >> "$SAID" 2>&1
cat "$SAID"
exit $code
"#;

/// What a program does as this script has it, with mounts of its own; none where users may have no mounts.
fn mounted(world: &World, script: &str, inner: &Command) -> Option<Output> {
    let mounts = ["--user", "--map-root-user", "--mount"];
    let allowed = Command::new("unshare").args(mounts).arg("true").status();
    if !allowed.is_ok_and(|status| status.success()) {
        testkit::left_out("this machine lets users have no mounts of their own");
        return None;
    }
    std::fs::create_dir_all(world.state()).unwrap();
    let mut outer = Command::new("unshare");
    outer
        .args(mounts)
        .args(["sh", "-c", script])
        .arg(inner.get_program())
        .args(inner.get_args())
        .env_clear()
        .envs(
            inner
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("SAID", world.beside("said"))
        .env("MEET", world.beside("meet"))
        .current_dir(world.project());
    Some(outer.output().unwrap())
}

#[test]
fn a_mission_on_a_full_disk_waits_says_so_and_goes_on_when_there_is_room() {
    let world = project();
    let agent = world.agent(&script());
    let inner = world.command(&["task", "Do what the script says", &agent]);
    let Some(ran) = mounted(&world, SCRIPT, &inner) else {
        return;
    };
    let said = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(ran.status.code(), Some(0), "{said}");
    for text in [
        "no turn and no check begins: any work needs",
        "on the disk of the state directory; less than 80 % is enough",
        "every new turn and check",
        "the disk has room for work again",
        "m1 completed",
    ] {
        assert!(said.contains(text), "{text:?} is not in:\n{said}");
    }
    // Nothing was tried that could not end well.
    for event in ["gate_lost", "rejected", "parked", "halted", "task_failed"] {
        assert!(!said.contains(event), "{event:?} is in:\n{said}");
    }
    assert_eq!(world.read("a.txt"), "new\n");
}

/// A project whose workspaces take 16 MiB.
fn large() -> World {
    let world = project();
    let text = "0123456789abcde\n".repeat(1 << 20);
    world.file("large.txt", text).committed()
}

#[test]
fn where_one_more_workspace_does_not_fit_a_lane_goes_on_and_another_begins_when_there_is_room() {
    let world = large();
    let meet = world.beside("meet");
    let tells = |name: &str| run(&format!("echo > {}/{name}", meet.display()));
    let hears = |name: &str| run(&format!("cat {}/{name}-goes-on", meet.display()));
    let task = |id: &str| Task::new(id).writes(id).proof(&format!("test -f {id}"));
    let script = Script::plan([task("a"), task("b").needs("a"), task("c").needs("a")])
        .worker("a", [tells("a"), hears("a"), write("a", "")])
        .worker("b", [tells("b"), hears("b"), write("b", "")])
        .worker("c", [tells("c"), write("c", "")]);
    let words = [
        "task",
        "Do what the script says",
        &world.agent(&script),
        "--reviews",
        "0",
        "--workers",
        "2",
        "--yes",
    ];
    let Some(ran) = mounted(&world, CRAMPED, &world.command(&words)) else {
        return;
    };
    let said = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(ran.status.code(), Some(0), "{said}");
    for text in [
        "whoever has no workspace yet",
        "on the disk of the state directory; less than 80 % is enough",
        "the disk has room for more workspaces again",
        "m1 completed",
    ] {
        assert!(said.contains(text), "{text:?} is not in:\n{said}");
    }
    let events: Vec<Event> = said
        .lines()
        .filter_map(|line| Some(serde_json::from_str::<Recorded>(line).ok()?.event))
        .collect();
    let at = |what: &str, is: &dyn Fn(&Event) -> bool| {
        let at = events.iter().position(is);
        at.unwrap_or_else(|| panic!("{what} is not in:\n{said}"))
    };
    let begins = |task: u32, in_lane: u32| {
        at(&format!("T{task} in lane {in_lane}"), &|event| {
            matches!(event, Event::TurnStarted { turn: Turn::Work { attempt }, lane, .. }
                if (attempt.task.0, *lane) == (task, in_lane))
        })
    };
    let pressed = at("what is short", &|event| {
        matches!(event, Event::Pressed { .. })
    });
    let relieved = at("that there is room", &|event| {
        matches!(event, Event::Relieved { .. })
    });
    let order = [begins(1, 1), pressed, begins(2, 1), relieved, begins(3, 2)];
    assert!(order.is_sorted(), "{order:?}:\n{said}");
    // Nothing was tried that could not end well.
    for event in ["gate_lost", "rejected", "parked", "halted", "task_failed"] {
        assert!(!said.contains(event), "{event:?} is in:\n{said}");
    }
}
