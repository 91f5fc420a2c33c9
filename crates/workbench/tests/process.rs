//! Commands under a guard: how they end, what they may take, and that nothing of them is left.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use mission::gate::Program;
use mission::ids::Digest;
use rustix::event::{PollFd, PollFlags};
use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;
use support::{alive, guard, guard_program, pids, run, shell};
use tokio_util::sync::CancellationToken;
use workbench::process::{End, Error, Spill};

/// Starts daemons of every kind that are hard to kill, and goes on when all of them have said their number.
const DAEMONS: &str = r#"
mkfifo ready
stubborn='trap "" TERM HUP INT; echo $$ >> pids; echo up > ready; while :; do sleep 1000; done'
(sh -c "$stubborn" &)
(setsid sh -c "$stubborn" &)
(setsid sh -c "(setsid sh -c '$stubborn' &)" &)
nohup setsid sh -c "$stubborn" >/dev/null 2>&1 &
exec 3<>ready
for n in 1 2 3 4; do read line <&3; done
"#;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn a_command_ends_with_its_code_or_signal_and_its_output_in_order() {
    let at = folder();
    let done = run(&shell(
        at.path(),
        "echo out; echo err >&2; echo out again; exit 3",
    ))
    .await;
    assert_eq!(done.end, End::Exited(3));
    assert_eq!(done.output.tail, "out\nerr\nout again\n");
    assert_eq!(done.output.digest, Digest::of(done.output.tail.as_bytes()));
    let done = run(&shell(at.path(), "kill -SEGV $$")).await;
    assert_eq!((done.end, done.left), (End::Signalled(11), 0));
}

#[tokio::test]
async fn what_cannot_be_started_is_told_apart_from_what_exits_with_127() {
    let at = folder();
    let mut command = shell(at.path(), "exit 127");
    assert_eq!(run(&command).await.end, End::Exited(127));
    command.program = Program::Argv(vec!["no-such-program-anywhere".to_owned()]);
    assert_eq!(run(&command).await.end, End::NotStarted(2));
    support::write(at.path(), "script", "echo no right to run\n");
    command.program = Program::Argv(vec!["./script".to_owned()]);
    assert_eq!(run(&command).await.end, End::NotStarted(13));
    command.directory = at.path().join("nowhere");
    let refused = command
        .run(&guard(), &CancellationToken::new(), &mut |_| {})
        .await;
    assert!(matches!(refused, Err(Error::Directory { .. })));
}

#[tokio::test]
async fn a_command_sees_a_clean_environment_and_no_input() {
    let at = folder();
    let caller = [
        ("PATH", "/usr/bin:/bin"),
        ("SECRET_TOKEN", "s3cret"),
        ("NAMED", "yes"),
        ("TERM", "xterm"),
    ];
    let caller = caller
        .map(|(name, value)| (name.into(), value.into()))
        .into();
    let mut command = shell(
        at.path(),
        "cat; env | grep -v -E '^(PWD|OLDPWD|SHLVL|_)=' | sort",
    );
    command.environment = workbench::process::clean(&caller, &["NAMED", "ABSENT"]);
    let done = run(&command).await;
    assert_eq!(
        done.output.tail,
        "NAMED=yes\nNO_COLOR=1\nPATH=/usr/bin:/bin\nTERM=dumb\n"
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_command_is_nice_offers_itself_when_memory_runs_out_and_has_no_terminal() {
    let at = folder();
    let done = run(&shell(
        at.path(),
        "nice; cat /proc/self/oom_score_adj; ulimit -c; cut -d' ' -f7 /proc/self/stat",
    ))
    .await;
    let lines: Vec<_> = done.output.tail.lines().collect();
    let own_nice = rustix::process::getpriority_process(None).unwrap();
    assert_eq!(
        lines,
        [&*(own_nice + 10).min(19).to_string(), "500", "0", "0"]
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_daemon_outlives_the_command_that_started_it() {
    let at = folder();
    let done = run(&shell(at.path(), DAEMONS)).await;
    assert_eq!(
        (done.end, done.left),
        (End::Exited(0), 0),
        "{}",
        done.output.tail
    );
    let daemons = pids(&at.path().join("pids"));
    assert_eq!(daemons.len(), 4);
    assert_eq!(daemons.into_iter().filter(|pid| alive(*pid)).count(), 0);
}

#[tokio::test]
async fn a_server_in_the_background_does_not_keep_the_run_waiting() {
    let at = folder();
    let done = run(&shell(at.path(), "sleep 1000 & echo $! > pids; echo done")).await;
    assert_eq!(
        (done.end, done.output.tail.as_str()),
        (End::Exited(0), "done\n")
    );
    assert!(!alive(pids(&at.path().join("pids"))[0]));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_storm_of_processes_is_ended() {
    let at = folder();
    let storm = "mkfifo f; exec 3<>f
        for n in $(seq 100); do (sh -c 'echo $$ >> pids; sleep 1000 & echo $! >> pids; echo >&3; wait' &) ; done
        for n in $(seq 100); do read line <&3; done";
    let done = run(&shell(at.path(), storm)).await;
    assert_eq!((done.end, done.left), (End::Exited(0), 0));
    let all = pids(&at.path().join("pids"));
    assert_eq!(all.len(), 200);
    assert_eq!(all.into_iter().filter(|pid| alive(*pid)).count(), 0);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn more_processes_than_allowed_end_the_run() {
    let at = folder();
    let mut command = shell(at.path(), "for n in $(seq 60); do sleep 1000 & done; wait");
    command.limits.processes = 40;
    let done = run(&command).await;
    assert!(
        matches!(done.end, End::TooManyProcesses(n) if n > 40),
        "{:?}",
        done.end
    );
    assert_eq!(done.left, 0);
}

#[tokio::test]
async fn at_its_limit_a_command_is_asked_and_then_killed() {
    let at = folder();
    let mut asked = shell(
        at.path(),
        "trap 'echo asked; exit 0' TERM; sleep 1000 & wait",
    );
    asked.limits.wall = Duration::from_millis(300);
    asked.limits.grace = Duration::from_secs(60);
    let done = run(&asked).await;
    assert_eq!(
        (done.end, done.output.tail.as_str()),
        (End::TimedOut, "asked\n")
    );
    let mut deaf = shell(
        at.path(),
        "trap '' TERM; echo $$ > pids; while :; do sleep 1000; done",
    );
    deaf.limits.wall = Duration::from_millis(300);
    deaf.limits.grace = Duration::from_millis(50);
    let done = run(&deaf).await;
    assert_eq!(done.end, End::TimedOut);
    assert!(!alive(pids(&at.path().join("pids"))[0]));
}

#[tokio::test]
async fn a_cancelled_command_is_ended() {
    let at = folder();
    let cancel = CancellationToken::new();
    let command = shell(at.path(), "echo up; exec sleep 1000");
    let token = cancel.clone();
    let done = command
        .run(&guard(), &cancel, &mut |_| token.cancel())
        .await
        .unwrap();
    assert_eq!(
        (done.end, done.output.tail.as_str()),
        (End::Cancelled, "up\n")
    );
}

#[tokio::test]
async fn endless_output_ends_the_run_and_memory_stays_bounded() {
    let at = folder();
    let mut command = shell(at.path(), "tr '\\0' x < /dev/zero");
    command.limits.output = 1 << 20;
    command.spill = Some(Spill {
        path: at.path().join("spill"),
        most: 100_000,
    });
    let done = run(&command).await;
    assert_eq!(done.end, End::TooMuchOutput);
    assert!(
        done.output.bytes > 1 << 20 && done.output.bytes <= (1 << 20) + (64 << 10),
        "{}",
        done.output.bytes
    );
    assert_eq!(done.output.tail, "x".repeat(4096));
    assert_eq!(
        std::fs::metadata(at.path().join("spill")).unwrap().len(),
        100_000
    );
    let again = command
        .run(&guard(), &CancellationToken::new(), &mut |_| {})
        .await;
    assert!(
        matches!(again, Err(Error::Spill { .. })),
        "an existing file was taken for output"
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_killed_guard_takes_the_command_with_it() {
    let at = folder();
    let command = shell(at.path(), "echo $$ > pids; echo $PPID; exec sleep 1000");
    let mut said = Vec::new();
    let done = command
        .run(&guard(), &CancellationToken::new(), &mut |piece| {
            said.extend_from_slice(piece);
            if let Ok(text) = std::str::from_utf8(&said).unwrap().trim().parse() {
                let pid = rustix::process::Pid::from_raw(text).unwrap();
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            }
        })
        .await
        .unwrap();
    assert!(matches!(done.end, End::GuardLost(_)), "{:?}", done.end);
    wait_until_dead(&pids(&at.path().join("pids"))).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_run_that_is_dropped_leaves_nothing() {
    let at = folder();
    let command = shell(
        at.path(),
        &format!("{DAEMONS}\necho $$ >> pids; echo up; exec sleep 1000"),
    );
    let (up, is_up) = tokio::sync::oneshot::channel();
    let mut up = Some(up);
    let (pipe_guard, cancel) = (guard(), CancellationToken::new());
    let mut see = |_: &[u8]| {
        if let Some(up) = up.take() {
            up.send(()).unwrap();
        }
    };
    {
        let run = command.run(&pipe_guard, &cancel, &mut see);
        tokio::select! {
            _ = run => panic!("it ended by itself"),
            up = is_up => up.unwrap(),
        }
    }
    let all = pids(&at.path().join("pids"));
    assert_eq!(all.len(), 5);
    wait_until_dead(&all).await;
}

/// Waits on the processes themselves, each through a descriptor that is readable at its end.
#[cfg(target_os = "linux")]
async fn wait_until_dead(all: &[i32]) {
    for pid in all {
        let pid = rustix::process::Pid::from_raw(*pid).unwrap();
        let Ok(fd) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) else {
            continue;
        };
        let ends = move || rustix::event::poll(&mut [PollFd::new(&fd, PollFlags::IN)], None);
        let end =
            tokio::time::timeout(Duration::from_secs(30), tokio::task::spawn_blocking(ends)).await;
        end.expect("a process lives on").unwrap().unwrap();
    }
}

/// Everything of the guard's tree writes into one pipe: its end of file says that nothing is left.
#[cfg(target_os = "linux")]
fn ends_when_the_engine_is_killed(engine: &str) {
    let at = folder();
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", engine])
        .current_dir(at.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    shell
        .env("GUARD", guard_program())
        .env("DAEMONS", format!("{DAEMONS}\necho up; exec sleep 1000"));
    let mut child = shell.spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut text = String::new();
    let mut byte = [0];
    while !text.contains("up\n") {
        assert_eq!(
            output.read(&mut byte).unwrap(),
            1,
            "it ended before it was up: {text}"
        );
        text.push(char::from(byte[0]));
    }
    let engine = rustix::process::Pid::from_raw(pids(&at.path().join("engine"))[0]).unwrap();
    rustix::process::kill_process(engine, rustix::process::Signal::KILL).unwrap();
    output.read_to_end(&mut Vec::new()).unwrap();
    child.wait().unwrap();
    let all = pids(&at.path().join("pids"));
    assert_eq!(all.len(), 4);
    assert_eq!(all.into_iter().filter(|pid| alive(*pid)).count(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_outlives_the_process_that_holds_the_pipe() {
    ends_when_the_engine_is_killed(
        r#"sh -c 'echo $$ > engine; exec sleep 1000' | { read -t 0 x 2>/dev/null; exec "$GUARD" __guard -- sh -c "$DAEMONS"; }"#,
    );
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_outlives_the_engine_even_when_the_pipe_has_leaked() {
    // The guard inherits the pipe's other end, so that no end of file ever comes.
    ends_when_the_engine_is_killed(
        r#"echo $$ > engine; mkfifo p; exec 9<>p; "$GUARD" __guard -- sh -c "$DAEMONS" < p; true"#,
    );
}

#[test]
fn a_guard_without_a_lifeline_refuses() {
    let refused = std::process::Command::new(guard_program())
        .args(["__guard", "--", "echo", "ran"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(
        (refused.status.code(), refused.stdout.len()),
        (Some(125), 0)
    );
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("standard input must be a pipe"), "{said}");
}

#[test]
fn what_was_left_running_in_a_folder_is_ended_and_nothing_else() {
    let at = folder();
    for name in ["lane", "other"] {
        std::fs::create_dir(at.path().join(name)).unwrap();
    }
    let script = r#"
        trap "" TERM HUP
        (cd lane && exec setsid sh -c 'trap "" TERM HUP; echo $$; while :; do echo x >> junk; done') &
        (cd lane && mkdir -p deep && cd deep && exec setsid sh -c 'echo $$; exec sleep 1000') &
        (cd other && exec sh -c 'echo $$; exec sleep 1000') &
        wait"#;
    let mut child = std::process::Command::new("sh")
        .args(["-c", script])
        .current_dir(at.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = std::io::BufReader::new(child.stdout.take().unwrap());
    let up: Vec<String> = std::io::BufRead::lines(out)
        .take(3)
        .map(Result::unwrap)
        .collect();
    assert_eq!(up.len(), 3);
    let n = workbench::guard::end_strays(&at.path().join("lane"));
    assert!(n >= 2, "{n}");
    let cwd = |pid: &String| std::fs::read_link(format!("/proc/{pid}/cwd")).ok();
    let left: Vec<_> = up.iter().filter_map(cwd).collect();
    let other = at.path().canonicalize().unwrap().join("other");
    assert_eq!(left, [other]);
    assert_eq!(workbench::guard::end_strays(&at.path().join("lane")), 0);
    let junk = std::fs::read(at.path().join("lane/junk")).unwrap();
    assert_eq!(
        std::fs::read(at.path().join("lane/junk")).unwrap(),
        junk,
        "nobody writes any more"
    );
    workbench::guard::end_strays(at.path());
    child.wait().unwrap();
}
