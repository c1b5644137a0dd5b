use crate::accept::append;
use crate::driver::Pending;
use crate::manager::Shared;
use std::time::Duration;
use waybill_spool::{Batch, Durability};

/// A failed commit of what has happened already is tried again after this, then after twice as long, up to a limit.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

impl Shared {
    /// Stores what was decided together with its events, however long the store refuses (I2); then tells the sinks.
    ///
    /// The driver waits here, so nothing new is handed out while the store is not well.
    pub(crate) async fn store(&self, pending: Pending) {
        let Pending { changes, noted } = pending;
        let mut batch = changes;
        append(&mut batch, &noted);
        self.commit_held(batch).await;
        self.write(&noted).await;
    }

    async fn commit_held(&self, batch: Batch) {
        let mut wait = FIRST_RETRY;
        if batch.is_empty() {
            return;
        }
        while let Err(error) = self.options.store.commit(batch.clone(), Durability::Written).await {
            if matches!(error, waybill_spool::StoreError::Closed) {
                tracing::error!("outcomes were not stored: {error}; after the next start they are tried again");
                return;
            }
            tracing::error!("outcomes are not stored, trying again in {wait:?}: {error}");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LAST_RETRY);
        }
    }
}
