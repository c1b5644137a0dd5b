//! `parallel_by_key`: several messages under way, one of each key.

use super::runner::{AGAIN, GRACE, Ready};
use super::{Kept, Webhook};
use crate::courier::Receipt;
use crate::keys::digest;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use parking_lot::MutexGuard;
use std::collections::HashMap;
use waybill_spool::StoreError;
use waybill_streams_core::{Attempted, Lane, Lanes, Message, Offered, RowChanges, backoff};
use waybill_types::Timestamp;

/// Bytes of messages that are held until they are sent; others are loaded again then.
const HELD: usize = 4 << 20;
/// Bytes that are read at a time.
const PAGE: usize = 1 << 20;

/// What a webhook in this mode has in hand.
pub(super) struct Hand {
    pub(super) lanes: Lanes,
    /// Counts moves to another place: an attempt from before one changes nothing any more.
    pub(super) generation: u64,
    /// Changes of rows, in their order, that the store does not have yet. The position is stored with them only.
    pub(super) pending: Vec<RowChanges>,
}

/// An attempt that has ended. No receipt: the message was gone.
struct Sent {
    generation: u64,
    offset: u64,
    receipt: Option<Receipt>,
}

/// Messages between being read and being sent.
#[derive(Default)]
struct Held {
    generation: u64,
    bytes: usize,
    messages: HashMap<u64, Message>,
}

impl Held {
    fn put(&mut self, offset: u64, message: Message) {
        if self.bytes + message.weight() <= HELD {
            self.bytes += message.weight();
            self.messages.insert(offset, message);
        }
    }

    fn take(&mut self, offset: u64) -> Option<Message> {
        let message = self.messages.remove(&offset)?;
        self.bytes -= message.weight();
        Some(message)
    }
}

impl Webhook {
    /// Until the daemon stops or the webhook is removed.
    pub(super) async fn run_parallel(self) {
        let (mut stop, mut removed) = (self.0.base.stop.clone(), self.0.removed.listen());
        let (mut ready, mut held): (Option<Ready>, _) = (None, Held::default());
        let mut under_way = FuturesUnordered::new();
        loop {
            let version = *self.0.changed.borrow();
            let mut end = self.0.source.end();
            let read = self.read_ahead(end.now(), &mut held).await;
            let now = self.0.base.clock.now();
            while let Some((generation, offset)) = self.take_one(now) {
                let endpoint = self.endpoint(version, &mut ready);
                let (webhook, message) = (self.clone(), held.take(offset));
                under_way.push(async move {
                    let receipt = webhook.send_one(endpoint, offset, message).await;
                    Sent { generation, offset, receipt }
                });
            }
            let (more, wake) = self.next_steps(now);
            let read_again = match read {
                Ok(()) => None,
                Err(StoreError::Closed) => Some(None),
                Err(error) => {
                    tracing::error!(webhook = %self.egress().webhook_id, "its log cannot be read: {error}");
                    Some(Some(now + AGAIN))
                }
            };
            let more = more.filter(|_| read_again.is_none());
            let wake = read_again.flatten().into_iter().chain(wake).min();
            tokio::select! {
                biased;
                () = removed.requested() => return,
                () = stop.requested() => {
                    // What is in flight has a little time; what is broken off is sent again after the start.
                    let rest = async {
                        while let Some(sent) = under_way.next().await {
                            self.arrived(sent).await;
                        }
                    };
                    let _ = tokio::time::timeout(GRACE, rest).await;
                    return;
                }
                Some(sent) = under_way.next(), if !under_way.is_empty() => self.arrived(sent).await,
                () = async { end.beyond(more.unwrap_or(u64::MAX)).await }, if more.is_some() => {}
                () = self.0.base.clock.sleep_until(wake.unwrap_or(now)), if wake.is_some() => {}
                () = self.change(version) => {}
            }
        }
    }

    fn hand(&self) -> MutexGuard<'_, Hand> {
        self.0.hand.lock()
    }

    /// A message to send now.
    fn take_one(&self, now: Timestamp) -> Option<(u64, u64)> {
        if !self.0.delivery.lock().is_active() {
            return None;
        }
        let mut hand = self.hand();
        Some((hand.generation, hand.lanes.send(now)?))
    }

    /// Behind which offset there is something to read, and when a key that waits may go on.
    fn next_steps(&self, now: Timestamp) -> (Option<u64>, Option<Timestamp>) {
        if !self.0.delivery.lock().is_active() {
            return (None, None);
        }
        let hand = self.hand();
        let more = (hand.lanes.room() > 0).then(|| hand.lanes.cursor());
        // What is due already waits for a place: somebody arrives first.
        (more, hand.lanes.wake().filter(|time| *time > now))
    }

    /// Reads as much as may be in hand. What has to wait behind its key is stored at once.
    async fn read_ahead(&self, end: u64, held: &mut Held) -> Result<(), StoreError> {
        loop {
            let (room, cursor, generation) = {
                let hand = self.hand();
                (hand.lanes.room(), hand.lanes.cursor(), hand.generation)
            };
            if held.generation != generation {
                *held = Held { generation, ..Held::default() };
            }
            if room == 0 || cursor >= end || !self.0.delivery.lock().is_active() {
                return Ok(());
            }
            let found = self.0.source.read(cursor, room, PAGE).await?;
            let saving = self.0.saving.lock().await;
            if matches!(*saving, Kept::Removed) {
                return Ok(());
            }
            let (mut changes, mut expected, mut gone, mut taken) = (RowChanges::default(), cursor, 0, 0);
            {
                let mut hand = self.hand();
                if hand.generation != generation {
                    continue;
                }
                for (offset, message) in found.messages {
                    gone += offset.saturating_sub(expected);
                    expected = offset + 1;
                    let lane = message.key.as_ref().map_or(Lane::Alone(offset), |key| Lane::Key(digest(&[key])));
                    match hand.lanes.offer(offset, lane) {
                        Offered::Known => {}
                        Offered::Parked(row) => changes.set.push(row),
                        Offered::Taken => {
                            taken += 1;
                            held.put(offset, message);
                        }
                    }
                }
                gone += found.next.saturating_sub(expected);
                hand.lanes.read_to(found.next);
            }
            self.0.delivery.lock().skip(gone);
            if !changes.is_empty() || taken == 0 {
                self.store_hand(changes).await;
            }
        }
    }

    async fn send_one(
        &self,
        endpoint: Result<std::sync::Arc<dyn crate::courier::Endpoint>, String>,
        offset: u64,
        message: Option<Message>,
    ) -> Option<Receipt> {
        let message = match message {
            Some(message) => message,
            None => match self.0.source.first_from(offset).await {
                Ok(found) => found.filter(|(found, _)| *found == offset)?.1,
                Err(error) => return Some(Receipt::failed(format!("its log cannot be read: {error}"))),
            },
        };
        Some(self.receipt(endpoint, offset, &message).await)
    }

    /// An attempt has ended: what that means is stored before anything else is sent for its key.
    async fn arrived(&self, sent: Sent) {
        let saving = self.0.saving.lock().await;
        if matches!(*saving, Kept::Removed) {
            return;
        }
        let at = self.0.base.clock.now();
        let changes = {
            let mut hand = self.hand();
            let current = hand.generation == sent.generation;
            match &sent.receipt {
                _ if !current => RowChanges::default(),
                Some(receipt) => hand.lanes.finished(sent.offset, &receipt.outcome, at, &backoff(), rand::random()),
                None => hand.lanes.settle(sent.offset),
            }
        };
        match sent.receipt {
            Some(Receipt { response, error, outcome, .. }) => {
                let attempted = Attempted { offset: sent.offset, at, response, error, outcome };
                self.0.delivery.lock().noted(attempted);
            }
            None => self.0.delivery.lock().skip(1),
        }
        self.store_hand(changes).await;
    }

    /// Stores the position with all changes of rows. To be called while `saving` is held.
    pub(super) async fn store_hand(&self, changes: RowChanges) {
        let (delivery, pending) = {
            let mut hand = self.hand();
            if !changes.is_empty() {
                hand.pending.push(changes);
            }
            let mut delivery = self.0.delivery.lock();
            delivery.stands(hand.lanes.position());
            (delivery.clone(), hand.pending.clone())
        };
        let id = self.0.egress.read().webhook_id;
        match self.0.base.registry.set_position(id, &delivery, &pending).await {
            Ok(()) => self.hand().pending.clear(),
            // It is written with the next change; until then a crash would repeat what was delivered.
            Err(error) => tracing::error!(webhook = %id, "its position was not stored: {error}"),
        }
    }
}
