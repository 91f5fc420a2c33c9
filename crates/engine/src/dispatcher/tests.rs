use super::*;
use crate::perform::sample;
use mission::terms::Terms;
use mission::time::Timestamp;
use std::path::Path;

/// An engine of a mission that is new, which does not run yet.
fn dispatcher(root: &Path) -> Dispatcher {
    let journal = Arc::new(journal::Memory::new(journal::StoreId([1; 16])));
    let owned = crate::store::open_new(
        &*journal,
        Timestamp(1),
        Path::new("/p"),
        "r",
        Terms::default(),
        |_| "/nowhere".into(),
        |_| Ok(()),
    );
    Dispatcher::new(journal, owned.unwrap(), sample::settings(root)).0
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
