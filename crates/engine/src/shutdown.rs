//! What becomes of all that runs when a mission is interrupted: one table, by which the engine and the program go.
//!
//! The first interrupt takes the rows from above to below. Whatever a row's time does not suffice for is dropped where it
//! is, as a crash would leave it. The second interrupt takes no row at all: the process ends, and so does the guard when
//! everything together took [`GUARD`]. So whoever goes on finds what `kill -9` leaves, or less to do.

use mission::command::Command;
use std::time::Duration;

/// The longest from the first interrupt to the end of the process, whatever hangs.
pub const GUARD: Duration = Duration::from_secs(5);
/// How much of that is left for the last words, to a terminal that may not take them.
pub const LAST_WORDS: Duration = Duration::from_millis(750);
/// How long performers have to end, all together. Processes have two seconds between the signal that asks and the one that
/// kills.
const PERFORMERS: Duration = Duration::from_millis(2_500);

/// Something that may be under way when an interrupt comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the loop has decided and not yet made durable.
    Journal,
    /// Handing the result over, and taking it back.
    Delivery,
    /// Stacking work and moving the line.
    Landing,
    /// Making the mission's repository, and removing workspaces.
    Folder,
    /// A check.
    Gate,
    /// A project's set-up.
    SetUp,
    /// An agent at work.
    Turn,
    /// What an agent asks, and nobody has answered.
    Questions,
    /// The mission's socket, with all who talk through it.
    Sockets,
    /// Whoever is shown the mission.
    Followers,
    /// The agents' host.
    Host,
    /// Threads that wait for a disk or a lock.
    Threads,
}

/// What the first interrupt does to a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// It goes on to its end; what would follow from it is not begun.
    Finish,
    /// It is told to end. What runs in processes ends with them; what writes goes on to where it may be left; what waits
    /// for its turn is not begun. All that are told have their time together.
    Tell,
    /// Nobody waits for it any more; it stays where it is durable.
    LetGo,
    /// It is closed.
    Close,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What is under way.
    pub part: Part,
    /// What is done with it.
    pub first: First,
    /// How long it has for that; no time at all for what does not wait.
    pub limit: Duration,
}

/// The table. What may cost the user something stands above what is only asked for again.
pub const POLICY: [Row; 12] = [
    // An append is one transaction. It is not given up in the middle: only the guard ends one that hangs.
    row(Part::Journal, First::Finish, GUARD),
    row(Part::Delivery, First::Tell, PERFORMERS),
    row(Part::Landing, First::Tell, PERFORMERS),
    row(Part::Folder, First::Tell, PERFORMERS),
    row(Part::Gate, First::Tell, PERFORMERS),
    row(Part::SetUp, First::Tell, PERFORMERS),
    row(Part::Turn, First::Tell, PERFORMERS),
    // After the turns: one that is let go while its agent works would be taken for a no.
    row(Part::Questions, First::LetGo, Duration::ZERO),
    row(Part::Sockets, First::Close, Duration::ZERO),
    row(Part::Followers, First::Close, Duration::ZERO),
    // A little more than an OpenCode server has between the signal that asks and the one that kills.
    row(Part::Host, First::Close, Duration::from_millis(1_250)),
    row(Part::Threads, First::Close, Duration::from_millis(250)),
];

const fn row(part: Part, first: First, limit: Duration) -> Row {
    Row { part, first, limit }
}

/// How long a part has.
pub fn limit(part: Part) -> Duration {
    let found = POLICY.iter().find(|row| row.part == part);
    found.map_or(Duration::ZERO, |row| row.limit)
}

impl Part {
    /// It in words.
    pub fn told(self) -> &'static str {
        match self {
            Self::Journal => "an append to the journal",
            Self::Delivery => "a delivery, an undo",
            Self::Landing => "a landing",
            Self::Folder => "preparing, tidying",
            Self::Gate => "a check",
            Self::SetUp => "a set-up",
            Self::Turn => "an agent's turn",
            Self::Questions => "an open question",
            Self::Sockets => "the mission's socket",
            Self::Followers => "whoever is shown it",
            Self::Host => "the OpenCode server",
            Self::Threads => "a thread that waits for a disk",
        }
    }

    /// What the performer of a command is at.
    pub(crate) fn of(command: &Command) -> Self {
        match command {
            Command::Prepare | Command::Clean { .. } => Self::Folder,
            Command::SetUp => Self::SetUp,
            // Closing a session asks the same host.
            Command::Turn { .. } | Command::CloseSession { .. } => Self::Turn,
            Command::Gate { .. } => Self::Gate,
            Command::Stack { .. } | Command::Move { .. } => Self::Landing,
            Command::PlanDelivery { .. } | Command::Deliver { .. } | Command::Undo { .. } => {
                Self::Delivery
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rows_together_end_before_the_guard_does_it() {
        let told = POLICY.iter().filter(|row| row.first == First::Tell);
        let together = told.map(|row| row.limit).max().unwrap_or_default();
        let after = POLICY
            .iter()
            .filter(|row| [First::LetGo, First::Close].contains(&row.first));
        let all = together + after.map(|row| row.limit).sum::<Duration>();
        assert!(all + LAST_WORDS <= GUARD, "{all:?}");
    }

    #[test]
    fn each_part_has_one_row_and_none_has_longer_than_the_guard() {
        for row in POLICY {
            let same = POLICY.iter().filter(|other| other.part == row.part).count();
            assert_eq!(same, 1, "{:?}", row.part);
            assert!(row.limit <= GUARD, "{:?}", row.part);
        }
    }
}
