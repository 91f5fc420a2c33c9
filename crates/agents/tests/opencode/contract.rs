//! The suite that every host passes.

use crate::world::{World, alone};
use agents::Agent;
use agents::contract::{self, Behaviour, Fixture};
use mission::turn::Answer;
use serde_json::{Value, json};
use std::path::PathBuf;
use testkit::model::{Message, Reply};

impl Fixture for World {
    fn agent(&self) -> &dyn Agent {
        &self.opencode
    }

    fn workspace(&self, name: &str) -> PathBuf {
        self.home.workspace(name)
    }

    fn behave(&self, key: &str, behaviour: Behaviour) {
        self.stage.on(key, move |request| match &behaviour {
            Behaviour::Answer(answer) => Reply::fenced(&value(answer)),
            Behaviour::Append { path, line, .. } if request.step() == 0 => {
                let command = format!("echo '{line}' >> {path}");
                Reply::call(
                    "bash",
                    json!({ "command": command, "description": "append" }),
                )
            }
            Behaviour::Append { answer, .. } => Reply::fenced(&value(answer)),
            Behaviour::Heed {
                words,
                path,
                answer,
            } => {
                let wrote =
                    |message: &Message| message.calls.iter().any(|(name, _)| name == "bash");
                let said = request.messages.iter().filter(|m| m.role == "user");
                let found: usize = said.map(|m| m.text.matches(words).count()).sum();
                if request.messages.iter().any(wrote) {
                    return Reply::fenced(&value(answer));
                }
                if found == 0 {
                    let step = request.step().to_string();
                    return Reply::call(
                        "write",
                        json!({ "filePath": "step.txt", "content": step }),
                    );
                }
                let line = format!("echo '{words}' >> {path}; ").repeat(found);
                Reply::call("bash", json!({ "command": line, "description": "append" }))
            }
            Behaviour::Babble => Reply::text("All is well that ends well."),
            Behaviour::Refuse(wait) => Reply::busy(&(wait.0 / 1000).to_string()),
            Behaviour::Hang => Reply::hang(),
        });
    }

    fn asked(&self, key: &str) -> usize {
        self.log(key).len()
    }
}

fn value(answer: &Answer) -> Value {
    let value = match answer {
        Answer::Intent(it) => serde_json::to_value(it),
        Answer::Plan(it) => serde_json::to_value(it),
        Answer::Report(it) => serde_json::to_value(it),
        Answer::Diagnosis(it) => serde_json::to_value(it),
        Answer::Verdict(it) => serde_json::to_value(it),
    };
    value.expect("an answer can be written")
}

#[test]
fn opencode_keeps_the_contract() {
    alone(async {
        let world = World::new().await;
        contract::check(&world).await;
        world.opencode.close().await;
    });
}
