//! Shows a mission's events as they become durable: as JSON, as lines, or as lines above a live view.
//!
//! It runs on a thread of its own. A terminal that takes no more text, or a pipe that nobody reads, holds up what is
//! shown and nothing else.

use crate::error::Error;
use crate::host::Store;
use crate::places;
use crate::view::keyboard::{self, Keyboard};
use crate::view::live::{self, Live};
use crate::view::quiet::{self, Quiet};
use crate::view::{self, Style, frame, lines, reuse, screen, why};
use engine::clock::Clock;
use engine::dispatcher::{Handle, Seen};
use engine::doing;
use engine::layout::Layout;
use engine::store::{self, Shared};
use mission::event::{Event, Recorded};
use mission::ids::{MissionId, Seq, TaskId};
use mission::input::{Input, Reply};
use mission::mission::{Mission, State};
use mission::question::{About, Question, QuestionId};
use mission::time::Millis;
use std::time::Instant;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

/// Shows one mission.
pub(crate) struct Show {
    journal: Shared,
    id: MissionId,
    json: bool,
    mission: Option<Mission>,
    seq: Seq,
    /// Events up to here have been shown before.
    after: Seq,
    clock: Clock,
    layout: Layout,
    /// When it was last looked what the engine does that no event tells.
    looked: Option<Instant>,
    live: Option<Live>,
    quiet: Option<Quiet>,
    /// Whether events are the data that was asked for, with their numbers.
    numbered: bool,
    /// Whether each event is told with its reasons, and of which task alone.
    explained: Option<Option<TaskId>>,
    keyboard: Option<Keyboard>,
    /// Whether the mission stood still for want of an answer that nobody here can give.
    pub(crate) deserted: bool,
}

impl Show {
    pub(crate) fn new(store: &Store, id: MissionId, style: Style, after: Seq) -> Self {
        Self::silent_for(store, id, style, after, None)
    }

    /// Shows a mission whose turns may be silent for so long, where that is known here.
    pub(crate) fn silent_for(
        store: &Store,
        id: MissionId,
        style: Style,
        after: Seq,
        silence: Option<Millis>,
    ) -> Self {
        let clock = Clock::new();
        Self {
            journal: store.journal.clone(),
            id,
            json: style == Style::Json,
            mission: None,
            seq: Seq(0),
            after,
            layout: store.layout.clone(),
            looked: None,
            live: (style == Style::Live).then(|| Live::begin(silence)),
            quiet: (style == Style::Plain).then(|| Quiet::new(clock.now(), silence)),
            clock,
            numbered: false,
            explained: None,
            keyboard: None,
            deserted: false,
        }
    }

    /// Prints every event as data, with its number.
    pub(crate) fn numbered(mut self) -> Self {
        self.numbered = true;
        self
    }

    /// Prints with every event why it was decided so; of one task, only what concerns it.
    pub(crate) fn explained(mut self, task: Option<TaskId>) -> Self {
        self.explained = Some(task);
        self
    }

    /// The mission as far as it was shown.
    pub(crate) fn mission(&self) -> Option<&Mission> {
        self.mission.as_ref()
    }

    /// Watches a mission that this process runs, and takes answers where a person is here.
    pub(crate) async fn watch(
        mut self,
        mut seen: Receiver<Seen>,
        handle: Handle,
        closed: CancellationToken,
    ) -> Result<Self, Error> {
        if self.live.is_some() && places::attended() {
            self.keyboard = Some(Keyboard::new());
        }
        let mut resumed = self.live.is_some().then(continued).flatten();
        let tick = if self.live.is_some() {
            live::TICK
        } else {
            quiet::LOOK
        };
        let mut ticks = tokio::time::interval(tick);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.catch_up()?;
        loop {
            if !self.deserted && !places::attended() && self.stands_still()? {
                self.deserted = true;
                handle.wind_down();
            }
            tokio::select! {
                received = seen.recv() => match received {
                    Ok(Seen::Event(seq, recorded)) if seq.0 == self.seq.0 + 1 => self.show(seq, &recorded),
                    Ok(Seen::Event(seq, _)) if seq <= self.seq => {}
                    Ok(Seen::Event(..)) | Err(RecvError::Lagged(_)) => self.catch_up()?,
                    Ok(Seen::Sign(epoch, sign)) => {
                        let now = self.clock.now();
                        match (&mut self.live, &mut self.quiet) {
                            (Some(live), _) => live.hear(now, epoch, sign),
                            (None, Some(quiet)) => quiet.hear(now, epoch, sign),
                            (None, None) => {}
                        }
                    }
                    Err(RecvError::Closed) => break,
                },
                _ = ticks.tick(), if !self.json => self.draw(),
                line = typed(&mut self.keyboard) => match line {
                    Some((id, line)) => self.answer(&handle, id, &line).await,
                    None => self.keyboard = None,
                },
                () = next(&mut resumed) => screen::forget(),
                () = closed.cancelled() => break,
            }
        }
        self.catch_up()?;
        self.live = None;
        Ok(self)
    }

    /// Whether nothing happens any more until somebody answers. Between two events that became durable together it may
    /// look so, and is not: the journal has both.
    fn stands_still(&mut self) -> Result<bool, Error> {
        if !self.mission().is_some_and(stands_still) {
            return Ok(false);
        }
        self.catch_up()?;
        Ok(self.mission().is_some_and(stands_still))
    }

    /// Reads what is durable and was not shown yet.
    pub(crate) fn catch_up(&mut self) -> Result<(), Error> {
        for (seq, recorded) in store::events(&*self.journal, self.id, Seq(self.seq.0 + 1))? {
            self.show(seq, &recorded);
        }
        Ok(())
    }

    /// Draws the live view, or breaks a long silence where there is none.
    pub(crate) fn draw(&mut self) {
        self.look();
        if let (Some(quiet), Some(mission)) = (&mut self.quiet, &self.mission)
            && let Some(line) = quiet.line(self.clock.now(), mission)
        {
            view::hanging(&line, lines::INDENT);
        }
        let (Some(live), Some(mission)) = (&mut self.live, &self.mission) else {
            return;
        };
        let asks = self.keyboard.as_ref().and_then(|keyboard| {
            let first = mission.questions().next().map(|(id, _)| id);
            keyboard.ask(first);
            first
        });
        if self.keyboard.as_mut().is_some_and(Keyboard::strayed) {
            live.entered();
        }
        live.tick(mission, self.clock.now(), asks);
    }

    /// Looks at what the engine does that no event tells, once in a while.
    fn look(&mut self) {
        let Some(mission) = &self.mission else { return };
        if self.looked.is_some_and(|at| at.elapsed() < quiet::LOOK) {
            return;
        }
        self.looked = Some(Instant::now());
        let doing = doing::seen(&self.layout.mission(&mission.full_name()));
        let set_up = doing.set_up.map(frame::SetUp::from);
        if let Some(live) = &mut self.live {
            live.doing(doing.silence, set_up);
        } else if let Some(quiet) = &mut self.quiet {
            quiet.doing(doing.silence, set_up);
        }
    }

    fn show(&mut self, seq: Seq, recorded: &Recorded) {
        // The reasons are those of the state before it.
        let reasons = match (&self.explained, &self.mission) {
            (Some(task), Some(before)) if seq > self.after => why::reasons(before, recorded, *task),
            // A mission opens because it was asked for.
            (Some(None), None) => Some(Vec::new()),
            _ => None,
        };
        match &mut self.mission {
            Some(mission) => mission.apply(recorded.at, &recorded.event),
            none => *none = Mission::replay([recorded]),
        }
        if matches!(recorded.event, Event::Woke { .. }) {
            // This clock stood still as well while the machine slept.
            self.clock = Clock::not_before(recorded.at);
        }
        self.seq = seq;
        let Some(mission) = &self.mission else { return };
        if let Some(live) = &mut self.live {
            live.happened(mission);
        }
        if seq <= self.after {
            return;
        }
        if let Some(quiet) = &mut self.quiet {
            quiet.said(self.clock.now(), mission);
        }
        if self.explained.is_some() {
            let Some(reasons) = reasons else {
                return;
            };
            view::data(&match self.json {
                true => why::json(seq, recorded, &reasons),
                false => why::lines(mission, seq, recorded, &reasons),
            });
        } else if self.json {
            view::data(&json_line(seq, recorded));
        } else if self.numbered {
            view::data(&lines::numbered(mission, seq, recorded));
        } else if let Some(line) = lines::line(mission, recorded) {
            view::hanging(&line, lines::INDENT);
            if matches!(recorded.event, Event::Planned { .. }) {
                let room = screen::size().map(|(columns, _)| columns);
                view::note(&format!("\n{}", lines::plan(mission, room)));
                view::hanging(&view::cost::forecast(mission), 0);
            }
        }
    }

    /// Hands in what a person typed.
    async fn answer(&mut self, handle: &Handle, id: QuestionId, line: &str) {
        screen::entered();
        let mission = self.mission.as_ref();
        let open = mission.and_then(|mission| mission.questions().find(|(open, _)| *open == id));
        let Some((_, question)) = open else {
            return view::note(&format!("{id} is closed already"));
        };
        let text = match keyboard::meant(question, line) {
            Ok(text) => text,
            Err(hint) => return view::note(&view::escape::line(&hint)),
        };
        let by = places::user();
        match handle.tell(Input::Answer { id, text, by }).await {
            Ok(Reply::Done) | Err(_) => {}
            Ok(Reply::Stale) => view::note(&format!("{id} is closed already")),
            Ok(Reply::Refused(why)) => view::note(&view::escape::line(&why.to_string())),
        }
    }
}

impl Store {
    /// What was made ready for a mission in all lives of its engines.
    pub(crate) fn made_ready(&self, mission: &Mission) -> reuse::Ready {
        doing::seen(&self.layout.mission(&mission.full_name()))
            .ready
            .into()
    }
}

impl From<doing::Ready> for reuse::Ready {
    fn from(ready: doing::Ready) -> Self {
        let packs = |of: doing::Pack| ready.packs.values().filter(|pack| **pack == of).count();
        Self {
            waits: packs(doing::Pack::Waits),
            used: packs(doing::Pack::Used),
            stale: packs(doing::Pack::Stale),
            set_ups: ready.set_ups,
            brought: ready.brought,
            stood: ready.stood,
        }
    }
}

impl From<doing::SetUp> for frame::SetUp {
    fn from(set_up: doing::SetUp) -> Self {
        Self {
            command: set_up.command,
            lane: set_up.lane,
            since: set_up.since,
            until: set_up.until,
        }
    }
}

async fn typed(keyboard: &mut Option<Keyboard>) -> Option<(QuestionId, String)> {
    match keyboard {
        Some(keyboard) => keyboard.line().await,
        None => std::future::pending().await,
    }
}

/// Tells when this program goes on after it was stopped.
fn continued() -> Option<Signal> {
    signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw())).ok()
}

async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Whether nothing happens any more until somebody answers.
fn stands_still(mission: &Mission) -> bool {
    let waits = |task: &mission::mission::TaskState| {
        matches!(
            task.state,
            State::Parked { .. } | State::Judging { .. } | State::Splitting { .. }
        )
    };
    // In a mission that nobody attends all but one kind of question is answered by a policy.
    let waits_for_people =
        |(_, question): (_, &Question)| mission.terms().attended || question.about == About::Plan;
    // Until somebody agrees to a plan, no wait in it ends by itself.
    let begins_nothing = mission
        .questions()
        .any(|(_, question)| question.about == About::Plan);
    mission.outcome().is_none()
        && mission.questions().any(waits_for_people)
        && mission.due().is_empty()
        && (begins_nothing || !mission.tasks().any(waits))
}

/// One event as a line for machines.
pub(crate) fn json_line(seq: Seq, recorded: &Recorded) -> String {
    serde_json::json!({ "seq": seq.0, "v": recorded.v, "at": recorded.at.0, "event": recorded.event }).to_string()
}
