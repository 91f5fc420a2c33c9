//! Waiting for a session: what is heard, what is looked at when nothing is, and when it has been long enough.

use super::{End, Turn, end, fingerprint};
use crate::Sign;
use crate::opencode::api::{Api, CallError};
use crate::opencode::events::Hint;
use crate::opencode::usage;
use crate::opencode::wire::Status;
use mission::time::Millis;
use mission::turn::Failure;
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::Instant;

impl Turn {
    /// Listens until it is time to look again.
    pub(super) async fn watch(&mut self, api: &Api) -> Result<Option<End>, CallError> {
        // Before the first look whether there is a note: one that comes while something else is heard stays news.
        let (known, nudged) = (self.known, self.known_nudges.clone());
        loop {
            if let Some(end) = self.over() {
                return Ok(Some(end));
            }
            self.tell_quiet();
            let deadline = self.deadline();
            let more = self.watcher.more_notes(known);
            let nudge = self.watcher.more_nudges(nudged.clone());
            let Some(hints) = &mut self.hints else {
                return Ok(None);
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(Some(End::Stopped)),
                hint = hints.next() => if let Some(ready) = self.heard(hint) { return Ok(ready) },
                answered = self.asks.next() => {
                    self.heard = Instant::now();
                    if let Some(answered) = answered
                        && let Err(error) = answered.tell(api, &self.order.directory).await
                    {
                        self.asks.untold(answered, &error);
                        return Err(error);
                    }
                }
                () = more => return Ok(None),
                () = nudge => return Ok(None),
                () = tokio::time::sleep_until(deadline) => {
                    if Instant::now() >= self.looks.next() {
                        self.poll(api).await?;
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Takes a hint. `Some` when it is time to look, or when it is the end.
    fn heard(&mut self, hint: Hint) -> Option<Option<End>> {
        if !matches!(hint, Hint::Look) {
            self.heard = Instant::now();
            self.resumes = if matches!(hint, Hint::Step(_)) {
                0
            } else {
                self.resumes
            };
            self.soon();
        }
        match hint {
            Hint::Progress => None,
            Hint::Busy => {
                // It went on all the same, and can be told now what came while its provider made it wait.
                self.fault = None;
                self.unsaid().or_else(|| self.unnudged()).map(|_| None)
            }
            Hint::Doing(what) => {
                self.doing = Some(what.clone());
                self.watcher.sign(Sign::Doing(what));
                None
            }
            Hint::Did(did) => {
                self.doing = None;
                if self.repeats.is_new(&did) {
                    self.watcher.sign(Sign::Did(did.act, end::shown(&did.what)));
                }
                None
            }
            Hint::Idle | Hint::Look => Some(None),
            Hint::Step(step) => {
                self.fault = None;
                if !self.steps.is_new(&step.part) {
                    return Some(None);
                }
                self.usage = usage::plus(self.usage, step.used);
                self.watcher.sign(Sign::Used(self.usage));
                let why = self.repeats.ended(step.broken);
                Some(why.map(|why| End::Failed(Failure::Transient, why)))
            }
            Hint::Fault(fault) => {
                self.fault = Some(fault);
                Some(None)
            }
            Hint::Retry {
                attempt,
                message,
                next,
            } => self
                .parked(&Status::Retry {
                    attempt,
                    message,
                    next,
                })
                .map(Some),
            Hint::Permission(asked) => {
                self.asks.permission(asked);
                None
            }
            Hint::Question(asked) => {
                self.asks.question(asked);
                None
            }
            Hint::Settled(settled) => {
                self.asks.settled(&settled);
                None
            }
        }
    }

    /// Looks at what events would have told, because none came.
    async fn poll(&mut self, api: &Api) -> Result<(), CallError> {
        let directory = &self.order.directory;
        let mut open = HashSet::new();
        for asked in api.permissions(directory).await? {
            if asked.session == self.session {
                open.insert(asked.id.clone());
                self.asks.permission(asked);
            }
        }
        for asked in api.questions(directory).await? {
            if asked.session == self.session {
                open.insert(asked.id.clone());
                self.asks.question(asked);
            }
        }
        // Where nobody but us answers, what is missing is asked again by a server that was started again.
        let family = self.host.family.as_ref();
        if family.is_some_and(|family| family.is_at(api)) {
            self.asks.only(&open);
        }
        let newest = api.newest(directory, &self.session).await?;
        let seen = newest.map(|m| fingerprint(&m)).unwrap_or_default();
        if seen == self.seen {
            self.looks.later(Instant::now());
        } else {
            self.seen = seen;
            self.heard = Instant::now();
            self.soon();
        }
        Ok(())
    }

    /// Something goes on: look again soon, if nothing more is heard.
    pub(super) fn soon(&mut self) {
        self.looks.soon(Instant::now());
    }

    /// The next moment at which something is due.
    fn deadline(&self) -> Instant {
        let silence = self.heard + Duration::from_millis(self.order.silence.0);
        let nearest = self.limit.min(self.looks.next());
        match self.half_silent() {
            _ if self.asks.open() => nearest,
            Some(half) => nearest.min(half),
            None => nearest.min(silence),
        }
    }

    /// When half of the silence that it may keep is over, if that was not told yet.
    fn half_silent(&self) -> Option<Instant> {
        let half = self.heard + Duration::from_millis(self.order.silence.0 / 2);
        (self.quiet_since != Some(self.heard)).then_some(half)
    }

    /// Says so when nothing has been heard for half of what a turn may be silent for.
    fn tell_quiet(&mut self) {
        let half = self.half_silent().filter(|_| !self.asks.open());
        if half.is_some_and(|half| Instant::now() >= half) {
            self.quiet_since = Some(self.heard);
            let silence = Millis(self.order.silence.0 / 2);
            self.watcher.sign(Sign::Quiet(silence));
        }
    }

    /// Whether the turn has to end, whatever the session says.
    pub(super) fn over(&self) -> Option<End> {
        if self.stop.is_cancelled() {
            return Some(End::Stopped);
        }
        let now = Instant::now();
        if now >= self.limit {
            let limit = self.order.limit;
            let why = format!("the turn took longer than {limit}{}", self.meanwhile());
            return Some(End::Failed(Failure::Silent, why));
        }
        let silence = Duration::from_millis(self.order.silence.0);
        if !self.asks.open() && now >= self.heard + silence {
            let silence = self.order.silence;
            let doing = self.meanwhile();
            let why = format!("nothing was heard of the agent for {silence}{doing}");
            return Some(End::Failed(Failure::Silent, why));
        }
        None
    }

    /// What the agent is at, to be added to why it had to end.
    fn meanwhile(&self) -> String {
        let doing = self.doing.as_deref();
        doing.map_or(String::new(), |what| format!(", in {}", end::shown(what)))
    }

    /// Whether the provider makes us wait for longer than is good: then others may use the time.
    pub(super) fn parked(&self, status: &Status) -> Option<End> {
        let Status::Retry {
            attempt,
            message,
            next,
        } = status
        else {
            return None;
        };
        let wait = end::until(*next);
        let long = Duration::from_millis(wait.0) > self.host.pace.retry_most;
        let often = *attempt >= self.host.pace.retries;
        // A wait of OpenCode's own choice, after something that is no refusal: only this model is known to fail.
        let outage = !long && !end::names_a_limit(message);
        let cause = end::shown(message);
        self.watcher.sign(Sign::Waiting {
            cause: cause.clone(),
            at_most: wait,
            outage,
        });
        let asked = Some(end::clamped(wait)).filter(|_| !outage);
        (long || often).then_some(End::Refused(asked, cause, outage))
    }
}
