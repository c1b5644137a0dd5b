use crate::inbox::News;
use crate::manager::{QueueManager, Shared};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use waybill_queue_core::queues::Arrival;
use waybill_runtime::Stop;
use waybill_spool::{Message, SpoolEntry, Spooled, StoreError};
use waybill_types::{MessageId, QueueName, Timestamp};

/// So many messages are taken up at a time while mail flows.
const PAGE: usize = 1000;
/// A store that cannot be read right now is tried again after this.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// A queue that policy has no settings for is asked for again after this.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Messages whose queue has no settings, by queue.
type Unsettled = HashMap<QueueName, Vec<Message>>;

impl QueueManager {
    /// Takes up what the spool holds from before `started`, page by page. Messages that cannot be read stay on disk and
    /// are named in the log. Those whose queue policy has no settings for wait until it has: with others they might be
    /// found too old. Tells how many were taken up.
    ///
    /// # Errors
    /// When the store is closed, or holds what it cannot read. A store that fails for a while is tried again.
    pub async fn spool_in(&self, started: Timestamp, stop: &Stop) -> Result<u64, StoreError> {
        if let Err(error) = self.shared.remove_leftovers().await {
            tracing::error!("what was cut off in the middle of a transaction stays until the next start: {error}");
        }
        let mut unsettled = Unsettled::new();
        self.shared.messages.begin_enumeration();
        let count = self.shared.enumerate(started, stop, &mut unsettled).await;
        self.shared.messages.end_enumeration();
        if !unsettled.is_empty() {
            let (task, stop) = (self.shared.clone(), stop.clone());
            let supervisor = &self.shared.options.supervisor;
            supervisor.spawn("messages without settings", async move { task.settle(unsettled, stop).await });
        }
        count
    }
}

impl Shared {
    async fn enumerate(&self, started: Timestamp, stop: &Stop, unsettled: &mut Unsettled) -> Result<u64, StoreError> {
        let mut after = None;
        let mut count = 0;
        while !stop.is_requested() {
            let Some(page) = self.page(after, stop).await? else { return Ok(count) };
            let Some(last) = page.last().map(|entry| entry.id) else { return Ok(count) };
            after = Some(last);
            for entry in page {
                if stop.is_requested() {
                    return Ok(count);
                }
                if let Some(message) = self.readable(&entry, started) {
                    count += 1;
                    self.take_up(message, unsettled).await;
                }
            }
            self.messages.enumerated(last);
        }
        Ok(count)
    }

    /// A page of the spool, however long the store refuses; `None` when that was too long.
    async fn page(&self, after: Option<MessageId>, stop: &Stop) -> Result<Option<Vec<SpoolEntry>>, StoreError> {
        loop {
            match self.options.store.scan(after, PAGE).await {
                Ok(page) => return Ok(Some(page)),
                Err(StoreError::Failed(why)) => tracing::error!("the spool cannot be read, trying again: {why}"),
                Err(error) => return Err(error),
            }
            if !goes_on_after(READ_AGAIN, stop).await {
                return Ok(None);
            }
        }
    }

    fn readable(&self, entry: &SpoolEntry, started: Timestamp) -> Option<Message> {
        // What came in since the start is known already, and may have left.
        // One from the future is of a run whose clock was ahead.
        let since_start = (started..=self.options.clock.now()).contains(&entry.id.created());
        if since_start || self.messages.is_known(entry.id) {
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

    async fn take_up(&self, message: Message, unsettled: &mut Unsettled) {
        const EVENT: &str = "spool_message_enumerated";
        if self.options.policy.handles(EVENT)
            && let Err(error) = self.options.policy.call(EVENT, vec![message.clone().into()]).await
        {
            tracing::error!(message = %message.id(), "{EVENT} failed: {error}");
        }
        match message.queue_name() {
            Ok(queue) => self.enumerated(queue, message, unsettled).await,
            Err(error) => tracing::error!(message = %message.id(), "left in the spool: {error}"),
        }
    }

    async fn enumerated(&self, queue: QueueName, message: Message, unsettled: &mut Unsettled) {
        // Asked for once, not for each of a million messages.
        if let Some(waiting) = unsettled.get_mut(&queue) {
            return waiting.push(message);
        }
        match self.queue_config(&queue).await {
            Ok(config) => {
                let mut arrival = Arrival::enumerated(message.id(), queue, message.created());
                // Whatever changes the schedule is stored with its event, so what is stored is right.
                arrival.attempts = Some(u16::try_from(message.attempts()).unwrap_or(u16::MAX));
                arrival.due = message.due();
                arrival.schedule = message.schedule();
                message.take_new_schedule();
                self.messages.insert(message);
                self.tell(News::Arrived(arrival, config, Instant::now())).await;
            }
            Err(_) => unsettled.entry(queue).or_default().push(message),
        }
    }

    /// Asks for the settings of queues again and again, until all have some.
    async fn settle(self: Arc<Self>, mut unsettled: Unsettled, stop: Stop) {
        while !unsettled.is_empty() && goes_on_after(ASK_AGAIN, &stop).await {
            for (queue, messages) in std::mem::take(&mut unsettled) {
                for message in messages {
                    self.enumerated(queue.clone(), message, &mut unsettled).await;
                }
            }
        }
    }
}

/// Waits; false when it is time to stop.
async fn goes_on_after(wait: Duration, stop: &Stop) -> bool {
    let mut stop = stop.clone();
    tokio::select! {
        biased;
        () = stop.requested() => false,
        () = tokio::time::sleep(wait) => true,
    }
}
