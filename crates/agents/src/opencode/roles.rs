//! Who our agents are to OpenCode: their names, standing instructions and rules, and the configuration that makes the
//! server ours.

use super::server::Wishes;
use crate::ShellRule;
use mission::turn::Role;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use std::ffi::OsStr;
use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

/// The agent's name in OpenCode.
pub(super) fn agent_name(role: Role) -> String {
    format!("orchestrator-{role}")
}

/// A role's standing instructions.
pub fn instructions(role: Role) -> &'static str {
    match role {
        Role::Commander => include_str!("../roles/commander.md"),
        Role::Planner => include_str!("../roles/planner.md"),
        Role::Worker => include_str!("../roles/worker.md"),
        Role::Reviewer => include_str!("../roles/reviewer.md"),
    }
}

/// The line with which a role's instructions come to the form of its answer.
const FORM: &str = "End your last message";

/// The instructions of a role with what the user adds to them. The form of the answer stays last: whatever he adds, the
/// answer has to be read.
pub(super) fn with_wish(role: Role, wish: Option<&String>) -> String {
    let told = instructions(role);
    let (before, form) = told.split_at(told.find(FORM).unwrap_or(told.len()));
    match wish.map(|wish| wish.trim()).filter(|wish| !wish.is_empty()) {
        None => told.to_owned(),
        Some(wish) => format!(
            "{before}What the user adds; where it differs from what stands above, it holds\n{wish}\n\n{form}"
        ),
    }
}

const ROLES: [Role; 4] = [Role::Commander, Role::Planner, Role::Worker, Role::Reviewer];

/// The configuration that comes last and makes the server ours: our agents, and none of the programs that the user has
/// OpenCode start for his own sessions. `mcp` names the user's MCP servers; `before` is what stood in
/// `OPENCODE_CONFIG_CONTENT` already; `wishes` is what the user tells our agents himself.
pub(super) fn content(before: Option<Value>, mcp: &[String], wishes: &Wishes) -> Value {
    let agents: Map<String, Value> = ROLES
        .iter()
        .map(|role| {
            let agent = json!({
                "mode": "primary",
                "hidden": true,
                "description": format!("The {role} of opencode-orchestrator; started by it, not by hand."),
                "prompt": with_wish(*role, wishes.get(&agent_name(*role))),
                "steps": role.steps(),
                // The rules of a turn stand in its session; an agent without one may do nothing.
                "permission": { "*": "deny" },
            });
            (agent_name(*role), agent)
        })
        .collect();
    let off: Map<String, Value> = mcp
        .iter()
        .map(|name| (name.clone(), json!({ "enabled": false })))
        .collect();
    let ours = json!({
        "$schema": "https://opencode.ai/config.json",
        "agent": agents,
        "mcp": off,
        "snapshot": false,
        "autoupdate": false,
        "share": "disabled",
        "formatter": false,
        "lsp": false,
    });
    let mut merged = before.filter(Value::is_object).unwrap_or_else(|| json!({}));
    merge(&mut merged, ours);
    merged
}

/// Lays `over` on `under`: objects are merged, everything else is replaced.
fn merge(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                merge(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

/// The shells that read a line as [`super::turn`] does where it looks for plain searches. OpenCode runs commands in the
/// one that the user's `SHELL` names.
const BOURNE: [&str; 6] = ["sh", "bash", "dash", "ash", "ksh", "zsh"];

/// Whether each command is asked about: where the user closes files to agents, a search must not open them, and what
/// another shell makes of a line nobody knows here.
pub(super) fn told_apart(
    shell: ShellRule,
    user: &Permissions,
    runs_in: Option<&OsStr>,
) -> ShellRule {
    let reads = ["read", "grep", "glob", "list"];
    let open = |tool: &&str| user.forbidden(tool, "allow").is_empty();
    let name = |program: &OsStr| Path::new(program).file_name().map(ToOwned::to_owned);
    let is_bourne = runs_in
        .and_then(name)
        .is_none_or(|name| BOURNE.iter().any(|bourne| name == *bourne));
    match shell {
        ShellRule::Ask if !(is_bourne && reads.iter().all(open)) => ShellRule::AskEach,
        other => other,
    }
}

/// The rules of a session: nothing but what the role needs, and then whatever the user forbids. The last rule that fits
/// wins. A tool that is denied altogether is not even offered to the model, which keeps requests small.
pub(super) fn rules(role: Role, shell: ShellRule, user: &Permissions) -> Value {
    let mut tools = vec![("read", "allow")];
    // Whoever has a shell of its own searches and lists with it, for which nobody is asked unless a rule may want that. The
    // tools for it would be a seventh of every request.
    let searches = role == Role::Worker
        && matches!(shell, ShellRule::Allow | ShellRule::Ask)
        && user.forbidden("bash", "allow").is_empty();
    if !searches {
        tools.extend(["grep", "glob", "list"].map(|tool| (tool, "allow")));
    }
    if role == Role::Worker {
        tools.extend([("edit", "allow"), ("question", "allow")]);
        match shell {
            ShellRule::Allow => tools.push(("bash", "allow")),
            ShellRule::Ask | ShellRule::AskEach => tools.push(("bash", "ask")),
            ShellRule::Deny => {}
        }
    }
    let mut rules = vec![rule("*", "*", "deny")];
    rules.extend(tools.iter().map(|(tool, action)| rule(tool, "*", action)));
    for (secret, action) in [
        ("*.env", "deny"),
        ("*.env.*", "deny"),
        ("*.env.example", "allow"),
    ] {
        rules.push(rule("read", secret, action));
    }
    // Written there, it would be run by a server that is started again, and whoever may run nothing could do that with it.
    if role == Role::Worker && shell != ShellRule::Allow {
        for obeyed in ["opencode.json", "opencode.jsonc", ".opencode/*"] {
            rules.push(rule("edit", obeyed, "deny"));
        }
    }
    for (tool, action) in tools {
        rules.extend(user.forbidden(tool, action));
    }
    Value::Array(rules)
}

/// The rules of a session in which an answer is given in a schema, and nothing else done: OpenCode gives it through a tool.
pub(super) fn nothing_but_the_answer() -> Value {
    json!([
        rule("*", "*", "deny"),
        rule("StructuredOutput", "*", "allow")
    ])
}

fn rule(what: &str, pattern: &str, action: &str) -> Value {
    json!({ "permission": what, "pattern": pattern, "action": action })
}

/// What the user's configuration allows and forbids, in its order, which counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Permissions(Vec<(String, String, String)>);

impl Permissions {
    /// What of a tool the user forbids, as rules to come after ours. Where he makes an exception from what he forbids,
    /// our own action holds: an exception of his never allows more than the role does.
    fn forbidden(&self, tool: &str, ours: &str) -> Vec<Value> {
        let mut found = Vec::new();
        for (what, pattern, action) in &self.0 {
            if !fits(what, tool) {
                continue;
            }
            if action == "deny" {
                found.push(rule(tool, pattern, "deny"));
            } else if !found.is_empty() {
                found.push(rule(tool, pattern, ours));
            }
        }
        found
    }
}

/// Whether a tool has a name that a pattern with `*` and `?` names, as OpenCode reads them.
fn fits(pattern: &str, name: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => name.is_empty(),
        Some('*') => {
            let mut ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            ends.any(|at| fits(rest.as_str(), &name[at..]))
        }
        Some(first) => {
            let mut name = name.chars();
            name.next()
                .is_some_and(|c| (first == '?' || first == c) && fits(rest.as_str(), name.as_str()))
        }
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = "*".to_owned();
        let triples = match OneOr::<Pairs<OneOr<Pairs<String>>>>::deserialize(deserializer)? {
            OneOr::One(action) => vec![(all.clone(), all, action)],
            OneOr::Many(Pairs(tools)) => tools
                .into_iter()
                .flat_map(|(tool, rule)| match rule {
                    OneOr::One(action) => vec![(tool, all.clone(), action)],
                    OneOr::Many(Pairs(patterns)) => patterns
                        .into_iter()
                        .map(|(pattern, action)| (tool.clone(), pattern, action))
                        .collect(),
                })
                .collect(),
        };
        Ok(Self(triples))
    }
}

/// An action for everything, or one for each of several things.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOr<T> {
    One(String),
    Many(T),
}

/// A map in the order in which it was written.
struct Pairs<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for InOrder<T> {
            type Value = Pairs<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(InOrder(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mission::limits;

    fn check(user: &str, role: Role, shell: ShellRule, expected: &str) {
        let user: Permissions = serde_json::from_str(user).unwrap();
        let Value::Array(rules) = rules(role, shell, &user) else {
            panic!("no list")
        };
        let word = |rule: &Value, key: &str| rule[key].as_str().unwrap_or_default().to_owned();
        let shown = rules.iter().map(|r| {
            format!(
                "{} {} {}",
                word(r, "permission"),
                word(r, "pattern"),
                word(r, "action")
            )
        });
        assert_eq!(shown.collect::<Vec<_>>().join("; "), expected);
    }

    #[test]
    fn every_role_is_told_its_tools_how_it_is_checked_when_to_stop_and_what_if_it_cannot() {
        for (role, way_out) in [
            (Role::Commander, "the request cannot be done"),
            (Role::Planner, "the goal cannot be planned"),
            (Role::Worker, "report `spec_wrong`"),
            (Role::Reviewer, "you cannot judge it"),
        ] {
            let told = instructions(role);
            for part in ["tools", "How it will be checked\n", "When to stop", way_out] {
                assert!(told.contains(part), "{role} is not told: {part}");
            }
        }
        let tools = rules(Role::Worker, ShellRule::Ask, &Permissions::default());
        let tools = tools.to_string();
        for tool in ["bash", "question"] {
            assert!(tools.contains(tool), "{tools}");
            assert!(instructions(Role::Worker).contains(&format!("`{tool}`")));
        }
    }

    #[test]
    fn each_command_is_asked_about_where_reading_is_restricted_or_the_shell_is_another() {
        let user = |text: &str| -> Permissions { serde_json::from_str(text).unwrap() };
        let over = |text: &str, shell: &str| {
            told_apart(ShellRule::Ask, &user(text), Some(OsStr::new(shell)))
        };
        for shell in ["/bin/bash", "zsh", "/usr/bin/sh"] {
            assert_eq!(over("{}", shell), ShellRule::Ask, "{shell}");
        }
        for shell in ["/usr/bin/pwsh", "/bin/tcsh", "/usr/bin/fish", "nu"] {
            assert_eq!(over("{}", shell), ShellRule::AskEach, "{shell}");
        }
        for closed in [
            r#"{ "read": { "secrets/*": "deny" } }"#,
            r#"{ "grep": "deny" }"#,
            r#"{ "glob": "deny" }"#,
        ] {
            assert_eq!(over(closed, "sh"), ShellRule::AskEach, "{closed}");
        }
        assert_eq!(
            told_apart(ShellRule::Ask, &user("{}"), None),
            ShellRule::Ask
        );
        let all = told_apart(ShellRule::Allow, &user(r#"{ "read": "deny" }"#), None);
        assert_eq!(all, ShellRule::Allow);
    }

    #[test]
    fn no_agent_makes_more_calls_in_a_row_than_its_turn_may_have() {
        let content = content(None, &[], &Wishes::default());
        for (role, most) in [
            (Role::Commander, limits::STEPS_SHORT),
            (Role::Planner, limits::STEPS_SHORT),
            (Role::Worker, limits::STEPS_WORK),
            (Role::Reviewer, limits::STEPS_SHORT),
        ] {
            let agent = &content["agent"][agent_name(role)];
            assert_eq!(agent["steps"], json!(most), "{role}: {agent}");
        }
    }

    #[test]
    fn what_the_user_adds_comes_before_the_form_of_the_answer() {
        for role in ROLES {
            assert_eq!(with_wish(role, None), instructions(role));
            assert_eq!(with_wish(role, Some(&" \n".to_owned())), instructions(role));
            let told = with_wish(role, Some(&"Use tabs.".to_owned()));
            let (before, form) = told.split_once("\nUse tabs.\n\n").unwrap();
            assert!(form.starts_with(FORM), "{role}: {form}");
            assert!(before.len() + form.len() > instructions(role).len());
        }
    }

    const READS: &str = "* * deny; read * allow; grep * allow; glob * allow; list * allow";
    const SECRETS: &str = "read *.env deny; read *.env.* deny; read *.env.example allow";
    /// What a Worker may not write that may not run every command.
    const OBEYED: &str = "edit opencode.json deny; edit opencode.jsonc deny; edit .opencode/* deny";

    #[test]
    fn a_reviewer_only_reads() {
        check(
            "{}",
            Role::Reviewer,
            ShellRule::Allow,
            &format!("{READS}; {SECRETS}"),
        );
    }

    #[test]
    fn a_worker_edits_and_runs_commands_as_it_may() {
        let edits = "edit * allow; question * allow";
        check(
            "{}",
            Role::Worker,
            ShellRule::Deny,
            &format!("{READS}; {edits}; {SECRETS}; {OBEYED}"),
        );
        check(
            "{}",
            Role::Worker,
            ShellRule::Ask,
            &format!("* * deny; read * allow; {edits}; bash * ask; {SECRETS}; {OBEYED}"),
        );
        check(
            "{}",
            Role::Worker,
            ShellRule::AskEach,
            &format!("{READS}; {edits}; bash * ask; {SECRETS}; {OBEYED}"),
        );
        check(
            "{}",
            Role::Worker,
            ShellRule::Allow,
            &format!("* * deny; read * allow; {edits}; bash * allow; {SECRETS}"),
        );
        // Whoever may not run every command has to search in another way.
        check(
            r#"{"bash": {"git *": "deny"}}"#,
            Role::Worker,
            ShellRule::Allow,
            &format!("{READS}; {edits}; bash * allow; {SECRETS}; bash git * deny"),
        );
    }

    #[test]
    fn what_the_user_forbids_holds_and_what_he_allows_gives_nothing() {
        let user = r#"{"webfetch": "allow", "bash": {"*": "ask", "rm *": "deny", "rm x": "allow"}, "edit": "ask"}"#;
        let base = format!("{READS}; edit * allow; question * allow");
        let ours =
            format!("{base}; bash * ask; {SECRETS}; {OBEYED}; bash rm * deny; bash rm x ask");
        check(user, Role::Worker, ShellRule::Ask, &ours);
        let nothing =
            format!("{READS}; {SECRETS}; read * deny; grep * deny; glob * deny; list * deny");
        check(r#""deny""#, Role::Planner, ShellRule::Deny, &nothing);
        let no_edits = format!("{base}; {SECRETS}; {OBEYED}; edit * deny");
        for some in [r#"{"ed*": "deny"}"#, r#"{"e??t": "deny", "we*": "deny"}"#] {
            check(some, Role::Worker, ShellRule::Deny, &no_edits);
        }
    }
}
