//! `install` and `uninstall` on real files, as they are found in the wild, and with the real OpenCode where it decides.
#![cfg(test)]

mod backups;
mod crowd;
#[cfg(feature = "faults")]
mod cut_short;
mod doctor;
mod files;
mod flushed;
mod places;
mod real;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A user with a home and nothing in it.
pub(crate) struct Home {
    dir: TempDir,
}

/// How the program ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Checks its exit code and what it said.
    #[track_caller]
    pub(crate) fn ends(self, code: i32, saying: &[&str]) -> Self {
        let said = format!("{}{}", self.err, self.out);
        assert_eq!(self.code, Some(code), "{said}");
        for text in saying {
            assert!(said.contains(text), "it does not say {text:?}:\n{said}");
        }
        self
    }
}

impl Home {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("in").tempdir().unwrap();
        Self { dir }
    }

    /// With a file in the folder of OpenCode's configuration.
    pub(crate) fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.write(name, bytes);
        self
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::create_dir_all(self.config()).unwrap();
        fs::write(self.config().join(name), bytes).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The folder of OpenCode's configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join(".config/opencode")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// What is registered: the plugin's folder.
    pub(crate) fn entry(&self) -> String {
        self.state().join("plugin").to_str().unwrap().to_owned()
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.config().join(name)).unwrap()
    }

    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// The program with these words, in the home, with no variables but those that it needs.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator"));
        command
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("ORCHESTRATOR_STATE_DIR", self.state())
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        ran(&mut self.command(words))
    }

    /// Installs, in spite of the build folder that the tests run from.
    pub(crate) fn install(&self) -> Ran {
        self.run(&["install", "--even-here"])
    }

    pub(crate) fn uninstall(&self) -> Ran {
        self.run(&["uninstall", "--even-here"])
    }

    /// Everything in the folder of OpenCode's configuration: bytes, mode, owner, and where links lead.
    pub(crate) fn configuration(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(self.config()).into_iter().flatten() {
            let entry = entry.unwrap();
            let data = entry.metadata().unwrap();
            let content = match data.is_file() {
                true => format!(
                    "{:?}",
                    String::from_utf8_lossy(&fs::read(entry.path()).unwrap())
                ),
                false => format!("{:?}", fs::read_link(entry.path()).ok()),
            };
            let name = entry.file_name().into_string().unwrap();
            let told = format!("{:o} {}:{} {content}", data.mode(), data.uid(), data.gid());
            found.insert(name, told);
        }
        found
    }

    /// Installs, checks what the file has become, takes it out again and checks that every byte is back.
    #[track_caller]
    pub(crate) fn there_and_back(&self, name: &str, wanted: &str) {
        let before = self.configuration();
        self.install().ends(0, &[]);
        let wanted = wanted.replace("OURS", &self.entry());
        assert_eq!(self.text(name), wanted);
        self.install().ends(0, &["nothing was changed"]);
        assert_eq!(self.text(name), wanted, "twice is once");
        self.uninstall().ends(0, &[]);
        assert_eq!(self.configuration(), before);
        assert!(!self.state().join("plugin").exists());
        self.uninstall()
            .ends(0, &["it is not installed; nothing was changed"]);
        assert_eq!(self.configuration(), before);
    }

    /// Shows that neither command changes anything, and that both say what is wrong.
    #[track_caller]
    pub(crate) fn untouched(&self, saying: &[&str]) {
        let before = self.configuration();
        for word in ["install", "uninstall"] {
            let ran = self.run(&[word, "--even-here"]).ends(1, &["error[ORC014]"]);
            ran.ends(1, saying);
            assert_eq!(self.configuration(), before);
        }
    }
}

pub(crate) fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}
