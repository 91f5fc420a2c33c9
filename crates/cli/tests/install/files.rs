//! Configuration files as they are found in the wild.

use super::Home;

#[test]
fn without_a_folder_one_is_made_and_goes_again() {
    let home = Home::new();
    let wanted =
        "{\n  \"$schema\": \"https://opencode.ai/config.json\",\n  \"plugin\": [\"OURS\"]\n}\n";
    home.there_and_back("opencode.jsonc", wanted);
    assert!(!home.config().exists());
}

#[test]
fn an_empty_file_is_filled_and_is_empty_again() {
    let home = Home::new().with("opencode.json", "");
    let wanted =
        "{\n  \"$schema\": \"https://opencode.ai/config.json\",\n  \"plugin\": [\"OURS\"]\n}\n";
    home.there_and_back("opencode.json", wanted);
}

#[test]
fn siblings_in_every_form_stay_as_they_are() {
    let text = r#"{
   "plugin" : [ "a@1.2.3", "file:///x/y.js",
      ["tuple", {"x": [1,2]}], {"an": "object"},
      "./relative.ts" ],
   "model": "m"
}"#;
    let wanted = text.replace("\"./relative.ts\"", "\"./relative.ts\",\n      \"OURS\"");
    Home::new()
        .with("opencode.json", text)
        .there_and_back("opencode.json", &wanted);
}

#[test]
fn a_json_file_with_comments_and_trailing_commas_keeps_all_of_it() {
    let text = "// mine\n{\n  /* why */ \"model\": \"m\", // because\n  \"permission\": { \"bash\": \"ask\", },\n}\n";
    let wanted = text.replace("},\n}", "},\n  \"plugin\": [\"OURS\"],\n}");
    Home::new()
        .with("opencode.json", text)
        .there_and_back("opencode.json", &wanted);
}

#[test]
fn tabs_and_comments_inside_the_list_stay() {
    let text = "{\n\t\"plugin\": [\n\t\t// first\n\t\t\"a\", // one\n\t\t/* \"b\", */\n\t\t\"c\" // three\n\t\t// last\n\t]\n}";
    let wanted = text.replace("\"c\" // three", "\"c\", // three\n\t\t\"OURS\"");
    Home::new()
        .with("opencode.jsonc", text)
        .there_and_back("opencode.jsonc", &wanted);
}

#[test]
fn a_file_with_windows_line_ends_and_a_mark_keeps_both() {
    let text = "\u{feff}{\r\n    \"model\": \"m\",\r\n    \"plugin\": [\r\n        \"a\"\r\n    ]\r\n}\r\n";
    let wanted = text.replace("\"a\"\r\n", "\"a\",\r\n        \"OURS\"\r\n");
    Home::new()
        .with("opencode.jsonc", text)
        .there_and_back("opencode.jsonc", &wanted);
}

#[test]
fn numbers_keys_and_strings_that_parsers_bend_stay_as_they_are() {
    let text = r#"{"a":9007199254740993,"b":1e400,"c":-0.10,"s":"é\u00e9\ud800\/","x":{"plugin":["no"]},"pl\u0075gin":["a"]}"#;
    let wanted = text.replace(r#"["a"]"#, r#"["a", "OURS"]"#);
    Home::new()
        .with("opencode.json", text)
        .there_and_back("opencode.json", &wanted);
}

#[test]
fn of_two_equal_keys_the_one_that_counts_is_used() {
    let text = "{\"plugin\":[\"a\"],\n\"plugin\":[\"b\",],}";
    let wanted = "{\"plugin\":[\"a\"],\n\"plugin\":[\"b\", \"OURS\",],}";
    Home::new()
        .with("opencode.json", text)
        .there_and_back("opencode.json", wanted);
}

#[test]
fn a_huge_file_on_one_line_gets_its_entry() {
    let long = "\"x\",".repeat(400_000);
    let text = format!("{{\"instructions\":[{long}],\"plugin\":[]}}");
    let wanted = format!("{{\"instructions\":[{long}],\"plugin\":[\"OURS\"]}}");
    Home::new()
        .with("opencode.json", text)
        .there_and_back("opencode.json", &wanted);
}

#[test]
fn where_the_plugins_stand_in_the_lower_file_the_higher_one_gets_no_list() {
    let home = Home::new()
        .with("config.json", r#"{"plugin":["dead"]}"#)
        .with("opencode.json", r#"{"plugin":["mine"]}"#)
        .with("opencode.jsonc", "// settings\n{\"model\":\"m\"}\n");
    home.there_and_back("opencode.json", r#"{"plugin":["mine", "OURS"]}"#);
}

#[test]
fn an_empty_list_in_the_higher_file_is_the_one_that_counts() {
    let home = Home::new()
        .with("opencode.json", r#"{"plugin":["dead"]}"#)
        .with("opencode.jsonc", r#"{"plugin":[]}"#);
    home.there_and_back("opencode.jsonc", r#"{"plugin":["OURS"]}"#);
}

#[test]
fn where_nobody_lists_plugins_the_highest_file_gets_the_list() {
    let home = Home::new()
        .with("config.json", "{}")
        .with("opencode.jsonc", "{ }");
    home.there_and_back("opencode.jsonc", r#"{"plugin": ["OURS"] }"#);
    let home = Home::new().with("config.json", "{\"model\":\"m\"}");
    let first = "config.json, the first file that there is, as none has a list `plugin`";
    home.run(&["install", "--dry-run"]).ends(0, &[first]);
    home.there_and_back("config.json", r#"{"model":"m", "plugin": ["OURS"]}"#);
}

#[test]
fn an_entry_in_a_file_that_does_not_count_is_none_and_both_go_again() {
    let home = Home::new().with("opencode.jsonc", r#"{"plugin":["a"]}"#);
    let dead = format!(r#"{{"plugin":["{}", "b"]}}"#, home.entry());
    home.write("opencode.json", dead);
    home.install().ends(0, &["registered in", "opencode.jsonc"]);
    let wanted = format!(r#"{{"plugin":["a", "{}"]}}"#, home.entry());
    assert_eq!(home.text("opencode.jsonc"), wanted);
    home.uninstall().ends(0, &[]);
    assert_eq!(home.text("opencode.jsonc"), r#"{"plugin":["a"]}"#);
    assert_eq!(home.text("opencode.json"), r#"{"plugin":["b"]}"#);
}

#[test]
fn what_is_ours_in_any_form_is_not_registered_twice() {
    for form in ["opencode-orchestrator", "opencode-orchestrator@1.2.3"] {
        for entry in [format!("\"{form}\""), format!("[\"{form}\", {{\"x\": 1}}]")] {
            let text = format!("{{\"plugin\": [\"a\", {entry}, \"b\"]}}");
            let home = Home::new().with("opencode.json", &text);
            home.install().ends(0, &["registered already", form]);
            assert_eq!(home.text("opencode.json"), text);
            home.uninstall().ends(0, &["taken out of"]);
            assert_eq!(home.text("opencode.json"), "{\"plugin\": [\"a\", \"b\"]}");
        }
    }
    let home = Home::new();
    let folder = home.entry();
    for entry in [
        format!("[\"{folder}\", {{}}]"),
        format!("\"{folder}/\""),
        format!("\"file://{folder}\""),
    ] {
        let text = format!("{{\"plugin\": [{entry}]}}");
        home.write("opencode.json", &text);
        home.install().ends(0, &["registered already"]);
        assert_eq!(home.text("opencode.json"), text);
    }
}

#[test]
fn look_alikes_are_somebody_elses() {
    let text = r#"{"plugin":["@other/opencode-orchestrator","opencode-orchestrator-extra@1"]}"#;
    let wanted = text.replace("@1\"]", "@1\", \"OURS\"]");
    Home::new()
        .with("opencode.json", text)
        .there_and_back("opencode.json", &wanted);
}

#[test]
fn invalid_files_are_left_with_line_and_column() {
    for (text, place) in [
        ("{\n  \"a\": 1\n  \"plugin\": []\n}", "line 3, column 3"),
        ("{\"plugin\": [\"a\",", "line 1, column 17"),
        ("{'plugin': []}", "line 1, column 2"),
        ("// only a comment\n", "line 2, column 1"),
        ("  \n", "line 2, column 1"),
        ("[]", "line 1, column 1"),
        ("{\"plugin\": \"a\"}", "line 1, column 12"),
        ("{\"plugin\": null}", "line 1, column 12"),
        ("{\"plugin\": {\"a\": 1}}", "line 1, column 12"),
        ("{\"plugin\": 3}", "line 1, column 12"),
        ("\u{feff}{", "line 1, column 2"),
    ] {
        Home::new()
            .with("opencode.json", text)
            .untouched(&["opencode.json", place]);
    }
    Home::new()
        .with("opencode.json", b"{\"a\": \"\xff\"}")
        .untouched(&["line 1, column 8"]);
    // A file that does not count still keeps OpenCode from starting.
    let home = Home::new()
        .with("opencode.jsonc", "{}")
        .with("config.json", "{");
    home.untouched(&["config.json", "line 1, column 2"]);
}

#[test]
fn what_the_user_and_opencode_wrote_after_the_install_stays() {
    let home = Home::new().with("opencode.json", "{\n  \"model\": \"m\"\n}\n");
    home.install().ends(0, &[]);
    // OpenCode puts its schema in when it starts; the user adds a plugin and a comment.
    let text = home
        .text("opencode.json")
        .replacen('{', "{\n  \"$schema\": \"s\",", 1);
    let text = text
        .replace("[\"", "[\"mine\", \"")
        .replace("\"m\"", "\"m\" /* ! */");
    home.write("opencode.json", text);
    home.uninstall().ends(0, &["taken out of"]);
    let wanted =
        "{\n  \"$schema\": \"s\",\n  \"model\": \"m\" /* ! */,\n  \"plugin\": [\"mine\"]\n}\n";
    assert_eq!(home.text("opencode.json"), wanted);
}

#[test]
fn a_key_that_we_made_goes_though_opencode_has_written_since() {
    let home = Home::new().with("opencode.json", "{\n  \"model\": \"m\"\n}\n");
    home.install().ends(0, &[]);
    let text = home
        .text("opencode.json")
        .replacen('{', "{\n  \"$schema\": \"s\",", 1);
    home.write("opencode.json", text);
    home.uninstall().ends(0, &[]);
    let wanted = "{\n  \"$schema\": \"s\",\n  \"model\": \"m\"\n}\n";
    assert_eq!(home.text("opencode.json"), wanted);
    // A list that was there before stays, empty as it was.
    let home = Home::new().with("opencode.json", r#"{"plugin":[]}"#);
    home.there_and_back("opencode.json", r#"{"plugin":["OURS"]}"#);
}

#[test]
fn a_dry_run_prints_the_difference_and_changes_nothing() {
    let home = Home::new().with("opencode.json", "{\n  \"plugin\": [\n    \"a\"\n  ]\n}\n");
    let before = home.configuration();
    let ran = home
        .run(&["install", "--dry-run"])
        .ends(0, &["would write the plugin's files"]);
    let file = home.config().join("opencode.json");
    let (file, entry) = (file.display(), home.entry());
    let screen = home.config().join("tui.jsonc");
    let screen = screen.display();
    for told in [
        format!("{file}, whose list `plugin` is the one that OpenCode counts\n"),
        format!("{screen}, which is new, as there was none\n"),
    ] {
        assert!(
            ran.err.contains(&format!("would register in {told}")),
            "{ran:?}"
        );
    }
    let wanted = format!(
        "--- a{file}\n+++ b{file}\n@@ -1,5 +1,6 @@\n {{\n   \"plugin\": [\n-    \"a\"\n+    \"a\",\n+    \"{entry}\"\n   ]\n }}\n"
    ) + &format!(
        "--- /dev/null\n+++ b{screen}\n@@ -0,0 +1,4 @@\n+{{\n+  \"$schema\": \"https://opencode.ai/tui.json\",\n+  \"plugin\": [\"{entry}\"]\n+}}\n"
    );
    assert_eq!(ran.out, wanted);
    assert_eq!(home.configuration(), before);
    assert!(!home.state().exists());
    home.install().ends(0, &[]);
    let installed = home.configuration();
    let ran = home
        .run(&["uninstall", "--dry-run"])
        .ends(0, &["would remove"]);
    assert!(
        ran.out.contains("-    \"a\",\n") && ran.out.contains("+    \"a\"\n"),
        "{ran:?}"
    );
    assert_eq!(home.configuration(), installed);
}
