use crate::engine::Engine;
use crate::health::HealthCell;
use crate::options::SyncFailure;
use crate::progress::Progress;
use crate::queue::{End, Queue};
use crate::stats::Counters;
use crate::visibility::Visibility;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use waybill_spool::StreamId;
use waybill_types::Offset;

/// What the handle of the store and its threads have in common.
pub(crate) struct Shared {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) queue: Queue,
    pub(crate) progress: Progress,
    pub(crate) visibility: Mutex<Visibility>,
    /// The first offset of each stream that was not trimmed.
    pub(crate) lows: RwLock<HashMap<StreamId, Offset>>,
    pub(crate) health: HealthCell,
    pub(crate) counters: Arc<Counters>,
    on_sync_failure: SyncFailure,
}

impl Shared {
    pub(crate) fn new(engine: Arc<dyn Engine>, on_sync_failure: SyncFailure) -> Self {
        let counters = Arc::new(Counters::default());
        Shared {
            engine,
            queue: Queue::new(counters.clone()),
            progress: Progress::default(),
            visibility: Mutex::default(),
            lows: RwLock::default(),
            health: HealthCell::default(),
            counters,
            on_sync_failure,
        }
    }

    /// The first offset of a stream that was not trimmed.
    pub(crate) fn low(&self, stream: StreamId) -> Offset {
        self.lows.read().get(&stream).copied().unwrap_or(Offset::ZERO)
    }

    /// Nobody knows any more what is on the disk. The handler ends the process; where it returns, the store is dead.
    pub(crate) fn disk_is_lying(&self, why: &str) {
        tracing::error!("{why}");
        (self.on_sync_failure)(why);
        self.health.set_failing(Some(why));
        self.progress.die();
        self.queue.end(End::Dropped);
    }
}
