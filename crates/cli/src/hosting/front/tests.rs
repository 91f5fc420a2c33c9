//! How often a conversation is written into, and when not at all: against a server that notes what it is asked, by a
//! clock that only the test moves.

use super::*;
use axum::Router;
use axum::body::Bytes;
use axum::http::{Method, StatusCode, Uri};
use engine::layout::Layout;
use engine::reception::Hello;
use engine::store;
use mission::input::Input;
use mission::terms::Terms;
use mission::time::Timestamp;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::mpsc;
use tokio::net::UnixListener;

/// What the server was asked, and when that was by the clock of the test.
#[derive(Clone)]
struct Asked {
    at: Instant,
    what: What,
    body: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Status,
    Posted,
    Patched,
    Toasted,
    Other,
}

/// What the server knows.
#[derive(Default)]
struct Known {
    busy: bool,
    asked: Vec<Asked>,
}

type Shares = Arc<Mutex<Known>>;

fn known(of: &Shares) -> MutexGuard<'_, Known> {
    of.lock().unwrap()
}

fn answer(of: &Shares, method: &Method, path: &str, body: &[u8]) -> (StatusCode, String) {
    let mut known = known(of);
    let what = match (method.as_str(), path) {
        ("GET", "/session/status") => What::Status,
        ("POST", "/session/ses_1/message") => What::Posted,
        ("PATCH", _) => What::Patched,
        ("POST", "/tui/show-toast") => What::Toasted,
        _ => What::Other,
    };
    let body = serde_json::from_slice(body).unwrap_or(Value::Null);
    let at = Instant::now();
    known.asked.push(Asked { at, what, body });
    match (what, known.busy) {
        (What::Status, true) => (StatusCode::OK, r#"{"ses_1":{"type":"busy"}}"#.to_owned()),
        (What::Status, false) => (StatusCode::OK, "{}".to_owned()),
        // No post of ours stands there before it was made.
        (What::Other, _) if path.contains("/message/") => (StatusCode::NOT_FOUND, "{}".to_owned()),
        (What::Other, _) => (StatusCode::OK, "[]".to_owned()),
        _ => (StatusCode::OK, "{}".to_owned()),
    }
}

/// A mission that is shown at such a server.
struct World {
    folder: tempfile::TempDir,
    store: Store,
    id: MissionId,
    server: Shares,
    /// Somebody else at the same server.
    other: Front,
    wake: Arc<Notify>,
    /// As long as it stands, the clock does not move by itself.
    _held: mpsc::Sender<()>,
    _guests: watch::Sender<Vec<Guest>>,
}

impl World {
    fn new(busy: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(Layout::new(folder.path().join("state"))).unwrap();
        let owned = store::open_new(
            &*store.journal,
            Timestamp(1_000),
            Path::new("/p"),
            "Add a page",
            Terms::default(),
            |id| folder.path().join(id.to_string()),
            |_| Ok(()),
        );
        let id = owned.unwrap().mission.id();
        let server = Shares::default();
        known(&server).busy = busy;
        let bridge = folder.path().join("bridge");
        let listens = UnixListener::bind(&bridge).unwrap();
        let other = Front::over(&bridge).unwrap();
        let shared = server.clone();
        let app = Router::new().fallback(move |method: Method, uri: Uri, body: Bytes| {
            let answered = answer(&shared, &method, uri.path(), &body);
            async move { answered }
        });
        tokio::spawn(async move { axum::serve(listens, app).await });
        let guest = Guest {
            n: 1,
            hello: Hello {
                talk: 1,
                version: String::new(),
                pid: 1,
                bridge: Some(bridge),
                directories: vec!["/p".into()],
                path: None,
                screen: false,
                alone: false,
                starts: false,
                waits: false,
            },
        };
        let note = json!({ "directory": "/p", "session": "ses_1", "key": "k", "hosted": true });
        let (guests, seen) = watch::channel(vec![guest]);
        let note = serde_json::from_value(note).unwrap();
        let shown = Shown::new(&store, id, note, seen, Some(1));
        let wake = Arc::new(Notify::new());
        tokio::spawn(shown.run(wake.clone(), Showing::default()));
        let (held, until) = mpsc::channel();
        tokio::task::spawn_blocking(move || until.recv().is_err());
        Self {
            folder,
            store,
            id,
            server,
            other,
            wake,
            _held: held,
            _guests: guests,
        }
    }

    /// Something happens to the mission.
    fn happens(&self, input: Input) {
        let door = self.folder.path().join("door");
        let owned = store::take(&*self.store.journal, self.id, &door).unwrap();
        store::once(&*self.store.journal, owned, input, None).unwrap();
        self.wake.notify_one();
    }

    /// It is paused, or goes on: both change the board and are worth a toast.
    fn turns(&self, n: u32) {
        let by = format!("u{n}");
        self.happens(match n % 2 {
            0 => Input::Pause { by },
            _ => Input::Resume {
                by,
                more_tokens: 0,
                more_money: 0,
                replan: false,
            },
        });
    }

    /// Lets so much time pass, in steps, between which whoever has something to do does it.
    async fn passes(&self, time: Duration) {
        let step = milliseconds(100);
        for _ in 0..time.as_millis() / step.as_millis() {
            tokio::time::advance(step).await;
            self.settles().await;
        }
    }

    /// Lets what is under way between the two come to an end: as often as a server of the same loop answers somebody
    /// else, it answers whoever came before.
    async fn settles(&self) {
        for _ in 0..4 {
            let composed = self.other.compose(Path::new("/p"), "").await;
            composed.unwrap();
        }
    }

    fn asked(&self, what: What) -> Vec<Asked> {
        let asked = known(&self.server).asked.clone();
        asked
            .into_iter()
            .filter(|asked| asked.what == what)
            .collect()
    }
}

/// The times between each and the next.
fn gaps(asked: &[Asked]) -> Vec<Duration> {
    asked.windows(2).map(|two| two[1].at - two[0].at).collect()
}

fn milliseconds(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[tokio::test(start_paused = true)]
async fn a_board_is_written_twice_a_second_at_most_and_toasts_are_merged() {
    let world = World::new(false);
    for n in 0..100 {
        world.turns(n);
        world.passes(milliseconds(100)).await;
    }
    // What happened last is told as well.
    world.passes(milliseconds(4_000)).await;
    let patched = world.asked(What::Patched);
    let wrote = gaps(&patched);
    println!("{} boards for 100 changes in 10 s", patched.len());
    assert!(
        wrote.iter().all(|gap| *gap >= milliseconds(500)),
        "{wrote:?}"
    );
    assert!(patched.len() >= 9, "it moves: {wrote:?}");
    assert_eq!(world.asked(What::Posted).len(), 1, "one board");
    let last = patched.last().unwrap().body["text"].to_string();
    assert!(
        !last.contains("paused"),
        "the last of it stands there: {last}"
    );

    // The end of a mission, too, waits for its turn.
    world.turns(100);
    world.passes(milliseconds(1_000)).await;
    world.happens(Input::Cancel { by: "u".into() });
    world.passes(milliseconds(5_000)).await;
    let toasts = world.asked(What::Toasted);
    let told = gaps(&toasts);
    println!("{} toasts for 102 changes in 20 s", toasts.len());
    assert!(
        told.iter().all(|gap| *gap >= milliseconds(3_000)),
        "{told:?}"
    );
    assert!((5..=8).contains(&toasts.len()), "{told:?}");
    let last = toasts.last().unwrap().body["message"].to_string();
    assert!(last.contains("m1 is cancelled"), "{last}");
    for toast in &toasts {
        let lines = toast.body["message"].as_str().unwrap().lines().count();
        let stands = toast.body["duration"].as_u64().unwrap();
        assert!(
            lines <= 3 && (2_000..=10_000).contains(&stands),
            "{}",
            toast.body
        );
    }
    assert!(
        toasts
            .iter()
            .any(|toast| toast.body["message"].to_string().contains("\\n"))
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_posted_into_a_conversation_that_is_at_work() {
    let world = World::new(true);
    world.passes(milliseconds(20_000)).await;
    assert_eq!(world.asked(What::Posted).len(), 0, "it is at work");
    let looked = gaps(&world.asked(What::Status));
    println!("looks at a conversation that is at work: {looked:?}");
    assert!(
        looked.iter().all(|gap| *gap >= milliseconds(500)),
        "{looked:?}"
    );
    assert!(looked.len() <= 8, "{looked:?}");
    known(&world.server).busy = false;
    world.passes(milliseconds(5_000)).await;
    let posted = world.asked(What::Posted);
    assert_eq!(posted.len(), 1, "the board");
    assert_eq!(posted[0].body["noReply"], true);
    assert_eq!(posted[0].body["parts"][0]["ignored"], true);

    // A board that stands there is written on while a model works; the report waits.
    known(&world.server).busy = true;
    world.happens(Input::Cancel { by: "u".into() });
    world.happens(Input::Cleaned {
        n: 1,
        rescued: 0,
        sessions_left: String::new(),
    });
    world.passes(milliseconds(20_000)).await;
    let patched = world.asked(What::Patched);
    assert!(
        patched.last().unwrap().body["text"]
            .to_string()
            .contains("cancelled")
    );
    assert_eq!(world.asked(What::Posted).len(), 1, "no report yet");
    known(&world.server).busy = false;
    world.passes(milliseconds(5_000)).await;
    let posted = world.asked(What::Posted);
    assert_eq!(posted.len(), 2, "and the report");
    assert_eq!(posted[1].body["noReply"], true);
    let report = posted[1].body["parts"][0]["text"].as_str().unwrap();
    assert!(report.starts_with("Report of mission m1") && report.len() <= 1_500);
}
