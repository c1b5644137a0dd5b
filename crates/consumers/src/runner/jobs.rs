//! What takes time: asking the store and the dispatcher.

use super::RETRY;
use super::loads::LoadJob;
use crate::dispatch::{Dispatch, JudgedEvent};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use waybill_journal_core::{DeadReason, LaneConfig, Rebound, Verdict};
use waybill_spool::{Batch, Durability, Slice, Store, StoreError};
use waybill_types::{Offset, QueueName, Timestamp};

/// The longest wait between two tries of a commit.
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// What a job came to.
pub(super) enum Done {
    /// The journal was read.
    Read { job: ReadJob, result: Result<Slice, StoreError> },
    /// A read that failed is to be tried again.
    ReadAgain(ReadJob),
    /// The dispatcher was asked for these.
    Judged { asked: Vec<Offset>, verdicts: Vec<(Offset, Verdict)> },
    /// The dispatcher is to be asked again for these.
    JudgeAgain(Vec<Offset>),
    /// The dispatcher looked ahead.
    Scouted { lanes: Vec<QueueName>, next: Offset },
    /// The dispatcher was asked where these belong.
    Rebound { asked: Vec<Offset>, answers: Vec<(Offset, Rebound)> },
    /// Rows were looked for.
    Loaded { job: LoadJob, result: Result<Vec<(waybill_spool::Key, bytes::Bytes)>, StoreError> },
    /// A load that failed is to be tried again.
    LoadAgain(LoadJob),
    /// The settings of a lane from before the start.
    Configured(QueueName, LaneConfig),
    /// What was given to the store is stored.
    Saved,
    /// Dead letters were looked for.
    Letters(Result<Vec<(waybill_spool::Key, bytes::Bytes)>, StoreError>),
    /// When the oldest event was appended that was seen outside of memory.
    Looked(Option<Timestamp>),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ReadJob {
    pub(super) from: Offset,
    pub(super) limit: usize,
    /// What was visible when the read began: with nothing found, there is nothing below.
    pub(super) until: Offset,
}

/// Asks for verdicts. A dispatcher that panics is asked event by event, so that the one at fault ends as a dead letter
/// and the others do not.
pub(super) async fn judge(dispatch: Arc<dyn Dispatch>, events: Vec<JudgedEvent>) -> Vec<(Offset, Verdict)> {
    if let Some(verdicts) = survive(dispatch.judge(events.clone())).await {
        return verdicts;
    }
    let mut verdicts = Vec::with_capacity(events.len());
    for event in events {
        let offset = event.offset;
        match survive(dispatch.judge(vec![event])).await {
            Some(found) => verdicts.extend(found),
            None => {
                let reason = DeadReason::HandlerFailed("asking the handlers panicked".to_owned());
                verdicts.push((offset, Verdict::Dead(reason)));
            }
        }
    }
    verdicts
}

/// Commits until it is done: what already happened outside must not be forgotten because the store was ill.
pub(super) async fn commit(store: Arc<dyn Store>, name: String, batch: Arc<Batch>) {
    let mut wait = RETRY;
    while let Err(error) = store.commit((*batch).clone(), Durability::Written).await {
        tracing::error!(hook = name, "the checkpoint was not stored, trying again: {error}");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_RETRY);
    }
}

/// `None` when it panicked, which is said loudly.
pub(super) async fn survive<T>(question: impl Future<Output = T>) -> Option<T> {
    let answer = AssertUnwindSafe(question).catch_unwind().await;
    answer.inspect_err(|_| tracing::error!("a dispatcher panicked")).ok()
}
