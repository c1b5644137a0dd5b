use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use waybill_journal_core::DeadReason;
use waybill_ready::Loader;
use waybill_spool::Message;
use waybill_types::{MessageId, Offset, OffsetMap, QueueName, Response};

/// The events of a hook that are in memory, as messages.
#[derive(Default)]
pub(super) struct Items {
    items: Mutex<OffsetMap<Item>>,
}

#[derive(Clone)]
pub(super) struct Item {
    pub(super) message: Message,
    pub(super) lane: QueueName,
    /// It came back from the disk and cannot be shown as it was: it is not sent, but goes to the dead letters.
    pub(super) spoilt: Option<DeadReason>,
}

impl Items {
    pub(super) fn insert(&self, offset: Offset, item: Item) {
        self.items.lock().insert(offset, item);
    }

    pub(super) fn get(&self, offset: Offset) -> Option<Item> {
        self.items.lock().get(&offset).cloned()
    }

    /// An event is about to be tried, after so many attempts; else why it cannot be.
    pub(super) fn take_up(&self, offset: Offset, attempts: u32) -> Result<(), DeadReason> {
        let items = self.items.lock();
        let item = items.get(&offset).ok_or_else(|| DeadReason::Damaged("it is not in memory".to_owned()))?;
        item.spoilt.clone().map_or(Ok(()), Err)?;
        item.message.set_attempts(attempts);
        Ok(())
    }

    pub(super) fn remove(&self, offset: Offset) {
        self.items.lock().remove(&offset);
    }

    /// Those of a lane, in order.
    pub(super) fn of_lane(&self, lane: &QueueName, limit: usize) -> Vec<(Offset, Message)> {
        let items = self.items.lock();
        let mut of_lane: Vec<_> = items.iter().filter(|(_, item)| item.lane == *lane).collect();
        of_lane.sort_unstable_by_key(|(offset, _)| **offset);
        of_lane.into_iter().take(limit).map(|(offset, item)| (*offset, item.message.clone())).collect()
    }

    /// The one of this id.
    pub(super) fn of_id(&self, id: MessageId) -> Option<Message> {
        self.items.lock().values().map(|item| &item.message).find(|message| message.id() == id).cloned()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.items.lock().len()
    }

    /// What to keep of an event beside its entry: what policy changed.
    pub(super) fn overlay(&self, offset: Offset) -> Bytes {
        let Some(item) = self.get(offset) else { return Bytes::new() };
        let overlay = item.message.overlay();
        if overlay.is_empty() {
            return Bytes::new();
        }
        // A map with text keys: this cannot fail.
        serde_json::to_vec(&overlay).unwrap_or_default().into()
    }
}

impl Loader<Offset> for Items {
    fn load<'a>(&'a self, offsets: &'a [Offset]) -> BoxFuture<'a, Vec<Result<Message, Response>>> {
        let items = self.items.lock();
        let loaded = offsets.iter().map(|offset| {
            let missing = || Response::plain(400, "KumoMTA internal: the event is not in memory any more");
            items.get(offset).map(|item| item.message.clone()).ok_or_else(missing)
        });
        std::future::ready(loaded.collect()).boxed()
    }
}
