//! A consumer and its surroundings.

use crate::desk::{Desk, Told, event};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use waybill_consumers::{DeadLetter, Registered, Registry, Reports, Runner, RunnerOptions, Snapshot};
use waybill_runtime::{Clock, StopSource};
use waybill_spool::{Batch, Durability, Store, StoreError, StreamId};
use waybill_types::{Offset, Timestamp};

pub(crate) const NAME: &str = "hook";
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

/// One life of a consumer: it runs beside what is to happen in it, and is stopped in order unless that ends in `None`.
pub(crate) struct Life<'a> {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: &'a Arc<TokioClock>,
}

/// What a life left behind.
pub(crate) struct Left {
    pub(crate) told: Told,
    pub(crate) in_memory: usize,
    pub(crate) snapshot: Option<Snapshot>,
}

pub(crate) type Shown = Arc<Mutex<Option<Snapshot>>>;

/// Waits until nothing is left to be done.
pub(crate) async fn caught_up(shown: &Shown) {
    loop {
        // In paused time: as long as anybody has anything to do before. A snapshot is at most a tick old.
        tokio::time::sleep(Duration::from_secs(1)).await;
        if shown.lock().as_ref().is_some_and(|snapshot| snapshot.lag_events == 0) {
            return;
        }
    }
}

impl Life<'_> {
    pub(crate) async fn live(
        &self,
        happens: impl AsyncFnOnce(Arc<Desk>, &Shown) -> Option<()>,
    ) -> Result<Left, StoreError> {
        let (reports, inbox) = Reports::channel();
        let desk = Desk::new(reports);
        let options = RunnerOptions {
            name: NAME.to_owned(),
            stream: StreamId::EVENTS,
            store: self.store.clone(),
            clock: self.clock.clone(),
            window: 4,
            begin: Offset::ZERO,
            grace: Duration::from_secs(5),
        };
        let runner = Runner::open(options, desk.clone(), inbox).await?;
        let snapshot = runner.snapshot();
        let (source, stop) = StopSource::new();
        let story = async {
            let ended = happens(desk.clone(), &snapshot).await;
            source.request();
            // The process is gone: whatever runs is dropped where it stands.
            if ended.is_none() { Some(()) } else { std::future::pending().await }
        };
        tokio::select! {
            biased;
            Some(()) = story => {}
            () = runner.run(stop) => {}
            () = desk.serve() => {}
        }
        let snapshot = snapshot.lock().clone();
        Ok(Left { told: desk.told(), in_memory: desk.in_memory(), snapshot })
    }
}

pub(crate) async fn registered(store: &Arc<dyn Store>) -> Registered {
    Registry::new(store.clone()).list().await.unwrap().into_iter().next().expect("the store knows the consumer")
}

pub(crate) async fn letters(store: &Arc<dyn Store>) -> Vec<DeadLetter> {
    Registry::new(store.clone()).dead_letters(NAME, 1000).await.unwrap()
}
