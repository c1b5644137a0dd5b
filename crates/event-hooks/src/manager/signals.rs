//! How long events are kept that are no log records.

use super::EventHooks;
use crate::occurrence::created;
use std::time::Duration;
use waybill_consumers::history;
use waybill_spool::{Batch, Durability, Op, StoreError, StreamId};
use waybill_types::Offset;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(60);
/// How long they are kept once every hook has seen them: as long as log records are by default.
const RETENTION: Duration = Duration::from_secs(86_400);

impl EventHooks {
    /// Trims the stream `signals` until the daemon stops.
    pub(super) async fn trim_signals(self) {
        let mut stop = self.0.stop.clone();
        let mut below = Offset::ZERO;
        loop {
            tokio::select! {
                biased;
                () = stop.requested() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            match self.trim(below).await {
                Ok(trimmed) => below = trimmed,
                Err(error) => tracing::error!("the stream of signals was not trimmed: {error}"),
            }
        }
    }

    pub(super) async fn trim(&self, done: Offset) -> Result<Offset, StoreError> {
        let (stream, ground) = (StreamId::SIGNALS, &self.0.ground);
        let horizon = ground.clock.now() - RETENTION;
        let old = history::since(&*ground.store, stream, horizon, |entry| created(stream, entry)).await?;
        let consumers = self.0.registry.list().await?.into_iter().filter(|consumer| consumer.stream == stream);
        let below = consumers.map(|consumer| consumer.cursor).fold(old, Offset::min);
        if below > done {
            let mut batch = Batch::new();
            batch.push(Op::Trim { stream, below });
            ground.store.commit(batch, Durability::Written).await?;
        }
        Ok(below.max(done))
    }
}
