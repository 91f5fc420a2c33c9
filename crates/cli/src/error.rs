//! Everything that can go wrong for a person: a kind with its page and exit code, a sentence, and what to do.

use mission::seal::Outcome;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;

/// How the program ends. The numbers are part of its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Completed or answered, or the command did what it says.
    Good = 0,
    /// The mission failed, or the command did.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The mission ended unverified.
    Unverified = 3,
    /// The mission ended partial.
    Partial = 4,
    /// The mission ended disputed.
    Disputed = 5,
    /// The mission was cancelled.
    Cancelled = 6,
    /// Somebody is asked, and nobody is here.
    NeedsInput = 7,
    /// The mission is completed, and its result could not be handed over.
    Undelivered = 8,
    /// The program was interrupted; the mission can go on.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Completed | Outcome::Answered => Self::Good,
            Outcome::Unverified => Self::Unverified,
            Outcome::Partial => Self::Partial,
            Outcome::Disputed => Self::Disputed,
            Outcome::Failed => Self::Failed,
            Outcome::Cancelled => Self::Cancelled,
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident => $code:literal, $exit:ident;)*) => {
        /// Kinds of errors. Each has a page in `docs/errors`; a kind without one does not compile.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// Its code, as it is printed.
            pub(crate) fn code(self) -> &'static str {
                match self {
                    $(Self::$kind => $code,)*
                }
            }

            /// Its page.
            pub(crate) fn page(code: &str) -> Option<&'static str> {
                match code {
                    $($code => Some(include_str!(concat!("../../../docs/errors/", $code, ".md"))),)*
                    _ => None,
                }
            }

            fn exit(self) -> Exit {
                match self {
                    $(Self::$kind => Exit::$exit,)*
                }
            }
        }
    };
}

kinds! {
    /// The command line asks for something that cannot be.
    Usage => "ORC001", Usage;
    /// The surroundings lack something that the program needs.
    Setup => "ORC002", Failed;
    /// The store cannot be used.
    Store => "ORC003", Failed;
    /// There is no such mission.
    NoMission => "ORC004", Usage;
    /// Somebody else has the mission.
    Held => "ORC005", Failed;
    /// The mission says no.
    Refused => "ORC006", Failed;
    /// The project cannot be worked on.
    Project => "ORC007", Failed;
    /// The agent's host cannot be used.
    Agent => "ORC008", Failed;
    /// A script is wrong.
    Script => "ORC009", Usage;
    /// The journal was changed.
    Broken => "ORC010", Failed;
    /// A file or folder cannot be used.
    Io => "ORC011", Failed;
    /// The engine's socket cannot be used.
    Door => "ORC012", Failed;
    /// The configuration file is wrong.
    Config => "ORC013", Usage;
    /// OpenCode's configuration cannot be changed.
    Plugin => "ORC014", Failed;
}

/// An error for a person.
#[derive(Debug)]
pub(crate) struct Error {
    kind: Kind,
    what: String,
    hints: Vec<String>,
}

impl Error {
    /// An error of a kind, in one sentence.
    pub(crate) fn new(kind: Kind, what: impl fmt::Display) -> Self {
        Self {
            kind,
            what: what.to_string(),
            hints: Vec::new(),
        }
    }

    /// With something to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What is wrong, in one sentence.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// Which kind it is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// A file or folder could not be used.
    pub(crate) fn io(verb: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::new(
            Kind::Io,
            format!("cannot {verb} {}: {error}", path.display()),
        )
        .hint(io_hint(error))
    }

    /// How the program ends.
    pub(crate) fn exit(&self) -> Exit {
        self.kind.exit()
    }
}

/// What to do about what the system said.
fn io_hint(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => "look at the path: it is taken from the folder that you stand in",
        ErrorKind::PermissionDenied => "`ls -ld` on it and the folders above says who may use it",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some disk space",
        ErrorKind::InvalidData => "it has to be text in UTF-8",
        ErrorKind::IsADirectory => "name a file, not a folder",
        ErrorKind::ReadOnlyFilesystem => "name a place that may be written",
        _ => "`orchestrator explain ORC011` says what else it may be",
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "error[{}]: {}",
            self.kind.code(),
            crate::view::escape::line(&self.what)
        )?;
        for hint in &self.hints {
            write!(f, "\n  hint: {}", crate::view::escape::line(hint))?;
        }
        Ok(())
    }
}

impl From<journal::Error> for Error {
    fn from(error: journal::Error) -> Self {
        let kind = match &error {
            journal::Error::Unknown { .. } => Kind::NoMission,
            journal::Error::Held { .. } => Kind::Held,
            journal::Error::Broken { .. } => Kind::Broken,
            _ => Kind::Store,
        };
        let told = Self::new(kind, error);
        match kind {
            Kind::NoMission => told.hint("`orchestrator list` names the missions"),
            Kind::Held => told.hint("`orchestrator status` says whether it runs"),
            Kind::Broken => told.hint("`orchestrator explain ORC010` says what is still safe"),
            _ => told.hint("`orchestrator explain ORC003` says what to do in each case"),
        }
    }
}

impl From<engine::store::Error> for Error {
    fn from(error: engine::store::Error) -> Self {
        match error {
            engine::store::Error::Journal(error) => error.into(),
            other => Self::new(Kind::Store, other)
                .hint("`orchestrator explain ORC003` says what to do in each case"),
        }
    }
}

impl From<engine::door::Error> for Error {
    fn from(error: engine::door::Error) -> Self {
        Self::new(Kind::Door, error)
            .hint("`orchestrator explain ORC012` says what to do in each case")
    }
}

impl From<engine::socket::Error> for Error {
    fn from(error: engine::socket::Error) -> Self {
        Self::new(Kind::Door, error)
            .hint("`orchestrator explain ORC012` says what to do in each case")
    }
}

impl From<engine::dispatcher::Error> for Error {
    fn from(error: engine::dispatcher::Error) -> Self {
        Self::new(Kind::Store, error)
            .hint("free some disk space if it is full, then: orchestrator resume")
    }
}
