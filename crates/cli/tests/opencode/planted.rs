//! A project with programs that OpenCode would run where it finds them.

use serde_json::json;
use testkit::model::Model;
use testkit::persona::{Crew, Job};
use testkit::user::User;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_project_plants_for_opencode_is_not_run_and_stays_where_it_is() {
    let crew = Crew::new("Add words.", vec![Job::word("alpha")]);
    let model = Model::start(move |request| crew.answer(request)).await;
    let mark = tempfile::tempdir().unwrap();
    let mark = mark.path().join("ran");
    let program = format!(
        "import fs from 'node:fs'\nfs.writeFileSync({mark:?}, 'x')\nexport const Theirs = async () => ({{}})\n"
    );
    let config = json!({ "plugin": ["./theirs.js"], "model": "mock/theirs" }).to_string();
    let planted = [
        ("theirs.js", program.as_str()),
        (".opencode/plugin/theirs.js", &program),
        (".opencode/plugins/theirs.js", &program),
        (".opencode/opencode.json", &config),
        ("opencode.json", &config),
    ];
    let user = User::new(env!("CARGO_BIN_EXE_orchestrator"), &model.url(), &planted);
    let mut files = user.files();
    let ran = user
        .run(&["task", "Add words", "--allow", "shell", "--yes"])
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    assert!(!mark.exists(), "a program of the project ran");
    assert!(model.log().iter().all(|asked| asked.model == "m1"));
    files.insert("alpha.txt".into(), "alpha\n".into());
    assert_eq!(user.files(), files, "nothing else has changed");
    user.deserted().await;
}
