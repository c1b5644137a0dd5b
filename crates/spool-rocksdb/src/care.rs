//! The thread that looks after the spool: room on the disk, room of trimmed events.

use crate::database::Database;
use crate::shared::Shared;
use crate::space::SpaceGuard;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use waybill_spool::StreamId;
use waybill_types::Offset;

/// How often it looks.
const TICK: Duration = Duration::from_secs(3);

pub(crate) struct Care {
    shared: Arc<Shared>,
    database: Arc<Database>,
    guard: SpaceGuard,
    /// Low marks up to which room was given back.
    reclaimed: HashMap<StreamId, Offset>,
    /// Low marks that will do when this group is synced.
    waiting: Option<(u64, Vec<(StreamId, Offset)>)>,
}

impl Care {
    pub(crate) fn new(shared: Arc<Shared>, database: Arc<Database>, guard: SpaceGuard) -> Self {
        Care { shared, database, guard, reclaimed: HashMap::new(), waiting: None }
    }

    pub(crate) fn run(mut self, bell: &Bell) {
        while !bell.rings_within(TICK) {
            self.tick();
        }
    }

    pub(crate) fn tick(&mut self) {
        self.shared.health.set_full(self.guard.check());
        // Only what is on the disk counts: files of events must not be gone while the mark that says so, and the
        // cursor that made it possible, can still be lost.
        if let Some((_, lows)) = self.waiting.take_if(|(group, _)| *group <= self.shared.progress.synced()) {
            match self.database.reclaim(&lows) {
                Ok(()) => self.reclaimed.extend(lows),
                Err(error) => tracing::warn!("failed to give back the room of trimmed events: {error}"),
            }
        }
        if self.waiting.is_none() {
            let lows = self.shared.lows.read().clone();
            let news: Vec<(StreamId, Offset)> =
                lows.into_iter().filter(|(stream, low)| self.reclaimed.get(stream) < Some(low)).collect();
            if !news.is_empty() {
                self.waiting = Some((self.shared.progress.written(), news));
            }
        }
    }
}

/// Ends the thread.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    pub(crate) fn ring(&self) {
        *self.rung.lock() = true;
        self.changed.notify_all();
    }

    fn rings_within(&self, time: Duration) -> bool {
        let mut rung = self.rung.lock();
        self.changed.wait_while_for(&mut rung, |rung| !*rung, time);
        *rung
    }
}
