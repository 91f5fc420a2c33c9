//! How what a performer has to say reaches the engine: soon, late, twice or never.

use super::*;

impl World {
    /// Sends what a performer has to say: soon, or as badly as this world's faults have it.
    pub(crate) fn send(&mut self, life: u64, command: &Command, input: Input) {
        let faults = self.scenario.faults;
        let (name, kind) = (command.name(), command.kind());
        let soon = self.rng.range(1, 3_000);
        let struck = self.day.as_mut().and_then(|day| day.fate.take());
        if struck == Some(Fate::Lost) || self.rng.chance(faults.lost) {
            tell!("{:>10} . the reply of {name} is lost", "");
            let fate = Some((kind, Fate::Lost));
            return self.says(soon, life, name, None, true, fate);
        }
        if struck == Some(Fate::Doubled) || self.rng.chance(faults.doubled) {
            // Most copies come soon; some come when hardly anything is as it was.
            let most = self.rng.weigh(&[(4, 30 * 60_000), (1, 10 * 60 * 60_000)]);
            let again = self.rng.range(1, most);
            let (name, input) = (name.clone(), Some(input.clone()));
            let fate = Some((kind, Fate::Doubled));
            self.says(again, life, name, input, false, fate);
        }
        let late = struck == Some(Fate::Late) || self.rng.chance(faults.late);
        let fate = late.then_some((kind, Fate::Late));
        let wait = if late {
            self.rng.range(20 * 60_000, 90 * 60_000)
        } else {
            soon
        };
        self.says(wait, life, name, Some(input), true, fate);
    }

    /// Something is said, and heard after a while if its life still lasts then.
    pub(crate) fn says(
        &mut self,
        wait: u64,
        life: u64,
        name: String,
        input: Option<Input>,
        ends: bool,
        fate: Option<(&'static str, Fate)>,
    ) {
        self.said += 1;
        let sent = Box::new(Sent { n: self.said, fate });
        self.after(
            wait,
            What::Says {
                life,
                name,
                input: input.map(Box::new),
                ends,
                sent,
            },
        );
    }

    /// What was said has arrived. Only now its fate has come true: an engine that died has heard nothing twice.
    pub(super) fn hears(&mut self, sent: Sent) {
        if let Some((kind, fate)) = sent.fate {
            self.coverage.reply(kind, fate);
        } else if sent.n < self.heard {
            self.coverage.saw("a reply overtakes another");
        }
        self.heard = self.heard.max(sent.n);
    }
}
