//! The other commands that a user types in OpenCode.

use super::front::Showing;
use super::queue::LOOK;
use super::{Hosting, Note, Typed, about, answer, info};
use crate::error::{Error, Kind};
use crate::host;
use crate::view::{Style, board, escape, keyboard, steering};
use agents::opencode::front::Tone;
use engine::door::Wish;
use engine::reception::{Answer, Guest};
use mission::ids::MissionId;
use mission::question::QuestionId;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// How long a report may take to its conversation until whoever waits for it goes: a few steps of whoever shows it.
const STANDS: Duration = Duration::from_secs(5);

/// A request without the quotes around it that a shell would have taken away.
pub(super) fn unquoted(arguments: &str) -> &str {
    let text = arguments.trim();
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    inner.filter(|text| !text.contains('"')).unwrap_or(text)
}

impl Typed {
    /// The mission that a command is about, unless it was typed for another one that was shown: by now this one is the
    /// mission of the folder, and nobody has seen what would be done to it.
    pub(super) fn means(&self, id: MissionId) -> Result<MissionId, Error> {
        match self.mission {
            Some(shown) if shown != id => {
                let what = format!("{shown} is not the mission here any more; it is {id} now");
                Err(Error::new(Kind::Refused, what).hint("look at it: /mission"))
            }
            _ => Ok(id),
        }
    }
}

impl Hosting {
    /// What a command comes to.
    pub(super) async fn command(
        self: &Arc<Self>,
        guest: &Guest,
        typed: Typed,
    ) -> Result<Answer, Error> {
        match typed.command.as_str() {
            "task" | "queue" => self.task(guest, typed).await,
            "pause" => self.pause(&typed).await,
            "resume" => self.resume(guest, typed).await,
            "steer" => self.steer(&typed).await,
            "retry" => self.retry(guest, typed).await,
            "skip" => self.skip(&typed).await,
            "stop" => self.stop(&typed).await,
            "status" => self.status(&typed),
            "answer" => self.answer(guest, &typed).await,
            other => Err(Error::new(
                Kind::Usage,
                format!("this engine knows no command /{other}"),
            )
            .hint("plugin and engine differ; put the plugin in anew: orchestrator install")),
        }
    }

    /// The mission that a command without a name is about.
    pub(super) fn meant(&self, typed: &Typed) -> Result<MissionId, Error> {
        let project = typed.project()?;
        let found = self.runs_in(&project, &typed.session)?;
        let id = found.map(|(id, _)| id).ok_or_else(|| {
            Error::new(Kind::NoMission, "no mission runs here")
                .hint("start one: /task Add a health check")
        })?;
        typed.means(id)
    }

    async fn stop(&self, typed: &Typed) -> Result<Answer, Error> {
        let id = self.meant(typed)?;
        match host::wish(&self.store, id, Wish::Cancel).await {
            Ok((told, mine)) => {
                host::told(id, told)?;
                if mine {
                    Note::leave_all(&self.store, id).await?;
                    host::settle(&self.store, id, Style::Plain).await?;
                }
            }
            // It is held here and has no door yet: its agent is being started.
            Err(error) if error.kind() == Kind::Held && self.cancels(id) => {
                self.wait(id).await;
            }
            Err(error) => return Err(error),
        }
        let told = format!(
            "{id} is cancelled; its work is kept. It goes on with /resume, or in a terminal with: orchestrator resume {id}"
        );
        Ok(info(told))
    }

    /// Ends a mission that is being started here.
    fn cancels(&self, id: MissionId) -> bool {
        let hosted = self.hosted();
        let found = hosted.get(&id);
        found.map(|hosted| hosted.cancel.cancel()).is_some()
    }

    fn status(&self, typed: &Typed) -> Result<Answer, Error> {
        let project = typed.project()?;
        let Some((mission, runs)) = self.newest_in(&project, &typed.session)? else {
            return Ok(info(
                "there is no mission here yet: /task Add a health check".to_owned(),
            ));
        };
        let line = self.line(&project);
        Ok(info(board::brief(&mission, runs) + &line))
    }

    async fn pause(&self, typed: &Typed) -> Result<Answer, Error> {
        let id = self.meant(typed)?;
        let (told, _) = host::wish(&self.store, id, Wish::Pause).await?;
        host::told(id, told)?;
        let (mission, _) = self.store.load(id)?;
        Ok(info(format!(
            "{}. /resume goes on",
            steering::paused(&mission)
        )))
    }

    async fn steer(&self, typed: &Typed) -> Result<Answer, Error> {
        let id = self.meant(typed)?;
        let all = unquoted(&typed.arguments);
        let named = all.split_once(char::is_whitespace);
        let named = named.and_then(|(first, rest)| Some((first.parse().ok()?, unquoted(rest))));
        let (task, text) = match named {
            Some((task, text)) => (Some(task), text.to_owned()),
            None => (None, all.to_owned()),
        };
        let (told, _) = host::wish(&self.store, id, Wish::Steer { task, text }).await?;
        host::told(id, told)?;
        let (mission, _) = self.store.load(id)?;
        Ok(info(format!("{id}: {}", steering::said(&mission))))
    }

    /// A mission goes on that is paused, that nobody runs, or that has ended and left something to do.
    pub(super) async fn resume(
        self: &Arc<Self>,
        guest: &Guest,
        typed: Typed,
    ) -> Result<Answer, Error> {
        let project = typed.project()?;
        let newest = || self.newest_in(&project, &typed.session);
        if let Some((mission, true)) = newest()?
            && mission.outcome().is_some()
        {
            // It is over, and only tidied up by whoever ran it.
            self.wait(mission.id()).await;
        }
        let _one_at_a_time = self.opening.lock().await;
        let Some((mission, runs)) = newest()? else {
            return Err(Error::new(Kind::NoMission, "there is no mission here yet")
                .hint("start one: /task Add a health check"));
        };
        let (id, over) = (typed.means(mission.id())?, mission.outcome().is_some());
        let paused = mission.pause().is_some();
        if runs && !paused {
            return Ok(info(match over {
                true => format!("{id} is over and is being tidied up: type it once more"),
                false => format!("{id} runs already: /status shows it"),
            }));
        }
        // What keeps it from being carried out is known before anything of it changes.
        let means = match runs {
            true => None,
            false => {
                host::check_folder(&self.store, &mission)?;
                Some(self.means_of(&mission)?)
            }
        };
        if over {
            Box::pin(host::settle(&self.store, id, Style::Plain)).await?;
        }
        if paused || over {
            let wish = Wish::Resume {
                more_tokens: 0,
                more_money: 0,
                replan: false,
            };
            let (told, _) = host::wish(&self.store, id, wish).await?;
            host::told(id, told)?;
        }
        if let Some(means) = means {
            let agents = Self::seen_by(guest, &means);
            let before = Note::read(&self.store.layout, id);
            if let Some(before) = before.filter(|before| before.agents != agents) {
                before.leave(&mission).await;
            }
            let note = self.noted(id, guest, typed, agents)?;
            self.host(self.take(id)?, means, note, Some(guest.n));
        }
        Ok(info(format!("{id} goes on: /status shows it")))
    }

    /// The note of a mission that goes on here. A board that stands in this conversation moves on; the report is another
    /// one.
    fn noted(
        &self,
        id: MissionId,
        guest: &Guest,
        typed: Typed,
        agents: Option<PathBuf>,
    ) -> Result<Note, Error> {
        let layout = &self.store.layout;
        let before = Note::read(layout, id);
        let earlier = match &before {
            Some(before) if agents.is_some() && before.agents == agents => {
                before.earlier_than(&typed.session)
            }
            _ => Vec::new(),
        };
        let before = before.filter(|note| note.session == typed.session);
        let note = Note {
            earlier,
            posted: before.as_ref().is_some_and(|note| note.posted),
            board: before.and_then(|note| note.board),
            ..typed.note(guest, agents)
        };
        note.keep(layout, id)
            .map_err(|error| Error::io("write", &layout.front(id), &error))?;
        Ok(note)
    }

    async fn answer(&self, guest: &Guest, typed: &Typed) -> Result<Answer, Error> {
        if typed.arguments.trim().is_empty() {
            return self.ask_again(guest, typed);
        }
        let usage =
            || Error::new(Kind::Usage, "which question, and what?").hint("as in: /answer q1 yes");
        let (question, text) = unquoted(&typed.arguments)
            .split_once(char::is_whitespace)
            .ok_or_else(usage)?;
        let number = question.strip_prefix('q').unwrap_or(question);
        let id = number.parse().map(QuestionId).map_err(|_| usage())?;
        let mission = self.meant(typed)?;
        let (state, _) = self.store.load(mission)?;
        let open = state.questions().find(|(open, _)| *open == id);
        let meant = open.map(|(_, question)| keyboard::meant(question, text));
        let text = meant
            .unwrap_or_else(|| Ok(text.trim().to_owned()))
            .map_err(|hint| {
                Error::new(Kind::Refused, format!("{id} is still open: {hint}"))
                    .hint("/status shows what is asked")
            })?;
        let wish = Wish::Answer { id, text };
        let (told, mine) = host::wish(&self.store, mission, wish).await?;
        host::told(mission, told)?;
        Ok(match mine {
            false => info(format!("{id} is answered")),
            true => answer(
                format!(
                    "{id} is answered, and nobody runs {mission} now: orchestrator resume {mission}"
                ),
                Tone::Warning,
            ),
        })
    }

    /// The oldest open question once more, with the beginning of its answer where the user types.
    fn ask_again(&self, guest: &Guest, typed: &Typed) -> Result<Answer, Error> {
        let (mission, _) = self.store.load(self.meant(typed)?)?;
        let Some((id, question)) = mission.questions().next() else {
            return Ok(info(format!("{} asks nothing now", mission.id())));
        };
        self.compose(guest, &typed.directory, format!("/answer {id} "));
        Ok(info(board::asks(&mission, id, question)))
    }

    /// The report of a mission for a command that waits for it. One that is over is told when it stands in the conversation,
    /// or a moment later: whoever waits ends with that, and nobody is there any more to whom it could be shown.
    pub(super) async fn await_report(&self, mission: MissionId) -> Answer {
        let answer = match self.wait(mission).await {
            // What was told may be older than its end, where another process has carried it there.
            Some(_) if self.is_settled(mission) => self.elsewhere(mission).await,
            Some(answer) if !self.is_held(mission) => answer,
            // One that was queued here may have been begun in a terminal.
            _ => self.elsewhere(mission).await,
        };
        if self.is_settled(mission)
            && let Some(showing) = self.showing(mission)
            && tokio::time::timeout(STANDS, showing.reported.cancelled())
                .await
                .is_ok()
        {
            // Whoever waits tells the rest; where it does not stand in time, the next OpenCode of the folder is told it.
            showing.until.cancel();
            Note::forget(&self.store.layout, mission);
        }
        answer
    }

    /// The report of a mission, once it is over; nothing if this process does not answer for it.
    pub(super) async fn wait(&self, mission: MissionId) -> Option<Answer> {
        let report = self
            .hosted()
            .get(&mission)
            .map(|hosted| hosted.report.clone());
        let mut report = report?;
        let text = match report.wait_for(Option::is_some).await {
            Ok(text) => text.clone().unwrap_or_default(),
            Err(_) => format!("{mission} stands still: orchestrator resume {mission}"),
        };
        // What still owes its delivery has come to nothing yet, whatever it came to otherwise.
        let ended = self.store.load(mission).ok().map(|(ended, _)| ended);
        let ended = ended.filter(|ended| ended.outcome().is_none() || ended.due().is_empty());
        Some(Answer {
            exit: ended.map(|ended| host::ended(&ended) as u8),
            ..about(mission, text)
        })
    }

    /// That somebody shows a mission; nothing where nobody has.
    fn showing(&self, id: MissionId) -> Option<Showing> {
        let all = self.showing.lock();
        let all = all.unwrap_or_else(PoisonError::into_inner);
        all.get(&id).cloned()
    }

    /// Whether a mission is over and owes nothing any more.
    fn is_settled(&self, id: MissionId) -> bool {
        let loaded = self.store.load(id);
        loaded.is_ok_and(|(mission, _)| mission.is_settled())
    }

    /// Whether somebody carries a mission out.
    fn is_held(&self, id: MissionId) -> bool {
        matches!(self.store.owner(id), Ok(Some(_)))
    }

    /// What a mission came to that this process does not answer for, or has ended: an engine before it ended it and was
    /// killed before it said so, or a terminal took it. Without an exit code it is not over, and nobody carries it out.
    async fn elsewhere(&self, id: MissionId) -> Answer {
        loop {
            // Looked for first: whoever ends it lets go of it afterwards.
            let held = self.is_held(id);
            let mission = match self.store.load(id) {
                Ok((mission, _)) => mission,
                Err(error) => return answer(escape::short(&error.to_string(), 600), Tone::Bad),
            };
            if mission.is_settled() {
                return Answer {
                    exit: Some(host::ended(&mission) as u8),
                    ..about(id, board::report(&mission))
                };
            }
            if !held {
                let told = format!(
                    "{id} is not over, and nobody carries it out. It goes on with: orchestrator resume {id}"
                );
                return answer(told, Tone::Bad);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_around_a_request_are_not_part_of_it() {
        assert_eq!(unquoted(" \"Add a page\" "), "Add a page");
        assert_eq!(unquoted("Add \"a\" page"), "Add \"a\" page");
        assert_eq!(unquoted("\"a\" and \"b\""), "\"a\" and \"b\"");
    }
}
