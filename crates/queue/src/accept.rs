use crate::configs::Announced;
use crate::land::Landing;
use crate::manager::{Phase, QueueManager, Shared};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;
use tokio::time::Instant;
use waybill_spool::{
    Durability, Incoming, Injector, Intake, IntakeError, IntakeState, Keep, Message, Rejection, Spooled, StoreError,
};
use waybill_types::QueueName;

impl Intake for QueueManager {
    fn accept(&self, incoming: Vec<Incoming>, durability: Durability) -> BoxFuture<'_, Result<(), IntakeError>> {
        self.shared.accept(incoming, durability).boxed()
    }

    fn rejected(&self, rejection: Rejection) -> BoxFuture<'_, ()> {
        self.shared.rejected(rejection.record).boxed()
    }

    fn state(&self) -> IntakeState {
        self.shared.intake_state()
    }
}

impl Injector for QueueManager {
    fn inject(&self, message: Message) -> BoxFuture<'_, Result<(), IntakeError>> {
        self.shared.inject(message).boxed()
    }
}

impl Shared {
    async fn accept(self: &Arc<Self>, incoming: Vec<Incoming>, durability: Durability) -> Result<(), IntakeError> {
        takes_mail(self.intake_state())?;
        let mut landing = Landing::new(durability);
        landing.received = incoming.len() as u64;
        let capture = self.options.sink.capture();
        for Incoming { message, queue, mut record, reports, keep } in incoming {
            message.capture(&capture);
            self.describe(&mut record, &message, &queue);
            // Of what goes nowhere, HTTP tells nothing (contract section 4.2).
            let silent = queue.is_null() && record.reception_protocol.as_deref() == Some("HTTP");
            if !silent {
                landing.noted.extend(self.note(&record, &message));
            }
            for mut report in reports {
                self.describe_report(&mut report, &message, &queue);
                landing.noted.extend(self.note_at(record.event_time, &report, &message));
            }
            if !queue.is_null() && keep == Keep::Stored {
                let config = self.usable(&queue).await?;
                landing.bring(message, queue, config);
            }
        }
        self.land(landing).await
    }

    async fn inject(self: &Arc<Self>, message: Message) -> Result<(), IntakeError> {
        let stopping = *self.phase.lock() == Phase::Stopping;
        if !stopping {
            takes_mail(self.intake_state())?;
        }
        let queue = message
            .queue_name()
            .map_err(|why| IntakeError::Queue { queue: QueueName::new("(none)"), why: why.into() })?;
        if queue.is_null() || self.messages.contains(message.id()) {
            return Ok(());
        }
        message.capture(&self.options.sink.capture());
        let message = settled_down(message)?;
        let mut landing = Landing::new(Durability::Synced);
        if stopping {
            // The next start takes it up: whoever injects need not wait for that, and could not.
            landing.store(message);
        } else {
            let config = self.usable(&queue).await?;
            landing.bring(message, queue, config);
        }
        self.land(landing).await
    }

    /// The configuration of a queue that is to take a message.
    async fn usable(&self, queue: &QueueName) -> Result<Announced, IntakeError> {
        let begun = Instant::now();
        let config = self.queue_config(queue).await;
        self.stats.resolved.observe(begun.elapsed());
        config.map_err(|error| IntakeError::Queue { queue: queue.clone(), why: error.to_string().into() })
    }
}

fn takes_mail(state: IntakeState) -> Result<(), IntakeError> {
    match state {
        IntakeState::Open => Ok(()),
        IntakeState::ShuttingDown => Err(IntakeError::ShuttingDown),
        IntakeState::WaitingForSpool => Err(IntakeError::Overloaded("waiting for spool startup".into())),
        IntakeState::LoadShedding => Err(IntakeError::Overloaded("load shedding".into())),
        IntakeState::DiskFull(why) | IntakeState::SpoolFailing(why) => Err(IntakeError::Overloaded(why)),
    }
}

/// A log message as the spool will have it: a view cannot forget its body and find it again, for what it falls back on
/// is the record and not what a script made of it.
fn settled_down(message: Message) -> Result<Message, IntakeError> {
    if message.record().is_none() {
        return Ok(message);
    }
    let (envelope, data) = message.to_store();
    let spooled = Spooled::decode(&envelope).map_err(|error| StoreError::Damaged(error.to_string().into()))?;
    let stored = Message::from_spool(message.id(), spooled);
    // As a change: it is not stored yet.
    stored.set_data(data.unwrap_or_default());
    Ok(stored)
}
