//! `orchestrator serve`: carries missions out for OpenCode, in the background.

use crate::args::ServeArgs;
use crate::error::{Error, Exit};
use crate::host::{self, Store};
use crate::hosting::Hosting;
use crate::{service_log, view};
use engine::reception::{Closed, Reception};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long one that ends may take to make place. Its missions are wound down within five seconds.
const MAKE_PLACE: Duration = Duration::from_secs(10);
/// What is said when it ends before everything has wound down.
const GO_ON: &str = "go on with: orchestrator resume";
/// The same where a newer engine waits for its place.
const NEXT: &str = "the newer engine takes up what ran here";
/// How long somebody must let others in to be one that stays: one that makes place does for a moment still.
const STAYS: Duration = Duration::from_secs(1);
/// How often it is looked whether it did.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) fn run(args: ServeArgs) -> Result<Exit, Error> {
    let store = Store::open()?;
    host::block_on(async {
        let Some(reception) = reception(&store).await? else {
            view::note("it runs already");
            return Ok(Exit::Good);
        };
        service_log::begin(&store.layout);
        let idle = Duration::from_millis(args.idle.0);
        let stop = CancellationToken::new();
        let hosting = Hosting::new(store, args, stop.clone());
        hosting.take_up();
        let told = tokio::spawn(signals(stop.clone()));
        let (closed, held) = reception.serve(hosting.clone(), idle, stop).await;
        if matches!(closed, Closed::Newer(_)) {
            crate::leave::at_the_latest(Exit::Interrupted, NEXT.to_owned());
        }
        hosting.end().await;
        // What ran here is nobody's now.
        drop(held);
        told.abort();
        view::note(&match closed {
            Closed::Idle => "nothing was left to do".to_owned(),
            Closed::Stopped => "ended; missions that ran go on with the next start".to_owned(),
            Closed::Newer(version) => {
                format!("makes place for version {version}, which takes up what ran here")
            }
        });
        Ok(Exit::Good)
    })
}

/// The reception, as soon as one that is ending has made place. `None` if one that is not ending has it.
async fn reception(store: &Store) -> Result<Option<Reception>, Error> {
    let (folder, begun) = (store.layout.doors(), Instant::now());
    let mut lets_in: Option<Instant> = None;
    loop {
        if let Some(reception) = Reception::open(&folder, env!("CARGO_PKG_VERSION"))? {
            return Ok(Some(reception));
        }
        let socket = engine::reception::socket(&folder);
        let now = Instant::now();
        lets_in = match std::os::unix::net::UnixStream::connect(&socket) {
            Ok(_) => lets_in.or(Some(now)),
            Err(_) => None,
        };
        let stays = lets_in.is_some_and(|since| now - since > STAYS);
        if stays || now - begun > MAKE_PLACE {
            return Ok(None);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The first signal lets everything wind down, the second ends the program as a crash would.
async fn signals(stop: CancellationToken) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if stop.is_cancelled() {
            crate::leave::now(Exit::Interrupted, GO_ON);
        }
        crate::leave::at_the_latest(Exit::Interrupted, GO_ON.to_owned());
        stop.cancel();
    }
}
