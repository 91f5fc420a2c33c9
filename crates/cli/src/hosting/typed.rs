//! The other commands that a user types in OpenCode.

use super::{Hosting, Typed, answer, info};
use crate::error::{Error, Kind};
use crate::host;
use crate::view::{Style, board, keyboard};
use agents::opencode::front::Tone;
use engine::door::Wish;
use engine::reception::{Answer, Guest};
use mission::ids::MissionId;
use mission::question::QuestionId;
use std::sync::Arc;

/// A request without the quotes around it that a shell would have taken away.
pub(super) fn unquoted(arguments: &str) -> &str {
    let text = arguments.trim();
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    inner.filter(|text| !text.contains('"')).unwrap_or(text)
}

impl Hosting {
    /// What a command comes to.
    pub(super) async fn command(
        self: &Arc<Self>,
        guest: &Guest,
        typed: Typed,
    ) -> Result<Answer, Error> {
        match typed.command.as_str() {
            "task" => self.task(guest, typed).await,
            "stop" => self.stop(&typed).await,
            "status" => self.status(&typed),
            "answer" => self.answer(&typed).await,
            other => Err(Error::new(
                Kind::Usage,
                format!("this engine knows no command /{other}"),
            )),
        }
    }

    /// The mission that a command without a name is about.
    fn meant(&self, typed: &Typed) -> Result<MissionId, Error> {
        let project = typed.project()?;
        let found = self.runs_in(&project, &typed.session)?;
        found.map(|(id, _)| id).ok_or_else(|| {
            Error::new(Kind::NoMission, "no mission runs here")
                .hint("start one: /task Add a health check")
        })
    }

    async fn stop(&self, typed: &Typed) -> Result<Answer, Error> {
        let id = self.meant(typed)?;
        match host::wish(&self.store, id, Wish::Cancel).await {
            Ok((told, mine)) => {
                host::told(told)?;
                if mine {
                    host::settle(&self.store, id, Style::Plain).await?;
                }
            }
            // It is held here and has no door yet: its agent is being started.
            Err(error) if error.kind() == Kind::Held && self.cancels(id) => {
                self.wait(id).await;
            }
            Err(error) => return Err(error),
        }
        let told =
            format!("{id} is cancelled; its work is kept. Go on with: orchestrator resume {id}");
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
        Ok(info(board::brief(&mission, runs)))
    }

    async fn answer(&self, typed: &Typed) -> Result<Answer, Error> {
        let usage = || Error::new(Kind::Usage, "which question, and what: /answer q1 yes");
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
            .map_err(|hint| Error::new(Kind::Refused, format!("{id} is still open: {hint}")))?;
        let wish = Wish::Answer { id, text };
        let (told, mine) = host::wish(&self.store, mission, wish).await?;
        host::told(told)?;
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

    /// The report of a mission, once it is over.
    pub(super) async fn wait(&self, mission: MissionId) -> Answer {
        let report = self
            .hosted()
            .get(&mission)
            .map(|hosted| hosted.report.clone());
        let Some(mut report) = report else {
            return answer(format!("{mission} does not run here"), Tone::Bad);
        };
        let text = match report.wait_for(Option::is_some).await {
            Ok(text) => text.clone().unwrap_or_default(),
            Err(_) => format!("{mission} stands still: orchestrator resume {mission}"),
        };
        Answer {
            mission: Some(mission),
            ..info(text)
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
