use crate::manager::Shared;
use std::time::Duration;
use waybill_spool::{Batch, Durability, StoreError};

/// A failed commit of what has happened already is tried again after this, then after twice as long, up to a limit.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// What became of a batch that had to be stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum Stored {
    /// It is.
    Yes,
    /// The store is closed, and nobody knows.
    Never,
}

impl Shared {
    /// Stores what has happened outside already, however long the store refuses (I2).
    pub(crate) async fn commit_held(&self, batch: Batch) -> Stored {
        let mut wait = FIRST_RETRY;
        if batch.is_empty() {
            return Stored::Yes;
        }
        while let Err(error) = self.options.store.commit(batch.clone(), Durability::Written).await {
            if matches!(error, StoreError::Closed) {
                tracing::error!("what happened was not stored: {error}; after the next start it is tried again");
                return Stored::Never;
            }
            tracing::error!("what happened is not stored, trying again in {wait:?}: {error}");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LAST_RETRY);
        }
        Stored::Yes
    }
}
