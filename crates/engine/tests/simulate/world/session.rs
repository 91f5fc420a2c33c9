//! The sessions in which the host's agents work: named to the engine, now and then wrongly or not at all, and there until
//! somebody closes them.

use super::*;
use crate::host::Talk;
use mission::event::Turn;

impl World {
    /// The host finds the session of a turn again, or begins one, and says which it is.
    pub(crate) fn names_session(&mut self, life: u64, turn: Turn, epoch: Epoch) {
        let Some(engine) = &self.engine else {
            return;
        };
        let mission = engine.desk.mission();
        let Some(lane) = mission.lease(epoch).map(|lease| lease.lane) else {
            return;
        };
        let role = turn.role();
        let closed: Vec<String> = mission
            .sessions()
            .retired()
            .map(|(name, _)| name.to_owned())
            .collect();
        let repaired = match turn {
            Turn::Plan { n } => mission.mended_by(n),
            Turn::Split { task, n } if n > 1 => {
                let cut = mission.task(task).map(|task| task.cut());
                let refused = cut.is_some_and(|cut| !cut.faults().is_empty());
                refused.then(|| Turn::Split { task, n: n - 1 })
            }
            _ => None,
        };
        let open = |name: &String| !closed.contains(name);
        let fits = |talk: &Talk| {
            (talk.role, talk.lane) == (role, lane)
                && (talk.turn == turn || Some(talk.turn) == repaired)
        };
        let talks = &self.host.talks;
        let own = talks.iter().find(|(name, talk)| open(name) && fits(talk));
        let name = own.map(|(name, _)| name.clone());
        let others = talks.iter().find(|(_, talk)| !fits(talk));
        if let Some((other, _)) = others
            && self.rng.chance(self.scenario.faults.agent / 16)
        {
            self.coverage.saw("a session of another turn is named");
            let session = other.clone();
            let input = Input::SessionNamed { epoch, session };
            return self.says(1, life, turn.to_string(), Some(input), false, None);
        }
        if name.is_some() {
            self.coverage.saw("a session is gone on with");
        }
        let name = name.unwrap_or_else(|| {
            self.host.n_talks += 1;
            format!("ses_{:04}", self.host.n_talks)
        });
        let talk = Talk { turn, role, lane };
        self.host.talks.insert(name.clone(), talk);
        if self.rng.chance(self.scenario.faults.lost) {
            self.coverage.saw("a session that nobody names");
            return;
        }
        let input = Input::SessionNamed {
            epoch,
            session: name,
        };
        let late = self.rng.chance(self.scenario.faults.late);
        let wait = if late { self.rng.below(30 * 60_000) } else { 0 };
        let who = turn.to_string();
        if self.rng.chance(self.scenario.faults.doubled) {
            let again = self.rng.below(30 * 60_000);
            self.says(again, life, who.clone(), Some(input.clone()), false, None);
        }
        self.says(wait, life, who, Some(input), false, None);
    }

    pub(crate) fn close_session(&mut self, session: &str) -> Input {
        let left = match self.rng.chance(self.scenario.faults.step) {
            true => "it cannot be done here".to_owned(),
            false => String::new(),
        };
        if left.is_empty() {
            self.host.talks.remove(session);
        } else {
            self.coverage.saw("a session cannot be closed");
        }
        Input::SessionClosed {
            session: session.to_owned(),
            left,
        }
    }

    /// All that the host remembers, known to the engine or not. Tells why they are left, where they are.
    pub(crate) fn close_all_sessions(&mut self) -> String {
        if self.rng.chance(self.scenario.faults.step) {
            return "their host does not answer".to_owned();
        }
        self.host.talks.clear();
        String::new()
    }
}
