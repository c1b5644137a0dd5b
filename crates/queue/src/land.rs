use crate::configs::Announced;
use crate::inbox::News;
use crate::manager::Shared;
use crate::records::{Noted, append};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;
use tokio::time::Instant;
use waybill_queue_core::queues::Arrival;
use waybill_spool::{Batch, Durability, IntakeError, Message, StoreError};
use waybill_types::{MessageId, QueueName};

/// Messages on their way in, with all that is stored and told at once.
pub(crate) struct Landing {
    durability: Durability,
    messages: Vec<Message>,
    arrivals: Vec<(Arrival<MessageId>, Announced)>,
    pub(crate) noted: Vec<Noted>,
    /// How many count as received.
    pub(crate) received: u64,
}

impl Landing {
    pub(crate) fn new(durability: Durability) -> Self {
        Landing { durability, messages: Vec::new(), arrivals: Vec::new(), noted: Vec::new(), received: 0 }
    }

    /// A message that is stored, and no more.
    pub(crate) fn store(&mut self, message: Message) {
        self.messages.push(message);
    }

    /// A message that is stored and queued.
    pub(crate) fn bring(&mut self, message: Message, queue: QueueName, config: Announced) {
        let mut arrival = Arrival::received(message.id(), queue, message.created());
        arrival.due = message.due();
        arrival.schedule = message.schedule();
        // Heard of.
        message.take_new_schedule();
        self.arrivals.push((arrival, config));
        self.messages.push(message);
    }
}

impl Shared {
    /// Stores, then tells everybody. In a task of its own: whoever waits here may be dropped when its client hangs up,
    /// and a message that is stored must be queued as well.
    pub(crate) async fn land(self: &Arc<Self>, landing: Landing) -> Result<(), IntakeError> {
        let (answer, answered) = oneshot::channel();
        let shared = self.clone();
        self.options.supervisor.spawn("reception", async move {
            let _ = answer.send(shared.take(landing).await);
        });
        // Cut off in the middle: nobody knows whether it is stored.
        answered.await.unwrap_or(Err(IntakeError::Spool(StoreError::Closed)))
    }

    async fn take(&self, landing: Landing) -> Result<(), IntakeError> {
        let Landing { durability, messages, arrivals, noted, received } = landing;
        let begun = Instant::now();
        let ahead =
            self.bodies_ahead(&messages).await.inspect_err(|_| messages.iter().for_each(Message::not_stored))?;
        let mut batch = Batch::new();
        if let Some(ahead) = &ahead {
            ahead.complete(&mut batch);
        }
        for message in &messages {
            batch.save(message);
        }
        append(&mut batch, &noted);
        if !batch.is_empty() {
            if let Err(error) = self.options.store.commit(batch, durability).await {
                if let Some(ahead) = ahead {
                    self.take_back(ahead).await;
                }
                // Whoever has them may try again.
                messages.iter().for_each(Message::not_stored);
                return Err(error.into());
            }
            self.stats.saved.observe(begun.elapsed());
        }
        let stored = Instant::now();
        // I1: only from here on is it ours.
        self.stats.received.fetch_add(received, Ordering::Relaxed);
        if !arrivals.is_empty() {
            for message in messages {
                self.messages.insert(message);
            }
        }
        // Before anybody can deliver it, so that a Reception stands before its Delivery.
        for Noted { entry, message, .. } in &noted {
            self.options.sink.write(entry, Some(message)).await;
        }
        for (arrival, config) in arrivals {
            self.tell(News::Arrived(arrival, config, stored)).await;
        }
        Ok(())
    }
}
