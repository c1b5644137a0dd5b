//! A consumer and its surroundings.

use crate::desk::{Desk, Told, event};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use waybill_consumers::{
    Control, DeadLetter, Ended, Feed, LeftLetters, Registered, Registry, Replay, Reports, Runner, RunnerOptions,
    Snapshot,
};
use waybill_runtime::{Clock, StopSource};
use waybill_spool::{Batch, Durability, Store, StoreError, StreamId};
use waybill_types::{Offset, Timestamp};

pub(crate) const NAME: &str = "hook";
pub(crate) const REPLAY: &str = "hook@replay-1";
const BEGIN: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Goes with tokio's (paused) time, so that retries come as soon as nobody has anything else to do.
pub(crate) struct TokioClock(Instant);

impl TokioClock {
    pub(crate) fn start() -> Arc<TokioClock> {
        Arc::new(TokioClock(Instant::now()))
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        BEGIN + self.0.elapsed()
    }

    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        tokio::time::sleep(time.since(self.now())).boxed()
    }
}

pub(crate) async fn append(
    store: &dyn Store,
    clock: &TokioClock,
    lane: &str,
    what: &str,
) -> Result<Offset, StoreError> {
    let mut batch = Batch::new();
    batch.append(StreamId::EVENTS, event(lane, what, clock.now()));
    Ok(store.commit(batch, Durability::Synced).await?.offsets[0])
}

/// A life of a consumer: it runs beside what is to happen in it, and is stopped in order unless that ends in `None`.
pub(crate) struct Life<'a> {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: &'a Arc<TokioClock>,
    /// It sends a part of the journal again.
    pub(crate) replay: Option<Replay>,
    pub(crate) left: LeftLetters,
    /// Who looks out for it what it reads.
    pub(crate) feed: Option<Arc<dyn Feed>>,
}

/// What may be done with a consumer while it runs.
pub(crate) struct Inside {
    pub(crate) desk: Arc<Desk>,
    pub(crate) shown: Arc<Mutex<Option<Snapshot>>>,
    pub(crate) control: Control,
}

impl Inside {
    /// Waits until nothing is left to be done.
    pub(crate) async fn caught_up(&self) -> Snapshot {
        self.until_shown(|snapshot| snapshot.lag_events == 0).await
    }

    /// Waits until a snapshot is as wanted.
    pub(crate) async fn until_shown(&self, wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
        loop {
            // In paused time: as long as anybody has anything to do before. A snapshot is at most a tick old.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let shown = self.shown.lock().clone();
            if let Some(snapshot) = shown.filter(&wanted) {
                return snapshot;
            }
        }
    }
}

/// What a life left behind.
pub(crate) struct Left {
    pub(crate) told: Told,
    pub(crate) in_memory: usize,
    pub(crate) snapshot: Option<Snapshot>,
    /// `None` when the process went away.
    pub(crate) ended: Option<Ended>,
}

impl<'a> Life<'a> {
    pub(crate) fn new(store: &Arc<dyn Store>, clock: &'a Arc<TokioClock>) -> Self {
        Life { store: store.clone(), clock, replay: None, left: LeftLetters::default(), feed: None }
    }

    pub(crate) async fn live(&self, happens: impl AsyncFnOnce(&Inside) -> Option<()>) -> Result<Left, StoreError> {
        let (reports, inbox) = Reports::channel();
        let desk = Desk::new(reports);
        let options = RunnerOptions {
            name: self.replay.as_ref().map_or(NAME, |_| REPLAY).to_owned(),
            stream: StreamId::EVENTS,
            store: self.store.clone(),
            clock: self.clock.clone(),
            window: 4,
            begin: Offset::ZERO,
            replay: self.replay.clone(),
            left: self.left.clone(),
            grace: Duration::from_secs(5),
        };
        let mut runner = Runner::open(options, desk.clone(), inbox).await?;
        if let Some(feed) = &self.feed {
            runner = runner.fed_by(feed.clone());
        }
        let inside = Inside { desk: desk.clone(), shown: runner.snapshot(), control: runner.control() };
        let (source, stop) = StopSource::new();
        let story = async {
            let gone = happens(&inside).await.is_none();
            source.request();
            // Without an order: whatever runs is dropped where it stands.
            if gone { Some(()) } else { std::future::pending().await }
        };
        let mut ended = None;
        tokio::select! {
            biased;
            Some(()) = story => {}
            end = runner.run(stop) => ended = Some(end),
            () = desk.serve() => {}
        }
        let snapshot = inside.shown.lock().clone();
        Ok(Left { told: desk.told(), in_memory: desk.in_memory(), snapshot, ended })
    }
}

pub(crate) async fn registered(store: &Arc<dyn Store>) -> Registered {
    Registry::new(store.clone()).list().await.unwrap().into_iter().next().expect("the store knows the consumer")
}

pub(crate) async fn letters(store: &Arc<dyn Store>) -> Vec<DeadLetter> {
    Registry::new(store.clone()).dead_letters(NAME, None, 1000).await.unwrap()
}
