use super::*;
use serde_json::{Value, json};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Mutex;
use tokio::net::UnixListener;

/// Says what it was asked, and knows who is there.
struct Echo {
    running: watch::Sender<usize>,
    there: Mutex<Vec<u64>>,
}

impl Desk for Echo {
    fn ask(self: Arc<Self>, _: Guest, want: Want) -> BoxFuture<'static, Answer> {
        Box::pin(async move {
            match want {
                Want::Command { command, .. } if command == "slow" => std::future::pending().await,
                Want::Command { command, .. } => Answer {
                    say: command,
                    ..Answer::default()
                },
                Want::Agents { mcp, .. } => Answer {
                    config: Some(Box::new(json!({ "mcp": mcp }))),
                    ..Answer::default()
                },
                Want::Alive | Want::Here { .. } => Answer::default(),
                Want::Wait { .. } | Want::Look(_) => std::future::pending().await,
            }
        })
    }

    fn came(&self, guest: &Guest) {
        self.there.lock().unwrap().push(guest.n);
    }

    fn went(&self, guest: &Guest) {
        self.there.lock().unwrap().retain(|n| *n != guest.n);
    }

    fn running(&self) -> watch::Receiver<usize> {
        self.running.subscribe()
    }
}

const HOUR: Duration = Duration::from_secs(3600);

struct World {
    folder: tempfile::TempDir,
    desk: Arc<Echo>,
    stop: CancellationToken,
    closed: tokio::task::JoinHandle<Closed>,
}

impl World {
    fn new(running: usize, idle: Duration) -> Self {
        let folder = private();
        let reception = Reception::open(folder.path(), "1.2.3").unwrap().unwrap();
        let desk = Arc::new(Echo {
            running: watch::Sender::new(running),
            there: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let served = reception.serve(desk.clone(), idle, stop.clone());
        let closed = tokio::spawn(async { served.await.0 });
        Self {
            folder,
            desk,
            stop,
            closed,
        }
    }

    async fn come(&self) -> Caller {
        let stream = UnixStream::connect(socket(self.folder.path()))
            .await
            .unwrap();
        Caller(BufReader::new(stream))
    }

    async fn hello(&self, version: &str) -> (Caller, Value) {
        let mut caller = self.come().await;
        caller
            .say(&json!({ "talk": TALK, "version": version, "pid": 1 }))
            .await;
        let told = caller.hear().await.unwrap();
        (caller, told)
    }
}

struct Caller(BufReader<UnixStream>);

impl Caller {
    async fn say(&mut self, line: &Value) {
        self.write(format!("{line}\n").as_bytes()).await;
    }

    /// The other side may have hung up already, which the next answer tells.
    async fn write(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).await.ok();
    }

    async fn hear(&mut self) -> Option<Value> {
        let line = line(&mut self.0, HOUR).await?;
        Some(serde_json::from_slice(&line).unwrap())
    }

    async fn command(&mut self, id: u64, command: &str) {
        self.say(&json!({ "id": id, "want": "command", "key": "k", "command": command, "session": "s", "directory": "/p" }))
            .await;
    }

    /// The answer to a command, whatever else is told.
    async fn answer(&mut self) -> Option<Value> {
        loop {
            let told = self.hear().await?;
            if told.get("say").is_some() {
                return Some(told);
            }
        }
    }
}

fn private() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

#[tokio::test]
async fn a_guest_says_who_it_is_and_is_answered() {
    let world = World::new(0, HOUR);
    let (mut guest, welcome) = world.hello("1.2.3").await;
    assert_eq!(welcome, json!({ "talk": TALK, "version": "1.2.3" }));
    guest.command(7, "status").await;
    let told = guest.answer().await.unwrap();
    assert_eq!((&told["id"], &told["say"]), (&json!(7), &json!("status")));
    guest.command(8, "slow").await;
    let taken = json!({ "id": 8, "taken": true });
    assert_eq!(guest.hear().await.unwrap(), taken);
    world.desk.running.send_replace(3);
    assert_eq!(guest.hear().await.unwrap(), json!({ "running": 3 }));
    world.stop.cancel();
    assert_eq!(world.closed.await.unwrap(), Closed::Stopped);
    assert!(guest.hear().await.is_none());
    assert_eq!(*world.desk.there.lock().unwrap(), [0; 0]);
    assert!(!socket(world.folder.path()).exists());
}

#[tokio::test]
async fn there_is_one_reception_and_its_end_makes_place() {
    let folder = private();
    let first = Reception::open(folder.path(), "1").unwrap();
    assert!(first.is_some());
    assert!(Reception::open(folder.path(), "1").unwrap().is_none());
    drop(first);
    assert!(Reception::open(folder.path(), "1").unwrap().is_some());
}

#[tokio::test]
async fn sockets_of_processes_that_are_gone_are_removed_and_no_others() {
    let folder = private();
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let gone = child.id();
    child.wait().unwrap();
    let own = std::process::id();
    let at = |name: String| folder.path().join(name);
    // Bound by a listener that is closed, as a killed process leaves it.
    let left = [at(format!("oc-{gone}.sock")), at(format!("m1-{gone}.sock"))];
    let kept = [
        at(format!("oc-{own}.sock")),
        at("other.sock".to_owned()),
        at(format!("notes-{gone}.txt")),
    ];
    for path in left.iter().chain(&kept) {
        drop(UnixListener::bind(path).unwrap());
    }
    // Its name is that of a process that is gone, and somebody listens.
    let busy = at(format!("m2-{gone}.sock"));
    let _listens = UnixListener::bind(&busy).unwrap();
    let _reception = Reception::open(folder.path(), "1").unwrap().unwrap();
    assert!(left.iter().all(|path| !path.exists()));
    assert!(kept.iter().chain([&busy]).all(|path| path.exists()));
}

#[test]
fn a_preview_comes_before_its_version() {
    for (later, earlier) in [
        ("1.0.0", "1.0.0-rc.1"),
        ("1.10.0", "1.9.9"),
        ("2.0.0-rc.2", "2.0.0-rc.1"),
    ] {
        assert!(is_newer(later, earlier), "{later} comes after {earlier}");
        assert!(!is_newer(earlier, later));
    }
    assert!(!is_newer("1.0.0", "1.0.0"));
    assert!(!is_newer("x", "1.0.0") && !is_newer("1.0.0", "x"));
}

#[tokio::test(start_paused = true)]
async fn it_closes_when_nothing_runs_and_nobody_asks() {
    let world = World::new(1, HOUR);
    let (mut guest, _) = world.hello("1.2.3").await;
    tokio::time::sleep(HOUR * 3).await;
    guest.command(1, "status").await;
    assert!(guest.answer().await.is_some(), "a mission runs");
    world.desk.running.send_replace(0);
    let since = Instant::now();
    assert_eq!(world.closed.await.unwrap(), Closed::Idle);
    assert!(since.elapsed() >= HOUR, "{:?}", since.elapsed());
    assert!(
        guest.answer().await.is_none(),
        "a guest that only stays does not hold it"
    );
}

#[tokio::test]
async fn an_older_one_makes_place_for_whoever_starts_a_newer_one_and_keeps_it_until_it_has_wound_down()
 {
    let folder = private();
    let reception = Reception::open(folder.path(), "1.2.3").unwrap().unwrap();
    let desk = Arc::new(Echo {
        running: watch::Sender::new(2),
        there: Mutex::default(),
    });
    let served = tokio::spawn(reception.serve(desk.clone(), HOUR, CancellationToken::new()));
    let come = async |hello: Value| {
        let stream = UnixStream::connect(socket(folder.path())).await.unwrap();
        let mut caller = Caller(BufReader::new(stream));
        caller.say(&hello).await;
        let told = caller.hear().await.unwrap();
        (caller, told)
    };
    let (mut old, _) = come(json!({ "talk": TALK, "version": "1.2.3", "pid": 1 })).await;
    assert_eq!(old.hear().await.unwrap(), json!({ "running": 2 }));
    let newer = json!({ "talk": TALK, "version": "1.3.0", "pid": 2, "starts": true });
    let (_, told) = come(newer).await;
    assert_eq!(told["leaving"], json!(true), "{told}");
    // Whoever has an older one is not to start it anew for the sake of what runs.
    assert_eq!(old.hear().await.unwrap(), json!({ "leaving": true }));
    assert!(old.hear().await.is_none());
    let (closed, held) = served.await.unwrap();
    assert_eq!(closed, Closed::Newer("1.3.0".into()));
    let opens = || Reception::open(folder.path(), "1.3.0").unwrap().is_some();
    assert!(!opens(), "what runs is still carried out here");
    drop(held);
    assert!(opens());
}

#[tokio::test]
async fn versions_are_told_and_an_idle_older_one_makes_place() {
    let world = World::new(1, HOUR);
    let (_, older) = world.hello("1.2.2").await;
    assert_eq!(older["leaving"], json!(false), "{older}");
    assert!(
        older["refused"]
            .as_str()
            .unwrap()
            .contains("start OpenCode anew")
    );
    let (mut newer, told) = world.hello("1.10.0").await;
    assert_eq!(
        (&told["leaving"], &told["older"]),
        (&json!(false), &json!(true)),
        "{told}"
    );
    assert!(told["refused"].as_str().unwrap().contains("carries 1 out"));
    assert!(newer.hear().await.is_none());
    let (mut same, _) = world.hello("1.2.3").await;
    same.command(1, "status").await;
    assert!(same.answer().await.is_some(), "it goes on");
    world.desk.running.send_replace(0);
    // Nothing runs any more, and somebody has not been told yet what it came to.
    let mut waits = world.hello("1.2.3").await.0;
    waits
        .say(&json!({ "id": 2, "want": "wait", "mission": "m1" }))
        .await;
    waits.say(&json!({ "id": 3, "want": "alive" })).await;
    while waits.hear().await.unwrap()["id"] != json!(3) {}
    let (_, told) = world.hello("1.10.0").await;
    assert_eq!(told["leaving"], json!(false), "{told}");
    drop(waits);
    let (_, told) = loop {
        let (caller, told) = world.hello("1.10.0").await;
        if told["leaving"] == json!(true) {
            break (caller, told);
        }
    };
    assert_eq!(told["older"], json!(false), "{told}");
    assert_eq!(world.closed.await.unwrap(), Closed::Newer("1.10.0".into()));
    assert!(
        Reception::open(world.folder.path(), "1.10.0")
            .unwrap()
            .is_some()
    );
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_dawdles_is_closed_and_others_are_answered() {
    let world = World::new(0, HOUR);
    let mut dawdler = world.come().await;
    dawdler.write(b"{").await;
    assert!(dawdler.hear().await.is_none(), "it does not say who it is");
    let (mut slow, _) = world.hello("1.2.3").await;
    assert_eq!(slow.hear().await.unwrap(), json!({ "running": 0 }));
    slow.write(b"{\"id\"").await;
    assert!(slow.hear().await.is_none(), "it does not end its line");
    let (mut other, _) = world.hello("1.2.3").await;
    tokio::time::sleep(HOUR / 2).await;
    other.command(1, "status").await;
    assert!(other.answer().await.is_some(), "one that only waits may");
}

#[tokio::test]
async fn a_thousand_strangers_do_not_keep_a_guest_out() {
    let world = World::new(0, HOUR);
    let mut strangers = Vec::new();
    for _ in 0..1_000 {
        strangers.push(world.come().await);
    }
    let (mut guest, _) = world.hello("1.2.3").await;
    guest.command(1, "status").await;
    assert!(guest.answer().await.is_some());
    let mut closed = 0;
    for stranger in &mut strangers[..1_000 - STRANGERS] {
        closed += usize::from(stranger.hear().await.is_none());
    }
    assert_eq!(closed, 1_000 - STRANGERS);
}

#[tokio::test]
async fn lines_without_sense_or_end_close_the_connection_and_nothing_else() {
    let world = World::new(0, HOUR);
    let deep = format!("{}\n", "[".repeat(100_000));
    let long = "x".repeat(2 << 20);
    let escape = json!({ "id": 1, "want": "wait", "mission": "../../x" }).to_string() + "\n";
    for bad in [deep.as_str(), &long, &escape, "{}\n", "\0\n"] {
        let mut stranger = world.come().await;
        stranger.write(bad.as_bytes()).await;
        assert!(stranger.hear().await.is_none());
        let (mut guest, _) = world.hello("1.2.3").await;
        assert_eq!(guest.hear().await.unwrap(), json!({ "running": 0 }));
        guest.write(bad.as_bytes()).await;
        assert!(guest.hear().await.is_none());
    }
    let (mut guest, _) = world.hello("1.2.3").await;
    guest.command(1, "status").await;
    assert!(guest.answer().await.is_some());
}

#[tokio::test]
async fn what_a_guest_asks_at_once_is_bounded_and_answered_in_time() {
    let world = World::new(0, HOUR);
    let (mut guest, _) = world.hello("1.2.3").await;
    for id in 0..ASKED as u64 - 1 {
        guest
            .say(&json!({ "id": id, "want": "wait", "mission": "m1" }))
            .await;
    }
    guest.command(99, "stop").await;
    assert_eq!(guest.answer().await.unwrap()["say"], json!("stop"));
}

#[tokio::test]
async fn nothing_but_a_socket_of_ours_in_a_folder_of_ours_is_touched() {
    let folder = private();
    let (kept, at) = (folder.path().join("kept"), socket(folder.path()));
    std::fs::write(&kept, "kept").unwrap();
    symlink(&kept, &at).unwrap();
    assert!(Reception::open(folder.path(), "1").is_err());
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "kept");
    std::fs::remove_file(&at).unwrap();
    std::fs::write(&at, "a file").unwrap();
    assert!(Reception::open(folder.path(), "1").is_err());
    assert_eq!(std::fs::read_to_string(&at).unwrap(), "a file");
    std::fs::remove_file(&at).unwrap();
    // What a process that was killed left there is replaced.
    drop(UnixListener::bind(&at).unwrap());
    assert!(Reception::open(folder.path(), "1").unwrap().is_some());
    let lock = folder.path().join("service.lock");
    std::fs::remove_file(&lock).unwrap();
    symlink(&kept, &lock).unwrap();
    assert!(Reception::open(folder.path(), "1").is_err());
    std::fs::remove_file(&lock).unwrap();
    for mode in [0o777, 0o750] {
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        let refused = Reception::open(folder.path(), "1").unwrap_err();
        assert!(
            refused.to_string().contains("open to other users"),
            "{refused}"
        );
    }
}
