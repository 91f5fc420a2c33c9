//! What a turn is charged for, and what the budget bears.

use super::*;

/// What is known of money, turns and the word that a plan needs, counted a second time.
#[derive(Debug, Default)]
pub(super) struct Purse {
    limit: Option<u64>,
    live: BTreeMap<Epoch, u64>,
    spent: u64,
    reported: u64,
    priced: u64,
    /// What turns cost beyond what they had reserved, since a turn was last admitted.
    beyond: u64,
    /// Turns that asked a model since the mission was opened or resumed.
    turns: u32,
    most: u32,
    /// What each task used since a person last let it go on.
    of_task: BTreeMap<TaskId, u64>,
    /// Whether the plan waits for a person's word.
    awaits_word: bool,
    /// What the plan was forecast to use before it was changed.
    forecast: u64,
}

impl Purse {
    pub(super) fn new(terms: &Terms) -> Self {
        Self {
            limit: terms.micro_usd,
            most: terms.turns.unwrap_or(limits::TURNS),
            ..Self::default()
        }
    }

    fn worth(&self, tokens: u64) -> u64 {
        match (self.priced, self.reported) {
            (0, _) | (_, 0) => 0,
            (priced, reported) => (tokens * reported).div_ceil(priced),
        }
    }

    pub(super) fn resumed(&mut self, more: u64, given_up: &BTreeSet<TaskId>) {
        self.limit = self.limit.map(|limit| limit.saturating_add(more));
        self.turns = 0;
        self.awaits_word = false;
        self.of_task.retain(|task, _| !given_up.contains(task));
    }

    /// A person lets a task be tried anew, and use as much again.
    pub(super) fn retried(&mut self, task: TaskId) {
        self.of_task.remove(&task);
    }

    /// A person's yes, whatever it is about but the plan, is none.
    pub(super) fn word(&mut self, event: &Event, asked: &BTreeMap<QuestionId, About>) {
        if let Event::QuestionClosed { id, answered } = event
            && matches!(asked.get(id), Some(About::Plan))
            && answered.text == "yes"
        {
            self.awaits_word = false;
        }
    }

    /// Whether nothing of it keeps a further turn from beginning. How much money one reserves is not asked again here.
    pub(super) fn may_begin(&self, running: usize) -> bool {
        self.limit.is_none() && self.turns as usize + running < self.most as usize
    }

    pub(super) fn lent(&mut self, epoch: Epoch, money: u64) {
        // Where tokens alone are lent, another turn may have gone past the money by its last call.
        if self.live.insert(epoch, money) != Some(money) {
            self.within_the_limit();
        }
    }

    fn within_the_limit(&mut self) {
        let reserved: u64 = self.live.values().sum();
        let Some(limit) = self.limit else {
            assert_eq!(reserved, 0, "money is reserved without a limit");
            return;
        };
        let beyond = std::mem::take(&mut self.beyond);
        let spent = self.spent;
        assert!(
            spent + reserved <= limit + beyond,
            "{spent} are spent and {reserved} reserved of a cost of {limit}"
        );
    }

    pub(super) fn charged(
        &mut self,
        (turn, epoch): (Turn, Epoch),
        usage: &Usage,
        charged: u64,
        money: u64,
    ) {
        let had = self
            .live
            .remove(&epoch)
            .expect("a turn that ends has a lease");
        let worth = self.worth(charged);
        let fair = match (usage.micro_usd, usage.tokens()) {
            (Some(cost), _) => cost,
            (None, Some(_)) => worth,
            // A turn that was refused before its first call has used nothing.
            (None, None) if charged == 0 => 0,
            (None, None) => worth.max(had),
        };
        assert_eq!(money, fair, "epoch {} costs otherwise", epoch.0);
        let asked = usage.calls > 0 || charged > 0;
        self.turns += u32::from(asked);
        if let (true, Some(tokens), Some(cost)) = (asked, usage.tokens(), usage.micro_usd) {
            (self.priced, self.reported) = (self.priced + tokens, self.reported + cost);
        }
        self.spent += money;
        self.beyond += money.saturating_sub(had);
        let of = match turn {
            Turn::Work { attempt } | Turn::Review { attempt, .. } => Some(attempt.task),
            Turn::Split { task, .. } => Some(task),
            Turn::Intent { .. } | Turn::Plan { .. } => None,
        };
        if let Some(task) = of {
            *self.of_task.entry(task).or_default() += charged;
        }
    }
}

impl Audit {
    /// What a running turn was told to have used is lent to it or ends it, so that at most the call that nobody has told
    /// of yet goes past a limit.
    pub(super) fn is_bound(
        &self,
        mission: &Mission,
        now: Timestamp,
        input: &Input,
        (epoch, tokens, money): (Epoch, u64, Option<u64>),
    ) {
        let Some(lease) = mission.lease(epoch) else {
            return;
        };
        let (events, _) = mission.decide(now.max(mission.last()), input.clone());
        let mut had = Some((lease.reserved, lease.money));
        for event in &events {
            match event {
                Event::TurnLent {
                    reserved, money, ..
                } => had = Some((*reserved, *money)),
                Event::TurnEnded { .. } => had = None,
                _ => {}
            }
        }
        let Some((reserved, paid)) = had else { return };
        assert!(
            tokens <= reserved,
            "a turn goes on with {tokens} of {reserved} tokens"
        );
        let cost = money.filter(|_| self.purse.limit.is_some()).unwrap_or(0);
        assert!(cost <= paid, "a turn goes on that costs {cost} of {paid}");
        if let Turn::Work { attempt } = lease.turn {
            let used = self.purse.of_task.get(&attempt.task).copied().unwrap_or(0);
            let task = mission.task(attempt.task).expect("it is in the plan");
            let (used, most) = (used + tokens, mission.task_limit(task));
            assert!(used <= most, "a task goes on with {used} of {most} tokens");
        }
    }

    /// Whether a turn that begins may cost what it reserves, is one of those that may begin, and leaves to every task whose
    /// work will be judged what its review needs.
    pub(super) fn may_be_paid(&mut self, turn: Turn, epoch: Epoch, money: u64) {
        self.purse.live.insert(epoch, money);
        self.purse.beyond = 0;
        self.purse.within_the_limit();
        let (spent, limit) = (self.purse.spent, self.purse.limit);
        assert!(
            limit.is_none_or(|limit| spent < limit),
            "a turn begins, and all of its cost is used up"
        );
        let (turns, most) = (self.purse.turns as usize + self.live.len(), self.purse.most);
        assert!(turns <= most as usize, "{turns} turns of {most}");
        let Turn::Work { attempt } = turn else { return };
        assert!(
            !self.purse.awaits_word,
            "{attempt} begins, and nobody has agreed to what the plan is forecast to use"
        );
        let used = self.purse.of_task.get(&attempt.task).copied().unwrap_or(0);
        let task = self.shadow.task(attempt.task).expect("it is in the plan");
        let most = self.shadow.task_limit(task);
        assert!(
            used <= most,
            "{attempt} begins after {used} of {most} tokens"
        );
        if self.terms.review_rounds > 0 {
            let owed = self.shadow.tasks().filter(|task| {
                matches!(
                    task.state,
                    State::Working { .. } | State::Checking | State::Judging { .. }
                )
            });
            let share = self.reserve_later(Role::Reviewer);
            let held = owed.count() as u64 * share;
            let (spent, reserved) = (self.spent, self.reserved());
            assert!(
                spent + reserved + held <= self.limit,
                "{attempt} takes the tokens that reviews need: {spent}, {reserved} and {held}"
            );
        }
    }

    /// A plan that waits for a person's word and is changed needs one still if it is still that dear.
    pub(super) fn planned_otherwise(&mut self) {
        if self.purse.awaits_word {
            self.planned_for();
        }
    }

    /// A new plan that is forecast to use more than it may waits for a person's word.
    pub(super) fn planned_for(&mut self) {
        self.purse.awaits_word = self.shadow.forecast().tokens > self.asks_above();
    }

    fn asks_above(&self) -> u64 {
        let left = self.limit.saturating_sub(self.spent);
        self.terms.ask_above.unwrap_or(left)
    }

    /// A plan that a person makes dearer than it may be waits for a word, whatever was said before.
    pub(super) fn made_dear(&mut self, by_a_person: bool, dear: bool) {
        let after = self.shadow.forecast().tokens;
        let rises = by_a_person && after > self.purse.forecast && after > self.asks_above();
        assert_eq!(
            dear, rises,
            "a plan that was forecast to use {} tokens is changed, and then {after}",
            self.purse.forecast
        );
        self.purse.awaits_word |= dear;
    }

    /// What the plan is forecast to use before an event changes it.
    pub(super) fn forecast_before(&mut self) {
        self.purse.forecast = self.shadow.forecast().tokens;
    }

    pub(super) fn charged(&mut self, epoch: Epoch, ending: &Ending, usage: &Usage, charged: u64) {
        let reserved = self.live.remove(&epoch);
        let reserved = reserved.expect("a turn that ends has a lease");
        let refused = ending.is_refusal() && usage.calls == 0;
        let fair = match usage.tokens() {
            Some(tokens) => tokens,
            None if refused => 0,
            None => reserved,
        };
        assert_eq!(charged, fair, "epoch {} is charged otherwise", epoch.0);
        let told = self.used.remove(&epoch).unwrap_or(0);
        assert!(
            charged >= told,
            "{charged} are charged for epoch {}, of which {told} were told",
            epoch.0
        );
        self.spent += charged;
        self.beyond += charged.saturating_sub(reserved);
        // Only what one turn used before anybody could hear of it may go past the limit.
        let (spent, limit) = (self.spent + self.reserved(), self.limit + self.beyond);
        assert!(spent <= limit, "{spent} are spent or reserved of {limit}");
    }

    pub(super) fn reserved(&self) -> u64 {
        self.live.values().sum()
    }

    pub(super) fn within_the_limit(&mut self) {
        self.beyond = 0;
        let (spent, reserved, limit) = (self.spent, self.reserved(), self.limit);
        assert!(
            spent + reserved <= limit,
            "{spent} spent and {reserved} reserved of {limit}"
        );
    }
}
