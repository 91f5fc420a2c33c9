use super::*;
use crate::perform::sample;
use crate::shutdown::{First, POLICY, Part, limit};
use mission::event::{Purpose, Turn};
use mission::gate::{Gate, GateKind, Program};
use mission::ids::{CommitId, Digest, TreeId};
use mission::terms::Deliver;
use mission::terms::Terms;
use mission::time::{Millis, Timestamp};
use std::path::Path;

/// An engine of a mission that is new, which does not run yet.
fn dispatcher(root: &Path) -> Dispatcher {
    of(Path::new("/p"), root, None)
}

fn of(project: &Path, root: &Path, machine: Option<pressure::Machine>) -> Dispatcher {
    let journal = Arc::new(journal::Memory::new(journal::StoreId([1; 16])));
    let owned = crate::store::open_new(
        &*journal,
        Timestamp(1),
        project,
        "r",
        Terms::default(),
        |_| "/nowhere".into(),
        |_| Ok(()),
    );
    let settings = Settings {
        machine,
        ..sample::settings(root)
    };
    Dispatcher::new(journal, owned.unwrap(), settings).0
}

#[tokio::test]
async fn of_two_requests_that_read_the_same_the_one_is_closed_that_was_answered() {
    let root = tempfile::tempdir().unwrap();
    let mut engine = dispatcher(root.path());
    let question = |request: Option<&str>| agents::Question {
        text: "run: make".to_owned(),
        choices: Vec::new(),
        about: agents::SHELL.to_owned(),
        request: request.map(str::to_owned),
    };
    let epoch = Epoch(1);
    for request in ["per_1", "per_2"] {
        let (answer, _) = oneshot::channel();
        engine.receive(Message::Ask(epoch, question(Some(request)), answer));
    }
    for request in [Some("per_2"), Some("per_1"), Some("per_3"), None] {
        let allowed = permit::ONCE.to_owned();
        engine.receive(Message::Settled(epoch, question(request), allowed));
    }
    let closed = engine.pending.iter().filter_map(|(input, _)| match input {
        Input::AnsweredElsewhere { request, .. } => Some(request.1),
        _ => None,
    });
    // What has no name is known by how it reads.
    assert_eq!(closed.collect::<Vec<u64>>(), [2, 1, 1]);
}

#[tokio::test]
async fn a_machine_without_room_is_told_to_the_mission_and_one_with_room_again() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let (made, project) = (root.join("machine"), root.join("project"));
    for folder in [&made, &project] {
        std::fs::create_dir(folder).unwrap();
    }
    std::fs::write(project.join("a.txt"), "a\n").unwrap();
    let in_use = |percent: u32| {
        let free = 100 - percent;
        let text = format!("MemTotal: 100 kB\nMemAvailable: {free} kB\n");
        // Renamed into place, so that nobody reads half of it.
        std::fs::write(made.join("next"), text).unwrap();
        std::fs::rename(made.join("next"), made.join("meminfo")).unwrap();
    };
    in_use(95);
    let machine = pressure::Machine {
        proc: made.clone(),
        cgroups: made.clone(),
    };
    let mut engine = of(&project, &root, Some(machine));
    engine.looks = every(Duration::from_millis(1));
    let mut seen = engine.feed.subscribe();
    let stop = engine.stop.clone();
    let runs = tokio::spawn(engine.run());
    let mut next = async |name: &str| loop {
        if let Seen::Event(_, recorded) = seen.recv().await.unwrap()
            && recorded.event.name() == name
        {
            return;
        }
    };
    next("pressed").await;
    in_use(10);
    next("relieved").await;
    stop.cancel();
    runs.await.unwrap().unwrap();
}

/// One command of each kind.
fn one_of_each() -> Vec<Command> {
    let name = "0".repeat(40);
    let (commit, tree): (CommitId, TreeId) = (name.parse().unwrap(), name.parse().unwrap());
    let gate = Gate {
        id: "g".into(),
        kind: GateKind::Test,
        program: Program::Shell("true".into()),
        directory: String::new(),
        timeout: Millis::from_secs(1),
        source: "a test".into(),
        defined_by: Vec::new(),
    };
    vec![
        Command::Prepare,
        Command::SetUp,
        Command::Turn {
            turn: Turn::Intent { n: 1 },
            epoch: Epoch(1),
            deadline: Timestamp(1),
            lane: 0,
        },
        Command::Gate {
            epoch: Epoch(2),
            gate,
            commit: commit.clone(),
            tree: tree.clone(),
            purpose: Purpose::Baseline,
            deadline: Timestamp(1),
        },
        Command::Stack {
            n: 1,
            onto: commit.clone(),
            attempts: Vec::new(),
        },
        Command::Move {
            n: 1,
            from: commit.clone(),
            adrift: BTreeSet::new(),
            to: commit,
            tree,
        },
        Command::PlanDelivery {
            n: 1,
            form: Deliver::Worktree,
        },
        Command::Deliver {
            n: 1,
            form: Deliver::Worktree,
            plan: Digest::of(b""),
        },
        Command::Undo { n: 1, delivery: 1 },
        Command::Clean { n: 1 },
    ]
}

impl Dispatcher {
    /// Has something else carried out in place of a command.
    fn carries(
        &mut self,
        command: Command,
        out: impl Future<Output = ()> + Send + 'static,
    ) -> CancellationToken {
        let token = CancellationToken::new();
        self.tokens.insert(command.name(), token.clone());
        let performer = self.performers.spawn(async move {
            out.await;
            Ok(None)
        });
        self.running.insert(performer.id(), (command, performer));
        token
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_is_performed_is_told_to_end_and_dropped_when_its_time_is_up() {
    let root = tempfile::tempdir().unwrap();
    let mut parts = Vec::new();
    for command in one_of_each() {
        let part = Part::of(&command);
        parts.push(part);
        let mut engine = dispatcher(root.path());
        let (held, mut dropped) = oneshot::channel::<()>();
        let told = engine.carries(command, async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        let since = Instant::now();
        engine.wind_down().await;
        assert!(told.is_cancelled(), "{part:?}");
        assert!(dropped.try_recv().is_err(), "{part:?} is still at it");
        // The clock stands still but for what is waited for, and goes in milliseconds.
        let (took, limit) = (since.elapsed(), limit(part));
        assert!(took >= limit, "{part:?} after {took:?}");
        assert!(
            took <= limit + Duration::from_millis(2),
            "{part:?} after {took:?}"
        );
    }
    for row in POLICY.iter().filter(|row| row.first == First::Tell) {
        assert!(parts.contains(&row.part), "nothing is at {:?}", row.part);
    }
}

#[tokio::test(start_paused = true)]
async fn all_performers_have_their_time_together_and_what_ends_is_not_waited_for() {
    let root = tempfile::tempdir().unwrap();
    let mut engine = dispatcher(root.path());
    for command in one_of_each() {
        engine.carries(command, std::future::pending());
    }
    let since = Instant::now();
    engine.wind_down().await;
    let longest = POLICY.iter().filter(|row| row.first == First::Tell);
    let longest = longest.map(|row| row.limit).max().unwrap();
    assert!(since.elapsed() <= longest + Duration::from_millis(2));

    let mut engine = dispatcher(root.path());
    for command in one_of_each() {
        let (tell, told) = oneshot::channel::<CancellationToken>();
        let token = engine.carries(command, async move {
            told.await.unwrap().cancelled().await;
        });
        tell.send(token).unwrap();
    }
    let since = Instant::now();
    engine.wind_down().await;
    assert_eq!(since.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_question_is_let_go_after_the_turn_that_asked_it_has_ended() {
    let root = tempfile::tempdir().unwrap();
    let mut engine = dispatcher(root.path());
    let (answer, mut answered) = oneshot::channel();
    engine.asked.insert((Epoch(1), 1), answer);
    let (tell, told) = oneshot::channel::<CancellationToken>();
    let (say, said) = oneshot::channel();
    let turn = one_of_each().remove(2);
    let token = engine.carries(turn, async move {
        told.await.unwrap().cancelled().await;
        // It would take an end of its question for a no.
        let is_open = answered.try_recv() == Err(oneshot::error::TryRecvError::Empty);
        say.send((is_open, answered)).unwrap();
    });
    tell.send(token).unwrap();
    engine.wind_down().await;
    let (was_open, mut answered) = said.await.unwrap();
    assert!(was_open);
    assert_eq!(
        answered.try_recv(),
        Err(oneshot::error::TryRecvError::Closed)
    );
}
