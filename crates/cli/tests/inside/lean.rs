//! What a mission's agents cost before they have read a line: the part of their requests that never changes, at the
//! model's door, beside what OpenCode's own agent sends.

use crate::house::House;
use testkit::model::{Model, Reply, Request};
use testkit::opencode;
use testkit::persona::{Crew, Job, Role};

const KB: usize = 1024;

fn tools(request: &Request) -> String {
    request.body["tools"].to_string()
}

/// The standing instructions and the tools, in bytes.
fn fixed(request: &Request) -> usize {
    request.system.len() + tools(request).len()
}

/// How much of the fixed part two requests have in common from its beginning on, in hundredths.
fn shared(one: &Request, other: &Request) -> usize {
    assert_eq!(tools(one), tools(other), "two siblings have the same tools");
    let same = one.system.bytes().zip(other.system.bytes());
    let same = same.take_while(|(a, b)| a == b).count();
    (tools(one).len() + same) * 100 / fixed(one).max(fixed(other))
}

/// Whether the second request is the first one and something more.
fn extends(first: &Request, second: &Request) -> bool {
    first.system == second.system
        && tools(first) == tools(second)
        && second.messages.starts_with(&first.messages)
        && second.messages.len() > first.messages.len()
}

/// What OpenCode's own agent sends for a first word.
async fn greeted(house: &House) -> Request {
    let server = house.serve().await;
    let session = server.session().await;
    let (status, _) = server.say(&session, "Hello.").await;
    assert_eq!(status, 200);
    let log = house.model.log();
    let own = log.into_iter().find(|asked| asked.offers("bash"));
    own.expect("the user's agent asked the model")
}

/// Each step of a Worker is the one before it and something more.
fn goes_on_from_step_to_step(workers: &[&Request], firsts: &[&Request]) {
    for first in firsts {
        let own = workers
            .iter()
            .filter(|asked| asked.session == first.session);
        let steps: Vec<&&Request> = own.collect();
        assert!(steps.len() > 1, "a Worker has more than one step");
        for pair in steps.windows(2) {
            assert!(
                extends(pair[0], pair[1]),
                "a step begins anew: {:?}",
                pair[1]
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_begins_with_less_than_half_of_what_a_plain_session_does() {
    let jobs = ["one", "two", "three"].map(Job::word);
    let crew = Crew::new("Add three words.", jobs.to_vec());
    let script = crew.clone();
    let house = House::with(Model::start(move |request| script.answer(request)).await);
    let with_plugin = greeted(&house).await;
    let other = House::with(Model::start(|_| Reply::text("Hello.")).await);
    other
        .user
        .home()
        .configure(&opencode::config(&other.model.url()));
    let plain = greeted(&other).await;
    let words = [
        "task",
        "Add three words",
        "--allow",
        "shell",
        "--workers",
        "2",
    ];
    let ran = house.user.run(&words).await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);

    let log = house.model.log();
    let workers: Vec<&Request> = log
        .iter()
        .filter(|asked| Role::of(asked) == Role::Worker)
        .collect();
    let firsts: Vec<&Request> = workers
        .iter()
        .copied()
        .filter(|asked| asked.step() == 0)
        .collect();
    assert_eq!(firsts.len(), 3, "each Worker began once");
    let own = firsts.iter().map(|asked| fixed(asked)).max().unwrap_or(0);
    let share = shared(firsts[0], firsts[1]).min(shared(firsts[0], firsts[2]));
    println!(
        "fixed part of a Worker's request: {own} bytes (system {}, tools {})",
        firsts[0].system.len(),
        tools(firsts[0]).len()
    );
    println!("fixed part of a plain session's: {} bytes", fixed(&plain));
    println!("shared by siblings: {share} %");
    println!(
        "a plain session with the plugin: {} bytes more",
        fixed(&with_plugin).saturating_sub(fixed(&plain))
    );
    for tool in firsts[0].body["tools"].as_array().unwrap() {
        println!("{} {}", tool["function"]["name"], tool.to_string().len());
    }
    // More than a third of it is OpenCode's description of its shell, which no configuration shortens.
    assert!(own <= 14 * KB, "{own} bytes of {}", fixed(&plain));
    assert!(share >= 95, "{share} %");
    assert!(
        fixed(&with_plugin) <= fixed(&plain) + KB,
        "{} and {}",
        fixed(&with_plugin),
        fixed(&plain)
    );
    goes_on_from_step_to_step(&workers, &firsts);
    house.ends().await;
    other.ends().await;
}
