//! What may start while the machine is short of something.
//!
//! What runs goes on. Of what could start, the low class waits first, and then the normal one; one task always may run,
//! or a machine that somebody else fills would hold a mission up for ever.

use crate::event::Event;
use crate::limits;
use crate::mission::Mission;
use crate::plan::Priority;
use crate::planted;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What a machine can be short of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Short {
    /// Memory: the part of it that is used and cannot simply be dropped, in percent.
    Memory,
    /// Processors: tasks that want to run for each hundred processors.
    Processors,
    /// Memory, seen by those who wait for it: the percent of the last ten seconds in which somebody did.
    Stalled,
    /// Disks and processors, seen by those who wait for them: the percent of the last ten seconds in which everybody did.
    HeldUp,
    /// The disk of the state directory: what one more workspace takes, in percent of what is free.
    Disk,
    /// The same of what any work needs there.
    Full,
}

impl Short {
    /// Those that peak and pass, the gravest first. A disk is full or it is not.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Stalled, Self::Processors, Self::HeldUp];

    /// More than this is too much, and less than this is enough again.
    pub fn bounds(self) -> (u32, u32) {
        match self {
            Self::Memory => limits::PRESSURE_MEMORY,
            Self::Processors => limits::PRESSURE_PROCESSORS,
            Self::Stalled => limits::PRESSURE_STALLED,
            Self::HeldUp => limits::PRESSURE_HELD_UP,
            Self::Disk => limits::PRESSURE_DISK,
            Self::Full => limits::PRESSURE_FULL,
        }
    }
}

/// One figure of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauge {
    /// Now.
    pub now: u32,
    /// The least that it was in the last [`limits::PRESSURE_FOR`].
    pub least: u32,
}

/// How the machine is. What is not known is nought, and no reason to wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// See [`Short::Memory`].
    pub memory: Gauge,
    /// See [`Short::Processors`].
    pub processors: Gauge,
    /// See [`Short::Stalled`].
    pub stalled: Gauge,
    /// See [`Short::HeldUp`].
    pub held_up: Gauge,
    /// See [`Short::Disk`]. It does not peak: what it is now counts.
    pub disk: u32,
    /// See [`Short::Full`]; the same holds of it.
    pub full: u32,
}

impl Sample {
    pub(super) fn gauge(&self, of: Short) -> Gauge {
        let plain = |now| Gauge { now, least: now };
        match of {
            Short::Memory => self.memory,
            Short::Processors => self.processors,
            Short::Stalled => self.stalled,
            Short::HeldUp => self.held_up,
            Short::Disk => plain(self.disk),
            Short::Full => plain(self.full),
        }
    }

    /// What has been too much for long enough.
    fn short(&self) -> Option<Short> {
        let mut all = Short::ALL.into_iter();
        all.find(|of| self.gauge(*of).least > of.bounds().0)
    }

    fn is_fine(&self) -> bool {
        Short::ALL
            .iter()
            .all(|of| self.gauge(*of).now < of.bounds().1)
    }
}

/// What the machine is short of, and who may start all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pressure {
    /// Of what.
    pub of: Short,
    /// How much of it was used when that was noted.
    pub used: u32,
    /// Tasks of this class and above may start.
    pub admits: Priority,
    /// Since when.
    pub since: Timestamp,
}

impl Pressure {
    /// What is short, how much of it is used, and when that is enough again, in words.
    pub fn told(&self) -> String {
        let (used, enough) = (self.used, self.of.bounds().1);
        match self.of {
            Short::Memory => {
                format!("{used} % of its memory is used; less than {enough} % is enough")
            }
            Short::Processors => format!(
                "{used} tasks want to run for each 100 processors; less than {enough} is enough"
            ),
            Short::Stalled => {
                format!("memory is waited for {used} % of the time; less than {enough} % is enough")
            }
            Short::HeldUp => format!(
                "everything waits for a disk or for processors {used} % of the time; less than {enough} % is enough"
            ),
            Short::Disk => format!(
                "one more workspace takes {used} % of what is free on the disk of the state directory; less than {enough} % is enough"
            ),
            Short::Full => format!(
                "any work needs {used} % of what is free on the disk of the state directory; less than {enough} % is enough"
            ),
        }
    }
}

impl Mission {
    /// What the machine is short of.
    pub fn pressure(&self) -> Option<&Pressure> {
        self.pressure.as_ref()
    }

    /// What a look at the machine comes to: one thing at a time, the disk first.
    pub(crate) fn sampled(&self, now: Timestamp, sample: &Sample) -> Option<Event> {
        if let Some(event) = self.disk_seen(sample) {
            return Some(event);
        }
        let pressed = |admits| {
            sample.short().map(|of| Event::Pressed {
                of,
                used: sample.gauge(of).now,
                admits,
            })
        };
        match &self.pressure {
            _ if self.outcome.is_some() => None,
            None => pressed(Priority::Normal),
            Some(_) if sample.is_fine() => {
                (!planted!("pressure_never_ends")).then_some(Event::Relieved { of: None })
            }
            Some(pressure) => {
                let lasts = now.since(pressure.since) >= limits::PRESSURE_FOR;
                let more = pressure.admits < Priority::High && lasts;
                more.then(|| pressed(Priority::High)).flatten()
            }
        }
    }

    /// Notes that the machine is short of something.
    pub(crate) fn pressed(&mut self, at: Timestamp, of: Short, used: u32, admits: Priority) {
        let pressure = Some(Pressure {
            of,
            used,
            admits,
            since: at,
        });
        match of {
            Short::Disk => self.disk.cramped = pressure,
            Short::Full => self.disk.full = pressure,
            _ => self.pressure = pressure,
        }
    }

    /// Notes that it is so no longer.
    pub(crate) fn relieved(&mut self, of: Option<Short>) {
        match of {
            Some(Short::Disk) => self.disk.cramped = None,
            Some(Short::Full) => self.disk.full = None,
            _ => self.pressure = None,
        }
    }

    /// Whether the machine has room for a task that has risen to this class.
    pub(crate) fn has_room_for(&self, class: Priority) -> bool {
        let idle = self.leases.is_empty() && self.gate_leases.is_empty();
        let admitted = |pressure: &Pressure| class >= pressure.admits;
        idle || self.pressure.as_ref().is_none_or(admitted) || planted!("pressure_ignored")
    }
}
