use crate::manager::{QueueManager, Shared};
use waybill_policy::PolicyError;
use waybill_queue_core::queues::{Arrival, Event};
use waybill_runtime::Stop;
use waybill_spool::{Message, SpoolEntry, Spooled, StoreError};
use waybill_types::{MessageId, Timestamp};

/// So many messages are taken up at a time while mail flows.
const PAGE: usize = 1000;

impl QueueManager {
    /// Takes up what the spool holds from before `started`, page by page. Messages that cannot be read stay on disk and
    /// are named in the log. Tells how many were taken up.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn spool_in(&self, started: Timestamp, stop: &Stop) -> Result<u64, StoreError> {
        let shared = &self.shared;
        let mut after = None;
        let mut count = 0;
        loop {
            let page = shared.options.store.scan(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(count) };
            after = Some(last.id);
            let mut events = Vec::new();
            for entry in page {
                if let Some(message) = shared.readable(&entry, started) {
                    count += 1;
                    events.extend(shared.enumerated(message).await);
                }
            }
            shared.tell(events).await;
            if stop.is_requested() {
                return Ok(count);
            }
        }
    }
}

impl Shared {
    fn readable(&self, entry: &SpoolEntry, started: Timestamp) -> Option<Message> {
        // What came in since the start is known already.
        if entry.id.created() >= started || self.messages.contains(entry.id) {
            return None;
        }
        match Spooled::decode(&entry.envelope) {
            Ok(spooled) => Some(Message::from_spool(entry.id, spooled)),
            Err(error) => {
                tracing::error!(message = %entry.id, "left in the spool: {error}");
                None
            }
        }
    }

    async fn enumerated(&self, message: Message) -> Vec<Event<MessageId>> {
        if self.options.policy.handles("spool_message_enumerated") {
            let called = self.options.policy.call("spool_message_enumerated", vec![message.clone().into()]).await;
            if let Err(error) = called {
                tracing::error!(message = %message.id(), "spool_message_enumerated failed: {error}");
            }
        }
        let queue = match message.queue_name() {
            Ok(queue) => queue,
            Err(error) => {
                tracing::error!(message = %message.id(), "left in the spool: {error}");
                return Vec::new();
            }
        };
        let mut events = Vec::with_capacity(2);
        // A queue whose settings cannot be found now gets the defaults and is asked for again with its route.
        let config: Result<_, PolicyError> = self.queue_config(&queue).await;
        if let Ok((config, true)) = config {
            events.push(Event::ConfigChanged { queue: queue.clone(), config });
        }
        let mut arrival = Arrival::enumerated(message.id(), queue, message.created());
        if message.due().is_some() {
            arrival.due = message.due();
            arrival.attempts = u16::try_from(message.attempts()).ok();
        }
        self.messages.insert(message);
        events.push(Event::Arrived(arrival));
        events
    }
}
