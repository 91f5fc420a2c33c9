//! Models with bad habits, as users meet them, over a crew that does its work well.
//!
//! A persona decides from the request alone, so that it does the same after a crash, in another order, or asked twice.
//! Where it has no habit to show, the crew answers.

mod crew;
mod habits;

pub use crew::{Crew, Job, Role};

use crate::model::{Reply, Request};
use serde_json::Value;

/// A model with a habit.
#[derive(Clone, Copy, Debug)]
pub struct Persona {
    /// What tests and reports call it.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub habit: &'static str,
    act: fn(&Scene<'_>) -> Option<Reply>,
}

/// What a persona sees when it is asked.
struct Scene<'a> {
    crew: &'a Crew,
    role: Role,
    request: &'a Request,
}

impl Persona {
    /// All of them.
    pub fn all() -> &'static [Self] {
        habits::ALL
    }

    /// The one of that name.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn named(name: &str) -> Self {
        let found = Self::all().iter().find(|persona| persona.name == name);
        *found.unwrap_or_else(|| panic!("there is no persona `{name}`"))
    }

    /// What it answers in place of this crew.
    pub fn answer(&self, crew: &Crew, request: &Request) -> Reply {
        let role = Role::of(request);
        let scene = Scene {
            crew,
            role,
            request,
        };
        let habit = (self.act)(&scene);
        let said = habit.unwrap_or_else(|| crew.answer(request));
        match request.must_call {
            true => self.in_schema(&scene, said),
            false => said,
        }
    }

    /// What it answers where it has to call the tool that takes an answer in a schema: what it would have said, if that
    /// is an answer in form. Else being held to the form helps most of them.
    fn in_schema(&self, scene: &Scene<'_>, said: Reply) -> Reply {
        let text = said.said();
        let block = text.rsplit_once("```json\n");
        let block = block.and_then(|(_, rest)| rest.split_once("\n```"));
        let own = block.and_then(|(json, _)| serde_json::from_str::<Value>(json).ok());
        let right = || match scene.role {
            Role::Worker => scene.crew.report(scene.request),
            role => scene.crew.value(role),
        };
        let value = match own {
            _ if habits::NOT_TO_BE_HELD.contains(&self.name) => return said,
            Some(own) if !habits::HELD_TO_THE_FORM.contains(&self.name) => own,
            _ => right(),
        };
        Reply::call("StructuredOutput", value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_persona_has_a_name_of_its_own_and_a_sentence() {
        let mut names: Vec<&str> = Persona::all().iter().map(|p| p.name).collect();
        assert!(names.len() >= 15, "{names:?}");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Persona::all().len(), "a name is given twice");
        for persona in Persona::all() {
            assert!(persona.habit.ends_with('.'), "{}", persona.name);
        }
    }
}
