//! The engine that OpenCode starts, as a program.

use crate::house::House;

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
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
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
