use super::*;
use crate::perform::sample;
use mission::terms::Terms;
use mission::time::Timestamp;
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
