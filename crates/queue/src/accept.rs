use crate::manager::{QueueManager, Shared};
use crate::records::Noted;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use waybill_log_record::{Entry, LogRecord, RecordType};
use waybill_queue_core::queues::{Arrival, Event};
use waybill_spool::{
    Batch, Durability, Incoming, Injector, Intake, IntakeError, IntakeState, Message, Rejection, StreamId,
};
use waybill_types::{MessageId, QueueName};

impl Intake for QueueManager {
    fn accept(&self, incoming: Vec<Incoming>, durability: Durability) -> BoxFuture<'_, Result<(), IntakeError>> {
        let shared = self.shared.clone();
        async move { shared.accept(incoming, durability).await }.boxed()
    }

    fn rejected(&self, rejection: Rejection) -> BoxFuture<'_, ()> {
        let shared = self.shared.clone();
        async move { shared.rejected(rejection.record).await }.boxed()
    }

    fn state(&self) -> IntakeState {
        self.shared.intake_state()
    }
}

impl Injector for QueueManager {
    fn inject(&self, message: Message) -> BoxFuture<'_, Result<(), IntakeError>> {
        let shared = self.shared.clone();
        async move { shared.inject(message).await }.boxed()
    }
}

impl Shared {
    fn open(&self) -> Result<(), IntakeError> {
        match self.intake_state() {
            IntakeState::Open => Ok(()),
            IntakeState::ShuttingDown => Err(IntakeError::ShuttingDown),
            IntakeState::WaitingForSpool => Err(IntakeError::Overloaded("waiting for spool startup".into())),
            IntakeState::LoadShedding => Err(IntakeError::Overloaded("load shedding".into())),
            IntakeState::DiskFull(why) | IntakeState::SpoolFailing(why) => Err(IntakeError::Overloaded(why)),
        }
    }

    /// The events that tell the driver of a message: its queue's settings, where they are new, and its arrival.
    async fn arrival(&self, message: &Message, queue: &QueueName) -> Result<Vec<Event<MessageId>>, IntakeError> {
        let unusable = |why: String| IntakeError::Queue { queue: queue.clone(), why: why.into() };
        let (config, changed) = self.queue_config(queue).await.map_err(|error| unusable(error.to_string()))?;
        let mut events = Vec::with_capacity(2);
        if changed {
            events.push(Event::ConfigChanged { queue: queue.clone(), config });
        }
        let mut arrival = Arrival::received(message.id(), queue.clone(), message.created());
        arrival.due = message.due();
        events.push(Event::Arrived(arrival));
        Ok(events)
    }

    async fn accept(&self, incoming: Vec<Incoming>, durability: Durability) -> Result<(), IntakeError> {
        self.open()?;
        let mut batch = Batch::new();
        let mut noted: Vec<Noted> = Vec::new();
        let mut events = Vec::new();
        let mut stored = Vec::new();
        let capture = self.options.sink.capture();
        for Incoming { message, queue, mut record } in incoming {
            message.capture(&capture);
            if !queue.is_null() {
                events.extend(self.arrival(&message, &queue).await?);
                batch.save(&message);
                stored.push(message.clone());
            }
            self.describe(&mut record, &message, &queue);
            // Of what goes nowhere, HTTP tells nothing (contract section 4.2).
            let silent = queue.is_null() && record.reception_protocol.as_deref() == Some("HTTP");
            noted.extend(self.note(&record, &message).filter(|_| !silent));
        }
        append(&mut batch, &noted);
        if !batch.is_empty() {
            self.options.store.commit(batch, durability).await?;
        }
        // I1: only from here on is it ours.
        self.stats.received.fetch_add(stored.len() as u64, Ordering::Relaxed);
        for message in stored {
            self.messages.insert(message);
        }
        self.tell(events).await;
        self.write(&noted).await;
        Ok(())
    }

    async fn inject(&self, message: Message) -> Result<(), IntakeError> {
        self.open()?;
        let queue =
            message.queue_name().map_err(|why| IntakeError::Queue { queue: QueueName::new(""), why: why.into() })?;
        if queue.is_null() || self.messages.contains(message.id()) {
            return Ok(());
        }
        let events = self.arrival(&message, &queue).await?;
        message.capture(&self.options.sink.capture());
        let mut batch = Batch::new();
        batch.save(&message);
        self.options.store.commit(batch, Durability::Synced).await?;
        self.messages.insert(message);
        self.tell(events).await;
        Ok(())
    }

    async fn rejected(&self, mut record: LogRecord) {
        let sink = &self.options.sink;
        let journal = sink.wants_journal(RecordType::Rejection);
        if !journal && !sink.wants(RecordType::Rejection) {
            return;
        }
        record.nodeid = self.options.nodeid.clone();
        let entry = Entry::encode(&record, self.options.mint.entry(record.event_time));
        if journal {
            let mut batch = Batch::new();
            batch.append(StreamId::EVENTS, entry.bytes().clone());
            if let Err(error) = self.options.store.commit(batch, Durability::Written).await {
                tracing::error!("a Rejection event was not stored: {error}");
            }
        }
        sink.write(&entry, None).await;
    }

    /// Hands records to the sinks that are not consumers of the journal.
    pub(crate) async fn write(&self, noted: &[Noted]) {
        for Noted { entry, message, .. } in noted {
            self.options.sink.write(entry, Some(message)).await;
        }
    }
}

/// Adds to the batch what has to be in the journal with it.
pub(crate) fn append(batch: &mut Batch, noted: &[Noted]) {
    for Noted { entry, .. } in noted.iter().filter(|noted| noted.journal) {
        batch.append(StreamId::EVENTS, entry.bytes().clone());
    }
}

/// The manager as what the listeners want.
impl QueueManager {
    /// As an intake.
    pub fn intake(&self) -> Arc<dyn Intake> {
        Arc::new(self.clone())
    }

    /// As an injector.
    pub fn injector(&self) -> Arc<dyn Injector> {
        Arc::new(self.clone())
    }
}
