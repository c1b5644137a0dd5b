//! The stop.

use super::Runner;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;
use waybill_journal_core::Event;
use waybill_spool::Durability;

impl Runner {
    /// Takes back what has not begun, waits for what has and for what is being stored, as long as the grace allows, and
    /// saves.
    pub(super) async fn drain(&mut self, is_done: bool) {
        self.stopping = true;
        self.feed(Event::Stopping);
        for (lane, _) in self.consumer.status(self.options.clock.now()).lanes {
            self.dispatch.recall(&lane);
        }
        let deadline = Instant::now() + self.options.grace;
        while self.is_busy() {
            tokio::select! {
                Some(report) = self.reports.recv() => self.on_reports(report),
                Some(done) = self.jobs.next(), if !self.jobs.is_empty() => self.on_done(done),
                () = tokio::time::sleep_until(deadline) => {
                    let in_flight = self.consumer.totals().offered;
                    tracing::warn!(hook = self.options.name, in_flight,
                        "the grace is over; what was in flight is sent again after the next start");
                    break;
                }
            }
        }
        // No job commits behind our back from here on; what it was to commit goes with the last batch.
        self.jobs = FuturesUnordered::new();
        let last = match is_done {
            true => Some(self.saver.leave()),
            false => {
                self.saver.memory(&*self.dispatch);
                self.saver.last(self.consumer.checkpoint())
            }
        };
        let stored = match last {
            Some(batch) => self.options.store.commit(batch, Durability::Synced).await.map(|_| ()),
            None => Ok(()),
        };
        match stored {
            Ok(()) => self.saver.ended(),
            Err(error) => tracing::error!(hook = self.options.name, "the last checkpoint was not stored: {error}"),
        }
        self.look_around();
    }

    /// What a stop waits for. Not for reads, loads and looks ahead: they are done again at the next start.
    fn is_busy(&self) -> bool {
        let asks = self.judging > 0 || self.consumer.is_rebinding();
        self.consumer.totals().offered > 0 || asks || self.saver.is_saving()
    }
}
