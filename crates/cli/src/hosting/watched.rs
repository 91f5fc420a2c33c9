//! Looking at a mission that runs here, for whoever is shown it.

use super::Hosting;
use crate::host;
use engine::dispatcher::{Handle, Seen};
use mission::event::Event;
use mission::ids::MissionId;
use mission::question::About;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

impl Hosting {
    /// Wakes whoever shows a mission at each event, and ends it when this process is to end, or when it asks for a word that
    /// nobody is there to give.
    pub(super) async fn watch(
        &self,
        id: MissionId,
        attended: bool,
        handle: Handle,
        closed: CancellationToken,
        wake: Arc<Notify>,
    ) {
        let mut seen = handle.watch();
        let is_deserted = || {
            let loaded = self.store.load(id);
            loaded.is_ok_and(|(found, _)| host::is_deserted(&found))
        };
        // One that was taken up again may have asked already, before anybody looked.
        if is_deserted() {
            handle.wind_down();
        }
        loop {
            tokio::select! {
                received = seen.recv() => match received {
                    Ok(Seen::Event(_, recorded)) => {
                        wake.notify_one();
                        self.looks.stir();
                        let asks_for_word = matches!(
                            recorded.event,
                            Event::Asked { about: About::Plan, .. }
                        );
                        if asks_for_word && !attended {
                            handle.wind_down();
                        }
                    }
                    Err(RecvError::Lagged(_)) => {
                        wake.notify_one();
                        self.looks.stir();
                        if is_deserted() {
                            handle.wind_down();
                        }
                    }
                    Ok(Seen::Sign(epoch, sign)) => self.looks.hear(id, epoch, sign),
                    Err(RecvError::Closed) => return,
                },
                () = self.stop.cancelled() => {
                    handle.wind_down();
                    return;
                }
                () = closed.cancelled() => return,
            }
        }
    }
}
