//! Ending a turn so that nothing of it runs on.

use super::{Step, Turn};
use crate::opencode::api::Api;
use crate::opencode::wire::{Message, Status};
use std::sync::Arc;

impl Turn {
    /// Stops what the session is doing, and makes sure.
    pub(super) async fn quiet(&mut self) {
        if self.session.is_empty() {
            return;
        }
        let host = Arc::clone(&self.host);
        let mut told = None;
        let most = host.pace.quiet;
        if tokio::time::timeout(most, self.quieted(&mut told))
            .await
            .is_err()
            && let Some(api) = told
        {
            let session = &self.session;
            tracing::warn!(session, "a session is ended with its OpenCode server");
            host.server.replace(&api).await;
        }
    }

    /// `told` is the server that was told last.
    async fn quieted(&mut self, told: &mut Option<Arc<Api>>) {
        let host = Arc::clone(&self.host);
        let directory = self.order.directory.clone();
        let mut idle = 0;
        // Twice idle: a prompt that was on its way when we stopped may still begin.
        while idle < 2 {
            // A server that is gone runs nothing.
            let Ok(api) = host.server.up().await else {
                return;
            };
            *told = Some(Arc::clone(&api));
            let mut all_idle = self.arrived(&api).await;
            for session in std::iter::once(&self.session).chain(&self.copy) {
                if idle == 0
                    && let Err(error) = api.abort(&directory, session).await
                {
                    tracing::debug!(%error, "an abort failed");
                }
                let status = api.status(&directory, session).await;
                all_idle &= matches!(status, Ok(Status::Idle));
            }
            idle = if all_idle { idle + 1 } else { 0 };
            tokio::time::sleep(host.pace.poll_least / 5).await;
        }
        let order = &self.order;
        let first = |m: &Message| Step::of(m, order) == Some(Step::Work);
        if let Ok(api) = host.server.up().await
            && let Ok(messages) = api.messages(&directory, &self.session, first).await
            && let Some(from) = messages.iter().position(first)
        {
            self.usage = self.used(&messages[from..]);
        }
    }

    /// Whether the last prompt is stored, or is never going to be.
    async fn arrived(&mut self, api: &Api) -> bool {
        let Some(sent) = &self.sent else { return true };
        let settled = self
            .posted
            .is_some_and(|at| at.elapsed() >= self.host.pace.settle);
        let directory = &self.order.directory;
        settled
            || api
                .has_message(directory, &self.session, &sent.id)
                .await
                .unwrap_or(false)
    }
}
