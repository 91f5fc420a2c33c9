//! With the real OpenCode: what it reads, what it loads, and what it refuses.

use super::Home;
use serde_json::Value;
use std::fs;
use std::process::Command;
use testkit::opencode;

/// OpenCode in a home, with a project beside it. What it says about its configuration, or its error.
fn config(home: &Home) -> Result<Value, String> {
    let project = home.path().join("project");
    fs::create_dir_all(&project).unwrap();
    seed(home);
    let mut command = Command::new(opencode::program());
    command
        .args(["debug", "config"])
        .current_dir(project)
        .env_clear();
    command
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home.path());
    for what in ["AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "SHARE"] {
        command.env(format!("OPENCODE_DISABLE_{what}"), "1");
    }
    let ran = super::ran(&mut command);
    match ran.code {
        Some(0) => Ok(serde_json::from_str(&ran.out).unwrap()),
        _ => Err(ran.err + &ran.out),
    }
}

/// Without these two a plugin in the configuration makes OpenCode wait for a registry.
fn seed(home: &Home) {
    fs::create_dir_all(home.config().join("node_modules")).unwrap();
    let lock = serde_json::json!({ "packages": { "": { "dependencies": { "@opencode-ai/plugin": opencode::VERSION } } } });
    home.write("package-lock.json", lock.to_string());
}

fn plugins(home: &Home) -> Vec<String> {
    let config = config(home).unwrap();
    let plugins = config["plugin"].as_array().unwrap().iter();
    plugins
        .map(|plugin| plugin.as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Another plugin of the user, which writes its name into a file when it is initialised.
fn other(home: &Home, name: &str) -> String {
    let folder = home.path().join(name);
    fs::create_dir_all(&folder).unwrap();
    let package = r#"{"name":"NAME","type":"module","exports":{"./server":"./server.js"}}"#;
    fs::write(folder.join("package.json"), package.replace("NAME", name)).unwrap();
    fs::write(folder.join("server.js"), marking(home, name)).unwrap();
    folder.to_str().unwrap().to_owned()
}

fn marking(home: &Home, name: &str) -> String {
    let mark = home.path().join("mark");
    let code = r#"import fs from "node:fs";
export default { id: "NAME", server: async () => { fs.appendFileSync(MARK, "NAME\n"); return {}; } };
"#;
    let mark = Value::from(mark.to_str().unwrap()).to_string();
    code.replace("NAME", name).replace("MARK", &mark)
}

fn marks(home: &Home) -> Vec<String> {
    let text = fs::read_to_string(home.path().join("mark")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn an_installed_plugin_is_loaded_beside_the_users_own_and_not_any_more_afterwards() {
    let home = Home::new();
    let own = other(&home, "own");
    home.write("opencode.json", format!("{{\"plugin\": [\"{own}\"]}}"));
    home.write("opencode.jsonc", "// settings\n{ \"username\": \"ada\" }\n");
    assert_eq!(plugins(&home), [format!("file://{own}")]);
    let before = home.configuration();
    home.install()
        .ends(0, &["opencode.json, whose list", "opencode.json\n"]);
    // In place of the plugin's own entry one that tells that it was run.
    fs::write(
        home.state().join("plugin/server.js"),
        marking(&home, "ours"),
    )
    .unwrap();
    fs::remove_file(home.path().join("mark")).unwrap();
    assert_eq!(
        plugins(&home),
        [format!("file://{own}"), format!("file://{}", home.entry())]
    );
    assert_eq!(marks(&home), ["own", "ours"]);
    home.uninstall().ends(0, &[]);
    assert_eq!(home.configuration(), before);
    assert_eq!(plugins(&home), [format!("file://{own}")]);
}

#[test]
fn what_opencode_reads_we_edit() {
    for (name, text) in [
        (
            "opencode.jsonc",
            "\u{feff}{\r\n\t\"plugin\": [], // none\r\n}\r\n",
        ),
        (
            "opencode.json",
            "{\"n\":1e400,\"m\":9007199254740993,\"x\":\"\\ud800\",\"pl\\u0075gin\":[],}",
        ),
        ("opencode.json", "{\"plugin\":[\"/nowhere\"],\"plugin\":[]}"),
        ("config.json", "{\"model\":\"a/b\"}"),
        ("opencode.jsonc", ""),
    ] {
        let home = Home::new().with(name, text);
        home.install().ends(0, &[]);
        assert_eq!(
            plugins(&home),
            [format!("file://{}", home.entry())],
            "{text}"
        );
        home.uninstall().ends(0, &[]);
    }
}

#[test]
fn what_opencode_refuses_we_leave() {
    for text in [
        "{\"plugin\": [], \"y\": \"a\tb\"}",
        "{\"plugin\": \"a\"}",
        "{\"plugin\": null}",
        "// nothing\n",
        "[]",
    ] {
        let home = Home::new().with("opencode.json", text);
        home.untouched(&["opencode.json"]);
        config(&home).expect_err(text);
    }
}

#[test]
fn a_folder_with_an_odd_name_is_loaded_from() {
    let home = Home::new();
    let state = home.path().join("st ate#1%20{env:HOME}é&\"");
    let run = |word: &str| {
        let mut command = home.command(&[word, "--even-here"]);
        super::ran(command.env("ORCHESTRATOR_STATE_DIR", &state))
    };
    run("install").ends(0, &[]);
    fs::write(state.join("plugin/server.js"), marking(&home, "ours")).unwrap();
    config(&home).unwrap();
    assert_eq!(marks(&home), ["ours"]);
    run("uninstall").ends(0, &[]);
    assert!(plugins(&home).is_empty());
}
