use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use waybill_delivery::{
    BatchOutcome, BatchPolicy, ConfigError, ConnectContext, ConnectError, DeliveryProtocol, Fate, Outcome, Peer, Route,
    RouteQuery, Session,
};
use waybill_queue_core::config::NullSection;
use waybill_spool::Message;
use waybill_types::{ReadyQueueName, Response};

/// Takes every message and throws it away: the `null` section of a queue's `protocol` (Waybill's own).
///
/// Unlike the queue `null`, whose messages are never stored, these are: they can wait, be suspended, and have a record.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullProtocol;

/// Throwing away is quick: the more at once, the fewer records' worth of bookkeeping.
const BATCH: usize = 100;

impl DeliveryProtocol for NullProtocol {
    fn name(&self) -> &'static str {
        "null"
    }

    fn route(&self, query: &RouteQuery<'_>) -> Result<Arc<dyn Route>, ConfigError> {
        NullSection::deserialize(query.section)
            .map_err(|error| ConfigError(format!("protocol.null: {error}").into()))?;
        Ok(Arc::new(NullRoute(query.ready_queue("null"))))
    }
}

struct NullRoute(ReadyQueueName);

impl Route for NullRoute {
    fn ready_queue(&self) -> &ReadyQueueName {
        &self.0
    }

    fn batch(&self) -> BatchPolicy {
        BatchPolicy::new(BATCH, 1, Duration::ZERO)
    }

    fn protocol(&self) -> &'static str {
        "Null"
    }

    fn connect(&self, _: ConnectContext) -> BoxFuture<'_, Result<Box<dyn Session>, ConnectError>> {
        async { Ok(Box::new(NullSession) as Box<dyn Session>) }.boxed()
    }
}

struct NullSession;

impl Session for NullSession {
    fn peer(&self) -> Option<Peer> {
        None
    }

    fn deliver<'a>(&'a mut self, batch: &'a [Message]) -> BoxFuture<'a, BatchOutcome> {
        let outcome = Outcome::Delivered(Response::plain(250, "discarded"));
        let outcomes = vec![outcome; batch.len()];
        async { BatchOutcome { outcomes, peer_spoke: false, session: Fate::Keep } }.boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async {}.boxed()
    }
}
