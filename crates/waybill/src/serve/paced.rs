//! HTTP brings recipients no faster than the policy wants (`kumo.set_httpinject_recipient_rate_limit`).

use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use waybill_queue_core::throttle::Pace;
use waybill_spool::{Durability, Incoming, Intake, IntakeError, IntakeState, Rejection};
use waybill_types::Timestamp;

/// While somebody waits, so often he looks whether mail is taken still.
const LOOK: Duration = Duration::from_secs(1);

/// An intake that makes clients of HTTP wait for their turn.
pub(super) struct Paced {
    intake: Arc<dyn Intake>,
    pace: Arc<Pace>,
    /// The rate goes by the time that has passed since then: clocks may be set.
    begin: Instant,
}

impl Paced {
    pub(super) fn new(intake: Arc<dyn Intake>, pace: Arc<Pace>) -> Self {
        Paced { intake, pace, begin: Instant::now() }
    }

    /// Waits until one more recipient may come, or no mail is taken any more: then the intake says so.
    async fn turn(&self) {
        while let Err(wait) = self.pace.check(Timestamp::EPOCH + self.begin.elapsed()) {
            if self.intake.state() != IntakeState::Open {
                return;
            }
            tokio::time::sleep(wait.min(LOOK)).await;
        }
    }
}

impl Intake for Paced {
    fn accept(&self, incoming: Vec<Incoming>, durability: Durability) -> BoxFuture<'_, Result<(), IntakeError>> {
        async move {
            // What another node hands over was injected there.
            let injected =
                incoming.iter().filter(|incoming| incoming.record.reception_protocol.as_deref() == Some("HTTP"));
            let recipients: usize = injected.map(|incoming| incoming.message.recipients().len()).sum();
            for _ in 0..recipients {
                self.turn().await;
            }
            self.intake.accept(incoming, durability).await
        }
        .boxed()
    }

    fn rejected(&self, rejection: Rejection) -> BoxFuture<'_, ()> {
        self.intake.rejected(rejection)
    }

    fn state(&self) -> IntakeState {
        self.intake.state()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_log_record::{LogRecord, RecordType};
    use waybill_spool::Message;
    use waybill_types::{IdMint, Response};

    /// Takes everything, while it is open.
    struct Open(IntakeState);

    impl Intake for Open {
        fn accept(&self, _: Vec<Incoming>, _: Durability) -> BoxFuture<'_, Result<(), IntakeError>> {
            let result = if self.0 == IntakeState::Open { Ok(()) } else { Err(IntakeError::ShuttingDown) };
            futures::future::ready(result).boxed()
        }

        fn rejected(&self, _: Rejection) -> BoxFuture<'_, ()> {
            futures::future::ready(()).boxed()
        }

        fn state(&self) -> IntakeState {
            self.0.clone()
        }
    }

    fn paced(state: IntakeState, spec: &str) -> Paced {
        let pace = Pace::default();
        pace.set(spec.parse().ok());
        Paced::new(Arc::new(Open(state)), Arc::new(pace))
    }

    fn mail(protocol: &'static str) -> Vec<Incoming> {
        let id = IdMint::random().message(Timestamp::from_secs(1_700_000_000));
        let (sender, recipient) = ("a@example.com".parse().unwrap(), "b@example.com".parse().unwrap());
        let message = Message::new(id, sender, vec![recipient], bytes::Bytes::from_static(b"\r\n"));
        let mut record = LogRecord::new(RecordType::Reception, id.created(), Response::plain(250, ""), "node");
        record.reception_protocol = Some(protocol.into());
        let queue = message.queue_name().unwrap();
        vec![Incoming::new(message, queue, record)]
    }

    #[tokio::test(start_paused = true)]
    async fn recipients_of_http_wait_for_their_turn_and_others_do_not() {
        let paced = paced(IntakeState::Open, "2/m");
        let begin = Instant::now();
        for _ in 0..4 {
            paced.accept(mail("HTTP"), Durability::Synced).await.unwrap();
            paced.accept(mail("ESMTP"), Durability::Synced).await.unwrap();
        }
        // A burst of two, and one each half minute behind it.
        assert_eq!(begin.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_when_mail_is_taken_no_more_is_told_so() {
        let paced = paced(IntakeState::ShuttingDown, "1/d");
        let begin = Instant::now();
        for _ in 0..2 {
            assert!(paced.accept(mail("HTTP"), Durability::Synced).await.is_err());
        }
        assert!(begin.elapsed() < LOOK);
    }
}
