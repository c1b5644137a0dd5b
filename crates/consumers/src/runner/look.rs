//! What people and metrics see.

use super::Runner;
use super::TICK;
use super::jobs::Done;
use crate::dispatch::Dispatch;
use crate::layout::{self, Replay};
use crate::status::{ConsumerState, Snapshot};
use futures::FutureExt;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use waybill_spool::{ReadLimit, Store, StreamId, Table};
use waybill_types::{Offset, QueueName, Timestamp};

/// Ages are looked up again after this, while there are any.
const AGES: Duration = Duration::from_millis(500);
/// The ages of so many lanes with rows are looked at, those first whose rows are due longest.
const LANES: usize = 8;
/// So many lanes are shown with their counts.
const SHOWN_LANES: usize = 1000;
/// So many rows of each: they are ordered by when they are due, not by age.
const ROWS: usize = 16;

/// When to look, and what was seen.
#[derive(Debug, Default)]
pub(super) struct Look {
    snapshot: Arc<Mutex<Option<Snapshot>>>,
    at: Option<Instant>,
    ages_at: Option<Instant>,
    /// The store is being asked for ages.
    asking: bool,
    oldest_in_memory: Option<Timestamp>,
    oldest_elsewhere: Option<Timestamp>,
    lanes: Option<Arc<[(QueueName, u64)]>>,
}

impl Look {
    pub(super) fn snapshot(&self) -> Arc<Mutex<Option<Snapshot>>> {
        self.snapshot.clone()
    }

    pub(super) fn at(&self) -> Option<Instant> {
        self.at
    }

    /// Something happened.
    pub(super) fn notice(&mut self) {
        self.within(TICK);
    }

    fn within(&mut self, wait: Duration) {
        let at = Instant::now() + wait;
        self.at = Some(self.at.map_or(at, |set| set.min(at)));
    }

    fn oldest(&self) -> Option<Timestamp> {
        [self.oldest_in_memory, self.oldest_elsewhere].into_iter().flatten().min()
    }
}

impl Runner {
    /// Takes a new snapshot.
    pub(super) fn look_around(&mut self) {
        self.look.at = None;
        let totals = self.consumer.totals();
        let unread = self.end().0.saturating_sub(totals.read.0);
        if unread + totals.unsettled == 0 {
            (self.look.oldest_in_memory, self.look.oldest_elsewhere) = (None, None);
            self.look.lanes = None;
        } else {
            self.look.within(AGES);
            let now = Instant::now();
            if self.look.ages_at.is_none_or(|at| at <= now) {
                self.look.ages_at = Some(now + AGES);
                self.look_at_ages(totals.read, unread > 0);
            }
        }
        self.show();
    }

    fn look_at_ages(&mut self, read: Offset, is_behind: bool) {
        self.look.oldest_in_memory = self.consumer.oldest_in_memory();
        self.look.lanes = Some(self.consumer.lane_counts().take(SHOWN_LANES).collect());
        let lanes = self.consumer.parked_lanes(LANES);
        if !is_behind && lanes.is_empty() {
            self.look.oldest_elsewhere = None;
            return;
        }
        if self.look.asking {
            return;
        }
        self.look.asking = true;
        let (store, dispatch, name) = (self.options.store.clone(), self.dispatch.clone(), self.options.name.clone());
        let unread = is_behind.then_some((self.options.stream, read));
        self.jobs.push(async move { Done::Looked(oldest(&*store, &*dispatch, &name, unread, &lanes).await) }.boxed());
    }

    pub(super) fn on_looked(&mut self, oldest: Option<Timestamp>) {
        self.look.asking = false;
        self.look.oldest_elsewhere = oldest;
        self.look.notice();
    }

    fn show(&mut self) {
        let now = self.options.clock.now();
        let totals = self.consumer.totals();
        let replay = self.options.replay.as_ref();
        let state = match (replay, self.paused) {
            (_, true) => ConsumerState::Paused,
            (Some(_), false) => ConsumerState::Replay,
            (None, false) => ConsumerState::Active,
        };
        *self.look.snapshot.lock() = Some(Snapshot {
            name: self.options.name.clone(),
            state,
            lag_events: self.end().0.saturating_sub(totals.read.0) + totals.unsettled,
            lag_seconds: self.look.oldest().map_or(0.0, |created| now.since(created).as_secs_f64()),
            in_flight: totals.offered,
            parked: totals.rows,
            lanes: self.look.lanes.clone().unwrap_or_default(),
            dead_letters: self.saver.readable_letters().kept(0),
            letters: self.saver.readable_letters(),
            redriving: self.redriving.goes_on(),
            attempts: self.attempts,
            progress: replay.map(|replay| share(replay, totals.read)),
            last_response: None,
        });
    }
}

/// How much of its part of the journal a replay has read.
#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn share(replay: &Replay, read: Offset) -> f64 {
    let whole = replay.until.0.saturating_sub(replay.from.0).max(1);
    (read.0.saturating_sub(replay.from.0) as f64 / whole as f64).min(1.0)
}

/// When the oldest of the first unread event and the first rows of these lanes was appended.
async fn oldest(
    store: &dyn Store,
    dispatch: &dyn Dispatch,
    name: &str,
    unread: Option<(StreamId, Offset)>,
    lanes: &[QueueName],
) -> Option<Timestamp> {
    let mut oldest = None;
    let mut see = |created: Option<Timestamp>| oldest = [oldest, created].into_iter().flatten().min();
    if let Some((stream, from)) = unread {
        let slice = store.read(stream, from, ReadLimit { entries: 1, bytes: 1 }).await.unwrap_or_default();
        see(slice.entries.first().and_then(|(_, entry)| dispatch.created(entry)));
    }
    for lane in lanes {
        let rows = layout::lane_rows(name, lane);
        let found = store.range(Table::Rows, rows.clone(), rows.end(), ROWS).await.unwrap_or_default();
        for (_, value) in found {
            see(layout::parse_row(&value).map(|row| row.attempt.created));
        }
    }
    oldest
}
