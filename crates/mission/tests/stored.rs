//! What is stored is read for ever: events as an earlier program wrote them, and what an older one says of newer ones.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use mission::event::{DecodeError, Event, Recorded, VERSION};
use std::collections::BTreeSet;

/// Events of every kind as format 1 has them. Lines are only ever added: this is what lies on disks.
const STORED: &str = include_str!("stored/format-1.jsonl");

fn lines() -> impl Iterator<Item = &'static [u8]> {
    STORED.lines().map(str::as_bytes)
}

#[test]
fn events_of_every_kind_are_read_as_they_were_written_and_written_the_same() {
    let mut kinds = BTreeSet::new();
    for line in lines() {
        let text = String::from_utf8_lossy(line);
        let read = Recorded::decode(line).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!(read.v <= VERSION, "{text}");
        // What is read is written as it was only while its format is the one that is written.
        if read.v == VERSION {
            assert_eq!(String::from_utf8(read.encode()).unwrap(), text);
        }
        kinds.insert(read.event.name());
    }
    assert_eq!(kinds.len(), Event::KINDS, "{kinds:?}");
}

/// The stored event with another version, and whatever a newer program may have put into it.
fn newer(line: &[u8], more: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(line);
    let rest = text.strip_prefix("{\"v\":1,").unwrap();
    format!("{{\"v\":{},{more}{rest}", VERSION + 1).into_bytes()
}

#[test]
fn an_older_program_says_that_an_event_is_newer_and_guesses_at_nothing() {
    let refused = DecodeError::Newer { found: VERSION + 1 };
    for line in lines() {
        assert_eq!(Recorded::decode(&newer(line, "")), Err(refused.clone()));
        let more = newer(line, "\"who\":{\"pid\":7},");
        assert_eq!(Recorded::decode(&more), Err(refused.clone()));
    }
    let unknown = format!(
        "{{\"v\":{},\"at\":0,\"event\":{{\"type\":\"dreamt\"}}}}",
        VERSION + 1
    );
    assert_eq!(Recorded::decode(unknown.as_bytes()), Err(refused.clone()));
    assert!(refused.to_string().contains("upgrade it"), "{refused}");
}

#[test]
fn what_is_no_event_is_not_taken_for_one() {
    for bytes in [
        &b"{\"v\":1,\"at\":0,\"event\":{\"type\":\"dreamt\"}}"[..],
        b"{\"v\":1,\"at\":0}",
        b"{\"at\":0,\"event\":{\"type\":\"undo_asked\",\"by\":\"x\"}}",
        b"{\"v\":-1,\"at\":0,\"event\":{\"type\":\"undo_asked\",\"by\":\"x\"}}",
        b"",
        b"\xff",
    ] {
        let read = Recorded::decode(bytes);
        assert!(matches!(read, Err(DecodeError::Unreadable(_))), "{read:?}");
    }
    // A line that was cut off anywhere is not read either.
    let line = lines().next().unwrap();
    for end in 0..line.len() {
        assert!(Recorded::decode(&line[..end]).is_err(), "cut at {end}");
    }
}
