//! What kind of world a seed gives: the work to be done, the gates of the project, the terms, and how bad things get.

use crate::git::Tree;
use crate::outputs::Outputs;
use crate::purse::Purse;
use crate::rng::Rng;
use crate::weather::Weather;
use mission::gate::{Gate, GateKind, GateResult, Program, TestCount};
use mission::plan::{Draft, Priority, Size, TaskDraft, TaskKind};
use mission::rules::{Action, Rule};
use mission::terms::{Deliver, Terms};
use mission::time::Millis;
use mission::turn::Role;

/// What a task is to bring about. Its truth is in a tree, whatever anybody says.
#[derive(Clone, Debug)]
pub(crate) struct Goal {
    pub(crate) key: String,
    pub(crate) kind: TaskKind,
    needs: Vec<String>,
    /// The bit that it sets in a file which others write as well.
    shared: Option<u32>,
    /// Whether its acceptance command tells done from not done.
    pub(crate) discriminates: bool,
    priority: Priority,
    forecast: bool,
    resources: Vec<String>,
    weight: Option<u32>,
    size: Size,
    /// The goal of the stuck task that it brings about as the last piece of it.
    within: Option<Box<Self>>,
}

/// What is asked for in every world.
pub(crate) const REQUEST: &str = "do it";
pub(crate) const SHARED: &str = "shared/changelog";
/// What there is only one of.
const RESOURCES: [&str; 3] = ["build", "database", "port"];
pub(crate) const BROKEN: &str = "src/broken";
pub(crate) const TESTS: [&str; 3] = ["tests/t1", "tests/t2", "tests/t3"];

impl Goal {
    pub(crate) fn path(&self) -> String {
        format!("src/{}", self.key)
    }

    pub(crate) fn is_met(&self, tree: &Tree) -> bool {
        let bit = |bit: u32| tree.get(SHARED).copied().unwrap_or(0) >> bit & 1 == 1;
        let whole = self.within.as_ref().is_none_or(|whole| whole.is_met(tree));
        tree.get(&self.path()) == Some(&1) && self.shared.is_none_or(bit) && whole
    }

    pub(crate) fn meet(&self, tree: &mut Tree) {
        tree.insert(self.path(), 1);
        if let Some(bit) = self.shared {
            *tree.entry(SHARED.into()).or_default() |= 1 << bit;
        }
        if let Some(whole) = &self.within {
            whole.meet(tree);
        }
    }

    /// One of so many pieces of it.
    fn piece(&self, key: String, needs: Vec<String>, last: bool) -> Self {
        Self {
            key,
            kind: TaskKind::Agent,
            needs,
            shared: None,
            discriminates: true,
            priority: self.priority,
            forecast: false,
            resources: Vec::new(),
            weight: None,
            size: Size::Small,
            within: last.then(|| Box::new(self.clone())),
        }
    }

    fn draft(&self) -> TaskDraft {
        let command = match (self.kind, self.discriminates) {
            (TaskKind::Ask, _) => None,
            (TaskKind::Gate, _) => Some(match self.needs.first() {
                Some(need) => format!("check {need}"),
                None => format!("smoke {}", self.key),
            }),
            (TaskKind::Agent, true) => Some(format!("check {}", self.key)),
            (TaskKind::Agent, false) => Some(format!("smoke {}", self.key)),
        };
        TaskDraft {
            id: self.key.clone(),
            title: format!("Do {}", self.key),
            goal: format!("Bring about {}", self.key),
            kind: self.kind,
            needs: self.needs.clone(),
            writes: if self.forecast {
                vec![self.path()]
            } else {
                Vec::new()
            },
            acceptance: command.into_iter().collect(),
            priority: self.priority,
            size: self.size,
            resources: self.resources.clone(),
            weight: self.weight,
        }
    }
}

/// How the request reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Question,
    Small,
    Large,
}

/// How bad things get, each so often in a thousand chances for it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) crash: u64,
    pub(crate) append: u64,
    pub(crate) zombie: u64,
    pub(crate) lost: u64,
    pub(crate) late: u64,
    pub(crate) doubled: u64,
    pub(crate) agent: u64,
    pub(crate) fatal: u64,
    pub(crate) gate: u64,
    pub(crate) step: u64,
    pub(crate) clock: u64,
    pub(crate) sleep: u64,
    pub(crate) person: u64,
    pub(crate) tools: u64,
}

/// A world before its first step.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) request: Request,
    pub(crate) goals: Vec<Goal>,
    /// The goal that no Worker brings about in one piece, while things go wrong.
    pub(crate) hard: Option<String>,
    /// The goal of which its provider always refuses the Workers or the Reviewers, while things go wrong.
    pub(crate) odd: Option<(String, Role)>,
    /// What stuck tasks were cut into.
    pub(crate) pieces: Vec<Goal>,
    pub(crate) gates: Vec<Gate>,
    pub(crate) terms: Terms,
    pub(crate) faults: Faults,
    /// After so many steps nothing goes wrong any more.
    pub(crate) calm_after: u64,
    pub(crate) base: Tree,
    pub(crate) weather: Weather,
    pub(crate) purse: Purse,
    pub(crate) outputs: Outputs,
    /// What the Commander says of a large request.
    pub(crate) goal: &'static str,
}

impl Scenario {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let request = rng.weigh(&[
            (40, Request::Question),
            (120, Request::Small),
            (840, Request::Large),
        ]);
        let n = if request == Request::Small {
            1
        } else {
            rng.range(4, 21)
        };
        // Some plans have nobody change anything: they only look and ask.
        let looks = request == Request::Large && rng.chance(15);
        let mut goals = Vec::new();
        more_goals(rng, &mut goals, n, looks);
        let mut base: Tree = TESTS.iter().map(|test| ((*test).to_owned(), 1)).collect();
        base.insert("README".into(), 1);
        base.insert(SHARED.into(), 0);
        Self {
            request,
            goals,
            hard: None,
            odd: None,
            pieces: Vec::new(),
            gates: gates(rng),
            terms: terms(rng),
            faults: faults(rng),
            calm_after: rng.range(250, 700),
            base,
            weather: Weather::default(),
            purse: Purse::default(),
            outputs: Outputs::default(),
            goal: "all of it",
        }
    }

    /// So much work that two Workers have a day of it, and a host that is well: what goes wrong is sent by the minute.
    pub(crate) fn of_a_day(rng: &mut Rng, tasks: u64) -> Self {
        let mut day = Self::new(rng);
        day.request = Request::Large;
        day.goals.clear();
        more_goals(rng, &mut day.goals, tasks, false);
        day.faults = Faults {
            agent: 100,
            person: 80,
            ..Faults::default()
        };
        day.calm_after = u64::MAX;
        day.terms = Terms {
            workers: 2,
            attempts: 5,
            tokens: u64::MAX / 4,
            mission: Millis::from_mins(26 * 60),
            acceptance: Millis::from_mins(15),
            deliver: Deliver::Worktree,
            ..Terms::default()
        };
        day
    }

    /// The weather has luck of its own, so that half of the worlds are what they would be without any.
    pub(crate) fn with_weather(mut self, seed: u64) -> Self {
        self.weather = Weather::draw(&mut Rng::new(!seed));
        self.terms.fallbacks = self.weather.fallbacks();
        self.terms.rules = rules(&mut Rng::new(seed.rotate_left(32) ^ 7));
        let mut cuts = Rng::new(seed.rotate_left(32) ^ 0x73_706c_6974);
        self.terms.splits = cuts.weigh(&[(1, 0), (2, 1), (4, 3)]);
        if cuts.chance(200) {
            let provable = |goal: &&Goal| goal.kind == TaskKind::Agent && goal.discriminates;
            self.hard = self
                .goals
                .iter()
                .find(provable)
                .map(|goal| goal.key.clone());
            self.terms.attempts = self.terms.attempts.max(3);
        }
        self
    }

    /// So has the Planner that may begin beside a Commander, who says nothing new in some worlds.
    pub(crate) fn with_plan_ahead(mut self, seed: u64) -> Self {
        let mut rng = Rng::new(seed.rotate_left(32) ^ 0x61_6865_6164);
        self.terms.plan_ahead = rng.chance(400);
        self.goal = rng.weigh(&[(2, self.goal), (2, ""), (1, REQUEST)]);
        self
    }

    /// So has what one task asks of a provider.
    pub(crate) fn with_an_odd_one(mut self, seed: u64) -> Self {
        let mut rng = Rng::new(seed.rotate_left(32) ^ 0x6f_6464);
        if rng.chance(100) {
            let role = rng.weigh(&[(1, Role::Worker), (1, Role::Reviewer)]);
            let mut goals = self.goals.iter();
            let of_agents = goals.find(|goal| goal.kind == TaskKind::Agent);
            self.odd = of_agents.map(|goal| (goal.key.clone(), role));
        }
        self
    }

    /// So have machines that sleep now and then.
    pub(crate) fn with_sleeps(mut self, seed: u64) -> Self {
        let mut rng = Rng::new(seed.rotate_left(32) ^ 0x73_6c65_6570);
        if rng.chance(150) {
            self.faults.sleep = rng.range(2, 20);
        }
        self
    }

    /// So has the purse.
    pub(crate) fn with_purse(mut self, seed: u64) -> Self {
        let mut rng = Rng::new(seed.rotate_left(32) ^ 0x70757273);
        if rng.chance(500) {
            self.purse = Purse::draw(&mut rng, &mut self.terms);
        }
        self
    }

    /// So has what hosts say of how much models write.
    pub(crate) fn with_outputs(mut self, seed: u64) -> Self {
        let mut rng = Rng::new(seed.rotate_left(32) ^ 0x6f75_7470_7574);
        if rng.chance(400) {
            self.outputs = Outputs::draw(&mut rng);
        }
        self
    }

    /// More is wanted than at first.
    pub(crate) fn more_goals(&mut self, rng: &mut Rng, n: u64) {
        more_goals(rng, &mut self.goals, n, false);
    }

    /// The task that brings a goal about.
    pub(crate) fn draft_of(&self, key: &str) -> Option<TaskDraft> {
        self.goal(key).map(Goal::draft)
    }

    /// One more goal, of whoever reads that something is broken: its Worker mends that too.
    pub(crate) fn mending(&mut self) {
        self.goals.push(Goal {
            key: format!("k{}", self.goals.len()),
            kind: TaskKind::Agent,
            needs: Vec::new(),
            shared: None,
            discriminates: true,
            priority: Priority::Normal,
            forecast: true,
            resources: Vec::new(),
            weight: None,
            size: Size::Medium,
            within: None,
        });
    }

    pub(crate) fn goal(&self, key: &str) -> Option<&Goal> {
        let mut all = self.goals.iter().chain(&self.pieces);
        all.find(|goal| goal.key == key)
    }

    pub(crate) fn draft(&self) -> Draft {
        let goals = self.goals.iter().filter(|goal| {
            // A small request is one task, and a task of the project's own cannot be it.
            self.request != Request::Small || goal.kind == TaskKind::Agent
        });
        Draft {
            tasks: goals.map(Goal::draft).collect(),
        }
    }

    /// What a stuck task is cut into, in a turn of this name: `whole` where its pieces together bring it about.
    pub(crate) fn cut(&mut self, rng: &mut Rng, key: &str, turn: &str, whole: bool) -> Draft {
        let Some(goal) = self.goal(key).cloned() else {
            return Draft::default();
        };
        let turn = turn.replace(['/', '.'], "-");
        let n = rng.range(1, 4);
        let mut tasks = Vec::new();
        for i in 1..=n {
            let before = format!("{turn}-{}", i - 1);
            let needs = (i > 1 && rng.chance(500)).then_some(before);
            let piece = goal.piece(
                format!("{turn}-{i}"),
                needs.into_iter().collect(),
                i == n && whole,
            );
            tasks.push(piece.draft());
            self.pieces.push(piece);
        }
        Draft { tasks }
    }

    /// What the core must send back instead.
    pub(crate) fn cut_badly(&self, rng: &mut Rng, mut draft: Draft, key: &str) -> Draft {
        let Some(first) = draft.tasks.first().cloned() else {
            return draft;
        };
        match rng.below(6) {
            0 => draft.tasks.clear(),
            1 => draft.tasks[0].needs.push(key.to_owned()),
            2 => draft.tasks[0].id = key.to_owned(),
            3 => draft.tasks[0].acceptance = vec!["true".into()],
            4 => draft.tasks[0].kind = TaskKind::Gate,
            _ => draft.tasks = vec![first; mission::limits::PIECES + 1],
        }
        draft
    }

    /// A plan that the core must send back.
    pub(crate) fn bad_draft(&self, rng: &mut Rng) -> Draft {
        let mut draft = self.draft();
        match rng.below(6) {
            0 => draft.tasks.clear(),
            1 => draft.tasks[0].needs.push("nobody".into()),
            // Around all of them, and where there is one around itself.
            2 => {
                let keys: Vec<String> = draft.tasks.iter().map(|task| task.id.clone()).collect();
                for (task, key) in draft.tasks.iter_mut().zip(keys.iter().cycle().skip(1)) {
                    task.needs.push(key.clone());
                }
            }
            3 => draft.tasks[0].acceptance = vec!["true".into()],
            4 => draft.tasks[0].writes = vec!["/etc/passwd".into()],
            _ => {
                let again = draft.tasks[0].clone();
                draft.tasks.push(again);
            }
        }
        draft
    }
}

/// What somebody answered beforehand, in a third of the worlds: something that fits what agents ask for, or nothing that
/// does, and a little of all in a few.
fn rules(rng: &mut Rng) -> Vec<Rule> {
    let n = rng.weigh(&[(6, 0), (2, 1), (1, 3)]);
    let mut rules = Vec::new();
    for _ in 0..n {
        rules.push(Rule {
            action: rng.weigh(&[(1, Action::Allow), (1, Action::Ask), (1, Action::Deny)]),
            kind: rng.weigh(&[(3, "shell"), (1, "*"), (1, "edit")]).to_owned(),
            pattern: rng.weigh(&[(3, "may *"), (1, "never *")]).to_owned(),
        });
    }
    rules
}

fn more_goals(rng: &mut Rng, goals: &mut Vec<Goal>, n: u64, looks: bool) {
    let (dense, sharing) = (rng.range(50, 400), rng.range(0, 500));
    let (alone, heavy) = (rng.below(500), rng.below(200));
    let first = goals.len() as u64;
    for i in first..first + n {
        let mut needs: Vec<String> = Vec::new();
        for goal in goals.iter().filter(|goal| goal.kind == TaskKind::Agent) {
            if needs.len() < 3 && rng.chance(dense / 2) {
                needs.push(goal.key.clone());
            }
        }
        let discriminating = |key: &String| {
            goals
                .iter()
                .any(|goal| goal.key == *key && goal.discriminates)
        };
        let provable = needs.first().is_some_and(discriminating);
        let kind = match rng.below(12) {
            0..4 if looks => TaskKind::Ask,
            _ if looks => TaskKind::Gate,
            0 if first + n > 1 => TaskKind::Ask,
            1 if provable => TaskKind::Gate,
            _ => TaskKind::Agent,
        };
        goals.push(Goal {
            key: format!("k{i}"),
            kind,
            needs,
            shared: rng.chance(sharing).then_some(i as u32 % 64),
            discriminates: !rng.chance(80),
            priority: rng.weigh(&[
                (1, Priority::Low),
                (4, Priority::Normal),
                (1, Priority::High),
            ]),
            forecast: rng.chance(500),
            resources: RESOURCES
                .iter()
                .filter(|_| rng.chance(alone))
                .map(|name| (*name).to_owned())
                .collect(),
            weight: rng.chance(heavy).then(|| rng.range(1, 4) as u32),
            size: rng.weigh(&[(6, Size::Small), (3, Size::Medium), (1, Size::Large)]),
            within: None,
        });
    }
}

fn terms(rng: &mut Rng) -> Terms {
    let tokens = rng.weigh(&[
        (7, 50_000_000),
        (2, 5_000_000),
        (2, 1_500_000),
        (1, 300_000),
        (1, 1),
    ]);
    let attended = !rng.chance(200);
    let deliver = [
        Deliver::Worktree,
        Deliver::Branch,
        Deliver::Commit,
        Deliver::None,
    ];
    Terms {
        workers: rng.range(1, 6) as u32,
        attempts: rng.range(1, 5) as u32,
        review_rounds: rng.below(4) as u32,
        tokens,
        attempt: Millis::from_mins(rng.range(20, 60)),
        mission: Millis::from_mins(rng.weigh(&[(4, 24 * 60), (2, 240), (1, 60)])),
        acceptance: Millis::from_mins(15),
        // Nobody could approve an unattended mission's plan; it would be cancelled each time.
        approve: attended && rng.chance(150),
        attended,
        deliver: *rng.pick(&deliver).unwrap_or(&Deliver::None),
        ..Terms::default()
    }
}

fn faults(rng: &mut Rng) -> Faults {
    let mut some = |most: u64| if rng.chance(600) { rng.below(most) } else { 0 };
    Faults {
        crash: some(12),
        append: some(6),
        zombie: some(500),
        lost: some(80),
        late: some(60),
        doubled: some(150),
        agent: some(500),
        fatal: some(12),
        gate: some(200),
        step: some(60),
        clock: some(300),
        sleep: 0,
        person: some(700),
        tools: some(600),
    }
}

fn gates(rng: &mut Rng) -> Vec<Gate> {
    let kinds = [
        ("test", GateKind::Test, "test"),
        ("lint", GateKind::Lint, "lint"),
        ("slow", GateKind::Test, "flaky"),
        ("types", GateKind::Types, "missing"),
        ("build", GateKind::Build, "fails"),
        ("crowd", GateKind::Test, "crowd"),
        ("database", GateKind::Test, "service"),
    ];
    let chosen = kinds.iter().filter(|_| rng.chance(280)).collect::<Vec<_>>();
    let gate = |(id, kind, line): &&(&str, GateKind, &str)| Gate {
        id: (*id).to_owned(),
        kind: *kind,
        program: Program::Shell((*line).to_owned()),
        directory: String::new(),
        timeout: Millis::from_mins(10),
        source: "the project".into(),
        defined_by: Vec::new(),
    };
    chosen.iter().map(gate).collect()
}

/// What a command says of a tree. A truth about the tree, unless the machine is in the way.
pub(crate) fn verdict(
    scenario: &Scenario,
    rng: &mut Rng,
    line: &str,
    tree: &Tree,
    honest: bool,
) -> (GateResult, Option<TestCount>) {
    let is = |green: bool| {
        if green {
            GateResult::Passed
        } else {
            GateResult::Failed { exit: 1 }
        }
    };
    let whole = !tree.contains_key(BROKEN);
    let (word, key) = line.split_once(' ').unwrap_or((line, ""));
    if !honest && rng.chance(scenario.faults.gate / 12) {
        return (in_the_way(rng, word), None);
    }
    let named = |passed: u32, mut failed: Vec<String>, unnamed: u32| {
        failed.extend((!whole).then(|| "broken".to_owned()));
        Some(TestCount {
            passed,
            failed,
            unnamed,
            skipped: 0,
        })
    };
    match word {
        "check" => {
            let met = scenario.goal(key).is_some_and(|goal| goal.is_met(tree));
            (is(met), None)
        }
        "test" => {
            let here = TESTS.iter().filter(|test| tree.contains_key(**test));
            (is(whole), named(here.count() as u32, Vec::new(), 0))
        }
        "flaky" => (is(whole && (honest || rng.chance(800))), None),
        "missing" => (GateResult::MissingTool { tool: "tsc".into() }, None),
        "service" => {
            let what = "port 5432".to_owned();
            (GateResult::NeedsService { what }, None)
        }
        "fails" => (is(false), named(1, vec!["always".to_owned()], 0)),
        "crowd" => (is(false), named(1, vec!["always".to_owned()], 3)),
        _ => (is(whole), None),
    }
}

/// What is said of a tree when it is the machine that speaks.
fn in_the_way(rng: &mut Rng, word: &str) -> GateResult {
    match rng.below(4) {
        // The program of a task's own check is not installed, or not any more.
        0 if word == "check" => GateResult::MissingTool { tool: word.into() },
        0 | 1 => GateResult::TimedOut,
        2 => GateResult::Crashed { signal: 9 },
        _ => GateResult::OverLimit {
            what: "output".into(),
        },
    }
}
