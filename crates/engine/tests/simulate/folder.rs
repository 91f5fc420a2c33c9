//! The user's folder: what a delivery writes and an undo takes back, and what people change in it meanwhile.

use crate::git::Tree;
use crate::story::tell;
use crate::world::{Listing, World};
use mission::event::Event;
use mission::ids::Digest;
use mission::input::Input;
use std::collections::BTreeSet;

fn put(folder: &mut Tree, path: &str, content: Option<u64>) {
    match content {
        Some(content) => _ = folder.insert(path.to_owned(), content),
        None => _ = folder.remove(path),
    }
}

impl World {
    pub(crate) fn listing(&self, plan: &Digest) -> Listing {
        self.listings
            .get(plan)
            .cloned()
            .unwrap_or_else(|| panic!("no such list: {plan}"))
    }

    /// What has landed, as files.
    fn result(&self) -> Option<std::rc::Rc<Tree>> {
        let line = self.git.end()?;
        Some(self.git.tree(&self.git.tree_of(line)))
    }

    /// Somebody changes a file, most often one that a delivery writes, or puts it back as it was.
    pub(crate) fn person_edits_a_file(&mut self) {
        let base = &self.scenario.base;
        let result = self.result().unwrap_or_default();
        let written = result
            .iter()
            .filter(|(path, new)| base.get(*path) != Some(new));
        let mut paths: Vec<String> = written.map(|(path, _)| path.clone()).collect();
        paths.truncate(4);
        paths.push("README".into());
        let path = self.rng.pick(&paths).cloned().unwrap_or_default();
        let own = self.people.edits.contains_key(&path);
        let content = match own && self.rng.chance(500) {
            true => self.people.delivered.get(&path).copied().flatten(),
            false => Some(1_000_000 + self.steps),
        };
        tell!("{:>10} . somebody writes {content:?} into {path}", "");
        if self.people.delivered.contains_key(&path) {
            self.coverage.saw("a person edits a delivered file");
        }
        put(&mut self.folder, &path, content);
        self.people.edits.insert(path, (content, self.steps));
    }

    /// The list of what differs, and what it holds in the user's folder now.
    pub(crate) fn plan_delivery(&mut self, n: u32) -> Input {
        let result = self.result().expect("a prepared mission has a line");
        let mut listing = Listing::default();
        for path in self.scenario.base.keys().chain(result.keys()) {
            let (base, now, new) = (
                self.scenario.base.get(path),
                self.folder.get(path),
                result.get(path),
            );
            if now == new || base == new {
                continue;
            }
            let delivered = self.people.delivered.get(path);
            if now != base && delivered.is_none_or(|delivered| now != delivered.as_ref()) {
                self.coverage
                    .saw("a delivery is refused when it is planned");
                return Input::DeliveryRefused {
                    n,
                    why: format!("{path} was changed"),
                    hint: "merge it".into(),
                };
            }
            let change = (now.copied(), new.copied());
            listing.files.insert(path.clone(), change);
        }
        let plan = Digest::of(format!("{n} {:?}", listing.files).as_bytes());
        let files = listing.files.len() as u32;
        self.listings.entry(plan.clone()).or_insert(listing);
        Input::DeliveryPlanned { n, plan, files }
    }

    /// Writes the files, unless somebody changed one since; what was written before a crash is written already.
    pub(crate) fn deliver(&mut self, n: u32, plan: &Digest) -> Input {
        let mut listing = self.listing(plan);
        let here = |path: &String| self.folder.get(path).copied();
        let fits = listing
            .files
            .iter()
            .all(|(path, (old, new))| here(path) == *old || here(path) == *new);
        if listing.written.is_none() && !fits {
            self.coverage
                .saw("a delivery is refused when it is written");
            return Input::DeliveryRefused {
                n,
                why: "somebody changed a file".into(),
                hint: "again".into(),
            };
        }
        if listing.written.is_none() {
            for (path, (_, new)) in &listing.files {
                put(&mut self.folder, path, *new);
                self.people.delivered.insert(path.clone(), *new);
            }
            listing.written = Some(self.steps);
        }
        let files = listing.files.len() as u32;
        self.listings.insert(plan.clone(), listing);
        self.people.handed.push((n, plan.clone()));
        Input::Delivered {
            n,
            place: "/p".into(),
            files,
        }
    }

    /// Writes some of the files that nobody has changed, and breaks off.
    pub(crate) fn break_off(&mut self, n: u32, plan: &Digest) {
        let mut listing = self.listing(plan);
        for (path, (old, new)) in listing.files.iter().step_by(2) {
            if self.folder.get(path).copied() == *old {
                put(&mut self.folder, path, *new);
                self.people.delivered.insert(path.clone(), *new);
            }
        }
        listing.written = Some(self.steps);
        listing.broke_off = true;
        self.listings.insert(plan.clone(), listing);
        self.people.handed.push((n, plan.clone()));
        self.coverage.saw("a delivery breaks off");
    }

    fn handed(&self, n: u32) -> Option<Listing> {
        let handed = self.people.handed.iter().rev();
        let plan = handed.clone().find(|(of, _)| *of == n);
        plan.map(|(_, plan)| self.listing(plan))
    }

    pub(crate) fn undo(&mut self, n: u32, delivery: u32) -> Input {
        let listing = self.handed(delivery).unwrap_or_default();
        let mut left = Vec::new();
        for (path, (old, new)) in &listing.files {
            if self.folder.get(path).copied() == *new {
                put(&mut self.folder, path, *old);
                self.people.delivered.insert(path.clone(), *old);
            } else if self.folder.get(path).copied() != *old {
                left.push(path.clone());
            }
        }
        Input::Undone { n, left }
    }

    /// It is told of a delivery that was given up before it wrote anything.
    fn nothing_was_written(&mut self, n: Option<u32>, event: &Event) {
        let hung = match event {
            Event::Delivered { place, .. } => place.contains("it was not done within"),
            Event::Undone { left } => {
                left.is_empty() && n.is_some_and(|n| self.people.hung.contains(&n))
            }
            _ => false,
        };
        assert!(hung, "it was told of a delivery that never was: {event:?}");
        self.people.hung.extend(n);
    }

    /// What is told of the folder is so, but for what somebody has changed since.
    pub(crate) fn folder_told(&mut self, event: &Event) {
        let (n, left) = match event {
            Event::Delivered { .. } => (self.audit.handed.last().copied(), None),
            Event::Undone { left } => (self.audit.undone, Some(left)),
            _ => return,
        };
        let listing = n.and_then(|n| self.handed(n));
        let Some((listing, written)) = listing.and_then(|list| Some((list.clone(), list.written?)))
        else {
            return self.nothing_was_written(n, event);
        };
        if listing.broke_off && left.is_none() {
            return;
        }
        let edited: BTreeSet<&String> = self
            .people
            .edits
            .iter()
            .filter(|(path, (content, step))| {
                // One that broke off wrote nothing over what somebody had changed before.
                (*step >= written || listing.broke_off)
                    && self.folder.get(*path).copied() == *content
            })
            .map(|(path, _)| path)
            .collect();
        for (path, (old, new)) in &listing.files {
            let wanted = if left.is_some() { old } else { new };
            let here = self.folder.get(path).copied();
            assert!(
                here == *wanted || edited.contains(path),
                "{path} holds {here:?} after {event:?}, which nobody wrote"
            );
        }
        for path in left.into_iter().flatten() {
            self.coverage.saw("an undo leaves a file");
            assert!(
                self.people.edits.contains_key(path),
                "{path} was left, and nobody had changed it"
            );
        }
    }
}
