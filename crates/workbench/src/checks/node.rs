//! npm, pnpm, Yarn and Bun.

use super::{Detected, Files, at, gate, words};
use crate::recipe::{Bring, Ecosystem, Means, Recipe};
use mission::gate::{GateKind, Program};
use serde_json::Value;

const ESLINT: [&str; 9] = [
    "eslint.config.js",
    "eslint.config.mjs",
    "eslint.config.cjs",
    "eslint.config.ts",
    ".eslintrc",
    ".eslintrc.js",
    ".eslintrc.cjs",
    ".eslintrc.json",
    ".eslintrc.yml",
];

const TEST_CONFIGURATION: [&str; 12] = [
    "jest.config.js",
    "jest.config.ts",
    "jest.config.mjs",
    "jest.config.cjs",
    "jest.config.json",
    "vitest.config.ts",
    "vitest.config.js",
    "vitest.config.mts",
    "vitest.workspace.ts",
    "vite.config.ts",
    ".mocharc.json",
    ".mocharc.yml",
];

/// Scripts that run scripts are followed this deep.
const SCRIPT_DEPTH: usize = 3;

pub(super) fn detect(files: &mut Files, folder: &str, detected: &mut Detected) {
    let manifest = at(folder, "package.json");
    let Some(package) = files.json(&manifest) else {
        return;
    };
    let (manager, because) = manager(files, folder, &package);
    let scripts = Scripts {
        package: &package,
        manifest: &manifest,
        manager,
        folder,
    };
    let before = detected.gates.len();
    scripts.test(files, detected);
    scripts.lint(files, detected);
    scripts.types(files, detected);
    if detected.gates.len() == before && !folder.is_empty() {
        return;
    }
    if let Some(recipe) = recipe(files, folder, manager, &package) {
        detected.why.push(format!(
            "{manager} prepares {}, because of {because}",
            if folder.is_empty() {
                "the root"
            } else {
                folder
            }
        ));
        detected.recipes.push(recipe);
    }
}

/// By lock file here, by what the manifest names, by lock file at the root (workspaces have one), or npm.
fn manager(files: &mut Files, folder: &str, package: &Value) -> (Ecosystem, String) {
    let locks = [
        ("pnpm-lock.yaml", Ecosystem::Pnpm),
        ("yarn.lock", Ecosystem::Yarn),
        ("bun.lock", Ecosystem::Bun),
        ("bun.lockb", Ecosystem::Bun),
        ("package-lock.json", Ecosystem::Npm),
        ("npm-shrinkwrap.json", Ecosystem::Npm),
    ];
    let named = package
        .get("packageManager")
        .and_then(Value::as_str)
        .and_then(|text| {
            let name = text.split('@').next()?;
            [
                Ecosystem::Pnpm,
                Ecosystem::Yarn,
                Ecosystem::Bun,
                Ecosystem::Npm,
            ]
            .into_iter()
            .find(|manager| manager.to_string() == name)
        });
    if let Some(manager) = named {
        return (manager, "`packageManager` in package.json".to_owned());
    }
    for place in [folder, ""] {
        if let Some((lock, manager)) = locks
            .iter()
            .find(|(lock, _)| files.is_file(&at(place, lock)))
        {
            return (*manager, at(place, lock));
        }
    }
    (
        Ecosystem::Npm,
        "package.json without a lock file".to_owned(),
    )
}

struct Scripts<'a> {
    package: &'a Value,
    manifest: &'a str,
    manager: Ecosystem,
    folder: &'a str,
}

impl Scripts<'_> {
    fn script(&self, name: &str) -> Option<&str> {
        self.package
            .get("scripts")?
            .get(name)?
            .as_str()
            .filter(|text| !text.trim().is_empty())
    }

    fn depends_on(&self, name: &str) -> bool {
        let lists = ["dependencies", "devDependencies", "optionalDependencies"];
        lists.iter().any(|list| {
            self.package
                .get(list)
                .is_some_and(|list| list.get(name).is_some())
        })
    }

    fn run(&self, script: &str) -> Vec<String> {
        let manager = self.manager.to_string();
        match script {
            // `bun test` is Bun's own runner, not the script.
            "test" if self.manager != Ecosystem::Bun => vec![manager, "test".to_owned()],
            _ => vec![manager, "run".to_owned(), script.to_owned()],
        }
    }

    /// A program of the project's own dependencies; it is never fetched.
    fn exec(&self, line: &str) -> Vec<String> {
        words(&match self.manager {
            Ecosystem::Pnpm => format!("pnpm exec {line}"),
            Ecosystem::Yarn => format!("yarn run {line}"),
            Ecosystem::Bun => format!("bunx --no-install {line}"),
            _ => format!("npx --no-install {line}"),
        })
    }

    /// The first of `names` that is a script which ends by itself and changes no files.
    fn usable(&self, names: &[&'static str], detected: &mut Detected) -> Option<&'static str> {
        for name in names {
            let Some(text) = self.script(name) else {
                continue;
            };
            let manifest = self.manifest;
            if text.contains("no test specified") {
                detected.notes.push(format!(
                    "`scripts.{name}` in {manifest} is npm's placeholder"
                ));
            } else if text.contains("--watch")
                && !text.contains("--watch=false")
                && !text.contains("--watchAll=false")
            {
                detected.notes.push(format!(
                    "`scripts.{name}` in {manifest} watches and never ends"
                ));
            } else if text
                .split([' ', '='])
                .any(|word| matches!(word, "--fix" | "--write"))
            {
                detected.notes.push(format!(
                    "`scripts.{name}` in {manifest} changes files, so it is no check"
                ));
            } else {
                return Some(name);
            }
        }
        None
    }

    fn by_script(
        &self,
        files: &mut Files,
        detected: &mut Detected,
        kind: GateKind,
        names: &[&'static str],
        defined_by: &[&str],
    ) -> bool {
        let Some(name) = self.usable(names, detected) else {
            return false;
        };
        let source = format!("`scripts.{name}` in {}", self.manifest);
        let id = format!("{}-{}", self.manager, name.replace(':', "-"));
        let argv = self.run(name);
        let mut found = gate(files, self.folder, &id, kind, argv, source, defined_by);
        super::defined_too(&mut found, files, &self.lines(name, SCRIPT_DEPTH));
        detected.gates.push(found);
        true
    }

    /// The text of a script, of those that run before and after it, and of those that it runs by their names.
    fn lines(&self, name: &str, depth: usize) -> String {
        let all = [format!("pre{name}"), name.to_owned(), format!("post{name}")];
        let mut lines = String::new();
        for text in all.iter().filter_map(|name| self.script(name)) {
            lines.push_str(text);
            lines.push('\n');
            let words: Vec<&str> = text.split([' ', '&', '|', ';']).collect();
            let named = words.windows(2).filter(|pair| pair[0] == "run");
            for pair in named.take_while(|_| depth > 0) {
                lines.push_str(&self.lines(pair[1], depth - 1));
            }
        }
        lines
    }

    fn test(&self, files: &mut Files, detected: &mut Detected) {
        let defined_by: Vec<_> = std::iter::once("package.json")
            .chain(TEST_CONFIGURATION)
            .collect();
        self.by_script(
            files,
            detected,
            GateKind::Test,
            &["test", "test:ci", "test:run", "test:unit"],
            &defined_by,
        );
    }

    fn lint(&self, files: &mut Files, detected: &mut Detected) {
        let defined_by: Vec<_> = ["package.json", "biome.json", ".oxlintrc.json"]
            .into_iter()
            .chain(ESLINT)
            .collect();
        if self.by_script(
            files,
            detected,
            GateKind::Lint,
            &["lint", "lint:check", "lint:ci"],
            &defined_by,
        ) {
            return;
        }
        let found = [
            ("eslint", "eslint .", ESLINT.as_slice()),
            (
                "@biomejs/biome",
                "biome lint",
                &["biome.json", "biome.jsonc"],
            ),
        ];
        for (dependency, line, configurations) in found {
            let Some(configuration) = files
                .first(self.folder, configurations)
                .filter(|_| self.depends_on(dependency))
            else {
                continue;
            };
            let id = line.split(' ').next().unwrap_or(line);
            detected.gates.push(gate(
                files,
                self.folder,
                id,
                GateKind::Lint,
                self.exec(line),
                configuration.to_owned(),
                &[configuration],
            ));
        }
    }

    fn types(&self, files: &mut Files, detected: &mut Detected) {
        let names = ["typecheck", "type-check", "check-types", "types", "tsc"];
        if self.by_script(
            files,
            detected,
            GateKind::Types,
            &names,
            &["package.json", "tsconfig.json"],
        ) {
            return;
        }
        if files.is_file(&at(self.folder, "tsconfig.json")) && self.depends_on("typescript") {
            let source = at(self.folder, "tsconfig.json");
            detected.gates.push(gate(
                files,
                self.folder,
                "tsc",
                GateKind::Types,
                self.exec("tsc --noEmit"),
                source,
                &["tsconfig.json"],
            ));
        }
    }
}

/// What installs exactly what the lock file says, or, without one, writes none.
fn setup(manager: Ecosystem, locked: bool, new_yarn: bool) -> &'static str {
    match (manager, locked) {
        (Ecosystem::Pnpm, true) => "pnpm install --frozen-lockfile",
        (Ecosystem::Yarn, true) if new_yarn => "yarn install --immutable",
        (Ecosystem::Yarn, true) => "yarn install --frozen-lockfile",
        (Ecosystem::Bun, true) => "bun install --frozen-lockfile",
        (Ecosystem::Npm, true) => "npm ci --no-audit --no-fund",
        (Ecosystem::Pnpm, false) => "pnpm install --no-lockfile",
        (Ecosystem::Yarn, false) => "yarn install",
        (Ecosystem::Bun, false) => "bun install --no-save",
        (_, _) => "npm install --no-audit --no-fund --no-package-lock",
    }
}

fn recipe(files: &mut Files, folder: &str, manager: Ecosystem, package: &Value) -> Option<Recipe> {
    let wants = |list: &str| {
        package
            .get(list)
            .and_then(Value::as_object)
            .is_some_and(|list| !list.is_empty())
    };
    let workspaces =
        package.get("workspaces").is_some() || files.is_file(&at(folder, "pnpm-workspace.yaml"));
    let any = ["dependencies", "devDependencies", "optionalDependencies"]
        .iter()
        .any(|list| wants(list));
    if !any && !workspaces {
        return None;
    }
    let names: &[&str] = match manager {
        Ecosystem::Pnpm => &["pnpm-lock.yaml"],
        Ecosystem::Yarn => &["yarn.lock"],
        Ecosystem::Bun => &["bun.lock", "bun.lockb"],
        _ => &["package-lock.json", "npm-shrinkwrap.json"],
    };
    let lock = files.first(folder, names);
    let new_yarn = files.is_file(&at(folder, ".yarnrc.yml"));
    let setup = setup(manager, lock.is_some(), new_yarn);
    let mut bring = vec![at(folder, "node_modules")];
    if workspaces {
        // Members have folders of their own for what does not fit at the root.
        let members = files
            .folders()
            .into_iter()
            .filter(|member| files.is_file(&at(member, "package.json")));
        bring.extend(
            members
                .filter(|member| folder.is_empty() || member.starts_with(&format!("{folder}/")))
                .map(|m| at(&m, "node_modules")),
        );
    }
    if new_yarn {
        bring.extend(
            [
                ".pnp.cjs",
                ".pnp.loader.mjs",
                ".yarn/cache",
                ".yarn/unplugged",
                ".yarn/install-state.gz",
            ]
            .map(|name| at(folder, name)),
        );
    }
    Some(Recipe {
        ecosystem: manager,
        directory: folder.to_owned(),
        setup: Some(Program::Argv(words(setup))),
        keyed_by: vec![at(folder, lock.unwrap_or("package.json"))],
        bring: bring
            .into_iter()
            .map(|path| Bring {
                path,
                means: Means::CloneOrCopy,
            })
            .collect(),
        variables: ["NVM_DIR", "PNPM_HOME", "BUN_INSTALL"]
            .map(str::to_owned)
            .to_vec(),
        tools: if manager == Ecosystem::Bun {
            words("bun")
        } else {
            vec!["node".to_owned(), manager.to_string()]
        },
        files: Vec::new(),
        files_from: None,
        venv: None,
    })
}
