//! How the loop winds down: by the table of [`crate::shutdown`].

use super::Dispatcher;
use crate::shutdown::{First, POLICY, Part, limit};
use mission::command::Command;
use tokio::time::Instant;

impl Dispatcher {
    /// Ends everything that runs here, by the table: nothing more is decided from now on.
    pub(super) async fn wind_down(&mut self) {
        self.stop.cancel();
        let since = Instant::now();
        for row in POLICY {
            match row.first {
                First::Tell => self.tell(row.part),
                // All that were told have ended before anything that they wait for is let go.
                First::LetGo => {
                    self.end_performers(since).await;
                    self.let_go();
                }
                // The loop comes here when its last append has ended; what is closed is around it.
                First::Finish | First::Close => {}
            }
        }
    }

    /// Tells all performers of a part to end.
    fn tell(&self, part: Part) {
        let of_part = self.running.values().map(|(command, _)| command);
        for command in of_part.filter(|command| Part::of(command) == part) {
            if let Some(token) = self.tokens.get(&command.name()) {
                token.cancel();
            }
        }
    }

    /// Waits for all performers, each as long as its part may take, and drops those that take longer.
    async fn end_performers(&mut self, since: Instant) {
        loop {
            let until = |command: &Command| since + limit(Part::of(command));
            let next = self.running.values().map(|(command, _)| until(command));
            let Some(next) = next.min() else { break };
            tokio::select! {
                joined = self.performers.join_next_with_id() => {
                    let id = match joined {
                        Some(Ok((id, _))) => id,
                        Some(Err(error)) => error.id(),
                        None => break,
                    };
                    // What it says is not heard: the next engine asks the world, as after a crash.
                    self.running.remove(&id);
                }
                () = tokio::time::sleep_until(next) => {
                    let is_late = |command: &Command| until(command) <= next;
                    let late = self.running.extract_if(|_, (command, _)| is_late(command));
                    for (_, (command, performer)) in late {
                        tracing::warn!(command = command.name(), "it did not end in time and was dropped");
                        performer.abort();
                    }
                }
            }
        }
        self.performers.shutdown().await;
    }

    /// Lets whoever waits for an answer go. What was asked is durable and stays open.
    fn let_go(&mut self) {
        self.asked.clear();
        self.requests.clear();
    }
}
