//! A disk with too little room, which is a real file system that is small.

use crate::commands::script;
use crate::project;
use std::process::Command;

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

#[test]
fn a_mission_on_a_full_disk_waits_says_so_and_goes_on_when_there_is_room() {
    let mounts = ["--user", "--map-root-user", "--mount"];
    let allowed = Command::new("unshare").args(mounts).arg("true").status();
    if !allowed.is_ok_and(|status| status.success()) {
        // Where changes are taken it has to be shown.
        assert!(
            std::env::var_os("CI").is_none(),
            "users may have no mounts here"
        );
        return;
    }
    let world = project();
    std::fs::create_dir_all(world.state()).unwrap();
    let agent = world.agent(&script());
    let inner = world.command(&["task", "Do what the script says", &agent]);
    let mut outer = Command::new("unshare");
    outer
        .args(mounts)
        .args(["sh", "-c", SCRIPT])
        .arg(inner.get_program())
        .args(inner.get_args())
        .env_clear()
        .envs(
            inner
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("SAID", world.beside("said"))
        .current_dir(world.project());
    let ran = outer.output().unwrap();
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
