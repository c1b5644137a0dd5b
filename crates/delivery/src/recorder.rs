//! A protocol that remembers what it was given: the double for tests of the queue.

use crate::{
    BatchOutcome, ConfigError, ConnectContext, ConnectError, DeliveryProtocol, Fate, Outcome, Peer, Route, RouteQuery,
    Session,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex, PoisonError};
use waybill_queue_core::ready::BatchPolicy;
use waybill_spool::Message;
use waybill_types::{MessageId, ReadyQueueName, Response};

type Answer = Arc<dyn Fn(&[Message]) -> BatchOutcome + Send + Sync>;

/// Takes everything (or answers as told) under the section name `record`.
#[derive(Clone)]
pub struct RecordingProtocol {
    batch: BatchPolicy,
    answer: Answer,
    seen: Arc<Mutex<Vec<Vec<MessageId>>>>,
}

impl RecordingProtocol {
    /// Delivers every message.
    pub fn new(batch: BatchPolicy) -> Self {
        let deliver = |batch: &[Message]| {
            BatchOutcome::all(batch.len(), Outcome::Delivered(Response::plain(200, "ok")), Fate::Keep)
        };
        RecordingProtocol { batch, answer: Arc::new(deliver), seen: Arc::default() }
    }

    /// Answers each batch as told.
    #[must_use]
    pub fn answering(mut self, answer: impl Fn(&[Message]) -> BatchOutcome + Send + Sync + 'static) -> Self {
        self.answer = Arc::new(answer);
        self
    }

    /// The batches so far.
    pub fn batches(&self) -> Vec<Vec<MessageId>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl DeliveryProtocol for RecordingProtocol {
    fn name(&self) -> &'static str {
        "record"
    }

    fn route(&self, query: &RouteQuery<'_>) -> Result<Arc<dyn Route>, ConfigError> {
        Ok(Arc::new(RecordingRoute { ready_queue: query.ready_queue("record"), protocol: self.clone() }))
    }
}

struct RecordingRoute {
    ready_queue: ReadyQueueName,
    protocol: RecordingProtocol,
}

impl Route for RecordingRoute {
    fn ready_queue(&self) -> &ReadyQueueName {
        &self.ready_queue
    }

    fn batch(&self) -> BatchPolicy {
        self.protocol.batch
    }

    fn protocol(&self) -> &'static str {
        "Record"
    }

    fn connect(&self, _context: ConnectContext) -> BoxFuture<'_, Result<Box<dyn Session>, ConnectError>> {
        let session = RecordingSession { protocol: self.protocol.clone() };
        async move { Ok(Box::new(session) as Box<dyn Session>) }.boxed()
    }
}

struct RecordingSession {
    protocol: RecordingProtocol,
}

impl Session for RecordingSession {
    fn peer(&self) -> Option<Peer> {
        Some(Peer { name: "recorder".into(), addr: "0.0.0.0".into() })
    }

    fn deliver<'a>(&'a mut self, batch: &'a [Message]) -> BoxFuture<'a, BatchOutcome> {
        let ids = batch.iter().map(Message::id).collect();
        self.protocol.seen.lock().unwrap_or_else(PoisonError::into_inner).push(ids);
        let outcome = (self.protocol.answer)(batch);
        async move { outcome }.boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async {}.boxed()
    }
}
