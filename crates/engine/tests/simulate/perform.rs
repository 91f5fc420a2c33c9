//! What performers do to the world. Each asks first whether its work is done already, so that doing it twice is harmless.

use crate::host::{self, Deed, Session};
use crate::scenario::verdict;
use crate::story::tell;
use crate::world::{What, World};
use mission::command::{Command, Step};
use mission::event::{Event, Turn};
use mission::gate::{Gate, GateResult, GateRun};
use mission::ids::{Digest, Epoch, TreeId};
use mission::input::Input;
use mission::limits;
use mission::mission::Lease;
use mission::question::About;
use mission::stagnation::{Stray, Strayed};
use mission::steering::Said;
use mission::time::Millis;
use mission::turn::{Answer, Diagnosis, Outcome, Role, Usage};
use mission::work::{Base, Work};

impl World {
    /// A performer begins.
    pub(crate) fn begin(&mut self, life: u64, command: Command) {
        tell!("{:>10} ! {}", "", command.name());
        if let Command::Turn { turn, epoch, .. } = &command {
            return self.begin_turn(life, &command, *turn, *epoch);
        }
        let wait = match command {
            // Some run for longer than a small mission does; where nothing goes wrong any more, none.
            Command::Gate { .. } => {
                let slow = if self.calm { 4 } else { 40 };
                let most = self.rng.weigh(&[(6, 4), (1, slow)]);
                self.rng.range(500, most * 60_000)
            }
            Command::PlanDelivery { .. } | Command::Deliver { .. } | Command::Undo { .. } => {
                self.rng.range(10, 15 * 60_000)
            }
            _ => self.rng.range(10, 20_000),
        };
        self.after(wait, What::Effect { life, command });
    }

    /// A performer reaches the world, and says what came of it.
    pub(crate) fn effect(&mut self, life: u64, command: &Command) {
        // Whoever reaches the user's files looks whether they are still to be written.
        let writes = matches!(command, Command::Deliver { .. } | Command::Undo { .. });
        if writes && !self.is_due(command) {
            return;
        }
        let told = self.fails(command);
        if told.is_some() && self.hangs(command) {
            return;
        }
        if let Some(input) = told.or_else(|| self.in_the_world(command)) {
            self.send(life, command, input);
        }
    }

    fn is_due(&self, command: &Command) -> bool {
        let engine = self.engine.as_ref();
        engine.is_some_and(|engine| engine.desk.mission().due().contains(command))
    }

    /// Some of the steps that cannot be done are never told of: their disk hangs. The base has the mission's own time.
    fn hangs(&mut self, command: &Command) -> bool {
        let step = !matches!(
            command,
            Command::Prepare | Command::SetUp | Command::Gate { .. }
        );
        let hangs = step && self.rng.chance(300);
        if hangs {
            tell!("{:>10} . {} hangs", "", command.name());
            self.coverage.saw("a step hangs");
        }
        hangs
    }

    /// Some steps cannot be done, and of them nothing was but files of a delivery.
    fn fails(&mut self, command: &Command) -> Option<Input> {
        if let Command::Gate { epoch, .. } = command {
            if !self.rng.chance(self.scenario.faults.gate / 4) {
                return None;
            }
            self.coverage.saw("a run of a gate is lost");
            return Some(Input::GateLost {
                epoch: *epoch,
                why: "the machine is full".into(),
            });
        }
        if !self.rng.chance(self.scenario.faults.step) {
            return None;
        }
        let (step, n) = match command {
            // Once prepared is prepared; otherwise the world would be over too soon, too often.
            Command::Prepare if self.git.line.is_none() && self.rng.chance(100) => {
                (Step::Prepare, 0)
            }
            Command::SetUp if self.rng.chance(100) => (Step::SetUp, 0),
            Command::Stack { n, .. } => (Step::Stack, *n),
            // The line may have moved all the same.
            Command::Move { n, .. } => {
                if self.rng.chance(500) {
                    self.in_the_world(command);
                }
                (Step::Move, *n)
            }
            Command::PlanDelivery { n, .. } => (Step::PlanDelivery, *n),
            Command::Undo { n, .. } => (Step::Undo, *n),
            Command::Clean { n } => (Step::Clean, *n),
            Command::Deliver { n, plan, .. } if self.listing(plan).written.is_none() => {
                self.break_off(*n, plan);
                (Step::Deliver, *n)
            }
            _ => return None,
        };
        Some(Input::StepFailed {
            step,
            n,
            why: "it cannot be done here".into(),
        })
    }

    /// Does it, and tells what is to be said of it.
    pub(crate) fn in_the_world(&mut self, command: &Command) -> Option<Input> {
        match command {
            Command::Prepare => Some(self.prepare()),
            Command::SetUp => Some(Input::SetUp {
                environment: self.tools(),
                notes: Vec::new(),
            }),
            Command::Turn { .. } => None,
            Command::Gate {
                epoch, gate, tree, ..
            } => {
                let run = self.run_gate(gate, tree);
                Some(Input::GateRan { epoch: *epoch, run })
            }
            Command::Stack { n, onto, attempts } => {
                let results = self.git.stack(onto, attempts);
                Some(Input::Stacked { n: *n, results })
            }
            Command::Move {
                n,
                from,
                adrift,
                to,
                tree,
            } => {
                let stands = self.git.compare_and_swap(from, adrift, to);
                assert_eq!(
                    stands.as_ref(),
                    Some(to),
                    "the line stands where no landing put it"
                );
                assert_eq!(
                    self.git.twice_on_line(),
                    None,
                    "an attempt is on the line more than once"
                );
                Some(Input::Moved {
                    n: *n,
                    commit: to.clone(),
                    tree: tree.clone(),
                })
            }
            Command::PlanDelivery { n, .. } => Some(self.plan_delivery(*n)),
            Command::Deliver { n, plan, .. } => Some(self.deliver(*n, plan)),
            Command::Undo { n, delivery } => Some(self.undo(*n, *delivery)),
            Command::CloseSession { session, .. } => Some(self.close_session(session)),
            Command::Clean { n } => Some(Input::Cleaned {
                n: *n,
                rescued: 0,
                sessions_left: self.close_all_sessions(),
            }),
        }
    }

    /// What gates run with, besides the tree.
    fn tools(&self) -> Digest {
        Digest::of(&self.tools.to_be_bytes())
    }

    fn prepare(&mut self) -> Input {
        let tree = self.git.write(&self.scenario.base);
        let commit = self.git.commit(&tree, None, "base");
        self.git.line.get_or_insert(commit.clone());
        let base = Base {
            commit,
            tree,
            branch: None,
            head: None,
            uncommitted: 0,
            left_out: Vec::new(),
        };
        Input::Prepared {
            base,
            gates: self.scenario.gates.clone(),
            notes: Vec::new(),
        }
    }

    fn run_gate(&mut self, gate: &Gate, tree: &TreeId) -> GateRun {
        // A runner with a stale workspace runs on another tree than it was told, and says so.
        let stray = self.rng.chance(self.scenario.faults.gate / 8);
        let base = self.git.write(&self.scenario.base);
        if stray && base != *tree {
            self.coverage.saw("a gate runs on another tree");
        }
        let on = if stray { base } else { tree.clone() };
        let files = self.git.tree(&on);
        let line = gate.program.to_string();
        let (result, tests) = verdict(&self.scenario, &mut self.rng, &line, &files, self.calm);
        if matches!(
            result,
            GateResult::TimedOut | GateResult::Crashed { .. } | GateResult::OverLimit { .. }
        ) {
            self.coverage.saw("the machine speaks instead of the gate");
        }
        GateRun {
            gate: gate.id.clone(),
            command: gate.command(),
            tree: on,
            environment: self.tools(),
            result,
            output: Digest::of(b""),
            tail: String::new(),
            tests,
            as_before: None,
            duration: Millis(1),
        }
    }

    fn begin_turn(&mut self, life: u64, command: &Command, turn: Turn, epoch: Epoch) {
        let name = command.name();
        if self.host.sessions.contains_key(&name) {
            return self.found_again(life, command, turn, epoch);
        }
        let Some(model) = self.may_ask(life, command, epoch) else {
            return;
        };
        let role = turn.role();
        let deed = Deed::draw(&mut self.rng, &self.scenario.faults, role);
        let struck = self.struck(turn, &model);
        let deed = struck.map_or(deed, |(deed, _)| deed);
        let deed = self.restlessly(role, deed);
        let deed = self.at_its_best(turn, deed);
        let tokens = self.rng.weigh(&[(6, 20_000), (3, 120_000), (1, 900_000)]);
        let tokens = match deed {
            Deed::Refused if self.rng.chance(800) => 0,
            Deed::Refused => 3_000,
            _ if self.calm => 20_000,
            _ => tokens,
        };
        let before = self.host.before.get(&name).copied().unwrap_or(0);
        let asks = deed != Deed::Hang && self.rng.chance(self.scenario.faults.person / 8);
        tell!("{:>10} . {name} is done by an agent: {deed:?}", "");
        let session = Session {
            epoch,
            deed,
            tokens: before + tokens,
            before,
            asks,
            ended: None,
            runs: 1,
            storm: struck.map(|(_, asked)| asked),
        };
        self.coverage.saw(deed.name());
        self.host.sessions.insert(name.clone(), session);
        self.names_session(life, turn, epoch);
        let Some(length) = self.how_long(&name, deed, role) else {
            return;
        };
        if tokens > 100_000 {
            self.after(
                length.0 / 2,
                What::Uses {
                    name: name.clone(),
                    tokens: before + tokens / 2,
                },
            );
        }
        if deed != Deed::Refused && !matches!(deed, Deed::Fails(_)) {
            self.signs(&name, length, before + tokens / 4);
        }
        self.probes(&name, role, length);
        let step = length.0 * 2 / 3;
        self.after(step, What::Heeds { name: name.clone() });
        if asks {
            self.after(length.0 / 3, What::Asks { name });
        } else {
            self.after(length.0, What::TurnOver { name });
        }
    }

    /// The host knows the turn already.
    fn found_again(&mut self, life: u64, command: &Command, turn: Turn, epoch: Epoch) {
        let name = command.name();
        self.names_session(life, turn, epoch);
        let Some((outcome, work)) = self.host.sessions[&name].ended.clone() else {
            return self.ask_again(&name);
        };
        tell!("{:>10} . the finished reply of {name} is found again", "");
        self.coverage.saw("a finished reply is found again");
        let reply = Input::TurnReplied {
            epoch,
            outcome,
            work,
        };
        self.send(life, command, reply);
    }

    /// In some worlds the provider refuses most Workers, again and again.
    fn restlessly(&mut self, role: Role, deed: Deed) -> Deed {
        let restless = self.restless && !self.calm && role == Role::Worker;
        match restless && self.rng.chance(850) {
            true => Deed::Refused,
            false => deed,
        }
    }

    /// Nobody is honest about a goal that is too hard in one piece, while things go wrong.
    pub(crate) fn at_its_best(&self, turn: Turn, deed: Deed) -> Deed {
        let hard = turn.role() == Role::Worker && !self.calm && self.scenario.hard.is_some();
        match hard && self.audit.key_of(turn) == self.scenario.hard {
            true if deed == Deed::Honest => Deed::Lie,
            _ => deed,
        }
    }

    /// Sessions live on behind the engine's back, but for those that die with it.
    pub(crate) fn host_after_crash(&mut self) {
        let names: Vec<String> = self.host.sessions.keys().cloned().collect();
        for name in names {
            let open = self.host.sessions[&name].ended.is_none();
            if open && self.rng.chance(200) {
                self.coverage.saw("a session dies with the engine");
                // What it used, it used; the turn's next session tells of both.
                if let Some(session) = self.host.sessions.remove(&name) {
                    let own = session.tokens - session.before;
                    self.host.before.insert(name, session.before + own / 2);
                }
            }
        }
    }

    fn lease(&self, name: &str) -> Option<Lease> {
        let epoch = self.host.sessions.get(name)?.epoch;
        self.audit.leases.get(&epoch).cloned()
    }

    pub(crate) fn turn_over(&mut self, name: &str) {
        let Some(session) = self
            .host
            .sessions
            .get(name)
            .filter(|session| session.ended.is_none())
        else {
            return;
        };
        let session = session.clone();
        let Some(lease) = self.lease(name) else {
            return;
        };
        let key = self.audit.key_of(lease.turn);
        let ended = host::end(
            &mut self.rng,
            &self.scenario,
            &mut self.git,
            &session,
            &lease,
            key.as_deref(),
        );
        let ended = self.says_how(lease.turn, ended);
        let ended = self.cuts_anew(lease.turn, session.deed, ended);
        let (outcome, work) = ended.clone();
        if let Some(session) = self.host.sessions.get_mut(name) {
            assert_eq!(session.runs, 1, "{name} was run more than once");
            session.ended = Some(ended);
        }
        let (turn, epoch) = (lease.turn, session.epoch);
        if let Some(life) = self.listens(epoch) {
            let command = Command::Turn {
                turn,
                epoch,
                deadline: lease.deadline,
                lane: lease.lane,
            };
            self.send(
                life,
                &command,
                Input::TurnReplied {
                    epoch,
                    outcome,
                    work,
                },
            );
        }
    }

    /// Whoever makes a diagnosis says what it does otherwise; some say what was tried before, and some nothing.
    fn says_how(&mut self, turn: Turn, ended: (Outcome, Option<Work>)) -> (Outcome, Option<Work>) {
        let (outcome, work) = ended;
        let diagnoses = self.audit.diagnoses(turn);
        let outcome = match outcome {
            Outcome::Answered {
                answer: Answer::Report(report),
                usage,
            } if diagnoses => {
                let stale = !self.calm && self.rng.chance(self.scenario.faults.agent / 2);
                if stale {
                    self.coverage.saw("a diagnosis that names nothing new");
                }
                let strategy = match stale {
                    true if self.rng.chance(500) => String::new(),
                    true => " Done! ".to_owned(),
                    false => format!("as in {turn}"),
                };
                let answer = Answer::Diagnosis(Diagnosis { strategy, report });
                Outcome::Answered { answer, usage }
            }
            other => other,
        };
        (outcome, work)
    }

    /// A Planner that is asked about one task writes no plan of all. Some leave something out, which the check of the whole
    /// finds.
    fn cuts_anew(
        &mut self,
        turn: Turn,
        deed: Deed,
        (outcome, work): (Outcome, Option<Work>),
    ) -> (Outcome, Option<Work>) {
        let (
            Turn::Split { .. },
            Outcome::Answered {
                answer: Answer::Plan(_),
                usage,
            },
        ) = (turn, &outcome)
        else {
            return (outcome, work);
        };
        let key = self.audit.key_of(turn).unwrap_or_default();
        let whole = self.calm || !self.rng.chance(self.scenario.faults.agent / 2);
        if !whole {
            self.coverage.saw("pieces that leave something out");
        }
        let name = turn.to_string();
        let mut draft = self.scenario.cut(&mut self.rng, &key, &name, whole);
        if deed == Deed::BadPlan {
            draft = self.scenario.cut_badly(&mut self.rng, draft, &key);
        }
        let (answer, usage) = (Answer::Plan(draft), *usage);
        (Outcome::Answered { answer, usage }, work)
    }

    pub(crate) fn agent_uses(&mut self, name: &str, tokens: u64) {
        let Some(epoch) = self.host.sessions.get(name).map(|session| session.epoch) else {
            return;
        };
        if let Some(life) = self.listens(epoch) {
            let input = Some(Input::TurnUsed {
                epoch,
                usage: self.scenario.purse.used(tokens),
            });
            self.says(0, life, name.to_owned(), input, false, None);
        }
    }

    /// The engine's side of a turn sees that its agent goes nowhere.
    pub(crate) fn agent_strays(&mut self, name: &str, stray: Stray) {
        let open = self.host.sessions.get(name);
        let Some(session) = open.filter(|session| session.ended.is_none()) else {
            return;
        };
        let (epoch, tokens) = (session.epoch, session.tokens);
        if let Some(life) = self.listens(epoch) {
            let usage = Usage {
                input: Some(tokens),
                output: Some(0),
                ..Usage::default()
            };
            let strayed = Strayed {
                stray,
                why: "read: a.txt".to_owned(),
                gained: [0, 0, limits::GAINED][self.rng.below(3) as usize],
            };
            let input = Input::Strayed {
                epoch,
                strayed,
                usage,
            };
            self.says(0, life, name.to_owned(), Some(input), false, None);
        }
    }

    /// How long a turn takes; in some of that its agent goes nowhere.
    fn how_long(&mut self, name: &str, deed: Deed, role: Role) -> Option<Millis> {
        let length = deed.length(&mut self.rng, role);
        self.may_stray(name, length);
        length
    }

    /// Some agents go nowhere for a while, and some for the rest of their turn.
    fn may_stray(&mut self, name: &str, length: Option<Millis>) {
        if !self.rng.chance(self.scenario.faults.agent / 3) {
            return;
        }
        let length = length.map_or(10 * 60_000, |length| length.0);
        let times = self.rng.range(1, 5);
        for n in 1..=times {
            let all = [(2, Stray::Looping), (2, Stray::Stalled), (1, Stray::Quiet)];
            let stray = self.rng.weigh(&all);
            let name = name.to_owned();
            self.after(length * n / 6, What::Strays { name, stray });
        }
    }

    /// A host that was told something says so at once, and may say so again.
    pub(crate) fn agent_heeds(&mut self, name: &str) {
        let Some(epoch) = self.host.sessions.get(name).map(|session| session.epoch) else {
            return;
        };
        let Some((engine, life)) = self.engine.as_ref().zip(self.listens(epoch)) else {
            return;
        };
        let mission = engine.desk.mission();
        let Some(lease) = mission.lease(epoch) else {
            return;
        };
        let is_news = |said: &&Said| said.n > lease.told && said.concerns(&lease.turn);
        let news: Vec<u32> = mission
            .said()
            .iter()
            .filter(is_news)
            .map(|said| said.n)
            .collect();
        for n in news {
            self.coverage.saw("a running turn is told something");
            for wait in [0, 1] {
                let input = Some(Input::TurnTold { epoch, n });
                self.says(wait, life, name.to_owned(), input, false, None);
            }
        }
    }

    pub(crate) fn agent_asks(&mut self, name: &str) {
        let Some(session) = self.host.sessions.get(name).filter(|session| session.asks) else {
            return;
        };
        let (epoch, token) = (session.epoch, session.epoch.0 * 10);
        if let Some(life) = self.listens(epoch) {
            let choices = ["allow", "mission", "project", "deny"]
                .map(str::to_owned)
                .to_vec();
            let input = Input::Question {
                epoch,
                token,
                kind: "shell".into(),
                text: "may I?".into(),
                choices,
            };
            self.says(1, life, name.to_owned(), Some(input), false, None);
        }
    }

    fn ask_again(&mut self, name: &str) {
        if self
            .host
            .sessions
            .get(name)
            .is_some_and(|session| session.asks)
        {
            let name = name.to_owned();
            self.after(100, What::Asks { name });
        }
    }

    /// An answered permission lets its agent go on.
    pub(crate) fn hand_answers_back(&mut self, event: &Event) {
        let Event::QuestionClosed { id, .. } = event else {
            return;
        };
        let Some(About::Permission { epoch, .. }) = self.audit.asked.get(id) else {
            return;
        };
        let epoch = *epoch;
        let mut sessions = self.host.sessions.iter_mut();
        let Some((name, session)) =
            sessions.find(|(_, session)| session.epoch == epoch && session.asks)
        else {
            return;
        };
        session.asks = false;
        let name = name.clone();
        let wait = self.rng.range(1_000, 10 * 60_000);
        self.after(wait, What::TurnOver { name });
    }
}
