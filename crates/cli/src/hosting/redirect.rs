//! What a user types in OpenCode about one task: that it is to be tried again, or left out.

use super::typed::unquoted;
use super::{Hosting, Typed, answer, info};
use crate::commands::redirect::after;
use crate::error::{Error, Kind};
use crate::host;
use crate::view::{Style, steering};
use agents::opencode::front::Tone;
use engine::door::Wish;
use engine::reception::{Answer, Guest};
use mission::ids::{MissionId, TaskId};
use mission::mission::Mission;
use mission::steering::Dependents;
use std::sync::Arc;

/// The task that is named first, and the rest.
fn named<'a>(arguments: &'a str, usage: &str) -> Result<(TaskId, &'a str), Error> {
    let all = unquoted(arguments);
    let (first, rest) = all.split_once(char::is_whitespace).unwrap_or((all, ""));
    let task = first.parse().map_err(|_| {
        Error::new(Kind::Usage, format!("which task? {usage}")).hint("/status shows the tasks")
    })?;
    Ok((task, unquoted(rest)))
}

/// What becomes of those that need a task, as the command line has it too, and the rest.
fn dependents(text: &str) -> (Dependents, String) {
    let flags = [
        ("--with-dependents", Dependents::Skip),
        ("--run-dependents", Dependents::Run),
    ];
    let said = |(flag, _): &&(&str, Dependents)| text.split_whitespace().any(|word| word == *flag);
    let Some((flag, meant)) = flags.iter().find(said) else {
        return (Dependents::Ask, text.to_owned());
    };
    let rest: Vec<&str> = text
        .split_whitespace()
        .filter(|word| word != flag)
        .collect();
    (*meant, rest.join(" "))
}

/// What was done to a mission that nobody carries out.
fn left(id: MissionId, came_to: &str) -> Answer {
    answer(
        format!("{id}: {came_to}; nobody runs {id} now: /resume goes on"),
        Tone::Warning,
    )
}

impl Hosting {
    /// A mission that is over, or that nobody runs, goes on by it, as after `/resume`.
    pub(super) async fn retry(
        self: &Arc<Self>,
        guest: &Guest,
        typed: Typed,
    ) -> Result<Answer, Error> {
        let (task, note) = named(&typed.arguments, "/retry T2 use argon2")?;
        let note = note.to_owned();
        let wish = Wish::Retry { task, note };
        let project = typed.project()?;
        let Some((mission, runs)) = self.newest_in(&project, &typed.session)? else {
            return Err(Error::new(Kind::NoMission, "there is no mission here yet")
                .hint("start one: /task Add a health check"));
        };
        let (id, over) = (typed.means(mission.id())?, mission.outcome().is_some());
        if over && runs {
            // It is only tidied up by whoever ran it.
            self.wait(id).await;
        }
        if over || !runs {
            // What keeps it from being carried out is known before anything of it changes.
            host::check_folder(&self.store, &mission)?;
            self.means_of(&mission)?;
        }
        if over {
            Box::pin(host::settle(&self.store, id, Style::Plain)).await?;
        }
        let (told, mine) = host::wish(&self.store, id, wish).await?;
        host::told(id, told)?;
        let (mission, _) = self.store.load(id)?;
        let came_to = steering::retried(&mission, task);
        if !mine {
            return Ok(info(format!("{id}: {came_to}")));
        }
        if mission.pause().is_some() {
            return Ok(left(id, &came_to));
        }
        let goes_on = Box::pin(self.resume(guest, typed)).await?;
        Ok(Answer {
            say: format!("{came_to}; {}", goes_on.say),
            ..goes_on
        })
    }

    pub(super) async fn skip(&self, typed: &Typed) -> Result<Answer, Error> {
        let (task, rest) = named(&typed.arguments, "/skip T2 it can wait")?;
        let (dependents, why) = dependents(rest);
        let wish = Wish::Skip {
            task,
            why,
            dependents,
        };
        self.redirect(typed, wish, |mission| steering::skipped(mission, task))
            .await
    }

    async fn redirect(
        &self,
        typed: &Typed,
        wish: Wish,
        came_to: impl Fn(&Mission) -> String,
    ) -> Result<Answer, Error> {
        let id = self.meant(typed)?;
        let (told, mine) = host::wish(&self.store, id, wish).await?;
        host::told(id, told)?;
        if mine {
            Box::pin(after(&self.store, id)).await?;
        }
        let (mission, _) = self.store.load(id)?;
        let came_to = came_to(&mission);
        Ok(match mine && mission.outcome().is_none() {
            false => info(format!("{id}: {came_to}")),
            true => left(id, &came_to),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_comes_first_and_what_becomes_of_others_may_stand_anywhere() {
        let (task, rest) = named(" T2 \"not now\" ", "").unwrap();
        assert_eq!((task, rest), (TaskId(2), "not now"));
        assert!(named("soon T2", "/skip T2").is_err() && named("", "").is_err());
        let with = dependents("not --with-dependents now");
        assert_eq!(with, (Dependents::Skip, "not now".to_owned()));
        assert_eq!(dependents("x --run-dependents").0, Dependents::Run);
        assert_eq!(
            dependents("not  now"),
            (Dependents::Ask, "not  now".to_owned())
        );
    }
}
