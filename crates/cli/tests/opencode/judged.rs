//! What a mission decides of its tasks while agents on the real OpenCode carry them out: who begins beside whom, what
//! waits while the machine is short of memory, what people want otherwise, and where a limit ends it.

use crate::recorded;
use mission::event::{Event, Turn};
use mission::plan::Priority;
use serde_json::json;
use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use testkit::model::{Gate, Model, Request};
use testkit::opencode::writing;
use testkit::persona::{Crew, Job, Role};
use testkit::user::User;

const PROGRAM: &str = env!("CARGO_BIN_EXE_orchestrator");
/// Who is not at work by then never will be. No test waits for it to pass.
const LIMIT: Duration = Duration::from_secs(300);
const REQUEST: [&str; 5] = ["task", "Add words", "--allow", "shell", "--yes"];

/// A crew whose Workers write nothing before their gate is open.
struct Held {
    model: Model,
    crew: Crew,
    gates: BTreeMap<String, Gate>,
}

impl Held {
    async fn start(jobs: Vec<Job>) -> Self {
        let n_planned = jobs.len();
        Self::start_with(jobs, n_planned).await
    }

    /// Of these tasks the plan holds so many, and the others come later.
    async fn start_with(jobs: Vec<Job>, n_planned: usize) -> Self {
        let planned = Crew::new("Add words.", jobs[..n_planned].to_vec());
        let names = jobs.iter().map(|job| job.name().to_owned());
        let gates: BTreeMap<String, Gate> = names.map(|name| (name, Gate::default())).collect();
        let crew = Crew::new("Add words.", jobs);
        let (own, held) = (crew.clone(), gates.clone());
        let model = Model::start(move |request| {
            let reply = match Role::of(request) {
                Role::Planner => planned.answer(request),
                _ => own.answer(request),
            };
            match own.job(request).map(|job| &held[job.name()]) {
                Some(gate) if Role::of(request) == Role::Worker => reply.after(gate),
                _ => reply,
            }
        })
        .await;
        Self { model, crew, gates }
    }

    fn user(&self) -> User {
        // One of them is there before; what stands in it can be looked up for whoever waits.
        let files = [("README.md", "words\n"), ("beta.txt", "old\n")];
        User::new(PROGRAM, &self.model.url(), &files)
    }

    fn opens(&self, names: &[&str]) {
        for name in names {
            self.gates[*name].open();
        }
    }

    /// Whom a Worker's request is about.
    fn worker<'a>(&'a self, request: &Request) -> Option<&'a str> {
        let is_worker = Role::of(request) == Role::Worker;
        self.crew.job(request).filter(|_| is_worker).map(Job::name)
    }

    /// Waits until these are at work.
    async fn works(&self, names: &[&str]) {
        let asked =
            |log: &[Request], name| log.iter().any(|asked| self.worker(asked) == Some(name));
        let all = self
            .model
            .until(|log| names.iter().all(|name| asked(log, name)));
        let came = tokio::time::timeout(LIMIT, all).await;
        assert!(
            came.is_ok(),
            "{names:?} are not at work, but {:?}",
            self.asked()
        );
    }

    /// For whom Workers were asked, in that order, each once.
    fn asked(&self) -> Vec<String> {
        let log = self.model.log();
        let mut names: Vec<String> = Vec::new();
        for name in log.iter().filter_map(|asked| self.worker(asked)) {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }
}

async fn events(user: &User) -> Vec<Event> {
    let all = recorded(user).await.into_iter();
    all.map(|recorded| recorded.event).collect()
}

/// Where the Workers of a task began and came to an end.
fn at_work(events: &[Event], task: u32) -> (usize, usize) {
    let begins = |event: &Event| match event {
        Event::TurnStarted {
            turn: Turn::Work { attempt },
            epoch,
            ..
        } if attempt.task.0 == task => Some(*epoch),
        _ => None,
    };
    let begun = events.iter().enumerate();
    let (begun, epoch) = begun
        .filter_map(|(at, event)| Some((at, begins(event)?)))
        .next()
        .unwrap_or_else(|| panic!("T{task} was never worked on"));
    let ends = |event: &Event| matches!(event, Event::TurnEnded { epoch: of, .. } if *of == epoch);
    let ended = events.iter().position(ends);
    (begun, ended.expect("its turn has ended"))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shares_a_resource_or_takes_more_slots_never_runs_beside_the_others() {
    let (database, first) = (json!(["database"]), json!("high"));
    let alpha = Job::word("alpha").with("resources", database.clone());
    let held = Held::start(vec![
        alpha.with("priority", first.clone()),
        Job::word("beta").with("resources", database),
        Job::word("gamma").with("weight", json!(2)),
        Job::word("delta").with("priority", first),
    ])
    .await;
    let user = held.user();
    let how = ["--workers", "2", "--reviews", "0"];
    let mut running = user.start(&[&REQUEST[..], &how].concat());
    held.works(&["alpha", "delta"]).await;
    held.opens(&["delta"]);
    // Its slot is free, and nobody may have it: the one needs the database, the other both slots.
    running.says("landing 1 landed").await;
    let waits = user.run(&["status", "m1"]).await;
    for told in ["database, which T1.1 has", "2 free Workers at once"] {
        assert!(waits.said.contains(told), "no {told:?} in: {}", waits.said);
    }
    let asked = held.asked();
    assert!(
        asked.len() == 2 && !asked.contains(&"beta".to_owned()),
        "{asked:?}"
    );
    held.opens(&["alpha", "beta", "gamma"]);
    let ran = running.end().await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    let looked_up = "looked up beforehand: files of 1 task, 1 used";
    assert!(ran.said.contains(looked_up), "{}", ran.said);
    let events = events(&user).await;
    let [alpha, beta, gamma, delta] = [1, 2, 3, 4].map(|task| at_work(&events, task));
    let beside = |one: (usize, usize), other: (usize, usize)| one.0 < other.1 && other.0 < one.1;
    assert!(beside(alpha, delta), "{}", ran.said);
    assert!(!beside(alpha, beta), "one database: {}", ran.said);
    for other in [alpha, beta, delta] {
        assert!(!beside(gamma, other), "two slots of two: {}", ran.said);
    }
    user.deserted().await;
}

/// What the kernel says of a machine's memory and of what wants to run there, as the test has it say; nobody waits, and no
/// group of processes has a limit.
struct Kernel {
    memory: PathBuf,
    load: PathBuf,
    waits: PathBuf,
    groups: PathBuf,
}

impl Kernel {
    fn beside(user: &User) -> Self {
        let home = user.home().path();
        let kernel = Self {
            memory: home.join("meminfo"),
            load: home.join("loadavg"),
            waits: home.join("pressure"),
            groups: home.join("no-groups"),
        };
        std::fs::create_dir(&kernel.groups).expect("a folder");
        std::fs::write(&kernel.memory, Self::said(60)).expect("a file");
        std::fs::write(&kernel.load, Self::wants(0)).expect("a file");
        let nobody = "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        std::fs::write(&kernel.waits, nobody).expect("a file");
        kernel
    }

    /// Each with what it stands for, where this machine has that.
    fn files(&self) -> Vec<(&Path, &Path)> {
        let all = [
            (&*self.memory, Path::new("/proc/meminfo")),
            (&*self.load, Path::new("/proc/loadavg")),
            (&*self.waits, Path::new("/proc/pressure/memory")),
            (&*self.waits, Path::new("/proc/pressure/cpu")),
            (&*self.waits, Path::new("/proc/pressure/io")),
            (&*self.groups, Path::new("/sys/fs/cgroup")),
        ];
        all.into_iter()
            .filter(|(_, place)| place.exists())
            .collect()
    }

    /// Always as long, so that one write replaces it.
    fn said(used: u32) -> String {
        let free = (100 - used) * 10_000;
        format!("MemTotal:       1000000 kB\nMemAvailable:   {free:>7} kB\n")
    }

    /// The same of so many that want to run.
    fn wants(load: u32) -> String {
        format!("{load:06}.10 0.10 0.10 1/100 100\n")
    }

    fn uses(&self, used: u32) {
        Self::says(&self.memory, &Self::said(used));
    }

    fn runs(&self, load: u32) {
        Self::says(&self.load, &Self::wants(load));
    }

    fn says(file: &Path, text: &str) {
        let file = std::fs::File::options().write(true).open(file);
        let written = file.expect("the file").write_all_at(text.as_bytes(), 0);
        written.expect("room for it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_machine_is_busy_low_tasks_wait_and_then_normal_ones_and_all_are_done_in_the_end() {
    let of = |name: &str, priority: &str| Job::word(name).with("priority", json!(priority));
    let held = Held::start(vec![
        of("keeps", "high"),
        of("first", "high"),
        of("low", "low").needs(&["first"]),
        of("normal", "normal").needs(&["first"]),
        of("next", "normal").needs(&["normal"]),
        of("high", "high").needs(&["normal"]),
    ])
    .await;
    let user = held.user();
    let kernel = Kernel::beside(&user);
    let how = ["--workers", "4", "--reviews", "0"];
    let Some(mut running) = user.start_where(&kernel.files(), &[&REQUEST[..], &how].concat())
    else {
        return testkit::left_out("this machine lets users have no mounts of their own");
    };
    held.works(&["keeps", "first"]).await;
    kernel.uses(90);
    running
        .says("tasks of low priority wait: 90 % of its memory is used")
        .await;
    // Neither too much nor enough: it gets no worse.
    kernel.uses(75);
    held.opens(&["first"]);
    held.works(&["normal"]).await;
    // More than four for each processor of any machine.
    kernel.runs(900_000);
    running.says("only tasks of high priority start").await;
    held.opens(&["normal"]);
    held.works(&["high"]).await;
    let waits = user.run(&["status", "m1"]).await;
    let told = "tasks want to run for each 100 processors";
    assert!(waits.said.contains(told), "{}", waits.said);
    kernel.runs(0);
    kernel.uses(60);
    running.says("the machine has room again").await;
    held.works(&["low", "next"]).await;
    held.opens(&["keeps", "high", "low", "next"]);
    let ran = running.end().await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    let events = events(&user).await;
    let at = |is: &dyn Fn(&Event) -> bool| events.iter().position(is).expect("it is noted");
    let admits =
        |class| at(&|event| matches!(event, Event::Pressed { admits, .. } if *admits == class));
    let relieved = at(&|event| matches!(event, Event::Relieved { .. }));
    let begins = |task| at_work(&events, task).0;
    let order = [
        admits(Priority::Normal),
        begins(4),
        admits(Priority::High),
        begins(6),
        relieved,
    ];
    assert!(order.is_sorted(), "{order:?}: {}", ran.said);
    assert!(begins(3) > relieved && begins(5) > relieved, "{}", ran.said);
    for lost in [".2 worker", "is parked", "turned down"] {
        assert!(!ran.said.contains(lost), "{lost}: {}", ran.said);
    }
    user.deserted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_put_tasks_in_order_change_the_plan_and_abort_and_what_is_left_goes_on() {
    let jobs = ["alpha", "beta", "gamma", "delta"].map(Job::word).to_vec();
    let held = Held::start_with(jobs, 3).await;
    let user = held.user();
    let how = ["--workers", "1", "--reviews", "0"];
    let mut running = user.start(&[&REQUEST[..], &how].concat());
    held.works(&["alpha"]).await;
    let done = async |words: &[&str], told: &str| {
        let ran = user.run(words).await;
        assert_eq!(ran.code, Some(0), "{words:?}: {}", ran.said);
        assert!(ran.said.contains(told), "no {told:?} in: {}", ran.said);
    };
    done(&["prioritise", "T3", "high"], "T3 is of high priority now").await;
    done(&["plan", "drop", "T2"], "the plan is version 2 now").await;
    let add = [
        "plan",
        "add",
        "--id",
        "delta",
        "--title",
        "Add delta",
        "--needs",
        "T3",
    ];
    let add = [&add[..], &["--proof", "test -f delta.txt"]].concat();
    done(&add, "the plan is version 3 now").await;
    held.opens(&["alpha"]);
    held.works(&["gamma"]).await;
    running.says("landing 1 landed").await;
    done(&["abort"], "m1 is aborted").await;
    let ran = running.end().await;
    assert_eq!(ran.code, Some(6), "{}", ran.said);
    assert!(ran.said.contains("aborted by user"), "{}", ran.said);
    user.deserted().await;
    assert_eq!(held.asked(), ["alpha", "gamma"], "{}", ran.said);
    held.opens(&["gamma", "delta"]);
    let ran = user.run(&["resume", "m1", "--allow", "shell"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    assert_eq!(held.asked(), ["alpha", "gamma", "delta"], "{}", ran.said);
    let files = user.files();
    let holds = |word: &str| {
        let text = files.get(&format!("{word}.txt"));
        text.is_some_and(|text| text.contains(word))
    };
    for (file, there) in [
        ("alpha", true),
        ("beta", false),
        ("gamma", true),
        ("delta", true),
    ] {
        assert_eq!(holds(file), there, "{file}: {}", ran.said);
    }
    assert!(
        !ran.said.contains("T1.2"),
        "what has landed is done: {}",
        ran.said
    );
    for told in [
        "T3.1 goes on in its session",
        "1 time gone on with",
        "the plan was changed by people 2 times",
    ] {
        assert!(ran.said.contains(told), "no {told:?} in: {}", ran.said);
    }
    user.deserted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_turn_begins_past_the_token_limit_and_a_person_may_raise_it() {
    let held = Held::start(vec![
        Job::word("one"),
        Job::word("two").needs(&["one"]),
        Job::word("three").needs(&["two"]),
    ])
    .await;
    let user = held.user();
    held.opens(&["one", "two", "three"]);
    // A call is 1,000 tokens: two for reading and planning, two for each task. A turn reserves a quarter.
    let limits = ["--workers", "1", "--reviews", "0", "--tokens", "7000"];
    // Nobody is here to be asked what more than this is worth.
    let asks = ["--ask-above", "1000"];
    let ran = user.run(&[&REQUEST[..4], &limits, &asks].concat()).await;
    assert_eq!(ran.code, Some(7), "{}", ran.said);
    let asked = "Carry out this plan of 3 tasks? It is forecast to use";
    assert!(ran.said.contains(asked), "{}", ran.said);
    assert_eq!(held.asked(), [""; 0], "{}", ran.said);
    let yes = user.run(&["answer", "m1", "q1", "yes"]).await;
    assert_eq!(yes.code, Some(0), "{}", yes.said);
    let ran = user.run(&["resume", "m1", "--allow", "shell"]).await;
    assert_eq!(ran.code, Some(4), "{}", ran.said);
    let told = "the token budget is spent: 6000 of 7000";
    assert!(ran.said.contains(told), "{}", ran.said);
    assert_eq!(held.model.log().len(), 6, "nothing more is asked");
    let more = ["resume", "m1", "--tokens", "9000", "--allow", "shell"];
    let ran = user.run(&more).await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    assert_eq!(held.asked(), ["one", "two", "three"], "{}", ran.said);
    assert_eq!(
        held.model.log().len(),
        8,
        "only what had not landed is worked on"
    );
    user.deserted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_writes_little_has_more_turns_run_beside_each_other_in_a_small_budget() {
    let names = ["one", "two", "three", "four"];
    let held = Held::start(names.map(Job::word).to_vec()).await;
    let user = held.user();
    let output = 100;
    user.home().configure(&writing(&held.model.url(), output));
    // Two calls of 1,000 tokens were for reading and planning. Each of the first Workers holds a quarter, so that a fourth
    // has room only when it is known how much its model writes.
    let limits = ["--workers", "4", "--reviews", "0", "--tokens", "100000"];
    let running = user.start(&[&REQUEST[..], &limits].concat());
    held.works(&names).await;
    held.opens(&names);
    let ran = running.end().await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    let events = events(&user).await;
    let limited = events.iter().filter_map(|event| match event {
        Event::ModelLimited { model, output } => Some((model.as_str(), *output)),
        _ => None,
    });
    let limited: Vec<(&str, u64)> = limited.collect();
    assert_eq!(
        limited,
        [("mock/m1", output)],
        "every turn tells it, and it is noted once"
    );
    let reserved = events.iter().filter_map(|event| match event {
        Event::TurnStarted {
            turn: Turn::Work { .. },
            reserved,
            ..
        } => Some(*reserved),
        _ => None,
    });
    let reserved: Vec<u64> = reserved.collect();
    let written = u64::from(mission::limits::STEPS_WORK) * output;
    assert_eq!(reserved, [25_000, 25_000, 25_000, written]);
    let why = user.run(&["log", "m1", "--why"]).await;
    let told = "which is all that mock/m1 writes in 200 steps";
    assert!(why.said.contains(told), "{}", why.said);
    user.deserted().await;
}
