//! Who looks at missions on OpenCode's screen: each is told how the mission of its folder stands, once that is another
//! than it saw.

use super::follow::Followed;
use super::{Hosting, queue};
use crate::begin;
use crate::view::frame::{SetUp, Signs};
use crate::view::panel;
use agents::Sign;
use engine::clock::Clock;
use engine::doing;
use engine::reception::{Answer, Look, View};
use mission::ids::{Epoch, MissionId};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The shortest time between two answers, and so between two drawings.
const PACE: Duration = Duration::from_millis(500);
/// The page tells of seconds.
const SECOND: Duration = Duration::from_secs(1);
/// So many missions are kept as they were read; the oldest are read anew.
const FOLLOWED: usize = 8;

/// All who look, and what is known for them.
pub(super) struct Looks {
    /// What ends the last look of each guest.
    of_guests: Mutex<BTreeMap<u64, CancellationToken>>,
    followed: Mutex<BTreeMap<MissionId, Followed>>,
    signs: Mutex<BTreeMap<MissionId, Signs>>,
    stirred: watch::Sender<()>,
}

impl Looks {
    pub(super) fn new() -> Self {
        Self {
            of_guests: Mutex::default(),
            followed: Mutex::default(),
            signs: Mutex::default(),
            stirred: watch::Sender::new(()),
        }
    }

    /// Something may look otherwise now.
    pub(super) fn stir(&self) {
        self.stirred.send_replace(());
    }

    /// A sign of life of a turn that runs here.
    pub(super) fn hear(&self, id: MissionId, epoch: Epoch, sign: Sign) {
        let now = Clock::new().now();
        lock(&self.signs)
            .entry(id)
            .or_default()
            .hear(now, epoch, sign);
        self.stir();
    }

    /// Nothing is carried out here of a mission any more.
    pub(super) fn silent(&self, id: MissionId) {
        lock(&self.signs).remove(&id);
        self.stir();
    }

    /// A guest is gone, and with it whatever it looked at.
    pub(super) fn went(&self, guest: u64) {
        lock(&self.of_guests).remove(&guest);
    }

    /// A guest looks, and no longer as it did before.
    pub(super) fn begins(&self, guest: u64) -> CancellationToken {
        let until = CancellationToken::new();
        if let Some(before) = lock(&self.of_guests).insert(guest, until.clone()) {
            before.cancel();
        }
        until
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hosting {
    /// How the mission of a folder stands, once that is another than was seen. Who looks anew is told here that this look
    /// is over, with no view.
    pub(super) async fn look(&self, looked: &Look, until: CancellationToken) -> Answer {
        let mut stirred = self.looks.stirred.subscribe();
        loop {
            stirred.borrow_and_update();
            let (view, again) = self.view(looked);
            if view.seen != looked.seen {
                return Answer {
                    view: Some(Box::new(view)),
                    ..Answer::default()
                };
            }
            let changes = async {
                tokio::select! {
                    changed = stirred.changed() => if changed.is_err() { std::future::pending().await },
                    () = tokio::time::sleep(again.unwrap_or(Duration::MAX)), if again.is_some() => {}
                }
                tokio::time::sleep(PACE).await;
            };
            tokio::select! {
                () = changes => {}
                () = until.cancelled() => return Answer::default(),
                () = self.stop.cancelled() => return Answer::default(),
            }
        }
    }

    /// What there is to see now, and when to look again though nothing is heard.
    fn view(&self, looked: &Look) -> (View, Option<Duration>) {
        let project = begin::project(&looked.directory).ok();
        let found = project
            .as_ref()
            .and_then(|project| self.newest_id(project, &looked.session).ok()?);
        let (Some(project), Some((id, runs))) = (project, found) else {
            return (panel::nothing(looked.page), Some(queue::LOOK));
        };
        let (of_session, here) = match self.hosted().get(&id) {
            Some(hosted) => (
                hosted.note.session == looked.session,
                hosted.report.borrow().is_none(),
            ),
            None => (false, false),
        };
        let mut followed = lock(&self.looks.followed);
        while followed.len() >= FOLLOWED && !followed.contains_key(&id) {
            followed.pop_first();
        }
        let followed = followed
            .entry(id)
            .or_insert_with(|| Followed::new(&self.store, id));
        followed.read(|_, _| {});
        // One that a terminal is about to begin has a name and no event yet, and nobody tells of its first.
        let Some(mission) = followed.mission() else {
            return (panel::nothing(looked.page), Some(queue::LOOK));
        };
        let mut signs = lock(&self.looks.signs)
            .get(&id)
            .cloned()
            .unwrap_or_default();
        signs.keep(mission);
        if runs {
            let doing = doing::seen(&self.store.layout.mission(&mission.full_name()));
            signs.doing(doing.silence, doing.set_up.map(SetUp::from));
        }
        let over = mission.outcome().is_some();
        let look = panel::Look {
            runs,
            panel: !over || of_session,
            page: looked.page,
        };
        // A mission that nobody runs stands where its last event left it, and its time with it.
        let now = match runs {
            true => Clock::new().now(),
            false => mission.last(),
        };
        let line = match looked.page {
            0 => String::new(),
            _ => self.line(&project),
        };
        let view = panel::view(mission, &signs, now, look, &line);
        let again = match (runs && !over, looked.page) {
            (true, 1..) => Some(SECOND),
            (true, 0) if here => None,
            // Nothing is heard of what runs elsewhere, or begins there.
            _ => Some(queue::LOOK),
        };
        (view, again)
    }
}
