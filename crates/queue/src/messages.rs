use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use waybill_ready::Loader;
use waybill_spool::{Message, Part, Store, StoreError};
use waybill_types::{MessageId, Response};

/// The messages of the queue, bodies mostly on disk.
pub(crate) struct Messages {
    store: Arc<dyn Store>,
    all: Mutex<HashMap<MessageId, Message>>,
}

impl Messages {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Messages { store, all: Mutex::default() }
    }

    pub(crate) fn insert(&self, message: Message) {
        self.all.lock().insert(message.id(), message);
    }

    pub(crate) fn get(&self, id: MessageId) -> Option<Message> {
        self.all.lock().get(&id).cloned()
    }

    pub(crate) fn remove(&self, id: MessageId) -> Option<Message> {
        self.all.lock().remove(&id)
    }

    pub(crate) fn contains(&self, id: MessageId) -> bool {
        self.all.lock().contains_key(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.all.lock().len()
    }

    async fn load_one(&self, id: MessageId) -> Result<Message, Response> {
        let failed = |what: &str| Response::plain(400, format!("KumoMTA internal: error in deliver_message: {what}"));
        let message = self.get(id).ok_or_else(|| failed("the message is not in the queue any more"))?;
        if message.data().is_some() {
            return Ok(message);
        }
        match self.store.load(id, Part::Data).await {
            Ok(Some(data)) => {
                message.set_loaded(data);
                Ok(message)
            }
            Ok(None) => Err(failed("the body is not in the spool")),
            Err(error @ (StoreError::Failed(_) | StoreError::Closed | StoreError::Damaged(_))) => {
                Err(failed(&error.to_string()))
            }
        }
    }
}

impl Loader<MessageId> for Messages {
    fn load<'a>(&'a self, items: &'a [MessageId]) -> BoxFuture<'a, Vec<Result<Message, Response>>> {
        async move { futures::future::join_all(items.iter().map(|id| self.load_one(*id))).await }.boxed()
    }
}
