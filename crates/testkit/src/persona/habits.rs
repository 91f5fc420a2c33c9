//! The habits, one function each. `None` means: here it behaves.

use super::crew::{diagnoses, nudged, turned_down, write};
use super::{Persona, Role, Scene};
use crate::model::{Finish, Reply, Request};
use serde_json::{Value, json};

/// A long text, in bytes: more than anybody reads.
const FLOOD: usize = 10_000_000;

macro_rules! personas {
    ($($name:literal $act:ident: $habit:literal;)*) => {
        &[$(Persona { name: $name, habit: $habit, act: $act },)*]
    };
}

pub(super) const ALL: &[Persona] = personas! {
    "well-behaved" behaves: "Does what it is told, in the form that it is told.";
    "chatty" chatty: "Wraps every answer in headings, apologies and advice.";
    "second-thoughts" second_thoughts: "Writes a wrong answer as JSON, changes its mind and writes the right one.";
    "afterthought" afterthought: "Adds another JSON block, an example of something else, after its answer.";
    "trailing-comma" trailing_comma: "Writes JSON with a trailing comma, and mends it when told.";
    "translator" translator: "Answers in another language, the words of the schema included, until told.";
    "mute" mute: "Answers with nothing at all until it is asked again.";
    "announcer" announcer: "As a Worker, says what it will do next and stops, instead of doing it, until told.";
    "gone-mute" gone_mute: "As a Worker, answers with nothing at all, however often it is asked.";
    "lumper" lumper: "Plans everything as one giant task.";
    "hoarder" hoarder: "Plans three hundred tasks for a small wish, again and again.";
    "circular" circular: "Plans tasks that need each other, twice; then right.";
    "always-circular" always_circular: "Plans tasks that need each other, however often it is told.";
    "half-guesser" half_guesser: "Forecasts the wrong files, and all Workers write one more file that nobody forecast.";
    "script-inventor" script_inventor: "Names a script as proof that is not in the project.";
    "easy-proof" easy_proof: "Names a proof that passes whatever is done.";
    "asker" asker: "Asks in prose how to go on and stops, instead of working, however often it is told.";
    "tool-asker" tool_asker: "Asks through the host's tool for questions, and works on with the answer.";
    "giver-up" giver_up: "Reports that it is blocked.";
    "idler" idler: "Reports that all is done and has changed nothing.";
    "typist" typist: "Writes its tool calls as text instead of making them.";
    "trespasser" trespasser: "Writes into the user's own folder by absolute path, until an attempt is turned down.";
    "committer" committer: "Commits its work on a branch of its own, and tries to push it.";
    "server-starter" server_starter: "Starts a server in the foreground and another in the background, and leaves them.";
    "hanger-on" hanger_on: "Runs a command in its first attempt that never ends.";
    "flooder" flooder: "Prints ten megabytes with a command, and ten more before its report.";
    "long-winded" long_winded: "Runs out of room in the middle of its report, and goes on when told.";
    "never-done" never_done: "As a Worker, runs out of room whatever it says.";
    "overflower" overflower: "Overflows its context in the middle of its work.";
    "misspeller" misspeller: "Calls a tool with wrong arguments, and one that is not there, before it does it right.";
    "looper" looper: "Makes the same tool call for ever.";
    "circler" circler: "Makes the same tool call again and again, until it is told that it goes round in circles.";
    "dawdler" dawdler: "Reads the same few files in turns and writes nothing, until it is told that it gets nowhere.";
    "reformed-liar" reformed_liar: "Says that all tests pass, of work that is wrong, until it is asked to find out why.";
    "stubborn" stubborn: "Says that all tests pass, of work that is wrong, and names as another strategy what it did before.";
    "overwhelmed" overwhelmed: "Says that all tests pass, of work that is wrong, until its task is cut anew.";
    "test-remover" test_remover: "Deletes a test that is in its way, and says nothing of it.";
    "liar" liar: "Says that all tests pass, of work that is wrong; and as a Reviewer accepts everything.";
    "yes-man" yes_man: "Does its own part and breaks what was there; and as a Reviewer accepts everything.";
    "pedant" pedant: "As a Reviewer, rejects for style for ever.";
    "rambler" rambler: "As a Reviewer, never comes to a verdict.";
    "silent" silent: "As a Worker, says nothing any more after its first step, and keeps the connection open.";
};

/// Who speaks in prose, or not at all, whatever it has to call.
pub(super) const NOT_TO_BE_HELD: &[&str] = &["gone-mute", "asker", "rambler"];

/// Whose JSON is of the wrong form, and would not be in a schema.
pub(super) const HELD_TO_THE_FORM: &[&str] = &["afterthought", "translator"];

fn behaves(_: &Scene<'_>) -> Option<Reply> {
    None
}

/// How often the model has answered in this conversation.
fn answers(request: &Request) -> usize {
    request
        .messages
        .iter()
        .filter(|m| m.role == "assistant")
        .count()
}

/// Whether the model called this tool in this conversation.
fn called(request: &Request, tool: &str) -> bool {
    let mut calls = request.messages.iter().flat_map(|m| &m.calls);
    calls.any(|(name, _)| name == tool)
}

fn bash(command: &str) -> Reply {
    Reply::call(
        "bash",
        json!({ "command": command, "description": "does it" }),
    )
}

impl Scene<'_> {
    fn is(&self, role: Role) -> bool {
        self.role == role
    }

    /// The right answer, if one is to be given now and not a tool called.
    fn value(&self) -> Option<Value> {
        let works = match self.role {
            Role::Host => true,
            Role::Worker => !called(self.request, "write"),
            _ => false,
        };
        (!works).then(|| self.crew.value(self.role))
    }

    /// Whether nobody has complained of an answer yet.
    fn untold(&self) -> bool {
        !self
            .request
            .asked()
            .contains("your whole answer: nothing but")
    }

    fn plan(&self, change: impl Fn(usize, &mut Value)) -> Option<Reply> {
        if !self.is(Role::Planner) {
            return None;
        }
        let mut plan = self.crew.plan();
        let tasks = plan["tasks"].as_array_mut()?;
        tasks
            .iter_mut()
            .enumerate()
            .for_each(|(n, task)| change(n, task));
        Some(Reply::fenced(&plan))
    }
}

fn chatty(scene: &Scene<'_>) -> Option<Reply> {
    let value = scene.value()?;
    Some(Reply::text(format!(
        "# Certainly!\n\nGreat question. I looked at *everything*, `{{ \"so\": \"to speak\" }}`, and here it is:\n\n\
         ```sh\necho {{}}\n```\n\nAnd now:\n\n```json\n{value:#}\n```\n\n## Next steps\n\n- Let me know if I should \
         refactor the rest, too!\n- Happy to help {{further}}.\n"
    )))
}

fn second_thoughts(scene: &Scene<'_>) -> Option<Reply> {
    let value = scene.value()?;
    let wrong = match scene.role {
        Role::Reviewer => json!({ "accept": false, "findings": [] }),
        Role::Worker => json!({ "status": "blocked", "why": "I thought so" }),
        Role::Planner => json!({ "tasks": [] }),
        _ => json!({ "kind": "answer", "text": "It is all there already." }),
    };
    Some(Reply::text(format!(
        "```json\n{wrong}\n```\n\nNo, wait, that is wrong. Instead:\n\n```json\n{value}\n```"
    )))
}

fn afterthought(scene: &Scene<'_>) -> Option<Reply> {
    let value = scene.value().filter(|_| scene.untold())?;
    Some(Reply::text(format!(
        "```json\n{value}\n```\n\nYou could also add this to your settings:\n\n```json\n{{ \"tabs\": false }}\n```"
    )))
}

fn trailing_comma(scene: &Scene<'_>) -> Option<Reply> {
    let value = scene.value().filter(|_| scene.untold())?;
    let text = value.to_string();
    let (most, _) = text.rsplit_once('}')?;
    Some(Reply::text(format!("```json\n{most},}}\n```")))
}

fn translator(scene: &Scene<'_>) -> Option<Reply> {
    let value = scene.value()?;
    let words = match scene.role {
        Role::Worker if scene.untold() => {
            json!({ "status": "erledigt", "zusammenfassung": "Fertig." })
        }
        Role::Worker => json!({ "status": "done", "summary": "Es ist erledigt: 完成しました。" }),
        _ => value,
    };
    Some(Reply::text(format!(
        "Natürlich! Hier ist die Antwort: 答えは以下の通りです。\n\n```json\n{words}\n```\nGern geschehen."
    )))
}

fn mute(scene: &Scene<'_>) -> Option<Reply> {
    let first = !scene.is(Role::Host) && answers(scene.request) == 0;
    (first && scene.untold()).then(|| Reply::text(""))
}

fn announcer(scene: &Scene<'_>) -> Option<Reply> {
    let first = scene.is(Role::Worker) && answers(scene.request) == 0;
    first.then(|| Reply::text("I have understood the task. Now I will create the file."))
}

fn gone_mute(scene: &Scene<'_>) -> Option<Reply> {
    scene.is(Role::Worker).then(|| Reply::text(""))
}

fn lumper(scene: &Scene<'_>) -> Option<Reply> {
    let jobs = scene.crew.jobs();
    if scene.is(Role::Planner) {
        let planned: Vec<Value> = jobs.iter().map(|job| job.planned()).collect();
        let all = |key: &str| -> Vec<Value> {
            planned
                .iter()
                .flat_map(|job| job[key].as_array().cloned().unwrap_or_default())
                .collect()
        };
        let goals: Vec<String> = jobs.iter().map(|job| job.goal()).collect();
        return Some(Reply::fenced(&json!({ "tasks": [{
            "id": "everything", "title": "Do everything", "goal": goals.join("\n\n"),
            "writes": all("writes"), "acceptance": all("acceptance"), "size": "large",
        }] })));
    }
    let next = scene.request.step();
    if !scene.is(Role::Worker) || next >= jobs.len() {
        return None;
    }
    Some(write(jobs[next].file(), jobs[next].text()))
}

fn hoarder(scene: &Scene<'_>) -> Option<Reply> {
    let task =
        |n: usize| json!({ "id": format!("t{n}"), "title": format!("Step {n}"), "goal": "Do it." });
    let tasks: Vec<Value> = (0..300).map(task).collect();
    scene
        .is(Role::Planner)
        .then(|| Reply::fenced(&json!({ "tasks": tasks })))
}

fn circle(scene: &Scene<'_>) -> Option<Reply> {
    let names: Vec<&str> = scene.crew.jobs().iter().map(|job| job.name()).collect();
    scene.plan(|n, task| task["needs"] = json!([names[(n + 1) % names.len()]]))
}

fn circular(scene: &Scene<'_>) -> Option<Reply> {
    match answers(scene.request) {
        0 | 1 => circle(scene),
        _ => None,
    }
}

fn always_circular(scene: &Scene<'_>) -> Option<Reply> {
    circle(scene)
}

fn half_guesser(scene: &Scene<'_>) -> Option<Reply> {
    if scene.is(Role::Worker) && !called(scene.request, "write") {
        let job = scene.crew.job(scene.request)?;
        let (file, text) = (job.file(), job.text());
        return Some(write(file, text).and_call(
            "write",
            json!({ "filePath": "index.txt", "content": scene.index(job.name()) }),
        ));
    }
    scene.plan(|n, task| {
        if n % 2 == 0 {
            task["writes"] = json!(["src/somewhere.txt", "docs/**"]);
        }
    })
}

impl Scene<'_> {
    /// The file that all write: what was in it where the Worker was told of a conflict, and one more line.
    fn index(&self, name: &str) -> String {
        let told = turned_down(self.request);
        let names = self.crew.jobs().iter().map(|job| job.name());
        let lines = names.filter(|other| told || *other == name);
        lines.map(|line| format!("{line}\n")).collect()
    }
}

fn script_inventor(scene: &Scene<'_>) -> Option<Reply> {
    scene.plan(|_, task| task["acceptance"] = json!(["./scripts/verify-all.sh --strict"]))
}

fn easy_proof(scene: &Scene<'_>) -> Option<Reply> {
    scene.plan(|_, task| task["acceptance"] = json!(["test -d . || exit 1"]))
}

fn asker(scene: &Scene<'_>) -> Option<Reply> {
    scene.is(Role::Worker).then(|| {
        Reply::text(
            "Before I start: should the file end with a newline? Let me know how to proceed.",
        )
    })
}

fn tool_asker(scene: &Scene<'_>) -> Option<Reply> {
    let first = scene.is(Role::Worker) && answers(scene.request) == 0;
    first.then(|| {
        Reply::call("question", json!({ "questions": [{
            "question": "Tabs or spaces?", "header": "Style",
            "options": [{ "label": "Tabs", "description": "t" }, { "label": "Spaces", "description": "s" }],
        }] }))
    })
}

fn giver_up(scene: &Scene<'_>) -> Option<Reply> {
    let blocked = json!({ "status": "blocked", "why": "the database password is missing" });
    scene.is(Role::Worker).then(|| Reply::fenced(&blocked))
}

fn idler(scene: &Scene<'_>) -> Option<Reply> {
    scene
        .is(Role::Worker)
        .then(|| Reply::fenced(&scene.crew.value(Role::Worker)))
}

fn typist(scene: &Scene<'_>) -> Option<Reply> {
    if !scene.is(Role::Worker) {
        return None;
    }
    if !scene.untold() {
        return Some(Reply::fenced(&scene.crew.value(Role::Worker)));
    }
    let job = scene.crew.job(scene.request)?;
    Some(Reply::text(format!(
        "<tool_call>\n<function=write>\n<parameter=filePath>{}</parameter>\n<parameter=content>{}</parameter>\n\
         </function>\n</tool_call>",
        job.file(),
        job.text()
    )))
}

fn trespasser(scene: &Scene<'_>) -> Option<Reply> {
    if !scene.is(Role::Worker) || called(scene.request, "write") || turned_down(scene.request) {
        return None;
    }
    let job = scene.crew.job(scene.request)?;
    let path = format!("{}/{}", scene.crew.project, job.file());
    let evil =
        json!({ "filePath": format!("{}/base.txt", scene.crew.project), "content": "gone\n" });
    Some(write(&path, job.text()).and_call("write", evil))
}

fn committer(scene: &Scene<'_>) -> Option<Reply> {
    if !scene.is(Role::Worker) || !called(scene.request, "write") || called(scene.request, "bash") {
        return None;
    }
    Some(bash(
        "git checkout -q -b mine; git add -A; git -c user.name=a -c user.email=a@b commit -qm mine; \
         git push origin HEAD; git push --force --all; git reset -q --hard HEAD; git stash; git gc -q; git status",
    ))
}

fn server_starter(scene: &Scene<'_>) -> Option<Reply> {
    if !scene.is(Role::Worker) || called(scene.request, "bash") {
        return None;
    }
    let forever = "while :; do sleep 1000; done";
    let behind = format!("nohup setsid sh -c '{forever}' > server.log 2>&1 & echo started");
    let before = json!({ "command": forever, "description": "serves", "timeout": 1500 });
    Some(bash(&behind).and_call("bash", before))
}

fn hanger_on(scene: &Scene<'_>) -> Option<Reply> {
    let first =
        scene.is(Role::Worker) && !called(scene.request, "bash") && !turned_down(scene.request);
    first.then(|| bash("tail -f /dev/null"))
}

fn flooder(scene: &Scene<'_>) -> Option<Reply> {
    if !scene.is(Role::Worker) || !scene.untold() {
        return None;
    }
    if !called(scene.request, "bash") {
        return Some(bash(&format!("head -c {FLOOD} /dev/zero | tr '\\0' x")));
    }
    let report = scene.value()?;
    Some(Reply::text("x".repeat(FLOOD)).and_text(format!("\n```json\n{report}\n```")))
}

fn long_winded(scene: &Scene<'_>) -> Option<Reply> {
    let asked = scene.request.asked().contains("cut off");
    let value = scene.value().filter(|_| !asked && scene.is(Role::Worker))?;
    let half: String = value.to_string().chars().take(20).collect();
    Some(Reply::text(format!("Let me tell you a story.\n```json\n{half}")).finish(Finish::Length))
}

fn never_done(scene: &Scene<'_>) -> Option<Reply> {
    scene
        .is(Role::Worker)
        .then(|| Reply::text("and another thing ").finish(Finish::Length))
}

fn overflower(scene: &Scene<'_>) -> Option<Reply> {
    let summed = scene
        .request
        .messages
        .iter()
        .any(|m| m.text.contains("Nothing of it is done yet"));
    let now = scene.is(Role::Worker) && called(scene.request, "write") && !summed;
    now.then(Reply::overflow)
}

fn misspeller(scene: &Scene<'_>) -> Option<Reply> {
    if !scene.is(Role::Worker) {
        return None;
    }
    let job = scene.crew.job(scene.request)?;
    match answers(scene.request) {
        0 => Some(Reply::call(
            "write",
            json!({ "path": job.file(), "contents": job.text() }),
        )),
        1 => Some(Reply::call(
            "str_replace_editor",
            json!({ "command": "create", "path": job.file() }),
        )),
        2 => Some(write(job.file(), job.text())),
        _ => None,
    }
}

fn looper(scene: &Scene<'_>) -> Option<Reply> {
    scene
        .is(Role::Worker)
        .then(|| Reply::call("read", json!({ "filePath": "base.txt" })))
}

fn circler(scene: &Scene<'_>) -> Option<Reply> {
    let circles = scene.is(Role::Worker) && !nudged(scene.request);
    circles.then(|| Reply::call("read", json!({ "filePath": "base.txt" })))
}

fn dawdler(scene: &Scene<'_>) -> Option<Reply> {
    let dawdles = scene.is(Role::Worker) && !nudged(scene.request);
    let lines = answers(scene.request) % 7 + 1;
    dawdles.then(|| Reply::call("read", json!({ "filePath": "base.txt", "limit": lines })))
}

fn reformed_liar(scene: &Scene<'_>) -> Option<Reply> {
    match diagnoses(scene.request) {
        true => None,
        false => liar(scene),
    }
}

fn stubborn(scene: &Scene<'_>) -> Option<Reply> {
    let reports = scene.is(Role::Worker) && called(scene.request, "write");
    if !reports || !diagnoses(scene.request) {
        return liar(scene);
    }
    let report = json!({ "status": "done", "summary": "All tests pass now.", "strategy": "All tests pass. Done!" });
    Some(Reply::fenced(&report))
}

/// What stands in the goal of what a task was cut into.
const PART: &str = "This part alone:";

fn overwhelmed(scene: &Scene<'_>) -> Option<Reply> {
    let mut messages = scene.request.messages.iter();
    if scene.is(Role::Planner) && messages.any(|m| m.text.contains("## Cut one task anew")) {
        let mut plan = scene.crew.plan();
        let part = plan["tasks"].get_mut(0)?;
        part["id"] = json!("part");
        part["goal"] = json!(format!("{PART} {}", part["goal"].as_str()?));
        return Some(Reply::fenced(&plan));
    }
    let mut messages = scene.request.messages.iter();
    if messages.any(|m| m.text.contains(PART)) {
        return None;
    }
    let reports = scene.is(Role::Worker) && called(scene.request, "write");
    if !reports || !diagnoses(scene.request) {
        return liar(scene);
    }
    let report = json!({ "status": "done", "summary": "All tests pass now.", "strategy": "It is written more slowly." });
    Some(Reply::fenced(&report))
}

fn test_remover(scene: &Scene<'_>) -> Option<Reply> {
    let removes = scene.is(Role::Worker) && !called(scene.request, "bash");
    removes.then(|| bash("rm -f tests/base.sh"))
}

fn liar(scene: &Scene<'_>) -> Option<Reply> {
    if !scene.is(Role::Worker) {
        return None;
    }
    let job = scene.crew.job(scene.request)?;
    if !called(scene.request, "write") {
        return Some(write(job.file(), "return 'TODO'\n"));
    }
    let report = json!({ "status": "done", "summary": "All tests pass. DONE.", "notes": ["100 % coverage"] });
    Some(Reply::fenced(&report))
}

fn yes_man(scene: &Scene<'_>) -> Option<Reply> {
    if !scene.is(Role::Worker) || called(scene.request, "write") {
        return None;
    }
    let job = scene.crew.job(scene.request)?;
    let broken = json!({ "command": "echo rewritten > base.txt", "description": "tidies up" });
    Some(write(job.file(), job.text()).and_call("bash", broken))
}

fn pedant(scene: &Scene<'_>) -> Option<Reply> {
    let file = scene.crew.jobs().first().map_or("", |job| job.file());
    let finding =
        json!({ "file": file, "line": 1, "kind": "defect", "what": "the name could be nicer" });
    let rejects = json!({ "accept": false, "findings": [finding] });
    scene.is(Role::Reviewer).then(|| Reply::fenced(&rejects))
}

fn rambler(scene: &Scene<'_>) -> Option<Reply> {
    scene
        .is(Role::Reviewer)
        .then(|| Reply::text("On the one hand it is good, on the other hand who can say."))
}

fn silent(scene: &Scene<'_>) -> Option<Reply> {
    (scene.is(Role::Worker) && answers(scene.request) > 0).then(Reply::hang)
}
