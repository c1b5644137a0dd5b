use crate::{Durability, Message, StoreError};
use futures::future::BoxFuture;
use std::sync::Arc;
use waybill_log_record::{LogRecord, RecordType};
use waybill_types::{QueueName, Response};

/// A message on its way in, with what its Reception record says about it.
#[derive(Debug)]
pub struct Incoming {
    /// The message.
    pub message: Message,
    /// Its queue, as [`Message::queue_name`] gives it after policy has spoken.
    pub queue: QueueName,
    /// The record to be written with it; meta, headers and the message's own fields are filled in by the intake.
    pub record: LogRecord,
    /// Records of what the message tells of: a bounce message, of each recipient that it gives up. They are written with
    /// it; the intake fills in meta, headers and what leads to the message, but not sender, recipients and size.
    pub reports: Vec<LogRecord>,
    /// What becomes of the message itself.
    pub keep: Keep,
}

impl Incoming {
    /// A message that is stored, and its record.
    pub fn new(message: Message, queue: QueueName, record: LogRecord) -> Self {
        Incoming { message, queue, record, reports: Vec::new(), keep: Keep::default() }
    }
}

/// What becomes of a message that came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Keep {
    /// It is stored and queued.
    #[default]
    Stored,
    /// Its records are all that was wanted of it.
    RecordsOnly,
}

/// A refusal that we sent, for its record.
#[derive(Debug)]
pub struct Rejection {
    /// The record, complete but for the node id.
    pub record: LogRecord,
}

impl Rejection {
    /// From a record of type Rejection.
    pub fn new(mut record: LogRecord) -> Self {
        record.kind = RecordType::Rejection;
        Rejection { record }
    }
}

/// Whether mail is taken right now; asked before a banner, a MAIL command and an HTTP injection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IntakeState {
    /// Yes.
    Open,
    /// Not yet: the spool is still being opened.
    WaitingForSpool,
    /// Never again: the daemon stops.
    ShuttingDown,
    /// Not now: memory.
    LoadShedding,
    /// Not now: the disk.
    DiskFull(Arc<str>),
    /// Not now: the store fails.
    SpoolFailing(Arc<str>),
}

/// Why a message was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IntakeError {
    /// The daemon stops.
    #[error("shutting down")]
    ShuttingDown,
    /// There is a reason not to take more right now.
    #[error("{0}")]
    Overloaded(Arc<str>),
    /// The queue of the message cannot be used.
    #[error("queue {queue}: {why}")]
    Queue {
        /// Which queue.
        queue: QueueName,
        /// What is wrong with it.
        why: Arc<str>,
    },
    /// The store did not take it.
    #[error(transparent)]
    Spool(#[from] StoreError),
}

impl From<&IntakeError> for Response {
    fn from(error: &IntakeError) -> Self {
        match error {
            IntakeError::ShuttingDown => Response::new(421, "4.3.2 shutting down"),
            IntakeError::Overloaded(why) => Response::new(451, format!("4.3.1 {why}")),
            IntakeError::Queue { .. } => Response::new(421, "4.3.0 technical difficulties"),
            IntakeError::Spool(_) => Response::new(451, "4.3.0 try again later"),
        }
    }
}

/// Where responsibility for mail moves to us.
///
/// # Contract
/// - `accept` is done when all messages and their Reception events are stored in one batch at `durability` (I1); after
///   an error none is.
/// - A message for the queue `null` is counted and logged, never stored.
/// - `rejected` never fails and never waits for a disk.
pub trait Intake: Send + Sync + 'static {
    /// Takes the messages of one transaction.
    fn accept(&self, incoming: Vec<Incoming>, durability: Durability) -> BoxFuture<'_, Result<(), IntakeError>>;

    /// Notes that a client was refused.
    fn rejected(&self, rejection: Rejection) -> BoxFuture<'_, ()>;

    /// Whether mail is taken right now.
    fn state(&self) -> IntakeState;
}

/// Puts a message into the mail queue on behalf of the daemon itself: a log message that only the spool can hold, a
/// message that a script made.
///
/// # Contract
/// Stored (synced) and queued when it is done; stored under the id it has, so that doing it twice is doing it once. No
/// Reception record is written.
pub trait Injector: Send + Sync + 'static {
    /// Stores and queues it.
    fn inject(&self, message: Message) -> BoxFuture<'_, Result<(), IntakeError>>;
}
