use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::HashMap;
use waybill_ready::Loader;
use waybill_spool::Message;
use waybill_types::{Offset, QueueName, Response};

/// The events of a hook that are in memory, as messages.
#[derive(Default)]
pub(crate) struct Items {
    items: Mutex<HashMap<Offset, Item>>,
}

#[derive(Clone)]
pub(crate) struct Item {
    pub(crate) message: Message,
    pub(crate) lane: QueueName,
}

impl Items {
    pub(crate) fn insert(&self, offset: Offset, message: Message, lane: QueueName) {
        self.items.lock().insert(offset, Item { message, lane });
    }

    pub(crate) fn get(&self, offset: Offset) -> Option<Item> {
        self.items.lock().get(&offset).cloned()
    }

    pub(crate) fn remove(&self, offset: Offset) {
        self.items.lock().remove(&offset);
    }

    /// What to keep of an event beside its entry: what policy changed.
    pub(crate) fn overlay(&self, offset: Offset) -> Bytes {
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
