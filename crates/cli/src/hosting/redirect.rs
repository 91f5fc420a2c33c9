//! What a user types in OpenCode about one task: that it is to be tried again, or left out.

use super::typed::unquoted;
use super::{Hosting, Typed, info};
use crate::error::{Error, Kind};
use crate::host;
use crate::view::steering;
use engine::door::Wish;
use engine::reception::Answer;
use mission::ids::TaskId;
use mission::mission::Mission;
use mission::steering::Dependents;

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

impl Hosting {
    pub(super) async fn retry(&self, typed: &Typed) -> Result<Answer, Error> {
        let (task, note) = named(&typed.arguments, "/retry T2 use argon2")?;
        let note = note.to_owned();
        let wish = Wish::Retry { task, note };
        self.redirect(typed, wish, |mission| steering::retried(mission, task))
            .await
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
        let (told, _) = host::wish(&self.store, id, wish).await?;
        host::told(told)?;
        let (mission, _) = self.store.load(id)?;
        Ok(info(format!("{id}: {}", came_to(&mission))))
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
