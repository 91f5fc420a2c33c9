//! The engine that OpenCode starts, as a program.

use crate::house::House;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_start_at_once_one_runs_and_it_ends_when_nothing_is_left() {
    let house = House::new().await;
    let words = ["serve", "--idle", "2s"];
    let (one, two) = (house.user.start(&words), house.user.start(&words));
    let (one, two) = tokio::join!(one.end(), two.end());
    let said = [one.said.as_str(), two.said.as_str()].concat();
    assert_eq!((one.code, two.code), (Some(0), Some(0)), "{said}");
    assert_eq!(said.matches("it runs already").count(), 1, "{said}");
    assert_eq!(said.matches("nothing was left to do").count(), 1, "{said}");
    assert!(!house.sockets().join("service.sock").exists());
    house.user.deserted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_others_may_write_to_is_named() {
    let house = House::new().await;
    fs::create_dir_all(house.sockets()).unwrap();
    let state = house.sockets().join("..");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(house.sockets(), fs::Permissions::from_mode(0o777)).unwrap();
    let ran = house.user.run(&["serve"]).await;
    assert_eq!(ran.code, Some(1), "{}", ran.said);
    assert!(
        ran.said.contains("ORC012") && ran.said.contains("is open to other users"),
        "{}",
        ran.said
    );
}

/// What stands in the service log.
fn logged(house: &House) -> String {
    fs::read_to_string(house.sockets().join("../logs/service.log")).unwrap_or_default()
}

/// A start of the engine that finds nothing to do, as a person would type it.
async fn starts(house: &House) -> String {
    let ran = house.user.run(&["serve", "--idle", "1ms"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    ran.said
}

#[tokio::test(flavor = "multi_thread")]
async fn each_start_goes_on_with_the_log_and_says_the_same_to_whoever_looks() {
    let house = House::new().await;
    for _ in 0..2 {
        let said = starts(&house).await;
        assert_eq!(said.trim(), "nothing was left to do");
    }
    let text = logged(&house);
    let version = env!("CARGO_PKG_VERSION");
    let begins = format!("version {version} begins, process ");
    assert_eq!(text.matches(&begins).count(), 2, "{text}");
    assert_eq!(text.matches("nothing was left to do").count(), 2, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_where_the_configuration_says() {
    let house = House::new().await;
    let (config, elsewhere) = (
        house
            .user
            .home()
            .path()
            .join("config/opencode-orchestrator"),
        house.user.home().path().join("elsewhere.log"),
    );
    fs::create_dir_all(&config).unwrap();
    let names = format!("[log]\nfile = {:?}\n", elsewhere.to_str().unwrap());
    fs::write(config.join("config.toml"), names).unwrap();
    starts(&house).await;
    let text = fs::read_to_string(&elsewhere).unwrap();
    assert!(text.ends_with(" nothing was left to do\n"), "{text}");
    assert_eq!(logged(&house), "");
    // A configuration that cannot be read takes the log from nobody.
    fs::write(config.join("config.toml"), "[lok]\n").unwrap();
    let said = starts(&house).await;
    assert!(said.contains("ORC013"), "{said}");
    assert!(logged(&house).contains("ORC013"), "{}", logged(&house));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_whose_log_cannot_be_written_says_so_and_works() {
    let house = House::new().await;
    starts(&house).await;
    let log = house.sockets().join("../logs/service.log");
    let kept = house.user.home().path().join("kept");
    fs::write(&kept, "kept").unwrap();
    fs::remove_file(&log).unwrap();
    symlink(&kept, &log).unwrap();
    let said = starts(&house).await;
    assert!(said.contains("cannot be written: it is a link"), "{said}");
    assert!(said.contains("nothing was left to do"), "{said}");
    assert_eq!(fs::read_to_string(&kept).unwrap(), "kept");
    // What the plugin gives it for its first words does not take the place of a log without end.
    let start = house.sockets().join("start.log");
    let full = 2 << 20;
    fs::write(&start, vec![b'\n'; full]).unwrap();
    let words = OpenOptions::new().append(true).open(&start).unwrap();
    let mut serve = house.user.command(crate::house::PROGRAM.as_ref());
    serve.args(["serve", "--idle", "1ms"]).stderr(words);
    assert!(serve.status().await.unwrap().success());
    let text = fs::read_to_string(&start).unwrap();
    assert!(text.len() < full + 1_000, "{}", text.trim_start());
    assert!(
        !text.contains("nothing was left to do"),
        "{}",
        text.trim_start()
    );
    // Inside OpenCode nobody sees it, and nothing else is different.
    let server = house.serve().await;
    let session = server.session().await;
    let mut events = server.events().await;
    server.command(&session, "status", "").await;
    events.until("there is no mission here yet").await;
    drop(server);
    house.ends().await;
    assert_eq!(fs::read_to_string(&kept).unwrap(), "kept");
    let start = fs::read_to_string(&start).unwrap();
    assert!(start.contains("cannot be written: it is a link"), "{start}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_the_plugin_starts_says_everything_to_its_log() {
    let house = House::new().await;
    let server = house.serve().await;
    let session = server.session().await;
    let mut events = server.events().await;
    server.command(&session, "status", "").await;
    events.until("there is no mission here yet").await;
    let engine = house.service().expect("an engine runs");
    // What it says by itself, such as of a panic, goes the same way.
    let stderr = fs::read_link(format!("/proc/{engine}/fd/2")).unwrap();
    let log = house.sockets().join("../logs/service.log");
    assert_eq!(stderr, log.canonicalize().unwrap());
    drop(server);
    house.ends().await;
    let text = logged(&house);
    assert!(
        text.contains(" begins, process ") && text.contains(" ended; missions"),
        "{text}"
    );
    let start = fs::read_to_string(house.sockets().join("start.log")).unwrap();
    assert_eq!(start, "");
}
