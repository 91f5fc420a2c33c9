//! How what a performer has to say reaches the engine: soon, late, twice or never.

use super::*;

impl World {
    /// Sends what a performer has to say: soon, or as badly as this world's faults have it.
    pub(crate) fn send(&mut self, life: u64, command: &Command, input: Input) {
        let faults = self.scenario.faults;
        let (name, kind) = (command.name(), command.kind());
        let soon = self.rng.range(1, 3_000);
        if self.rng.chance(faults.lost) {
            tell!("{:>10} . the reply of {name} is lost", "");
            self.coverage.reply(kind, Fate::Lost);
            return self.after(
                soon,
                What::Says {
                    life,
                    name,
                    input: None,
                    ends: true,
                },
            );
        }
        if self.rng.chance(faults.doubled) {
            self.coverage.reply(kind, Fate::Doubled);
            // Most copies come soon; some come when hardly anything is as it was.
            let most = self.rng.weigh(&[(4, 30 * 60_000), (1, 10 * 60 * 60_000)]);
            let again = self.rng.range(1, most);
            let (name, input) = (name.clone(), Some(input.clone()));
            self.after(
                again,
                What::Says {
                    life,
                    name,
                    input,
                    ends: false,
                },
            );
        }
        let late = self.rng.chance(faults.late);
        if late {
            self.coverage.reply(kind, Fate::Late);
        }
        let wait = if late {
            self.rng.range(20 * 60_000, 90 * 60_000)
        } else {
            soon
        };
        self.after(
            wait,
            What::Says {
                life,
                name,
                input: Some(input),
                ends: true,
            },
        );
    }
}
