//! The crew that does its work well: it reads, plans, writes and judges as it is told to.

use crate::model::{Reply, Request, Tokens};
use serde_json::{Map, Value, json};

/// Who is asked, by the standing instructions of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads what the user wants.
    Commander,
    /// Writes the task graph.
    Planner,
    /// Carries one task out.
    Worker,
    /// Judges one attempt.
    Reviewer,
    /// None of ours: the host asks for a summary or a title.
    Host,
}

impl Role {
    /// Whose request this is.
    pub fn of(request: &Request) -> Self {
        let is = |name: &str| request.system.starts_with(&format!("You are a {name}."));
        if is("Commander") {
            Self::Commander
        } else if is("Planner") {
            Self::Planner
        } else if is("Worker") {
            Self::Worker
        } else if is("Reviewer") {
            Self::Reviewer
        } else {
            Self::Host
        }
    }
}

/// One task with what its Worker does: it writes one file.
#[derive(Clone, Debug)]
pub struct Job {
    name: String,
    needs: Vec<String>,
    file: String,
    text: String,
    /// What its Worker writes as long as nobody has turned an attempt down.
    at_first: Option<String>,
    proof: String,
    /// What else the plan says of it.
    more: Map<String, Value>,
}

impl Job {
    /// A task that is done when the file holds the text.
    pub fn new(name: &str, file: &str, text: &str, proof: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            needs: Vec::new(),
            file: file.to_owned(),
            text: text.to_owned(),
            at_first: None,
            proof: proof.into(),
            more: Map::new(),
        }
    }

    /// A task that is done when a file of its name holds its name: nothing but a shell is needed to prove it.
    pub fn word(name: &str) -> Self {
        let file = format!("{name}.txt");
        let proof = format!("grep -q {name} {file}");
        Self::new(name, &file, &format!("{name}\n"), proof)
    }

    /// It uses what these make.
    pub fn needs(mut self, names: &[&str]) -> Self {
        self.needs
            .extend(names.iter().map(|name| (*name).to_owned()));
        self
    }

    /// Its first attempt writes this instead.
    pub fn at_first(mut self, text: &str) -> Self {
        self.at_first = Some(text.to_owned());
        self
    }

    /// The plan says this of it, too.
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_owned(), value);
        self
    }

    /// What it is called in the plan.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its one line.
    pub fn title(&self) -> String {
        format!("Add {}", self.name)
    }

    /// The file that it writes.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What the file is to hold.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the Worker is told to do; no other task's order holds this.
    pub fn goal(&self) -> String {
        format!(
            "The file {} is there and does what {} is for.",
            self.file, self.name
        )
    }

    pub(super) fn planned(&self) -> Value {
        let mut planned = json!({
            "id": self.name, "title": self.title(), "goal": self.goal(),
            "needs": self.needs, "writes": [self.file], "acceptance": [self.proof],
        });
        let all = planned.as_object_mut().expect("it is an object");
        all.extend(self.more.clone());
        planned
    }
}

/// A crew with the tasks that it will find in the request.
#[derive(Clone, Debug)]
pub struct Crew {
    goal: String,
    jobs: Vec<Job>,
    /// The user's own folder; only those who go where they must not look at it.
    pub(super) project: String,
}

impl Crew {
    /// One that carries these tasks out.
    pub fn new(goal: &str, jobs: Vec<Job>) -> Self {
        Self {
            goal: goal.to_owned(),
            jobs,
            project: String::new(),
        }
    }

    /// Tells it where the user's own folder is.
    pub fn beside(mut self, project: &std::path::Path) -> Self {
        self.project = project.to_string_lossy().into_owned();
        self
    }

    /// Its tasks.
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// What it answers.
    pub fn answer(&self, request: &Request) -> Reply {
        let reply = match Role::of(request) {
            Role::Worker => self.worker(request),
            Role::Host => Reply::text(self.summary(request)),
            role => Reply::fenced(&self.value(role)),
        };
        reply.tokens(Tokens::new(900, 100, 500))
    }

    /// The task that a request is about, found again after the host has summed the conversation up.
    pub fn job(&self, request: &Request) -> Option<&Job> {
        let mut lines = request.messages.iter().flat_map(|m| m.text.lines());
        lines.find_map(|line| {
            let title = line.trim().strip_prefix("# ")?;
            self.jobs.iter().find(|job| job.title() == title)
        })
    }

    /// The answer of a role as a value.
    pub(super) fn value(&self, role: Role) -> Value {
        match role {
            Role::Commander => json!({ "kind": "plan", "goal": self.goal }),
            Role::Planner => self.plan(),
            Role::Reviewer => json!({ "accept": true, "findings": [] }),
            Role::Worker | Role::Host => {
                json!({ "status": "done", "summary": "did it", "changed_tests": [], "notes": [] })
            }
        }
    }

    pub(super) fn plan(&self) -> Value {
        json!({ "tasks": self.jobs.iter().map(Job::planned).collect::<Vec<_>>() })
    }

    fn worker(&self, request: &Request) -> Reply {
        let mut calls = request.messages.iter().flat_map(|m| &m.calls);
        let wrote = calls.any(|(tool, _)| tool == "write");
        match self.job(request) {
            Some(job) if !wrote => {
                let first = job.at_first.as_ref();
                let text = first.filter(|_| !turned_down(request)).unwrap_or(&job.text);
                write(&job.file, text)
            }
            _ => Reply::fenced(&self.report(request)),
        }
    }

    /// A Worker's report, with what it did otherwise where that is asked for.
    pub(super) fn report(&self, request: &Request) -> Value {
        let mut report = self.value(Role::Worker);
        if diagnoses(request) {
            report["strategy"] = json!("The file is written as its proof wants it.");
        }
        report
    }

    /// What the host gets when it asks what has been done so far.
    fn summary(&self, request: &Request) -> String {
        let job = self.job(request);
        let title = job.map_or("something".to_owned(), Job::title);
        format!("The task is:\n\n# {title}\n\nNothing of it is done yet.")
    }
}

/// A call that writes a file.
pub(super) fn write(file: &str, text: &str) -> Reply {
    Reply::call("write", json!({ "filePath": file, "content": text }))
}

/// Whether the Worker is asked to find out why attempts ended alike.
pub(super) fn diagnoses(request: &Request) -> bool {
    let mut messages = request.messages.iter();
    messages.any(|m| m.text.contains("## Find the cause first"))
}

/// Whether the Worker was told that it goes nowhere.
pub(super) fn nudged(request: &Request) -> bool {
    let mut messages = request.messages.iter();
    messages.any(|m| m.role == "user" && m.text.contains("The engine sees that"))
}

/// Whether the Worker was told why an earlier attempt was turned down.
pub(super) fn turned_down(request: &Request) -> bool {
    request
        .messages
        .iter()
        .any(|m| m.text.contains("turned down"))
}
