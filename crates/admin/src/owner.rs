use crate::{InspectedMessage, Order, PathView, ReadyStates, ReadyView, Rebind, ScheduledView};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;
use waybill_types::{MessageId, QueueName, ReadyQueueName, Response};

/// What is asked about a scheduled queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScheduledQuery {
    /// Which.
    pub queue: QueueName,
    /// With the bodies of its messages.
    pub want_body: bool,
    /// How many messages are shown at most.
    pub limit: Option<usize>,
}

/// Why it cannot be said how mail would leave.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoPath {
    /// Nobody owns queues yet.
    #[error("waiting for spool startup")]
    Starting,
    /// The mail would have nowhere to go: the response that its record would have.
    #[error("{0}")]
    Nowhere(Response),
    /// Policy failed, or what it says makes no sense: a sentence with the place.
    #[error("{0}")]
    Policy(String),
}

/// Somebody who owns queues: the mail queue, a log hook.
///
/// # Contract
/// - `begin` is done when the order reaches everything that comes to a queue from then on; what is there already follows
///   in parts, so that no order keeps anybody waiting.
/// - An order reaches queues that it fits, those that come to be while it is in force included. Where several fit, the
///   one that ends last counts. It ends by itself at its time; `end` is for one that is cancelled.
/// - A bounce reaches everything that waits, nothing that a session has; what comes back from a session follows. Each
///   message leaves together with its AdminBounce record, unless the order is silent.
/// - A message that is rebound is stored together with its AdminRebind record, keeps its attempts and is never in two
///   queues; one that a session has is left alone.
/// - Whatever stops half way, a crash too, loses no message: it is where it was, or where it was to go.
/// - Of a queue or message that is not its own an owner knows nothing: it answers `None`, and the next one is asked.
pub trait QueueOwner: Send + Sync + 'static {
    /// An order begins.
    fn begin(&self, order: Arc<Order>) -> BoxFuture<'_, ()>;

    /// An order ends before its time.
    fn end(&self, order: Uuid) -> BoxFuture<'_, ()>;

    /// How many messages of which queues an order has bounced so far.
    fn bounced(&self, order: Uuid) -> BTreeMap<QueueName, u64>;

    /// Moves the messages that are there now, in parts. Done when it has begun.
    fn rebind(&self, rebind: Arc<Rebind>) -> BoxFuture<'_, ()> {
        drop(rebind);
        async {}.boxed()
    }

    /// Shows a message.
    fn inspect_message(&self, id: MessageId, want_body: bool) -> BoxFuture<'_, Option<InspectedMessage>> {
        let _ = (id, want_body);
        async { None }.boxed()
    }

    /// Shows a scheduled queue.
    fn inspect_scheduled(&self, query: ScheduledQuery) -> BoxFuture<'_, Option<ScheduledView>> {
        drop(query);
        async { None }.boxed()
    }

    /// Shows a ready queue; with the names of the scheduled queues that lead to it, where asked for.
    fn inspect_ready(&self, queue: ReadyQueueName, with_scheduled: bool) -> BoxFuture<'_, Option<ReadyView>> {
        let _ = (queue, with_scheduled);
        async { None }.boxed()
    }

    /// What keeps ready queues back: those that something keeps back.
    fn ready_states(&self) -> BoxFuture<'_, BTreeMap<ReadyQueueName, ReadyStates>> {
        async { BTreeMap::new() }.boxed()
    }

    /// Cuts a session off; its batch goes back. False: there is no such session.
    fn abort(&self, queue: ReadyQueueName, session: String) -> BoxFuture<'_, bool> {
        let _ = (queue, session);
        async { false }.boxed()
    }

    /// Says how mail for a domain would leave, without bringing any. `Some(Err)` says why that cannot be said.
    fn resolve(&self, domain: String, source: Option<String>) -> BoxFuture<'_, Option<Result<PathView, NoPath>>> {
        let _ = (domain, source);
        async { None }.boxed()
    }
}
