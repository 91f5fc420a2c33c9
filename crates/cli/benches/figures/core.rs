//! The core and the journal, without agents and without git.

use super::{line, millis, spread};
use agents::scripted::{Script, Scripted};
use engine::clock::Clock;
use engine::dispatcher::Dispatcher;
use engine::layout::Layout;
use engine::settings::Settings;
use engine::store::{self, Owned, Shared};
use journal::{Head, NewMission, Sqlite, Takeover};
use mission::desk::Desk;
use mission::event::{Event, Recorded};
use mission::ids::{CommitId, Digest, MissionId, TaskId, TreeId};
use mission::input::Input;
use mission::landing::{StackResult, Stacked};
use mission::mission::Mission;
use mission::plan::{Plan, Priority, Size, Task, TaskKind};
use mission::terms::{Deliver, Terms};
use mission::time::{Millis, Timestamp};
use mission::todo::{LineId, TodoEdit};
use mission::turn::{Answer, Outcome, Report, Usage};
use mission::work::{Base, TestFacts, Work};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use workbench::git::UserEnvironment;
use workbench::guard::Guard;

const CLIENTS: usize = 64;
const INPUTS: usize = 10_240;

/// What many clients tell one mission, decided, chained, durable and acknowledged; beside the same appends alone.
pub(super) async fn inputs() {
    let folder = tempfile::tempdir().unwrap();
    let journal: Shared = Arc::new(Sqlite::open(folder.path()).unwrap());
    let (with_core, id) = edits(&journal, folder.path()).await;
    let bare = bare(&journal).await;
    let rate = INPUTS as f64 / with_core.as_secs_f64();
    let ratio = bare.as_secs_f64() / with_core.as_secs_f64();
    line(
        "inputs of 64 clients, durable and acknowledged, each second",
        format!("{rate:.0}"),
        "≥ 5,000",
        rate >= 5_000.0,
    );
    line(
        "… of the rate of the same transactions without the core",
        format!("{ratio:.2}"),
        "≥ 0.5",
        ratio >= 0.5,
    );
    let start = Instant::now();
    let (mission, seq) = store::load(&*journal, id).unwrap();
    let took = start.elapsed();
    assert_eq!(mission.todo().version, INPUTS as u64, "no update is lost");
    line(
        &format!("reopening a mission of {} events", seq.0),
        format!("{took:.1?}"),
        "≤ 1 s",
        took <= millis(1_000),
    );
}

async fn edits(journal: &Shared, folder: &Path) -> (Duration, MissionId) {
    let mut owned = open(journal, folder);
    // A mission that waits for nothing and is never over: its plan is there and no Worker answers.
    let plan = independent(CLIENTS);
    let events =
        [prepared(), Event::Planned { plan }].map(|event| recorded(owned.mission.last(), event));
    for event in &events {
        owned.mission.apply(event.at, &event.event);
    }
    let bodies: Vec<Vec<u8>> = events.iter().map(Recorded::encode).collect();
    owned.head = journal
        .append(&owned.lease, &owned.head, &bodies, None)
        .unwrap();
    let id = owned.mission.id();
    let (dispatcher, handle) = Dispatcher::new(journal.clone(), owned, settings(folder));
    let running = tokio::spawn(dispatcher.run());
    let start = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for n in 0..CLIENTS {
        let handle = handle.clone();
        clients.spawn(async move {
            for saw in 0..(INPUTS / CLIENTS) as u64 {
                let line = LineId::Task(TaskId(n as u32 + 1));
                let edit = TodoEdit::Note {
                    line,
                    saw,
                    text: format!("note {saw} of client {n}"),
                };
                let reply = handle
                    .tell(Input::Edit {
                        edit,
                        by: "bench".into(),
                    })
                    .await
                    .unwrap();
                assert_eq!(reply, mission::input::Reply::Done);
            }
        });
    }
    clients.join_all().await;
    let took = start.elapsed();
    handle.wind_down();
    running.await.unwrap().unwrap();
    (took, id)
}

/// The same clients, channel, batches and bodies, with nothing decided.
async fn bare(journal: &Shared) -> Duration {
    let about = NewMission {
        project: "/".into(),
        request: "bare".into(),
    };
    let id = journal.create(Timestamp(1), about).unwrap();
    let owner = engine::owner::this_process(Path::new("/"));
    let lease = Arc::new(journal.acquire(id, owner, Takeover::IfDead).unwrap());
    let (sender, mut inbox) = mpsc::channel::<(Vec<u8>, oneshot::Sender<()>)>(4_096);
    let journal = journal.clone();
    let writer = tokio::spawn(async move {
        let mut head = Head::start();
        while let Some(first) = inbox.recv().await {
            let mut batch = vec![first];
            while let Ok(next) = inbox.try_recv() {
                batch.push(next);
            }
            let (bodies, waiting): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            let (journal, lease) = (journal.clone(), lease.clone());
            let appended =
                tokio::task::spawn_blocking(move || journal.append(&lease, &head, &bodies, None));
            head = appended.await.unwrap().unwrap();
            waiting.into_iter().for_each(|who| who.send(()).unwrap());
        }
    });
    let start = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for n in 0..CLIENTS {
        let sender = sender.clone();
        clients.spawn(async move {
            for saw in 0..INPUTS / CLIENTS {
                let line = LineId::Task(TaskId(n as u32 + 1));
                let edit = TodoEdit::Note {
                    line,
                    saw: saw as u64,
                    text: format!("note {saw} of client {n}"),
                };
                let event = Event::TodoEdited {
                    version: saw as u64,
                    edit,
                    by: "bench".into(),
                };
                let (answer, answered) = oneshot::channel();
                sender
                    .send((recorded(Timestamp(1), event).encode(), answer))
                    .await
                    .unwrap();
                answered.await.unwrap();
            }
        });
    }
    clients.join_all().await;
    let took = start.elapsed();
    drop(sender);
    writer.await.unwrap();
    took
}

/// What one event costs the core in missions of three sizes: it must not grow with the plan.
pub(super) fn per_event() {
    let mut first = None;
    for tasks in [100, 1_000, 10_000] {
        let mut mission = Mission::open(
            Timestamp(1),
            MissionId(1),
            "n".into(),
            "/".into(),
            "r".into(),
            terms(),
        )
        .0;
        mission.apply(Timestamp(1), &prepared());
        mission.planned_unchecked(Timestamp(1), independent(tasks));
        let mut desk: Desk<()> = Desk::new(mission);
        desk.take(Timestamp(1), [(Input::Tick, None)]);
        let mut events = 0;
        let start = Instant::now();
        for turn in 0..2_000 {
            let released = desk.durable();
            events += released.events.len();
            let inputs: Vec<Input> = released.start.iter().filter_map(answer).collect();
            // A small plan is carried out before the last turn, and turns in which nothing happens cost next to nothing.
            if released.events.is_empty() && inputs.is_empty() {
                break;
            }
            desk.take(
                Timestamp(turn + 2),
                inputs.into_iter().map(|input| (input, None)),
            );
        }
        let each = start.elapsed() / u32::try_from(events.max(1)).unwrap();
        let base = *first.get_or_insert(each);
        let ratio = each.as_secs_f64() / base.as_secs_f64();
        line(
            &format!("cost of one event in a plan of {tasks} tasks"),
            format!("{each:.1?} ({ratio:.2} of 100)"),
            "near flat: at most twice that of 100",
            ratio <= 2.0,
        );
    }
}

/// From "landed" decided to the dependent's command handed over, the append in between.
pub(super) fn hand_over() {
    let folder = tempfile::tempdir().unwrap();
    let journal: Shared = Arc::new(Sqlite::open(folder.path()).unwrap());
    let owned = open(&journal, folder.path());
    let (mut mission, lease, mut head) = (owned.mission, owned.lease, owned.head);
    let events = [prepared(), Event::Planned { plan: chain(200) }]
        .map(|event| recorded(mission.last(), event));
    events
        .iter()
        .for_each(|event| mission.apply(event.at, &event.event));
    let bodies: Vec<Vec<u8>> = events.iter().map(Recorded::encode).collect();
    head = journal.append(&lease, &head, &bodies, None).unwrap();
    let mut desk: Desk<()> = Desk::new(mission);
    let mut inputs = vec![Input::Tick];
    let mut times = Vec::new();
    let clock = Clock::new();
    while desk.mission().landed() < 199 {
        let moved = inputs
            .iter()
            .any(|input| matches!(input, Input::Moved { .. }));
        let start = Instant::now();
        let bodies: Vec<Vec<u8>> = desk
            .take(clock.now(), inputs.drain(..).map(|input| (input, None)))
            .iter()
            .map(Recorded::encode)
            .collect();
        if !bodies.is_empty() {
            head = journal.append(&lease, &head, &bodies, None).unwrap();
        }
        let released = desk.durable();
        if moved
            && released
                .start
                .iter()
                .any(|command| command.kind() == "turn")
        {
            times.push(start.elapsed());
        }
        inputs.extend(released.start.iter().filter_map(answer));
    }
    let spread = spread(&mut times);
    let holds = spread.p99 <= millis(10);
    line(
        "landing decided → the dependent's command handed over",
        spread,
        "p99 ≤ 10 ms",
        holds,
    );
}

/// What the world answers at once to a command.
fn answer(command: &mission::command::Command) -> Option<Input> {
    use mission::command::Command;
    Some(match command {
        Command::Turn { epoch, turn, .. } => {
            let name = format!("{turn}");
            let work = Work {
                commit: commit(&name),
                tree: tree(&name),
                touched: vec![name.clone()],
                files: 1,
                tests: TestFacts::default(),
                protected: Vec::new(),
            };
            let report = Report::Done {
                summary: name,
                changed_tests: Vec::new(),
                notes: Vec::new(),
            };
            let usage = Usage {
                input: Some(1),
                output: Some(1),
                calls: 1,
                ..Usage::default()
            };
            Input::TurnReplied {
                epoch: *epoch,
                outcome: Outcome::Answered {
                    answer: Answer::Report(report),
                    usage,
                },
                work: Some(work),
            }
        }
        Command::Stack { n, attempts, .. } => {
            let put = |(attempt, work): &(mission::ids::AttemptId, CommitId)| Stacked {
                attempt: *attempt,
                result: StackResult::Put {
                    commit: commit(work.as_str()),
                    tree: tree(work.as_str()),
                },
            };
            Input::Stacked {
                n: *n,
                results: attempts.iter().map(put).collect(),
            }
        }
        Command::Move { n, to, tree, .. } => Input::Moved {
            n: *n,
            commit: to.clone(),
            tree: tree.clone(),
        },
        _ => return None,
    })
}

fn terms() -> Terms {
    Terms {
        review_rounds: 0,
        tokens: u64::MAX / 2,
        turns: Some(u32::MAX),
        mission: Millis(u64::MAX / 2),
        deliver: Deliver::None,
        ..Terms::default()
    }
}

fn open(journal: &Shared, folder: &Path) -> Owned {
    store::open_new(
        &**journal,
        Clock::new().now(),
        folder,
        "bench",
        terms(),
        |_| folder.join("door"),
        |_| Ok(()),
    )
    .unwrap()
}

fn settings(folder: &Path) -> Settings {
    let silent = "[[turn]]\nrole = \"worker\"\nend = \"hang\"\n";
    let script = Script::parse(silent).unwrap();
    Settings {
        layout: Layout::new(folder.to_owned()),
        agent: Arc::new(Scripted::new(script, folder.join("agent"), Vec::new()).unwrap()),
        guard: Guard::new(env!("CARGO_BIN_EXE_orchestrator")),
        environment: std::env::vars_os().collect(),
        git: UserEnvironment::default(),
        shell: agents::ShellRule::Allow,
        model: None,
        recipes: Vec::new(),
        silence: Millis::from_mins(60),
        machine: None,
    }
}

fn recorded(at: Timestamp, event: Event) -> Recorded {
    Recorded {
        v: mission::event::VERSION,
        at,
        event,
    }
}

fn prepared() -> Event {
    let base = Base {
        commit: commit("base"),
        tree: tree("base"),
        branch: None,
        head: None,
        uncommitted: 0,
        left_out: Vec::new(),
    };
    Event::Prepared {
        base,
        gates: Vec::new(),
        environment: Some(Digest::of(b"")),
        notes: Vec::new(),
    }
}

fn commit(name: &str) -> CommitId {
    Digest::of(name.as_bytes()).as_str().parse().unwrap()
}

fn tree(name: &str) -> TreeId {
    Digest::of(format!("tree of {name}").as_bytes())
        .as_str()
        .parse()
        .unwrap()
}

fn task(n: u32, needs: Vec<TaskId>) -> Task {
    Task {
        id: TaskId(n),
        key: format!("t{n}"),
        title: format!("Task {n}"),
        goal: "It is done.".into(),
        kind: TaskKind::Agent,
        needs,
        added: Vec::new(),
        writes: vec![format!("f{n}")],
        acceptance: Vec::new(),
        priority: Priority::Normal,
        size: Size::Medium,
        resources: Vec::new(),
        weight: 1,
    }
}

fn independent(n: usize) -> Plan {
    Plan {
        tasks: (1..=n as u32).map(|n| task(n, Vec::new())).collect(),
    }
}

fn chain(n: usize) -> Plan {
    let needs = |n: u32| {
        if n > 1 {
            vec![TaskId(n - 1)]
        } else {
            Vec::new()
        }
    };
    Plan {
        tasks: (1..=n as u32).map(|n| task(n, needs(n))).collect(),
    }
}
