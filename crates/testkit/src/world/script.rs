//! Scripts for agents, in short sentences.

use serde_json::{Value, json};

/// A script: the first turn that fits an order is played.
#[derive(Clone, Debug, Default)]
pub struct Script {
    turns: Vec<Value>,
    permits: Option<Value>,
}

/// One task of a plan.
#[derive(Clone, Debug)]
pub struct Task(Value);

/// What a turn uses, so that the budget is known.
fn usage() -> Value {
    json!({ "input": 10, "output": 5 })
}

impl Script {
    /// A Commander who wants a plan, and a Planner who has this one.
    pub fn plan(tasks: impl IntoIterator<Item = Task>) -> Self {
        let tasks: Vec<Value> = tasks.into_iter().map(|task| task.0).collect();
        Self::default()
            .answers(
                "commander",
                json!({ "kind": "plan", "goal": "what the script says" }),
            )
            .answers("planner", json!({ "tasks": tasks }))
    }

    /// A Commander who sees a small change: one task.
    pub fn small(task: Task) -> Self {
        let plan = json!({ "tasks": [task.0] });
        Self::default().answers("commander", json!({ "kind": "small", "plan": plan }))
    }

    /// A Commander who answers a question.
    pub fn answer(text: &str) -> Self {
        Self::default().answers("commander", json!({ "kind": "answer", "text": text }))
    }

    /// A role that gives this answer whenever it is asked.
    #[must_use]
    pub fn answers(self, role: &str, answer: Value) -> Self {
        self.turn(json!({ "role": role, "end": { "answer": answer } }))
    }

    /// One more turn, as a script file has it.
    #[must_use]
    pub fn turn(mut self, mut turn: Value) -> Self {
        if turn.get("usage").is_none() {
            turn["usage"] = usage();
        }
        self.turns.push(turn);
        self
    }

    /// A Worker who does this and says that it is done.
    #[must_use]
    pub fn worker(self, task: &str, steps: impl IntoIterator<Item = Value>) -> Self {
        self.declaring(task, steps, &[])
    }

    /// The same, in this attempt alone.
    #[must_use]
    pub fn attempt(self, task: &str, n: u32, steps: impl IntoIterator<Item = Value>) -> Self {
        let steps: Vec<Value> = steps.into_iter().collect();
        let end = json!({ "answer": { "status": "done", "summary": "did it" } });
        self.turn(
            json!({ "role": "worker", "task": task, "attempt": n, "steps": steps, "end": end }),
        )
    }

    /// The same as a Worker, who says that these tests were changed on purpose.
    #[must_use]
    pub fn declaring(
        self,
        task: &str,
        steps: impl IntoIterator<Item = Value>,
        tests: &[&str],
    ) -> Self {
        let steps: Vec<Value> = steps.into_iter().collect();
        let declare = |path: &&str| json!({ "path": path, "why": "the task asks for it" });
        let changed: Vec<Value> = tests.iter().map(declare).collect();
        let report = json!({ "status": "done", "summary": "did it", "changed_tests": changed });
        let end = json!({ "answer": report });
        self.turn(json!({ "role": "worker", "task": task, "steps": steps, "end": end }))
    }

    /// A Worker who does this and then is never heard of again.
    #[must_use]
    pub fn hangs(self, task: &str, steps: impl IntoIterator<Item = Value>) -> Self {
        let steps: Vec<Value> = steps.into_iter().collect();
        self.turn(json!({ "role": "worker", "task": task, "steps": steps, "end": "hang" }))
    }

    /// A Reviewer who turns this attempt down.
    #[must_use]
    pub fn rejected(self, task: &str, attempt: u32, what: &str) -> Self {
        let finding = json!({ "file": "x", "line": 1, "kind": "defect", "what": what });
        let end = json!({ "answer": { "accept": false, "findings": [finding] } });
        self.turn(json!({ "role": "reviewer", "task": task, "attempt": attempt, "end": end }))
    }

    /// A Reviewer who accepts everything else.
    #[must_use]
    pub fn reviewed(self) -> Self {
        self.answers("reviewer", json!({ "accept": true }))
    }

    /// A provider that serves so many calls in each stretch of so many milliseconds and refuses the rest.
    #[must_use]
    pub fn permits(mut self, calls: u64, each: u64) -> Self {
        self.permits = Some(json!({ "calls": calls, "each": each }));
        self
    }

    /// The script as a file.
    ///
    /// # Panics
    /// If a turn holds what TOML has no word for.
    pub fn text(&self) -> String {
        let mut file = json!({ "turn": self.turns });
        if let Some(permits) = &self.permits {
            file["permits"] = permits.clone();
        }
        toml::to_string(&file).unwrap()
    }
}

impl Task {
    /// A task of this name.
    pub fn new(id: &str) -> Self {
        Self(json!({
            "id": id, "title": format!("Do {id}"), "goal": format!("{id} is done."),
            "needs": [], "writes": [], "acceptance": [],
        }))
    }

    /// With another title.
    #[must_use]
    pub fn title(self, text: &str) -> Self {
        self.with("title", json!(text))
    }

    /// With another field.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.0[field] = value;
        self
    }

    fn also(mut self, field: &str, text: &str) -> Self {
        if let Some(list) = self.0[field].as_array_mut() {
            list.push(json!(text));
        }
        self
    }

    /// It needs that one.
    #[must_use]
    pub fn needs(self, id: &str) -> Self {
        self.also("needs", id)
    }

    /// It is expected to write this.
    #[must_use]
    pub fn writes(self, path: &str) -> Self {
        self.also("writes", path)
    }

    /// This line proves it.
    #[must_use]
    pub fn proof(self, line: &str) -> Self {
        self.also("acceptance", line)
    }
}

/// A step: writes a file.
pub fn write(path: &str, text: &str) -> Value {
    json!({ "write": { "path": path, "text": text } })
}

/// A step: adds to a file.
pub fn append(path: &str, text: &str) -> Value {
    json!({ "append": { "path": path, "text": text } })
}

/// A step: removes a file.
pub fn delete(path: &str) -> Value {
    json!({ "delete": path })
}

/// A step: runs a line in a shell.
pub fn run(line: &str) -> Value {
    json!({ "run": line })
}

/// A step: lets time pass, in milliseconds.
pub fn think(ms: u64) -> Value {
    json!({ "think": ms })
}

/// A step: waits until a person says something, and adds that to a file.
pub fn heed(path: &str) -> Value {
    json!({ "heed": path })
}

/// A step: asks a person.
pub fn ask(about: &str, text: &str) -> Value {
    json!({ "ask": { "about": about, "text": text } })
}
