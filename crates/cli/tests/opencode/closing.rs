//! A program that is killed while it closes a session of OpenCode's: the one effect that no sweep with scripted agents
//! has.

use super::kept_at_the_host;
use std::path::Path;
use std::process::Stdio;
use testkit::model::{Model, Request};
use testkit::persona::{Crew, Job, Role};
use testkit::user::User;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_closing_is_cut_short_is_closed_by_whoever_goes_on() {
    for point in ["session.close before", "session.close after"] {
        let jobs = vec![Job::word("alpha"), Job::word("beta")];
        let goal = jobs[0].goal();
        let crew = Crew::new("Add words.", jobs);
        let model = Model::start(move |request| crew.answer(request)).await;
        let program = env!("CARGO_BIN_EXE_orchestrator");
        let user = User::new(program, &model.url(), &[("a.txt", "a\n")]);
        let words = ["task", "Add words", "--allow", "shell", "--yes"];
        let died = user
            .command(Path::new(program))
            .args(words)
            .args(["--workers", "1", "--reviews", "0"])
            .env("ORCHESTRATOR_FAULT", format!("{point}@1"))
            .stdin(Stdio::null())
            .output()
            .await
            .expect("the program starts");
        let said = String::from_utf8_lossy(&died.stderr);
        assert_eq!(died.status.code(), None, "it dies {point}: {said}");
        user.deserted().await;
        let ran = user.run(&["resume", "m1", "--allow", "shell"]).await;
        assert_eq!(ran.code, Some(0), "{point}: {}", ran.said);
        let of_the_first = |asked: &&Request| {
            Role::of(asked) == Role::Worker && asked.body.to_string().contains(&goal)
        };
        let log = model.log();
        assert_eq!(log.iter().filter(of_the_first).count(), 2, "{point}");
        assert_eq!(kept_at_the_host(&user), 0, "{point}: {}", ran.said);
        user.deserted().await;
    }
}
