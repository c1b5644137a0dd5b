//! An egress webhook that runs: one task, one message in flight, strictly in the order of offsets.

mod ahead;
mod parallel;
mod runner;
mod tally;

pub use tally::{CLASSES, EgressTally};

use crate::courier::Courier;
use crate::log::failed;
use crate::news::{Change, News};
use crate::registry::{EgressRow, Registry};
use crate::source::Source;
use parallel::Hand;
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use tally::Counts;
use tokio::sync::watch;
use waybill_runtime::{Clock, Stop, StopSource, Supervisor};
use waybill_spool::Batch;
use waybill_streams_core::{
    Code, Delivery, Egress, Error, Extent, Health, Lanes, Mode, Position, RowChanges, Secrets, Status,
};
use waybill_webhook_sign::Secret;

/// Cheap to clone; clones are the same webhook.
#[derive(Clone)]
pub(crate) struct Webhook(Arc<Shared>);

/// What webhooks stand on.
#[derive(Clone)]
pub(crate) struct Base {
    pub(crate) registry: Registry,
    pub(crate) courier: Arc<dyn Courier>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) supervisor: Supervisor,
    pub(crate) stop: Stop,
    pub(crate) news: Option<Arc<dyn News>>,
}

impl Base {
    /// What others hear of changes, to be stored with them.
    pub(crate) fn told(&self, changes: impl IntoIterator<Item = Change>) -> Batch {
        let mut batch = Batch::new();
        if let Some(news) = &self.news {
            changes.into_iter().for_each(|change| news.changed(change, &mut batch));
        }
        batch
    }
}

struct Shared {
    base: Base,
    source: Source,
    /// The id of its log, as texts begin with it.
    log: String,
    egress: RwLock<Egress>,
    keys: RwLock<Secrets>,
    delivery: Mutex<Delivery>,
    counts: Counts,
    /// In parallel by key: what is in hand. Taken before `delivery` where both are.
    hand: Mutex<Hand>,
    /// Counts changes that the runner has to look at: destination, secrets, position.
    changed: watch::Sender<u64>,
    /// Held while the position is written, so that an older one never overwrites a newer.
    saving: tokio::sync::Mutex<Kept>,
    removed: StopSource,
    health: Mutex<Health>,
}

/// Whether there is still something to write to.
enum Kept {
    Yes,
    Removed,
}

impl Webhook {
    /// Starts it.
    pub(crate) fn start(base: Base, source: Source, row: EgressRow) -> Self {
        let mode = row.egress.mode;
        let (next, settled) = (row.delivery.next_offset(), row.delivery.settled().to_vec());
        let hand = Hand { lanes: Lanes::new(next, settled, row.parked), generation: 0, pending: Vec::new() };
        let shared = Shared {
            log: source.id().to_string(),
            source,
            egress: RwLock::new(row.egress),
            keys: RwLock::new(row.keys),
            delivery: Mutex::new(row.delivery),
            counts: Counts::default(),
            hand: Mutex::new(hand),
            changed: watch::channel(0).0,
            saving: tokio::sync::Mutex::new(Kept::Yes),
            removed: StopSource::new().0,
            health: Mutex::default(),
            base,
        };
        let webhook = Webhook(Arc::new(shared));
        let name = format!("egress webhook {}", webhook.egress().webhook_id);
        let runner = webhook.clone();
        webhook.0.base.supervisor.spawn(name, async move {
            match mode {
                Mode::Strict => runner.run().await,
                Mode::ParallelByKey => runner.run_parallel().await,
            }
        });
        webhook
    }

    /// How it is configured.
    pub(crate) fn egress(&self) -> Egress {
        self.0.egress.read().clone()
    }

    /// Whose it is.
    pub(crate) fn tenant(&self) -> Option<String> {
        self.0.source.tenant()
    }

    /// Its secrets.
    pub(crate) fn keys(&self) -> Secrets {
        self.0.keys.read().clone()
    }

    fn mode(&self) -> Mode {
        self.0.egress.read().mode
    }

    /// The first message that it needs yet.
    pub(crate) fn next_offset(&self) -> u64 {
        match self.mode() {
            Mode::Strict => self.0.delivery.lock().next_offset(),
            Mode::ParallelByKey => self.0.hand.lock().lanes.oldest(),
        }
    }

    /// What it did, and what waits for it.
    pub(crate) fn tally(&self) -> EgressTally {
        let end = self.0.source.end().now();
        let parked = match self.mode() {
            Mode::Strict => 0,
            Mode::ParallelByKey => self.0.hand.lock().lanes.parked().0,
        };
        EgressTally {
            id: self.0.egress.read().webhook_id,
            lag: end.saturating_sub(self.next_offset()),
            parked,
            by_class: self.0.counts.by_class(),
        }
    }

    /// How it stands.
    pub(crate) async fn status(&self) -> Result<Status, Error> {
        let view = self.0.source.view(self.next_offset()).await.map_err(|error| failed(&error))?;
        let (id, now) = (self.egress().webhook_id, self.0.base.clock.now());
        let status = |delivery: &Delivery| delivery.status(id, view, now);
        Ok(match self.mode() {
            Mode::Strict => status(&self.0.delivery.lock()),
            Mode::ParallelByKey => {
                let hand = self.0.hand.lock();
                status(&self.0.delivery.lock()).with_lanes(&hand.lanes)
            }
        })
    }

    /// Configures it differently, stored before this is done. `position` is checked against the log.
    pub(crate) async fn update(&self, egress: Egress, position: Position) -> Result<(), Error> {
        let seek = match (position.next_offset, position.next_time) {
            (Some(offset), _) => Some(Extent { end: self.0.source.end().now() }.start(offset)?),
            (None, Some(time)) => Some(self.0.source.at_time(time).await.map_err(|error| failed(&error))?),
            (None, None) => None,
        };
        let saving = self.0.saving.lock().await;
        if let Some(offset) = position.skip {
            self.skip_parked(offset)?;
        }
        let moved = |delivery: &mut Delivery| {
            if let Some(offset) = seek {
                delivery.seek(offset);
            }
            match (position.skip, self.mode()) {
                (Some(offset), Mode::Strict) => delivery.pass(offset),
                (Some(_), Mode::ParallelByKey) => delivery.skip(1),
                (None, _) => {}
            }
            match position.active {
                Some(true) => delivery.activate(),
                Some(false) => delivery.pause(),
                None => {}
            }
        };
        let mut delivery = self.0.delivery.lock().clone();
        moved(&mut delivery);
        let rows = self.rows_gone(seek);
        let told = self.0.base.told([Change::of_egress("update", &egress, Some(&self.egress()), self.tenant())]);
        let stored = self.0.base.registry.set_egress(&egress, None, Some(&delivery), &rows, told).await;
        stored.map_err(|error| failed(&error))?;
        *self.0.egress.write() = egress;
        self.move_hand(seek, position.active == Some(true));
        // An attempt may have ended meanwhile: what was asked for is done to what is there now.
        moved(&mut self.0.delivery.lock());
        drop(saving);
        self.touch();
        self.save().await;
        Ok(())
    }

    /// Signs with a new secret from now on, stored before this is done.
    pub(crate) async fn rotate(&self, secret: Secret, expire_seconds: u64) -> Result<Secrets, Error> {
        let _saving = self.0.saving.lock().await;
        let keys = self.keys().rotated(secret, self.0.base.clock.now(), expire_seconds);
        let egress = self.egress();
        let told = self.0.base.told([Change::of_egress("update", &egress, Some(&egress), self.tenant())]);
        let stored = self.0.base.registry.set_egress(&egress, Some(&keys), None, &[], told).await;
        stored.map_err(|error| failed(&error))?;
        *self.0.keys.write() = keys.clone();
        self.touch();
        Ok(keys)
    }

    /// Ends it; nothing is written any more once this is done. What is kept of it is the caller's business.
    pub(crate) async fn remove(&self) {
        self.0.removed.request();
        *self.0.saving.lock().await = Kept::Removed;
    }

    /// Takes a message that waits out of the hand; the rows that go with it are stored with the next position. Strictly in
    /// order only the message that is next waits, and it is the position that passes it.
    fn skip_parked(&self, offset: u64) -> Result<(), Error> {
        let refused = |why: String| Error::new(Code::MessageOffsetNotFound, format!("skip: {why}"));
        match self.mode() {
            Mode::Strict => {
                let (next, end) = (self.0.delivery.lock().next_offset(), self.0.source.end().now());
                match () {
                    () if next >= end => Err(refused("no message waits".to_owned())),
                    () if next != offset => {
                        Err(refused(format!("message {offset} is not the one that is next, which is {next}")))
                    }
                    () => Ok(()),
                }
            }
            Mode::ParallelByKey => {
                let mut hand = self.0.hand.lock();
                let changes = hand.lanes.skip(offset);
                let changes = changes.ok_or_else(|| refused(format!("message {offset} is not parked")))?;
                hand.pending.push(changes);
                Ok(())
            }
        }
    }

    /// What goes when it moves to another place.
    fn rows_gone(&self, seek: Option<u64>) -> Vec<RowChanges> {
        let hand = self.0.hand.lock();
        let mut rows = hand.pending.clone();
        if seek.is_some() {
            rows.push(RowChanges { set: Vec::new(), unset: hand.lanes.row_offsets() });
        }
        rows
    }

    fn move_hand(&self, seek: Option<u64>, wake: bool) {
        let mut hand = self.0.hand.lock();
        hand.pending.clear();
        if let Some(offset) = seek {
            hand.lanes = Lanes::new(offset, [], []);
            hand.generation += 1;
        }
        if wake {
            hand.lanes.wake_all();
        }
    }

    fn touch(&self) {
        self.0.changed.send_modify(|count| *count += 1);
    }

    /// Writes the position as it is now.
    async fn save(&self) {
        let saving = self.0.saving.lock().await;
        if matches!(*saving, Kept::Removed) {
            return;
        }
        if self.mode() == Mode::ParallelByKey {
            return self.store_hand(RowChanges::default()).await;
        }
        let (id, delivery) = (self.0.egress.read().webhook_id, self.0.delivery.lock().clone());
        if let Err(error) = self.0.base.registry.set_position(id, &delivery, &[]).await {
            // It is written again after the next attempt; until then a crash would repeat what was delivered.
            tracing::error!(webhook = %id, "its position was not stored: {error}");
        }
    }
}
