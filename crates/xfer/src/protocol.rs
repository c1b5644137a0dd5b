use crate::Carrier;
use crate::session::XferSession;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use waybill_delivery::{
    BatchPolicy, ConfigError, ConnectContext, ConnectError, DeliveryProtocol, Route, RouteQuery, Session,
};
use waybill_queue_core::config::XferSection;
use waybill_types::{NodeUrl, ReadyQueueName};

/// The key of the section, the end of the ready queue's name, and the word in records.
const NAME: &str = "xfer";
/// No call takes longer, whatever the path says.
const LONGEST: Duration = Duration::from_secs(300);
/// A session without progress is cut off no sooner.
const LEAST_WATCHDOG: Duration = Duration::from_secs(60);

/// Hands mail to other nodes: the `xfer` section of a queue's `protocol`.
#[derive(Clone)]
pub struct Xfer {
    carrier: Arc<dyn Carrier>,
    node: Arc<str>,
}

impl Xfer {
    /// `node` is the id that this node goes by, told to the other one.
    pub fn new(carrier: Arc<dyn Carrier>, node: impl Into<Arc<str>>) -> Self {
        Xfer { carrier, node: node.into() }
    }
}

impl DeliveryProtocol for Xfer {
    fn name(&self) -> &'static str {
        NAME
    }

    fn route(&self, query: &RouteQuery<'_>) -> Result<Arc<dyn Route>, ConfigError> {
        let wrong = |why: &dyn std::fmt::Display| ConfigError(format!("protocol.xfer.{why}").into());
        let section = XferSection::deserialize(query.section).map_err(|error| wrong(&error))?;
        let target = NodeUrl::parse(&section.target).map_err(|error| wrong(&format_args!("target: {error}")))?;
        let ready_queue = match NodeUrl::of_queue(query.queue) {
            Some(_) => query.ready_queue(NAME),
            // Two queues of one domain may go to different nodes: with the same name one would take the other's mail.
            None => query.ready_queue(&format!("{NAME}:{target}")),
        };
        let limit = query.egress.path.data_dot_timeout.min(LONGEST);
        Ok(Arc::new(XferRoute {
            ready_queue,
            way: Arc::new(Way { carrier: self.carrier.clone(), node: self.node.clone(), target, limit }),
        }))
    }
}

/// What a session needs to know.
pub(crate) struct Way {
    pub(crate) carrier: Arc<dyn Carrier>,
    pub(crate) node: Arc<str>,
    pub(crate) target: NodeUrl,
    /// Of one call.
    pub(crate) limit: Duration,
}

struct XferRoute {
    ready_queue: ReadyQueueName,
    way: Arc<Way>,
}

impl Route for XferRoute {
    fn ready_queue(&self) -> &ReadyQueueName {
        &self.ready_queue
    }

    fn batch(&self) -> BatchPolicy {
        BatchPolicy::single()
    }

    fn protocol(&self) -> &'static str {
        NAME
    }

    fn hands_over(&self) -> bool {
        true
    }

    fn watchdog(&self) -> Duration {
        (2 * self.way.limit).max(LEAST_WATCHDOG)
    }

    fn connect(&self, context: ConnectContext) -> BoxFuture<'_, Result<Box<dyn Session>, ConnectError>> {
        let session = XferSession::new(self.way.clone(), context.watchdog);
        async move { Ok(Box::new(session) as Box<dyn Session>) }.boxed()
    }
}
