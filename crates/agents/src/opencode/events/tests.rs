use super::*;
use futures_util::{FutureExt as _, stream};
use serde_json::json;
use std::io;

#[tokio::test]
async fn of_an_endless_line_only_the_beginning_is_kept() {
    let long = "x".repeat(MAX_LINE + 5);
    let chunks = [
        "data: a\n".to_owned(),
        long.clone(),
        long,
        "\n\ndata: b\n\n".to_owned(),
    ];
    let chunks = stream::iter(chunks.map(|c| Ok::<_, ()>(Bytes::from(c))));
    let passed: Vec<Bytes> = bounded(chunks).map(Result::unwrap).collect().await;
    let total: usize = passed.iter().map(Bytes::len).sum();
    assert_eq!(
        total,
        "data: a\n".len() + MAX_LINE + "\n\ndata: b\n\n".len()
    );
    assert_eq!(
        passed.last().map(AsRef::as_ref),
        Some(&b"\n\ndata: b\n\n"[..])
    );
}

/// The frames that come of a stream in these pieces.
async fn frames(pieces: impl IntoIterator<Item = Vec<u8>>) -> Vec<String> {
    let pieces: Vec<_> = pieces
        .into_iter()
        .map(|p| Ok::<_, io::Error>(Bytes::from(p)))
        .collect();
    let frames = SseByteStream::new(bounded(stream::iter(pieces)));
    let frames: Vec<_> = frames.collect().await;
    frames
        .into_iter()
        .filter_map(|frame| frame.unwrap().data)
        .collect()
}

#[tokio::test]
async fn events_are_the_same_however_the_stream_is_cut_and_whatever_ends_its_lines() {
    let text = "data: {\"a\": \"ä€😀\"}\n\n: still here\n\ndata: {\"b\": 2}\n\n";
    let whole = frames([text.as_bytes().to_vec()]).await;
    assert_eq!(whole, ["{\"a\": \"ä€😀\"}", "{\"b\": 2}"]);
    let windows = text.replace('\n', "\r\n");
    let marked = format!("\u{feff}{text}");
    for text in [text, &windows, &marked] {
        for length in 1..text.len() {
            let pieces = text.as_bytes().chunks(length).map(<[u8]>::to_vec);
            assert_eq!(
                frames(pieces).await,
                whole,
                "in pieces of {length} of {text:?}"
            );
        }
    }
}

#[tokio::test]
async fn who_leaves_late_takes_nobody_s_place() {
    let hub = Hub::default();
    let earlier = hub.hear("ses_1");
    let mut later = hub.hear("ses_1");
    drop(earlier);
    hub.tell("ses_1", Hint::Busy);
    let heard = later.next().now_or_never();
    assert!(matches!(heard, Some(Hint::Busy)), "{heard:?}");
    drop(later);
    assert!(hub.0.lock().unwrap().is_empty());
}

/// What is made of a frame, in one word.
fn word(line: &str) -> String {
    let frame: wire::Frame = serde_json::from_str(line).unwrap_or_default();
    let kind = frame.payload.r#type.clone();
    let told = match hint(&kind, frame.payload.properties) {
        None => "nothing".to_owned(),
        Some((session, hint)) => {
            assert!(session.starts_with("ses_"), "{session}");
            match hint {
                Hint::Progress => "progress".to_owned(),
                Hint::Doing(what) => what,
                Hint::Did(did) => format!("did {}", did.what),
                Hint::Busy => "busy".to_owned(),
                Hint::Retry {
                    attempt, message, ..
                } => format!("retry {attempt}: {message}"),
                Hint::Idle => "idle".to_owned(),
                Hint::Fault(fault) => format!("{} {:?}", fault.name, fault.data.status_code),
                Hint::Step(step) => format!("step of {:?} tokens", step.used.tokens()),
                Hint::Permission(asked) => format!("{} {:?}", asked.permission, asked.patterns),
                Hint::Question(asked) => asked.questions[0].question.clone(),
                Hint::Settled(settled) => format!("{} {:?}", settled.reply, settled.answers),
                Hint::Look => "look".to_owned(),
            }
        }
    };
    format!("{kind}: {told}")
}

const REAL: &str = include_str!("../../../tests/data/events.jsonl");

#[test]
fn real_events_are_understood() {
    let words: Vec<String> = REAL.lines().map(word).collect();
    let expected = [
        "session.error: APIError Some(400)",
        "session.status: retry 1: mock error 429",
        "message.part.delta: progress",
        "message.part.updated: step of Some(8605) tokens",
        "message.part.updated: progress",
        "permission.asked: bash [\"echo hi\"]",
        "question.asked: Which?",
        "server.heartbeat: nothing",
        "session.idle: idle",
        "session.status: busy",
        "session.status: idle",
        "sync: nothing",
        "todo.updated: nothing",
    ];
    assert_eq!(words, expected);
}

/// Cuts, renames and retypes every field of every real event: whatever comes out, nothing panics, and a status that is
/// not known is never taken for the end.
#[test]
fn events_that_we_do_not_know_change_nothing() {
    for line in REAL.lines() {
        let frame: Value = serde_json::from_str(line).unwrap();
        for wrong in [
            Value::Null,
            Value::from(-1),
            Value::from("new"),
            Value::from(vec![1]),
            serde_json::json!({}),
        ] {
            for mutated in mutations(&frame, &wrong) {
                let frame: Result<wire::Frame, _> = serde_json::from_value(mutated);
                if let Ok(wire::Frame { payload }) = frame {
                    let _understood = hint(&payload.r#type, payload.properties).is_some();
                }
            }
        }
    }
    let unknown = serde_json::json!({ "sessionID": "ses_1", "status": { "type": "hibernating" } });
    assert!(matches!(
        hint("session.status", unknown),
        Some((_, Hint::Look))
    ));
}

/// The value with each of its parts, in turn, replaced by another.
fn mutations(value: &Value, wrong: &Value) -> Vec<Value> {
    let mut all = vec![wrong.clone()];
    if let Value::Object(map) = value {
        for (key, part) in map {
            for mutated in mutations(part, wrong) {
                let mut copy = map.clone();
                copy.insert(key.clone(), mutated);
                all.push(Value::Object(copy));
            }
        }
    }
    all
}

/// A finished call of a tool as the core looks at it.
fn finished(tool: &str, input: Value) -> Act {
    let part = json!({
        "id": "prt_1",
        "type": "tool",
        "tool": tool,
        "state": {"status": "completed", "input": input, "output": "no such file"},
    });
    act(&typed(&part).unwrap())
}

#[test]
fn a_command_is_the_same_whatever_is_said_of_it() {
    let run = |what: &str, said: &str| {
        let input = json!({"command": what, "description": said, "timeout": 5});
        finished("bash", input).what
    };
    assert_eq!(run("ls a", "Looks at a"), run("ls a", "Tries it once more"));
    assert_ne!(run("ls a", "Looks"), run("ls b", "Looks"));
    let bare = finished("bash", json!({"command": "ls a", "timeout": 5})).what;
    assert_eq!(run("ls a", "Looks at a"), bare);
    // Of other tools it may be what is done.
    let other = |said: &str| finished("task", json!({"description": said})).what;
    assert_ne!(other("one"), other("another"));
}
