//! The user's configuration file, and what is taken when neither it nor a flag says otherwise.
//!
//! A flag wins over an environment variable, that over the file, and that over the default. Nothing is ever read from
//! the project: a repository must not be able to loosen a limit.

mod bounds;
mod clean;
mod rules;

use crate::args::{AgentArgs, Allowed, Form, LimitArgs, Switch, parse_model};
use crate::error::{Error, Kind};
use bounds::Limits;
use clean::Clean;
pub(crate) use clean::Retention;
use engine::pressure::Machine;
use mission::gate::Program;
use mission::limits;
use mission::rules::Rule;
use mission::time::Millis;
use mission::turn::Role;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use workbench::recipe::{Bring, Ecosystem, Means, Recipe};

/// What to do about a key or a value that cannot be.
const KEYS: &str = "`orchestrator explain ORC013` lists the keys";

/// The file as it is written. A key that is not known is an error that names it: a misspelt limit must not be no limit.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    agent: Option<String>,
    model: Option<String>,
    #[serde(default)]
    allow: Vec<Allowed>,
    deliver: Option<Form>,
    #[serde(default)]
    agents: Agents,
    #[serde(default)]
    fallback: Fallback,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    log: Log,
    #[serde(default)]
    clean: Clean,
    #[serde(default)]
    set_up: Vec<SetUp>,
    #[serde(default)]
    rules: Vec<Rule>,
}

/// How workspaces of one project are prepared, where its files do not say it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetUp {
    /// The project's folder.
    project: PathBuf,
    /// The folder below it in which the command runs.
    #[serde(default)]
    directory: String,
    /// A line of shell that runs once for each content of `keyed_by`.
    command: Option<String>,
    #[serde(default)]
    keyed_by: Vec<String>,
    /// Ignored paths that the command makes and every workspace gets.
    #[serde(default)]
    bring: Vec<String>,
    /// The same by hard links.
    #[serde(default)]
    link: Vec<String>,
    /// Files of the project's folder that every workspace gets: environment files.
    #[serde(default)]
    files: Vec<String>,
    /// Variables of the environment that the command and the checks get.
    #[serde(default)]
    variables: Vec<String>,
    /// Programs whose versions the evidence depends on.
    #[serde(default)]
    tools: Vec<String>,
}

impl SetUp {
    fn recipe(&self) -> (PathBuf, Recipe) {
        let by = |means: Means| {
            move |path: &String| Bring {
                path: path.clone(),
                means,
            }
        };
        let copied = self.bring.iter().chain(&self.files);
        let bring = copied
            .map(by(Means::CloneOrCopy))
            .chain(self.link.iter().map(by(Means::HardLink)));
        let recipe = Recipe {
            ecosystem: Ecosystem::Own,
            directory: self.directory.clone(),
            setup: self.command.clone().map(Program::Shell),
            keyed_by: self.keyed_by.clone(),
            bring: bring.collect(),
            variables: self.variables.clone(),
            tools: self.tools.clone(),
            files_from: (!self.files.is_empty()).then(|| self.project.clone()),
            files: self.files.clone(),
            venv: None,
        };
        (self.project.clone(), recipe)
    }

    /// The first path that does not stay below the project, with its key.
    fn outside(&self) -> Option<(&'static str, &str)> {
        let lists = [
            ("keyed_by", &self.keyed_by),
            ("bring", &self.bring),
            ("link", &self.link),
            ("files", &self.files),
        ];
        let stays = |path: &str| {
            let mut parts = Path::new(path).components();
            !path.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
        };
        if !self.directory.is_empty() && !stays(&self.directory) {
            return Some(("directory", &self.directory));
        }
        lists.into_iter().find_map(|(key, list)| {
            let path = list.iter().find(|path| !stays(path))?;
            Some((key, path.as_str()))
        })
    }
}

/// The models that stand in for those that are broken or refuse for long. What is said of a role counts for it alone.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fallback {
    all: Option<Vec<String>>,
    commander: Option<Vec<String>>,
    planner: Option<Vec<String>>,
    worker: Option<Vec<String>>,
    reviewer: Option<Vec<String>>,
}

impl Fallback {
    fn lists(&self) -> [(&'static str, &Option<Vec<String>>); 5] {
        [
            ("all", &self.all),
            ("commander", &self.commander),
            ("planner", &self.planner),
            ("worker", &self.worker),
            ("reviewer", &self.reviewer),
        ]
    }

    /// The first value that does not fit, with its key and why.
    fn wrong(&self) -> Option<String> {
        self.lists().into_iter().find_map(|(key, list)| {
            let list = list.as_deref().unwrap_or_default();
            let wrong = list.iter().find_map(|model| parse_model(model).err());
            let many = list.len() > limits::FALLBACKS;
            let many = many.then(|| too_many(list.len()));
            Some(format!("`fallback.{key}`: {}", wrong.or(many)?))
        })
    }
}

/// Why so many models to fall back to are not taken.
fn too_many(n: usize) -> String {
    format!(
        "{n} models are named; at most {} are taken",
        limits::FALLBACKS
    )
}

/// Where agents run.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Agents {
    #[serde(rename = "where", default)]
    at: Where,
}

/// Where the agents run of a mission that was asked for in OpenCode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Where {
    /// In a server of the engine's own.
    #[default]
    Server,
    /// In the terminal view in which it was asked for, a few at once, where they can be seen.
    Tui,
}

/// The log of the engine that works in the background.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    /// Another place for it than the state directory.
    file: Option<PathBuf>,
}

/// What a mission may use, from wherever each part came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// Who carries turns out, if it was said.
    pub(crate) agent: Option<String>,
    /// The model, if it was said.
    pub(crate) model: Option<String>,
    /// What agents may do without being asked.
    pub(crate) allow: Vec<Allowed>,
    /// How workspaces of the user's projects are prepared, by the project's folder.
    pub(crate) recipes: Vec<(PathBuf, Recipe)>,
    /// A turn of which nothing is heard for this long is over.
    pub(crate) silence: Millis,
    /// The machine whose room for more work counts, if it does.
    pub(crate) machine: Option<Machine>,
    /// Where agents run.
    pub(crate) at: Where,
}

impl Config {
    /// Reads the user's file; no file is an empty one.
    pub(crate) fn read() -> Result<Self, Error> {
        let Some(path) = crate::places::config() else {
            return Ok(Self::default());
        };
        // What is named may be a pipe on purpose, from a shell that fills it.
        let text = match crate::places::config_is_named() {
            true => std::fs::read_to_string(&path),
            false => crate::places::text_of(&path),
        };
        match text {
            Ok(text) => Self::parse(&text, &path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // Only the usual place may be empty; a file that was named is meant to be there.
                match crate::places::config_is_named() {
                    false => Ok(Self::default()),
                    true => Err(Error::new(
                        Kind::Config,
                        format!(
                            "ORCHESTRATOR_CONFIG names {}, and there is no such file",
                            path.display()
                        ),
                    )
                    .hint("make it, or unset ORCHESTRATOR_CONFIG")),
                }
            }
            Err(error) => Err(Error::io("read", &path, &error)),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let config: Self = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = text[..at].matches('\n').count() + 1;
            let what = format!("{}, line {line}: {}", path.display(), error.message());
            Error::new(Kind::Config, what).hint(KEYS)
        })?;
        let in_range = |name: &str, value: Option<u32>, least: u32, most: u32| match value {
            Some(n) if n < least || n > most => {
                let what = format!(
                    "{}: `limits.{name}` is {n}; it must be {least} to {most}",
                    path.display()
                );
                Err(Error::new(Kind::Config, what).hint(KEYS))
            }
            _ => Ok(()),
        };
        let wrong = |what: String| {
            let what = format!("{}: {what}", path.display());
            Err(Error::new(Kind::Config, what).hint(KEYS))
        };
        let is_agent = |agent: &&String| *agent == "opencode" || agent.starts_with("scripted:");
        if let Some(agent) = config.agent.iter().find(|agent| !is_agent(agent)) {
            return wrong(format!(
                "`agent` is {agent:?}; it must be \"opencode\" or \"scripted:FILE\""
            ));
        }
        if let Some(Err(why)) = config.model.as_deref().map(parse_model) {
            return wrong(format!("`model`: {why}"));
        }
        if let Some(what) = config.fallback.wrong() {
            return wrong(what);
        }
        in_range("workers", config.limits.workers, 1, limits::WORKERS_CAP)?;
        in_range("attempts", config.limits.attempts, 1, 10)?;
        in_range("reviews", config.limits.reviews, 0, 10)?;
        in_range("turns", config.limits.turns, 1, 1_000_000)?;
        if let Some(file) = config.log_file().filter(|file| !file.is_absolute()) {
            let named = file.display();
            return wrong(format!("`log.file` is {named}; name the whole path"));
        }
        if let Some(what) = rules::wrong(&config.rules) {
            return wrong(what);
        }
        for set_up in &config.set_up {
            if !set_up.project.is_absolute() {
                let named = set_up.project.display();
                return wrong(format!("`set_up.project` is {named}; name the whole path"));
            }
            if let Some((key, outside)) = set_up.outside() {
                return wrong(format!(
                    "`set_up.{key}` has {outside:?}; name a path below the project"
                ));
            }
        }
        Ok(config)
    }

    /// How workspaces of the user's projects are prepared, by the project's folder.
    pub(crate) fn recipes(&self) -> Vec<(PathBuf, Recipe)> {
        self.set_up.iter().map(SetUp::recipe).collect()
    }

    /// How agents run.
    pub(crate) fn agent(&self, args: &AgentArgs) -> Resolved {
        let allow = if args.allow.is_empty() {
            self.allow.clone()
        } else {
            args.allow.clone()
        };
        Resolved {
            agent: args.agent.clone().or_else(|| self.agent.clone()),
            model: args.model.clone().or_else(|| self.model.clone()),
            allow,
            recipes: self.recipes(),
            at: self.agents.at,
            machine: match args.pressure.or(self.limits.pressure) {
                Some(Switch::Off) => None,
                Some(Switch::On) | None => Machine::here(),
            },
            silence: args
                .silence
                .or(self.limits.silence.map(|time| time.0))
                .unwrap_or(limits::SILENCE),
        }
    }

    /// The models to fall back to, by role.
    pub(crate) fn fallbacks(&self, args: &LimitArgs) -> Result<BTreeMap<Role, Vec<String>>, Error> {
        let named = &args.fallback;
        if named.len() > limits::FALLBACKS {
            return Err(Error::new(Kind::Usage, too_many(named.len()))
                .hint("name the best ones first, and leave the others out"));
        }
        let file = &self.fallback;
        let roles = [
            (Role::Commander, &file.commander),
            (Role::Planner, &file.planner),
            (Role::Worker, &file.worker),
            (Role::Reviewer, &file.reviewer),
        ];
        let of = |own: &Option<Vec<String>>| match named.is_empty() {
            true => own.clone().or_else(|| file.all.clone()).unwrap_or_default(),
            false => named.clone(),
        };
        let all = roles.into_iter().map(|(role, own)| (role, of(own)));
        Ok(all.filter(|(_, list)| !list.is_empty()).collect())
    }

    /// What agents ask for that is answered beforehand.
    pub(crate) fn rules(&self) -> Vec<Rule> {
        rules::trimmed(&self.rules)
    }

    /// Where the service log is kept, if it was said.
    pub(crate) fn log_file(&self) -> Option<&Path> {
        self.log.file.as_deref()
    }

    /// How a result is handed over.
    pub(crate) fn deliver(&self, flag: Option<Form>) -> Form {
        flag.or(self.deliver).unwrap_or(Form::Worktree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("config.toml")).map_err(|error| error.to_string())
    }

    /// No flag at all.
    fn no_limits() -> LimitArgs {
        LimitArgs {
            workers: None,
            attempts: None,
            reviews: None,
            tokens: None,
            cost: None,
            task_tokens: None,
            turns: None,
            ask_above: None,
            plan_ahead: None,
            time: None,
            attempt_time: None,
            fallback: Vec::new(),
        }
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let config =
            parse("model = 'a/b'\n[limits]\nworkers = 5\ntokens = '500k'\ntime = '90m'\n").unwrap();
        let none = no_limits();
        let limits = config.limits(&none);
        assert_eq!(
            (limits.workers, limits.tokens, limits.time),
            (5, 500_000, Millis::from_mins(90))
        );
        assert_eq!(limits.attempts, limits::ATTEMPTS);
        assert_eq!(
            config
                .limits(&LimitArgs {
                    workers: Some(2),
                    ..none
                })
                .workers,
            2
        );
    }

    #[test]
    fn what_is_said_of_a_role_counts_for_it_and_a_flag_for_all() {
        let text = "[fallback]\nall = ['a/b']\nworker = ['c/d', 'e/f']\nreviewer = []\n";
        let config = parse(text).unwrap();
        let mut args = no_limits();
        let told = |args: &LimitArgs| {
            let all = config.fallbacks(args).unwrap();
            let of = |role| all.get(&role).map_or(String::new(), |list| list.join(","));
            [Role::Planner, Role::Worker, Role::Reviewer].map(of)
        };
        assert_eq!(told(&args), ["a/b", "c/d,e/f", ""]);
        args.fallback = vec!["g/h".into()];
        assert_eq!(told(&args), ["g/h", "g/h", "g/h"]);
        args.fallback = vec!["g/h".into(); 4];
        let error = config.fallbacks(&args).unwrap_err().to_string();
        assert!(error.contains("at most 3"), "{error}");
        let error = parse("[fallback]\nall = ['large']\n").unwrap_err();
        assert!(
            error.contains("fallback.all") && error.contains("provider/model"),
            "{error}"
        );
    }

    #[test]
    fn plans_are_begun_ahead_where_the_file_or_a_flag_says_so_and_the_flag_has_the_last_word() {
        let ahead = |text: &str, plan_ahead| {
            let args = LimitArgs {
                plan_ahead,
                ..no_limits()
            };
            parse(text).unwrap().limits(&args).plan_ahead
        };
        let on = "[limits]\nplan_ahead = 'on'\n";
        assert!(!ahead("", None) && ahead(on, None));
        assert!(ahead("", Some(Switch::On)) && !ahead(on, Some(Switch::Off)));
    }

    #[test]
    fn a_misspelt_key_is_named_with_its_place() {
        let error = parse("[limits]\nworker = 5\n").unwrap_err();
        assert!(
            error.contains("worker") && error.contains("line 2"),
            "{error}"
        );
        assert!(
            parse("[limits]\ntime = '90'\n")
                .unwrap_err()
                .contains("unit")
        );
        assert!(
            parse("[limits]\nworkers = 500\n")
                .unwrap_err()
                .contains("1 to 32")
        );
    }

    #[test]
    fn what_a_value_must_be_is_said_although_a_flag_may_win_over_it() {
        for (text, word) in [
            ("agent = 'bob'", "scripted:FILE"),
            ("model = 'large'", "provider/model"),
            ("[log]\nfile = 'a.log'", "whole path"),
            ("[agents]\nwhere = 'here'", "`server` or `tui`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
        assert!(parse("agent = 'opencode'\nmodel = 'a/b/c'\n").is_ok());
    }

    #[test]
    fn a_set_up_names_its_project_and_stays_in_it() {
        let text = "[[set_up]]\nproject = '/p'\ncommand = 'make deps'\nkeyed_by = ['deps.lock']\nbring = ['deps']\nlink = ['data']\nfiles = ['.env']\n";
        let (project, recipe) = parse(text).unwrap().recipes().remove(0);
        let brought: Vec<_> = recipe
            .bring
            .iter()
            .map(|bring| (bring.path.as_str(), bring.means))
            .collect();
        assert_eq!(project, Path::new("/p"));
        assert_eq!(recipe.setup, Some(Program::Shell("make deps".into())));
        assert_eq!(
            brought,
            [
                ("deps", Means::CloneOrCopy),
                (".env", Means::CloneOrCopy),
                ("data", Means::HardLink)
            ]
        );
        assert_eq!(recipe.files_from.as_deref(), Some(Path::new("/p")));
        for (line, word) in [
            ("project = 'p'", "whole path"),
            ("project = '/p'\nbring = ['../x']", "set_up.bring"),
            ("project = '/p'\nfiles = ['/etc/passwd']", "set_up.files"),
            ("project = '/p'\ncomand = 'x'", "comand"),
        ] {
            let error = parse(&format!("[[set_up]]\n{line}\n")).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
