//! Sessions that are closed, and those that cannot be gone on with.

use crate::world::{World, alone, shared};
use agents::contract::Recorder;
use agents::{Agent as _, Closing, Order, Sign};
use mission::ids::{Epoch, MissionId};
use mission::turn::{Outcome, Role};
use serde_json::{Value, json};
use std::path::Path;
use testkit::model::Reply;

/// What a server is asked beside the program.
struct Beside<'a> {
    world: &'a World,
    directory: &'a Path,
}

impl Beside<'_> {
    async fn ask(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let (port, password) = self.world.door();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("http://127.0.0.1:{port}{path}");
        let mut asked = http
            .request(method, url)
            .basic_auth("opencode", Some(&password))
            .header("x-opencode-directory", self.directory.to_str().unwrap());
        if let Some(body) = body {
            asked = asked.json(&body);
        }
        let reply = asked.send().await.unwrap();
        let status = reply.status().as_u16();
        (status, reply.json().await.unwrap_or(Value::Null))
    }

    async fn has(&self, session: &str) -> bool {
        let path = format!("/session/{session}");
        self.ask(reqwest::Method::GET, &path, None).await.0 == 200
    }
}

/// Runs an order to its answer, and tells its session.
async fn session_of(world: &World, order: Order) -> String {
    let recorder = Recorder::new();
    world.watched(order, &recorder).await;
    let outcome = recorder.outcome();
    assert!(matches!(outcome, Outcome::Answered { .. }), "{outcome:?}");
    let signs = recorder.seen().signs;
    let session = signs.into_iter().find_map(|sign| match sign {
        Sign::Session(session) => Some(session),
        _ => None,
    });
    session.expect("a turn has a session")
}

fn answers(world: &World, key: &str) {
    world.stage.on(key, |_| {
        Reply::fenced(&json!({ "status": "done", "summary": "did it" }))
    });
}

#[test]
fn what_a_mission_closes_is_gone_and_nothing_of_anybody_else() {
    shared(async |world| {
        answers(world, "closed-one");
        let order = world.order(Role::Worker, "closed-one");
        let directory = order.directory.clone();
        let beside = Beside {
            world,
            directory: &directory,
        };
        let own = session_of(world, order.clone()).await;
        let other = Order {
            mission: MissionId(70),
            ..order.clone()
        };
        let other = session_of(world, other).await;
        let second = Order {
            turn: "closed-one-more".into(),
            ..order.clone()
        };
        let second = session_of(world, second).await;
        // As a person sees it below his conversation.
        let seen = json!({ "parentID": other, "title": "seen [m7]", "metadata": { "orchestrator": {
            "nonce": "n0", "mission": "m7", "turns": ["seen"], "workspace": 1, "epoch": 1,
        } } });
        let (status, seen) = beside
            .ask(reqwest::Method::POST, "/session", Some(seen))
            .await;
        assert_eq!(status, 200);
        let seen = seen["id"].as_str().unwrap().to_owned();
        let closing = Closing {
            mission: MissionId(7),
            nonce: "n0".into(),
            directories: vec![directory.clone()],
            only: Some(own.clone()),
        };
        let close = async |closing: Closing| world.opencode.close_sessions(closing).await;
        assert_eq!(close(closing.clone()).await, Ok(1));
        assert_eq!(close(closing.clone()).await, Ok(0), "it is gone already");
        assert!(!beside.has(&own).await);
        assert!(beside.has(&second).await, "only the one that was named");
        let all = Closing {
            only: None,
            ..closing
        };
        assert_eq!(close(all).await, Ok(1));
        assert!(!beside.has(&second).await);
        assert!(beside.has(&other).await, "another mission's");
        assert!(beside.has(&seen).await, "somebody looks at it");
        // Nothing of the turn is known any more.
        let asked = world.log("closed-one").len();
        let again = session_of(world, order).await;
        assert_ne!(again, own);
        assert_eq!(world.log("closed-one").len(), asked + 1);
    });
}

#[test]
fn a_turn_begins_in_no_session_that_is_being_closed_or_cannot_be_read() {
    alone(async {
        let world = World::new().await;
        answers(&world, "sick");
        let order = world.order(Role::Worker, "sick");
        let directory = order.directory.clone();
        let beside = Beside {
            world: &world,
            directory: &directory,
        };
        let first = session_of(&world, order.clone()).await;
        let known = Order {
            epoch: Epoch(2),
            ..order.clone()
        };
        assert_eq!(session_of(&world, known.clone()).await, first);
        // An answer by OpenCode's own form makes 1.18.33 answer 400 to whoever reads the session.
        let path = format!("/session/{first}/message");
        let form = json!({ "noReply": true, "format": { "type": "json_schema", "schema": { "type": "object" } },
            "parts": [{ "type": "text", "text": "sick" }] });
        beside.ask(reqwest::Method::POST, &path, Some(form)).await;
        let read = beside.ask(reqwest::Method::GET, &path, None).await;
        assert_eq!(read.0, 400, "{}", read.1);
        let epoch = Epoch(3);
        let second = session_of(
            &world,
            Order {
                epoch,
                ..known.clone()
            },
        )
        .await;
        assert_ne!(second, first, "it cannot be read");
        let closed = vec![second.clone()];
        let third = Order {
            epoch: Epoch(4),
            closed,
            ..known
        };
        let third = session_of(&world, third).await;
        assert!(third != second && third != first, "it is being closed");
        world.opencode.close().await;
    });
}
