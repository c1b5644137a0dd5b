use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Map, Value as Json};
use std::sync::Arc;
use tokio::sync::Notify;
use waybill_log_record::LogRecord;
use waybill_spool::{Durability, Incoming, Intake, IntakeError, IntakeState, Keep, Message, Rejection};

/// An intake that keeps what it got, can be made to wait or to fail, and whose state can be set.
#[derive(Clone, Default)]
pub(crate) struct TestIntake(Arc<Inner>);

#[derive(Default)]
struct Inner {
    accepted: Mutex<Vec<Accepted>>,
    rejections: Mutex<Vec<LogRecord>>,
    state: Mutex<Option<IntakeState>>,
    error: Mutex<Option<IntakeError>>,
    gate: Mutex<Option<Arc<Gate>>>,
}

/// Holds an accept until it is opened.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) reached: Notify,
    pub(crate) open: Notify,
}

/// A message that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    pub(crate) id: String,
    pub(crate) sender: String,
    pub(crate) recipients: Vec<String>,
    pub(crate) queue: String,
    pub(crate) meta: Map<String, Json>,
    pub(crate) data: String,
    /// Where in memory the body is, and how many bytes stand in front of it that are this message's own.
    pub(crate) body: (usize, usize),
    pub(crate) record: LogRecord,
    pub(crate) durability: Durability,
    /// Records of what the message told of.
    pub(crate) reports: Vec<LogRecord>,
    pub(crate) keep: Keep,
}

impl TestIntake {
    pub(crate) fn accepted(&self) -> Vec<Accepted> {
        self.0.accepted.lock().clone()
    }

    pub(crate) fn rejections(&self) -> Vec<LogRecord> {
        self.0.rejections.lock().clone()
    }

    pub(crate) fn set_state(&self, state: IntakeState) {
        *self.0.state.lock() = Some(state);
    }

    pub(crate) fn fail_with(&self, error: IntakeError) {
        *self.0.error.lock() = Some(error);
    }

    /// From now on accepts wait.
    pub(crate) fn gate(&self) -> Arc<Gate> {
        self.0.gate.lock().get_or_insert_default().clone()
    }
}

impl Intake for TestIntake {
    fn accept(&self, incoming: Vec<Incoming>, durability: Durability) -> BoxFuture<'_, Result<(), IntakeError>> {
        Box::pin(async move {
            let gate = self.0.gate.lock().clone();
            if let Some(gate) = gate {
                gate.reached.notify_one();
                gate.open.notified().await;
            }
            if let Some(error) = self.0.error.lock().clone() {
                return Err(error);
            }
            // All of them are alive until they were looked at: what lies at one place is the same.
            let accepted = incoming.iter().map(|incoming| Accepted {
                id: incoming.message.id().to_string(),
                sender: incoming.message.sender().to_string(),
                recipients: incoming.message.recipients().iter().map(ToString::to_string).collect(),
                queue: incoming.queue.to_string(),
                meta: incoming.message.all_meta(),
                data: String::from_utf8_lossy(&incoming.message.data().unwrap()).into_owned(),
                body: body(&incoming.message),
                record: incoming.record.clone(),
                durability,
                reports: incoming.reports.clone(),
                keep: incoming.keep,
            });
            self.0.accepted.lock().extend(accepted);
            Ok(())
        })
    }

    fn rejected(&self, rejection: Rejection) -> BoxFuture<'_, ()> {
        self.0.rejections.lock().push(rejection.record);
        Box::pin(std::future::ready(()))
    }

    fn state(&self) -> IntakeState {
        self.0.state.lock().clone().unwrap_or(IntakeState::Open)
    }
}

fn body(message: &Message) -> (usize, usize) {
    let body = message.body().unwrap();
    (body.rest().as_ptr().addr(), body.front().len())
}
