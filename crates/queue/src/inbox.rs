use crate::admin::{Look, Rebound};
use crate::configs::Announced;
use crate::outcomes::Judged;
use crate::returns::Returned;
use crate::routes::Found;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;
use waybill_admin::{Order, Rebind};
use waybill_queue_core::queues::{Arrival, Unroutable};
use waybill_ready::SessionEvent;
use waybill_types::{MessageId, QueueName};

/// News on their way to the driver. When it is full, whoever brings some waits: the driver always comes back to it, for
/// it waits for nothing but the store.
const NEWS: usize = 8192;
/// Reports of sessions on their way to the driver: a session waits with its report.
const REPORTS: usize = 1024;
/// Events of refusals on their way to the journal: behind that they are shed, for a refusal waits for no disk.
const REJECTIONS: usize = 8192;

/// What the driver is told by the tasks beside it.
pub(crate) enum News {
    /// A message is stored, since then; its queue goes by this configuration.
    Arrived(Arrival<MessageId>, Announced, Instant),
    /// What policy says of a queue: its configuration and, where it was asked for, the way out.
    Resolved { queue: QueueName, config: Option<Announced>, found: Option<Result<Found, Unroutable>> },
    /// What `throttle_insert_ready_queue` says of messages that are due.
    Answered(Vec<(MessageId, Option<Duration>)>),
    /// What `requeue_message` says of messages that go back.
    Returned(Vec<Returned>),
    /// An operator's order begins.
    Begin(Arc<Order>),
    /// An order ends before its time.
    End(Uuid),
    /// Messages are to be moved.
    Rebind(Arc<Rebind>),
    /// Messages that were aside for that.
    Rebound(Rebound),
    /// Somebody wants to see the queues.
    Look(Look),
    /// A batch whose failures `requeue_message` has seen.
    Judged(Box<Judged>),
}

/// What the manager's tasks read.
pub(crate) struct Inboxes {
    pub(crate) news: mpsc::Receiver<News>,
    pub(crate) reports: mpsc::Receiver<SessionEvent<MessageId>>,
    pub(crate) rejections: mpsc::Receiver<Bytes>,
}

/// The other ends.
pub(crate) struct Senders {
    pub(crate) news: mpsc::Sender<News>,
    pub(crate) reports: mpsc::Sender<SessionEvent<MessageId>>,
    pub(crate) rejections: mpsc::Sender<Bytes>,
}

pub(crate) fn channels() -> (Senders, Inboxes) {
    let (news, news_inbox) = mpsc::channel(NEWS);
    let (reports, report_inbox) = mpsc::channel(REPORTS);
    let (rejections, rejection_inbox) = mpsc::channel(REJECTIONS);
    let inboxes = Inboxes { news: news_inbox, reports: report_inbox, rejections: rejection_inbox };
    (Senders { news, reports, rejections }, inboxes)
}
