//! Reading what an agent answers: one JSON value of the asked kind, or the exact reason why it is none.
//!
//! An answer comes as a value that the host got through a schema, or inside a text. In a text one rule holds: **of the
//! fenced blocks, the last one that is JSON counts**; prose around the blocks means nothing. A text that is nothing but
//! a JSON object counts as one block. A block is never repaired here: a plan with a fault in it is no plan, and
//! [`Unread::reason`] says what to mend.

use mission::turn::{Answer, AnswerKind};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The most of an answer that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// Why an answer could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// The text holds no JSON block.
    #[error("the message holds no fenced JSON block")]
    Absent,
    /// There is a block, but it is not what was asked for.
    #[error("{0}")]
    Wrong(String),
}

impl Unread {
    /// What is wrong, for the agent that has to mend it.
    pub fn reason(&self) -> String {
        self.to_string()
    }
}

/// The JSON schema of an answer, as hosts hand it to a model.
pub fn schema(kind: AnswerKind) -> Value {
    let text = match kind {
        AnswerKind::Intent => include_str!("../schemas/intent.json"),
        AnswerKind::Plan => include_str!("../schemas/plan.json"),
        AnswerKind::Report => include_str!("../schemas/report.json"),
        AnswerKind::Diagnosis => include_str!("../schemas/diagnosis.json"),
        AnswerKind::Verdict => include_str!("../schemas/verdict.json"),
    };
    serde_json::from_str(text).unwrap_or(Value::Null)
}

/// Reads an answer that came as a value.
pub fn from_value(kind: AnswerKind, value: &Value) -> Result<Answer, Unread> {
    match kind {
        AnswerKind::Intent => typed(value).map(Answer::Intent),
        AnswerKind::Plan => typed(value).map(Answer::Plan),
        AnswerKind::Report => typed(value).map(Answer::Report),
        AnswerKind::Diagnosis => typed(value).map(Answer::Diagnosis),
        AnswerKind::Verdict => typed(value).map(Answer::Verdict),
    }
}

/// Reads an answer out of a text.
pub fn from_text(kind: AnswerKind, text: &str) -> Result<Answer, Unread> {
    if text.len() > MAX_BYTES {
        return Err(Unread::Wrong(format!(
            "the message is longer than {MAX_BYTES} bytes"
        )));
    }
    let blocks = blocks(text);
    let mut broken = None;
    for block in blocks.iter().rev() {
        match serde_json::from_str::<Value>(block.body) {
            Ok(value) if value.is_object() => return from_value(kind, &value),
            Ok(_) => {}
            Err(error) if block.json => {
                broken = broken.or(Some(format!("the JSON block is not JSON: {error}")));
            }
            Err(_) => {}
        }
    }
    match broken {
        Some(reason) => Err(Unread::Wrong(reason)),
        None => match serde_json::from_str::<Value>(text.trim()) {
            Ok(value) if value.is_object() => from_value(kind, &value),
            _ => Err(Unread::Absent),
        },
    }
}

struct Block<'a> {
    /// Whether the fence says that it is JSON.
    json: bool,
    body: &'a str,
}

/// The fenced blocks of a Markdown text. A fence is closed by one of at least its own length; one that is never closed
/// is no block, because the text broke off inside it.
fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    let mut open: Option<(char, usize, bool, usize)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let Some((mark, length, rest)) = fence(line) else {
            continue;
        };
        match open {
            None => {
                let language = rest.split_whitespace().next().unwrap_or_default();
                let json =
                    language.eq_ignore_ascii_case("json") || language.eq_ignore_ascii_case("jsonc");
                open = Some((mark, length, json, at));
            }
            Some((opened, least, json, from))
                if mark == opened && length >= least && rest.is_empty() =>
            {
                found.push(Block {
                    json,
                    body: &text[from..start],
                });
                open = None;
            }
            Some(_) => {}
        }
    }
    found
}

/// The mark, the length and what follows, if the line is a fence.
fn fence(line: &str) -> Option<(char, usize, &str)> {
    let line = line.trim();
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let rest = line.trim_start_matches(mark);
    let length = line.len() - rest.len();
    (length >= 3).then(|| (mark, length, rest.trim()))
}

/// Reads a value into its type; the error names the path: `tasks[3].kind: unknown variant …`.
fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, Unread> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let why: String = error.inner().to_string().chars().take(400).collect();
        Unread::Wrong(if path == "." {
            why
        } else {
            format!("at `{path}`: {why}")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mission::turn::{Report, Verdict};

    fn check(kind: AnswerKind, text: &str, expected: Result<Answer, &str>) {
        let read = from_text(kind, text).map_err(|e| e.reason());
        assert_eq!(read, expected.map_err(str::to_owned), "{text}");
    }

    fn accepted() -> Result<Answer, &'static str> {
        Ok(Answer::Verdict(Verdict {
            accept: true,
            findings: Vec::new(),
        }))
    }

    #[test]
    fn a_block_is_found_between_prose() {
        check(
            AnswerKind::Verdict,
            "Fine.\n```json\n{\"accept\": true}\n```\nBye.",
            accepted(),
        );
        check(
            AnswerKind::Verdict,
            "~~~\n{\"accept\": true}\n~~~",
            accepted(),
        );
        check(AnswerKind::Verdict, "  {\"accept\": true}\n", accepted());
        check(
            AnswerKind::Verdict,
            "````json\n{\"accept\": true}\n````",
            accepted(),
        );
    }

    #[test]
    fn of_two_blocks_the_last_one_counts() {
        let two = "```json\n{\"accept\": false}\n```\nNo, wait.\n```json\n{\"accept\": true}\n```";
        check(AnswerKind::Verdict, two, accepted());
        let code_last = "```json\n{\"accept\": true}\n```\nas in\n```rust\nfn main() {}\n```";
        check(AnswerKind::Verdict, code_last, accepted());
    }

    #[test]
    fn a_faulty_block_is_never_read_in_part() {
        let comma = "```json\n{\"accept\": true,}\n```";
        let read = from_text(AnswerKind::Verdict, comma).unwrap_err().reason();
        assert!(
            read.starts_with("the JSON block is not JSON: trailing comma"),
            "{read}"
        );
        check(
            AnswerKind::Verdict,
            "```json\n{\"accept\": true",
            Err("the message holds no fenced JSON block"),
        );
        check(
            AnswerKind::Verdict,
            "All done!",
            Err("the message holds no fenced JSON block"),
        );
        let plan = "```json\n{\"tasks\": [{\"id\": \"a\", \"title\": \"A\", \"goal\": \"g\"}, {\"id\": 7}]}\n```";
        let wrong = "at `tasks[1].id`: invalid type: integer `7`, expected a string";
        check(AnswerKind::Plan, plan, Err(wrong));
    }

    #[test]
    fn a_fence_inside_a_string_does_not_end_the_block() {
        let text = "````json\n{\"status\": \"done\", \"summary\": \"see\"}\n````";
        let report = Report::Done {
            summary: "see".into(),
            changed_tests: Vec::new(),
            notes: Vec::new(),
        };
        check(AnswerKind::Report, text, Ok(Answer::Report(report)));
    }

    #[test]
    fn a_huge_message_is_refused_by_its_size() {
        let read = from_text(AnswerKind::Report, &"x".repeat(MAX_BYTES + 1));
        assert!(matches!(read, Err(Unread::Wrong(_))));
    }

    /// Every example of every schema reads into the type that its kind stands for, and writes back as it was but for
    /// what is left out by default.
    #[test]
    fn the_examples_of_the_schemas_are_answers() {
        use AnswerKind::{Diagnosis, Intent, Plan, Report, Verdict};
        for kind in [Intent, Plan, Report, Diagnosis, Verdict] {
            let schema = schema(kind);
            let examples = schema["examples"]
                .as_array()
                .expect("a schema has examples");
            assert!(examples.len() >= 2, "{kind:?}");
            for example in examples {
                let read = from_value(kind, example)
                    .unwrap_or_else(|e| panic!("{kind:?}: {e}: {example}"));
                assert_eq!(read.kind(), kind);
            }
        }
    }

    #[test]
    fn the_schemas_name_the_same_choices_as_the_types() {
        use mission::plan::{Priority, Size, TaskKind};
        use mission::turn::FindingKind;
        fn check<T: serde::Serialize>(kind: AnswerKind, at: &str, choices: &[T]) {
            let schema = schema(kind);
            let named = schema
                .pointer(at)
                .unwrap_or_else(|| panic!("{kind:?} has no {at}"));
            assert_eq!(
                *named,
                serde_json::to_value(choices).unwrap(),
                "{kind:?} {at}"
            );
        }
        let task = "/properties/tasks/items/properties";
        for (kind, task) in [
            (AnswerKind::Plan, task),
            (AnswerKind::Intent, &format!("/properties/plan{task}")),
        ] {
            check(
                kind,
                &format!("{task}/kind/enum"),
                &[TaskKind::Agent, TaskKind::Gate, TaskKind::Ask],
            );
            check(
                kind,
                &format!("{task}/priority/enum"),
                &[Priority::Low, Priority::Normal, Priority::High],
            );
            check(
                kind,
                &format!("{task}/size/enum"),
                &[Size::Small, Size::Medium, Size::Large],
            );
        }
        let findings = [
            FindingKind::Spec,
            FindingKind::Defect,
            FindingKind::Test,
            FindingKind::Security,
        ];
        check(
            AnswerKind::Verdict,
            "/properties/findings/items/properties/kind/enum",
            &findings,
        );
        for kind in [AnswerKind::Report, AnswerKind::Diagnosis] {
            let statuses = ["done", "blocked", "spec_wrong"];
            check(kind, "/properties/status/enum", &statuses);
        }
        check(
            AnswerKind::Intent,
            "/properties/kind/enum",
            &["answer", "small", "plan"],
        );
    }
}
