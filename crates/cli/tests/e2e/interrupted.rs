//! A person interrupts a mission while one thing or another is under way, row by row of the engine's table
//! ([`engine::shutdown`]). No test waits for a time to pass: each waits for the program's end, and what hangs would hang
//! for ever if the table did not end it.

use crate::project;
use rustix::process::Signal;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use testkit::world::{Meeting, Ran, Running, Script, Task, World, run, write};

/// A line that ends by no signal that can be caught: after its meeting it comes to another one, at which nobody waits. Once
/// a flag is there it does nothing.
fn deaf(world: &World, meeting: &Meeting) -> String {
    let (flag, never) = (world.beside("flag"), world.meeting());
    format!(
        "test -e {} || {{ trap '' TERM INT HUP; {}; {}; }}",
        flag.display(),
        meeting.line(),
        never.line()
    )
}

fn script(proof: &str) -> Script {
    let task = Task::new("a").writes("b.txt").proof(proof);
    Script::plan([task])
        .worker("a", [write("b.txt", "new\n")])
        .reviewed()
}

/// Interrupts it once: it ends, says how to go on, and has given up nothing.
#[track_caller]
fn interrupt(world: &World, running: Running) -> Ran {
    running.signal(Signal::INT);
    let ran = running
        .ended()
        .ends(130, &["Go on with: orchestrator resume m1"]);
    world.run(&["verify", "m1"]).ends(0, &["every link holds"]);
    ran
}

/// The mission goes on and comes to its end, with the attempt that it was at.
#[track_caller]
fn goes_on(world: &World, with: Command) {
    std::fs::write(world.beside("flag"), "").unwrap();
    Running::new(with)
        .ended()
        .ends(0, &["m1 completed", "delivered as worktree"]);
    assert_eq!(world.read("b.txt"), "new\n");
    let task = world.status("m1")["tasks"][0].clone();
    assert_eq!(task["attempt"], 1, "{task}");
    world.all_gone();
}

#[test]
fn a_check_that_is_interrupted_is_broken_off_with_all_that_it_started() {
    let world = project();
    let meeting = world.meeting();
    let proof = deaf(&world, &meeting);
    let running = world.start_task(&script(&proof), &["--reviews", "0"]);
    meeting.come();
    interrupt(&world, running);
    world.all_gone();
    goes_on(&world, world.command(&["resume", "m1"]));
}

/// The program with a folder of its own in front of the search path.
fn with_bin(world: &World, words: &[&str]) -> Command {
    let path = std::env::var("PATH").unwrap();
    let mut command = world.command(words);
    command.env("PATH", format!("{}:{path}", world.beside("bin").display()));
    command
}

/// A program in that folder.
fn bin(world: &World, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = world.beside("bin").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_set_up_that_is_interrupted_is_broken_off_with_all_that_it_started() {
    let lock = r#"{ "name": "n", "version": "1.0.0", "lockfileVersion": 3, "requires": true, "packages": {} }"#;
    let package = r#"{ "name": "n", "version": "1.0.0", "dependencies": { "x": "file:./x" } }"#;
    let world = project()
        .file("package.json", package)
        .file("package-lock.json", lock)
        .committed();
    let meeting = world.meeting();
    let hangs = deaf(&world, &meeting);
    let installs =
        format!("case \"$*\" in *ci*|*install*) {hangs}; mkdir -p node_modules/x;; esac");
    bin(&world, "npm", &installs);
    let agent = world.agent(&script("test -f b.txt"));
    let running = Running::new(with_bin(&world, &["task", "x", &agent]));
    meeting.come();
    interrupt(&world, running);
    world.all_gone();
    goes_on(&world, with_bin(&world, &["resume", "m1"]));
}

#[test]
fn a_landing_whose_git_hangs_is_left_to_whoever_goes_on() {
    let world = project();
    let meeting = world.meeting();
    let git = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|folder| folder.join("git"))
        .find(|git| git.is_file())
        .unwrap();
    let hangs = deaf(&world, &meeting);
    let armed = world.beside("armed");
    // The line is made by such a call, too, before anybody works.
    let moves = format!(
        "case \"$*\" in *missions*update-ref*) if test -e {}; then {hangs}; fi;; esac; exec {} \"$@\"",
        armed.display(),
        git.display()
    );
    bin(&world, "git", &moves);
    let task = Task::new("a").writes("b.txt").proof("test -f b.txt");
    let steps = [
        write("b.txt", "new\n"),
        run(&format!("touch {}", armed.display())),
    ];
    let script = Script::plan([task]).worker("a", steps);
    let agent = world.agent(&script);
    let words = ["task", "x", &agent, "--reviews", "0"];
    let running = Running::new(with_bin(&world, &words));
    meeting.come();
    let said = interrupt(&world, running).said();
    assert!(!said.contains("landed"), "{said}");
    assert_eq!(world.read("b.txt"), "", "nothing was handed over");
    goes_on(&world, with_bin(&world, &["resume", "m1"]));
}

#[test]
fn a_delivery_that_waits_for_its_turn_to_write_is_not_begun() {
    let world = project();
    let meeting = world.meeting();
    let task = Task::new("a").writes("b.txt").proof("test -f b.txt");
    let steps = [run(&meeting.line()), write("b.txt", "new\n")];
    let script = Script::plan([task]).worker("a", steps);
    let mut running = world.start_task(&script, &["--reviews", "0"]);
    running.says("worker 1 starts");
    let locks = std::fs::read_dir(world.state().join("deliveries")).unwrap();
    let locks: Vec<_> = locks.map(|lock| lock.unwrap().path()).collect();
    let [lock] = &locks[..] else {
        panic!("{locks:?}")
    };
    let held = std::fs::File::open(lock).unwrap();
    held.lock().unwrap();
    meeting.come();
    running.says("landed");
    running.says("sealed: completed");
    interrupt(&world, running);
    assert_eq!(world.read("b.txt"), "", "nothing was written");
    drop(held);
    goes_on(&world, world.command(&["resume", "m1"]));
}

#[test]
fn the_socket_and_whoever_talks_through_it_are_let_go() {
    let world = project();
    let meeting = world.meeting();
    let proof = deaf(&world, &meeting);
    let running = world.start_task(&script(&proof), &["--reviews", "0"]);
    meeting.come();
    let doors = || -> Vec<std::path::PathBuf> {
        let found = std::fs::read_dir(world.state().join("run")).unwrap();
        let found = found.map(|entry| entry.unwrap().path());
        found
            .filter(|path| path.extension().is_some_and(|end| end == "sock"))
            .collect()
    };
    let [door] = &doors()[..] else {
        panic!("{:?}", doors())
    };
    let mut silent = UnixStream::connect(door).unwrap();
    silent.write_all(b"{").unwrap();
    interrupt(&world, running);
    let mut heard = Vec::new();
    silent.read_to_end(&mut heard).unwrap();
    assert_eq!(heard, b"", "nothing was promised to it");
    assert_eq!(doors(), Vec::<std::path::PathBuf>::new());
    goes_on(&world, world.command(&["resume", "m1"]));
}

#[test]
fn the_guard_ends_a_program_whose_terminal_takes_nothing_any_more() {
    let world = project();
    let meeting = world.meeting();
    let proof = deaf(&world, &meeting);
    let agent = world.agent(&script(&proof));
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = world.command(&["task", "x", &agent, "--reviews", "0"]);
    command.stdout(Stdio::null());
    command.stderr(writer.try_clone().unwrap());
    let mut child = command.spawn().unwrap();
    drop(command);
    meeting.come();
    fill(&writer);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::INT).unwrap();
    // Nobody reads what it says, so that its first word after the interrupt holds it for ever.
    let ended = child.wait().unwrap();
    assert_eq!(ended.code(), Some(130));
    drop((reader, writer));
    world.all_gone();
    world.run(&["verify", "m1"]).ends(0, &["every link holds"]);
    goes_on(&world, world.command(&["resume", "m1"]));
}

/// Fills a pipe until it takes nothing any more.
fn fill(mut pipe: &std::io::PipeWriter) {
    use rustix::io::ioctl_fionbio;
    ioctl_fionbio(pipe, true).unwrap();
    while pipe.write(&[b'.'; 64]).is_ok() {}
    while pipe.write(b".").is_ok() {}
    // The other end has the same pipe, and waits when it is full.
    ioctl_fionbio(pipe, false).unwrap();
}
