//! Models with bad habits, as users meet them, over a crew that does its work well.
//!
//! A persona decides from the request alone, so that it does the same after a crash, in another order, or asked twice.
//! Where it has no habit to show, the crew answers.

mod crew;
mod habits;

pub use crew::{Crew, Job, Role};

use crate::model::{Reply, Request};

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
        habit.unwrap_or_else(|| crew.answer(request))
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
