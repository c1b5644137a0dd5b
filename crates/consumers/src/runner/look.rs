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
    /// When the oldest event was appended that is not settled, as far as that was looked up.
    oldest: Option<Timestamp>,
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
}

impl Runner {
    /// Takes a new snapshot.
    pub(super) fn look_around(&mut self) {
        self.look.at = None;
        let totals = self.consumer.totals();
        let unread = self.end().0.saturating_sub(totals.read.0);
        if unread + totals.unsettled == 0 {
            // Whatever comes next is looked at at once.
            (self.look.oldest, self.look.ages_at, self.look.lanes) = (None, None, None);
        } else {
            self.look.within(AGES);
            let is_time = self.look.ages_at.is_none_or(|at| at <= Instant::now());
            if is_time && !self.look.asking {
                self.look_at_ages(totals.read, unread > 0);
            }
        }
        // Events without an age would look as if they had come just now: the answer is on its way.
        if self.look.oldest.is_some() || !self.look.asking {
            self.show();
        }
    }

    fn look_at_ages(&mut self, read: Offset, is_behind: bool) {
        self.look.ages_at = Some(Instant::now() + AGES);
        let in_memory = self.consumer.oldest_in_memory();
        self.look.lanes = Some(self.consumer.lane_counts().take(SHOWN_LANES).collect());
        let lanes = self.consumer.parked_lanes(LANES);
        if !is_behind && lanes.is_empty() {
            self.look.oldest = in_memory;
            return;
        }
        self.look.asking = true;
        let (store, dispatch, name) = (self.options.store.clone(), self.dispatch.clone(), self.options.name.clone());
        let unread = is_behind.then_some((self.options.stream, read));
        // What is in memory now may be on disk when the answer comes, and the other way round: both count as of now.
        let look = async move {
            let elsewhere = oldest(&*store, &*dispatch, &name, unread, &lanes).await;
            Done::Looked([in_memory, elsewhere].into_iter().flatten().min())
        };
        self.jobs.push(look.boxed());
    }

    pub(super) fn on_looked(&mut self, oldest: Option<Timestamp>) {
        self.look.asking = false;
        self.look.oldest = oldest;
        self.look_around();
    }

    pub(super) fn show(&mut self) {
        let now = self.options.clock.now();
        let totals = self.consumer.totals();
        let replay = self.options.replay.as_ref();
        let state = match (replay, self.paused) {
            (_, true) => ConsumerState::Paused,
            (Some(_), false) => ConsumerState::Replay,
            (None, false) => ConsumerState::Active,
        };
        let lag_events = self.end().0.saturating_sub(totals.read.0) + totals.unsettled;
        // What a replay sends is as old as the replay.
        let oldest = replay.filter(|_| lag_events > 0).map(|replay| replay.started).or(self.look.oldest);
        *self.look.snapshot.lock() = Some(Snapshot {
            name: self.options.name.clone(),
            state,
            lag_events,
            lag_seconds: oldest.map_or(0.0, |created| now.since(created).as_secs_f64()),
            in_flight: totals.offered,
            parked: totals.rows,
            lanes: self.look.lanes.clone().unwrap_or_default(),
            dead_letters: self.saver.readable_letters().kept(0),
            letters: self.saver.readable_letters(),
            redriving: self.redriving.goes_on() || self.saver.has_redriven_unstored(),
            attempts: self.attempts,
            progress: replay.map(|replay| share(replay, totals.read, totals.unsettled)),
            last_response: None,
        });
    }
}

/// How much of its part of the journal a replay is done with: what it has read, without what is still to be delivered.
#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn share(replay: &Replay, read: Offset, unsettled: u64) -> f64 {
    let whole = replay.until.0.saturating_sub(replay.from.0).max(1);
    let done = read.0.saturating_sub(replay.from.0).saturating_sub(unsettled);
    (done as f64 / whole as f64).min(1.0)
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
