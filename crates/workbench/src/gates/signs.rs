//! Signs in the output that a gate could not really run: a program or a service that is not there.
//!
//! They are looked at only when the gate did not pass, and they only ever turn "failed" into "says nothing", never into
//! "passed". Each is a line that one known program writes, so that a test which merely prints something like it is
//! still a test that failed.

/// Ports that services listen on by agreement. A refused connection to another port may as well be the project's own
/// server that does not start, which is a failure.
const SERVICE_PORTS: [&str; 20] = [
    "1433", "1521", "2181", "2375", "2379", "3306", "4222", "4566", "5432", "5433", "5672", "5984",
    "6379", "7687", "8086", "9042", "9092", "9200", "11211", "27017",
];

/// Host names that container set-ups give to services.
const SERVICE_HOSTS: [&str; 12] = [
    "db",
    "database",
    "postgres",
    "postgresql",
    "mysql",
    "mariadb",
    "redis",
    "mongo",
    "mongodb",
    "rabbitmq",
    "kafka",
    "elasticsearch",
];

/// What has been seen so far; the first of each kind is kept.
#[derive(Default)]
pub(super) struct Signs {
    /// A shell said that it knows no such program. Worth something only with [`Signs::relayed`] or exit code 127.
    not_found: Option<String>,
    /// A program that starts others said that the other one ended with 127.
    relayed: bool,
    /// A program said in its own words that a part of it is not installed.
    absent: Option<String>,
    service: Option<String>,
}

impl Signs {
    pub(super) fn line(&mut self, line: &str) {
        let line = line.trim();
        if line.len() > 1000 {
            return;
        }
        keep(&mut self.not_found, || not_found(line));
        keep(&mut self.absent, || absent(line));
        keep(&mut self.service, || service(line));
        self.relayed |= (line.starts_with("make") && line.ends_with("Error 127"))
            || line.starts_with("ELIFECYCLE")
            || line.contains("failed with exit code 127")
            || line.contains("exited with code 127");
    }

    /// The program that is missing, as far as an ending with `code` lets one say so.
    pub(super) fn missing_tool(&self, code: i32) -> Option<&str> {
        let by_shell = (code == 127 || self.relayed)
            .then_some(self.not_found.as_deref())
            .flatten();
        by_shell.or(self.absent.as_deref())
    }

    /// What was said of a service that does not answer.
    pub(super) fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }
}

fn keep(slot: &mut Option<String>, found: impl FnOnce() -> Option<String>) {
    if slot.is_none() {
        *slot = found();
    }
}

/// `sh: 1: jest: not found`, `bash: line 1: jest: command not found`, `make: jest: No such file or directory`,
/// `env: ‘node’: No such file or directory`, `command not found: jest`.
fn not_found(line: &str) -> Option<String> {
    if let Some(name) = line.strip_prefix("command not found: ") {
        return name_of(name);
    }
    let by_shell = line
        .strip_suffix(": command not found")
        .or_else(|| line.strip_suffix(": not found"));
    let by_exec = || {
        line.strip_suffix(": No such file or directory")
            .filter(|_| line.starts_with("env: ") || line.starts_with("make"))
    };
    name_of(by_shell.or_else(by_exec)?.rsplit(": ").next()?)
}

fn absent(line: &str) -> Option<String> {
    let between =
        |before: &str, after: &str| name_of(line.strip_prefix(before)?.split_once(after)?.0);
    // cargo
    between("error: no such command: `", "`")
        .map(|name| format!("cargo-{name}"))
        .or_else(|| between("error: '", "' is not installed for the toolchain"))
        // uv, poetry, pnpm, npx
        .or_else(|| between("error: Failed to spawn: `", "`"))
        .or_else(|| name_of(line.strip_prefix("Command not found: ")?))
        .or_else(|| {
            let rest = line.strip_prefix("ERR_PNPM_RECURSIVE_EXEC_FIRST_FAIL")?;
            name_of(
                rest.trim()
                    .strip_prefix("Command \"")?
                    .split_once("\" not found")?
                    .0,
            )
        })
        .or_else(|| {
            let (_, list) =
                line.split_once("npx canceled due to missing packages and no YES option: [\"")?;
            name_of(list.split(['"', '@']).next()?)
        })
        // `python -m pytest`: the interpreter itself says so, with its own path first and without a traceback
        .or_else(|| {
            let (python, name) = line.split_once(": No module named ")?;
            let is_python = python.rsplit('/').next()?.starts_with("python");
            if is_python {
                name_of(name.trim_matches('\''))
            } else {
                None
            }
        })
}

/// A word that can be a program's name, without quotes.
fn name_of(text: &str) -> Option<String> {
    let name = text.trim_matches(['\'', '"', '`', '‘', '’']);
    let plausible = !name.is_empty() && name.len() <= 100 && !name.contains(char::is_whitespace);
    plausible.then(|| name.to_owned())
}

fn service(line: &str) -> Option<String> {
    let lower = line.to_ascii_lowercase();
    let docker = lower.contains("cannot connect to the docker daemon");
    let local = ["127.0.0.1", "localhost", "::1"]
        .iter()
        .any(|host| lower.contains(host));
    let refused = lower.contains("econnrefused")
        || lower.contains("connection refused")
        || lower.contains("errno 111");
    let known_port = || {
        lower
            .split(|c: char| !c.is_ascii_digit())
            .any(|number| SERVICE_PORTS.contains(&number))
    };
    let unknown_host = [
        "getaddrinfo enotfound ",
        "getaddrinfo eai_again ",
        "could not translate host name \"",
        "lookup ",
    ]
    .iter()
    .filter_map(|before| lower.split_once(before))
    .filter_map(|(_, rest)| {
        rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '.')
            .next()
    })
    .any(|host| SERVICE_HOSTS.contains(&host));
    // A port that the check must have is somebody else's: a server that runs on this machine, as a rule.
    let taken = ["eaddrinuse", "address already in use", "addrinuse"]
        .iter()
        .any(|sign| lower.contains(sign));
    let found = docker || (local && refused && known_port()) || unknown_host || taken;
    found.then(|| line.chars().filter(|c| !c.is_control()).take(200).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs(text: &str) -> Signs {
        let mut signs = Signs::default();
        text.lines().for_each(|line| signs.line(line));
        signs
    }

    #[test]
    fn a_missing_program_is_named() {
        for (code, text, name) in [
            (127, "> test\n> jest\n\nsh: 1: jest: not found", "jest"),
            (127, "bash: line 1: no-such: command not found", "no-such"),
            (127, "env: ‘node’: No such file or directory", "node"),
            (
                2,
                "make: pytest: No such file or directory\nmake: *** [Makefile:2: test] Error 127",
                "pytest",
            ),
            (
                1,
                "sh: 1: vitest: not found\n ELIFECYCLE  Test failed. See above for more details.",
                "vitest",
            ),
            (
                101,
                "error: no such command: `nextest`\n\nhelp: view all installed commands",
                "cargo-nextest",
            ),
            (
                1,
                "error: 'cargo-clippy' is not installed for the toolchain 'stable'.",
                "cargo-clippy",
            ),
            (1, "/usr/bin/python3: No module named pytest", "pytest"),
            (
                2,
                "error: Failed to spawn: `pytest`\n  Caused by: No such file or directory (os error 2)",
                "pytest",
            ),
            (
                1,
                "npm error npx canceled due to missing packages and no YES option: [\"tsc@2.0.4\"]",
                "tsc",
            ),
            (
                1,
                " ERR_PNPM_RECURSIVE_EXEC_FIRST_FAIL  Command \"tsc\" not found",
                "tsc",
            ),
        ] {
            assert_eq!(signs(text).missing_tool(code), Some(name), "{text}");
        }
    }

    #[test]
    fn a_failure_that_only_sounds_like_it_stays_a_failure() {
        for (code, text) in [
            (1, "sh: 1: jest: not found"),
            (1, "npm error Missing script: \"lint\""),
            (1, "E   ModuleNotFoundError: No module named 'app.models'"),
            (1, "ImportError: No module named app"),
            (1, "AssertionError: page: not found"),
            (127, "the user was not found"),
        ] {
            assert_eq!(signs(text).missing_tool(code), None, "{text}");
        }
    }

    #[test]
    fn a_service_that_does_not_answer_is_told_from_a_broken_server() {
        for text in [
            "Error: connect ECONNREFUSED 127.0.0.1:5432",
            "connection to server at \"localhost\" (127.0.0.1), port 5432 failed: Connection refused",
            "dial tcp [::1]:6379: connect: connection refused",
            "pymongo.errors.ServerSelectionTimeoutError: localhost:27017: [Errno 111] Connection refused",
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            "Error: getaddrinfo ENOTFOUND postgres",
            "could not translate host name \"db\" to address: Name or service not known",
            "Error: listen EADDRINUSE: address already in use 127.0.0.1:3000",
            "OSError: [Errno 98] Address already in use",
            "listen tcp :8080: bind: address already in use",
            "called `Result::unwrap()` on an `Err` value: Os { code: 98, kind: AddrInUse, message: \"Address already in use\" }",
        ] {
            assert!(signs(text).service().is_some(), "{text}");
        }
        for text in [
            "Error: connect ECONNREFUSED 127.0.0.1:3000",
            "connection refused",
            "Error: getaddrinfo ENOTFOUND api.example.com",
            "expected 5432 to equal 127.0.0.1",
        ] {
            assert_eq!(signs(text).service(), None, "{text}");
        }
    }
}
