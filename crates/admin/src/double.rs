//! An owner that remembers what it was told.

use crate::{
    InspectedMessage, NoPath, Order, PathView, QueueOwner, ReadyStates, ReadyView, Rebind, ScheduledQuery,
    ScheduledView,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;
use waybill_types::{MessageId, QueueName, ReadyQueueName};

/// What an owner was told.
#[derive(Clone, PartialEq, Debug)]
pub enum Call {
    /// [`QueueOwner::begin`].
    Begin(Arc<Order>),
    /// [`QueueOwner::end`].
    End(Uuid),
    /// [`QueueOwner::rebind`].
    Rebind(Arc<Rebind>),
    /// [`QueueOwner::abort`].
    Abort(ReadyQueueName, String),
}

/// Knows what the test gave it. Clones are the same.
#[derive(Clone, Default)]
pub struct RecordingOwner {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    calls: Vec<Call>,
    bounced: BTreeMap<QueueName, u64>,
    messages: Vec<InspectedMessage>,
    scheduled: Vec<ScheduledView>,
    ready: Vec<ReadyView>,
    states: BTreeMap<ReadyQueueName, ReadyStates>,
    paths: Vec<Result<PathView, NoPath>>,
}

impl RecordingOwner {
    /// Knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What it was told so far.
    pub fn calls(&self) -> Vec<Call> {
        self.inner.lock().calls.clone()
    }

    /// Every bounce has taken so many messages of this queue.
    pub fn has_bounced(&self, queue: &str, count: u64) {
        self.inner.lock().bounced.insert(QueueName::new(queue), count);
    }

    /// Knows a message.
    pub fn knows_message(&self, message: InspectedMessage) {
        self.inner.lock().messages.push(message);
    }

    /// Knows a scheduled queue.
    pub fn knows_scheduled(&self, queue: ScheduledView) {
        self.inner.lock().scheduled.push(queue);
    }

    /// Knows a ready queue.
    pub fn knows_ready(&self, queue: ReadyView) {
        self.inner.lock().ready.push(queue);
    }

    /// Something keeps a ready queue back.
    pub fn holds_back(&self, queue: &str, states: ReadyStates) {
        self.inner.lock().states.insert(ReadyQueueName::new(queue), states);
    }

    /// Knows how mail for a domain leaves, or why it does not.
    pub fn knows_path(&self, path: Result<PathView, NoPath>) {
        self.inner.lock().paths.push(path);
    }

    fn note(&self, call: Call) -> BoxFuture<'_, ()> {
        self.inner.lock().calls.push(call);
        async {}.boxed()
    }
}

fn done<T: Send + 'static>(answer: T) -> BoxFuture<'static, T> {
    async { answer }.boxed()
}

impl QueueOwner for RecordingOwner {
    fn begin(&self, order: Arc<Order>) -> BoxFuture<'_, ()> {
        self.note(Call::Begin(order))
    }

    fn end(&self, order: Uuid) -> BoxFuture<'_, ()> {
        self.note(Call::End(order))
    }

    fn bounced(&self, _order: Uuid) -> BTreeMap<QueueName, u64> {
        self.inner.lock().bounced.clone()
    }

    fn rebind(&self, rebind: Arc<Rebind>) -> BoxFuture<'_, ()> {
        self.note(Call::Rebind(rebind))
    }

    fn inspect_message(&self, id: MessageId, want_body: bool) -> BoxFuture<'_, Option<InspectedMessage>> {
        let mut found = self.inner.lock().messages.iter().find(|message| message.id == id).cloned();
        if let Some(found) = found.as_mut().filter(|_| !want_body) {
            found.message.data = None;
        }
        done(found)
    }

    fn inspect_scheduled(&self, query: ScheduledQuery) -> BoxFuture<'_, Option<ScheduledView>> {
        let mut found = self.inner.lock().scheduled.iter().find(|view| view.queue_name == query.queue).cloned();
        if let Some(found) = &mut found {
            found.messages.truncate(query.limit.unwrap_or(usize::MAX));
            found.messages.iter_mut().filter(|_| !query.want_body).for_each(|message| message.message.data = None);
        }
        done(found)
    }

    fn inspect_ready(&self, queue: ReadyQueueName, with_scheduled: bool) -> BoxFuture<'_, Option<ReadyView>> {
        let mut found = self.inner.lock().ready.iter().find(|view| view.queue_name == queue).cloned();
        if let Some(found) = found.as_mut().filter(|_| !with_scheduled) {
            found.scheduled_queue_names = None;
        }
        done(found)
    }

    fn ready_states(&self) -> BoxFuture<'_, BTreeMap<ReadyQueueName, ReadyStates>> {
        done(self.inner.lock().states.clone())
    }

    fn abort(&self, queue: ReadyQueueName, session: String) -> BoxFuture<'_, bool> {
        let mut inner = self.inner.lock();
        let views = inner.ready.iter().filter(|view| view.queue_name == queue);
        let known = views.flat_map(|view| &view.dispatchers).any(|dispatcher| dispatcher.session_id == session);
        inner.calls.push(Call::Abort(queue, session));
        done(known)
    }

    fn resolve(&self, domain: String, _source: Option<String>) -> BoxFuture<'_, Option<Result<PathView, NoPath>>> {
        let fits = |path: &&Result<PathView, NoPath>| path.as_ref().map_or(true, |path| path.domain == domain);
        done(self.inner.lock().paths.iter().find(fits).cloned())
    }
}
