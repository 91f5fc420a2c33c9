//! `orchestrator plan edit`: what of the plan has not begun, in an editor or from a file, changed at one go.

use super::sheet::{self, Sheet};
use crate::args::{EditArgs, OfMission};
use crate::commands::redirect;
use crate::error::{Error, Exit, Kind};
use crate::host::{self, Store};
use crate::{places, view};
use engine::door::Wish;
use mission::ids::MissionId;
use mission::limits;
use mission::mission::Mission;
use mission::plan::PlanEdit;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use tokio::signal::unix::{SignalKind, signal};

/// How the editor is called: a command that may hold arguments, as git takes it, and the file behind it. Both are
/// handed over as arguments, so that nothing but what the user set is read by the shell.
const CALL: &str = r#"eval "$0 \"\$@\"""#;

pub(super) fn run(args: &EditArgs) -> Result<Exit, Error> {
    let store = Store::open()?;
    let id = match args.print {
        true => store.find(args.mission)?,
        false => store.find_here(args.mission)?,
    };
    let (mission, _) = store.load(id)?;
    if args.print {
        let text = sheet::text(&mission)?;
        // Where somebody reads it, it is shown; where a program does, it is handed over as it is.
        let shown = std::io::stdout().is_terminal();
        view::data(&if shown {
            view::escape::text(&text)
        } else {
            text
        });
        return Ok(Exit::Good);
    }
    // Nobody writes for nothing.
    if let Some(why) = mission.takes_no_more() {
        return Err(Error::new(Kind::Refused, why)
            .hint(format!("see how it stands: orchestrator status {id}")));
    }
    let edited = match &args.file {
        Some(file) => Edited::from(file, id)?,
        None if places::attended() => match in_editor(&mission)? {
            Some(edited) => edited,
            None => return Ok(unchanged(id)),
        },
        None => {
            return Err(Error::new(Kind::Usage, "there is no terminal to edit in")
                .hint("take the text: orchestrator plan edit --print > plan.toml")
                .hint("hand it in: orchestrator plan edit --file plan.toml"));
        }
    };
    carry_out(&mission, &edited.text, args.json).map_err(|error| edited.kept(id, error))
}

fn unchanged(id: MissionId) -> Exit {
    view::note(&format!("the plan of {id} is as it was"));
    Exit::Good
}

/// Makes the plan what the text says, all of it or nothing.
fn carry_out(mission: &Mission, text: &str, json: bool) -> Result<Exit, Error> {
    let id = mission.id();
    let unusable = |wrong: sheet::Unusable| {
        let what = format!("line {} of the edited plan: {}", wrong.line, wrong.why);
        Error::new(Kind::Usage, what.trim_end().replace('\n', "; "))
    };
    let sheet = Sheet::read(text).map_err(unusable)?;
    let saw = sheet.version;
    let edits = sheet.changes(mission, text).map_err(unusable)?;
    if edits.is_empty() {
        return Ok(unchanged(id));
    }
    let of = OfMission {
        mission: Some(id),
        json,
    };
    let edit = PlanEdit::Several { edits };
    redirect::wanted(&of, Wish::EditPlan { edit, saw }, super::is_now)
}

/// A text that somebody edited, and where it lies.
#[derive(Debug)]
struct Edited {
    text: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// Where its writer has it.
    Theirs(PathBuf),
    /// Where it goes once it is of no use any more.
    Ours(NamedTempFile),
}

impl Edited {
    /// What a file or standard input holds.
    fn from(file: &Path, id: MissionId) -> Result<Self, Error> {
        if file == Path::new("-") {
            let mut ours = new_file(id)?;
            let text = read(std::io::stdin().lock(), Path::new("standard input"))?;
            written(&mut ours, &text)?;
            let place = Place::Ours(ours);
            return Ok(Self { text, place });
        }
        let open = std::fs::File::open(file).map_err(|error| Error::io("read", file, &error))?;
        let text = read(open, file)?;
        let place = Place::Theirs(file.to_owned());
        Ok(Self { text, place })
    }

    /// What went wrong, with where the text is and how it is handed in again.
    fn kept(self, id: MissionId, error: Error) -> Error {
        let path = match self.place {
            Place::Theirs(path) => path,
            Place::Ours(file) => match file.keep() {
                Ok((_, path)) => path,
                Err(lost) => {
                    return error.hint(format!("the edited text is lost: {}", lost.error));
                }
            },
        };
        let path = path.display();
        let refused = error.kind() == Kind::Refused;
        let error = error.hint(format!("the edited text is in {path}"));
        match refused {
            true => error.hint(format!(
                "compare it with `orchestrator plan edit {id} --print`, take the `version` from there, then: orchestrator plan edit {id} --file {path}"
            )),
            false => error.hint(format!(
                "mend it, then: orchestrator plan edit {id} --file {path}"
            )),
        }
    }
}

/// What somebody makes of the plan in their editor; `None` where that is nothing.
fn in_editor(mission: &Mission) -> Result<Option<Edited>, Error> {
    let named = |name: &str| std::env::var(name).ok().filter(|it| !it.trim().is_empty());
    let Some(editor) = named("VISUAL").or_else(|| named("EDITOR")) else {
        return Err(
            Error::new(Kind::Setup, "neither VISUAL nor EDITOR names an editor")
                .hint("as in: EDITOR=vi orchestrator plan edit"),
        );
    };
    let before = sheet::text(mission)?;
    let mut file = new_file(mission.id())?;
    written(&mut file, &before)?;
    let ended = host::block_on(edit(&editor, file.path()))?;
    // Many editors put another file in its place: what lies at the path counts.
    let path = file.path().to_owned();
    let open = std::fs::File::open(&path).map_err(|error| Error::io("read", &path, &error))?;
    let text = read(open, &path)?;
    let changed = text != before;
    let place = Place::Ours(file);
    let edited = Edited { text, place };
    if !ended.success() {
        let what = format!("the editor `{editor}` ended with {ended}; nothing was changed");
        let error = Error::new(Kind::Setup, what);
        return Err(match changed {
            true => edited.kept(mission.id(), error),
            false => error.hint(format!(
                "try again, or with another one: EDITOR=vi orchestrator plan edit {}",
                mission.id()
            )),
        });
    }
    Ok(changed.then_some(edited))
}

async fn edit(editor: &str, path: &Path) -> Result<std::process::ExitStatus, Error> {
    let failed = |error: std::io::Error| {
        Error::new(
            Kind::Setup,
            format!("the editor `{editor}` cannot be started: {error}"),
        )
        .hint("name another one, as in: EDITOR=vi orchestrator plan edit")
    };
    // What is typed to interrupt reaches the editor too, and means something there.
    let _interrupts = signal(SignalKind::interrupt()).map_err(failed)?;
    let _quits = signal(SignalKind::quit()).map_err(failed)?;
    let mut command = tokio::process::Command::new("/bin/sh");
    command.args(["-c", CALL, editor]).arg(path);
    command.status().await.map_err(failed)
}

/// A file of the user's alone.
fn new_file(id: MissionId) -> Result<NamedTempFile, Error> {
    let folder = std::env::temp_dir();
    tempfile::Builder::new()
        .prefix(&format!("orchestrator-plan-{id}-"))
        .suffix(".toml")
        .tempfile_in(&folder)
        .map_err(|error| Error::io("make a file in", &folder, &error))
}

fn written(file: &mut NamedTempFile, text: &str) -> Result<(), Error> {
    let done = file.write_all(text.as_bytes()).and_then(|()| file.flush());
    done.map_err(|error| Error::io("write", file.path(), &error))
}

/// No more than a plan can have, twice: there is room for comments.
fn read(from: impl std::io::Read, path: &Path) -> Result<String, Error> {
    let most = 2 * limits::PLAN_BYTES;
    let mut text = String::new();
    let read = from.take(most as u64 + 1).read_to_string(&mut text);
    read.map_err(|error| Error::io("read", path, &error))?;
    match text.len() > most {
        true => Err(Error::new(
            Kind::Usage,
            format!("{} has more than {most} bytes", path.display()),
        )
        .hint("shorten the goals, and put details into a file of the project that they name")),
        false => Ok(text),
    }
}
