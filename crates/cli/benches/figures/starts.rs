//! What the plugin adds to a start of the real OpenCode: starts with it and without it in turn, in pairs, so that whatever
//! else the machine does falls on both sides.

use super::opencode::serve;
use super::told;
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::{Duration, Instant};
use testkit::model::{Model, Reply};
use testkit::opencode::Home;
use tokio::process::Command;

/// Pairs of starts. The median of fewer moves with a single slow one.
const PAIRS: usize = 8;

/// Starts of OpenCode to where it is ready: it listens, and has answered the first conversation of a folder, for which it
/// reads the folder's configuration and loads and initialises its plugins.
pub(super) async fn with_and_without() {
    let model = Model::start(|_| Reply::text("Hello.")).await;
    let (plain, ours) = (Home::new(&model.url()), Home::new(&model.url()));
    plain.knows_all_models();
    ours.knows_all_models();
    install(&ours).await;
    // The first start of a home makes its database, with and without a plugin.
    started(&plain, false).await;
    started(&ours, true).await;
    let (mut with, mut without, mut differences) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..PAIRS {
        let (mut one, mut other) = (0.0, 0.0);
        // Whoever is first finds the machine as the pair before it left it, so that each is first as often as the other.
        for first in [true, false] {
            match first == (n % 2 == 0) {
                true => one = started(&ours, true).await,
                false => other = started(&plain, false).await,
            }
        }
        with.push(one);
        without.push(other);
        differences.push(one - other);
    }
    let (with, without) = (median(with), median(without));
    told(
        &format!("OpenCode is ready, median of {PAIRS} starts without the plugin"),
        format!("{without:.0} ms"),
    );
    told("  and with it", format!("{with:.0} ms"));
    let spread = differences.clone();
    told(
        "  what it adds, median of the pairs' differences",
        format!("{:+.0} ms", median(differences)),
    );
    let least = spread.iter().copied().fold(f64::INFINITY, f64::min);
    let most = spread.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    told(
        "  … from the least to the most of them",
        format!("{least:+.0} … {most:+.0} ms"),
    );
    told("  with it / without it", format!("{:.3}", with / without));
}

/// Puts the plugin where its users have it, with the program itself.
async fn install(home: &Home) {
    let ran = Command::new(env!("CARGO_BIN_EXE_orchestrator"))
        .args(["install", "--even-here"])
        .envs(home.env())
        .current_dir(home.project())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{said}");
}

/// How many milliseconds one start takes. Whether the plugin is there is looked at when the time has been taken.
async fn started(home: &Home, has_plugin: bool) -> f64 {
    let begun = Instant::now();
    let (mut server, url) = serve(home).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let directory = home.project().to_string_lossy().into_owned();
    let session = client
        .post(format!("{url}/session"))
        .header("x-opencode-directory", &directory)
        .json(&json!({ "title": "first" }))
        .timeout(Duration::from_secs(60));
    session.send().await.unwrap().error_for_status().unwrap();
    let took = begun.elapsed();
    let commands = client
        .get(format!("{url}/command"))
        .header("x-opencode-directory", &directory);
    let commands: Value = commands.send().await.unwrap().json().await.unwrap();
    let all = commands.as_array().expect("a list of commands");
    let ours = all.iter().any(|command| command["name"] == "steer");
    assert_eq!(
        ours, has_plugin,
        "the plugin is loaded where it is installed"
    );
    server.kill().await.unwrap();
    took.as_secs_f64() * 1000.0
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    let middle = times.len() / 2;
    (times[middle] + times[(times.len() - 1) / 2]) / 2.0
}
