use crate::{BatchOutcome, Destination, Egress, ResolveError, SessionFacts};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use waybill_queue_core::config::SourceSuspension;
use waybill_queue_core::ready::{BatchPolicy, SourceTrouble};
use waybill_queue_core::reason::Reason;
use waybill_spool::Message;
use waybill_types::{QueueName, ReadyQueueName, Response};

/// A section of the policy that a protocol cannot use. The text says which field and why.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub Arc<str>);

/// A session that did not come about: every message of the batch it was opened for fails with this response, for good
/// when it is a 5xx.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{response}")]
pub struct ConnectError {
    /// What the records say.
    pub response: Response,
    /// Why, in the word that policy knows, where there is one beside that of any failed attempt.
    pub reason: Option<Reason>,
    /// What is wrong with the source, where its own rules are to decide whether it is left alone.
    pub troubled: Option<Arc<TroubledSource>>,
}

/// A source whose connections could not begin.
#[derive(Debug, Clone, PartialEq)]
pub struct TroubledSource {
    /// Its name.
    pub name: Arc<str>,
    /// What is wrong.
    pub trouble: SourceTrouble,
    /// When it is left alone.
    pub rule: SourceSuspension,
    /// A sentence about it.
    pub why: Arc<str>,
}

impl ConnectError {
    /// Without a particular reason.
    pub fn new(response: Response) -> Self {
        ConnectError { response, reason: None, troubled: None }
    }

    /// With a source that may have to be left alone.
    #[must_use]
    pub fn of_source(mut self, source: Option<TroubledSource>) -> Self {
        self.troubled = source.map(Arc::new);
        self
    }

    /// With a reason that policy hears of.
    #[must_use]
    pub fn because(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }
}

/// What a protocol is asked to make a route for.
#[derive(Clone, Debug)]
pub struct RouteQuery<'a> {
    /// The scheduled queue.
    pub queue: &'a QueueName,
    /// The protocol's section of the queue's configuration.
    pub section: &'a Value,
    /// Where it goes, as the protocol itself found out.
    pub destination: &'a Destination,
    /// Source and path, `unspecified` and the defaults where policy says nothing.
    pub egress: &'a Egress,
}

impl RouteQuery<'_> {
    /// The name of the egress source.
    pub fn source(&self) -> &str {
        &self.egress.source.name
    }

    /// The name of the ready queue with this protocol at the end.
    pub fn ready_queue(&self, protocol: &str) -> ReadyQueueName {
        ReadyQueueName::compose(self.source(), &self.destination.site, protocol)
    }
}

/// What a session is opened for.
#[derive(Clone, Debug)]
pub struct ConnectContext {
    /// One of the scheduled queues that feed the ready queue.
    pub representative: QueueName,
    /// Id for records and traces (uuid text).
    pub session_id: Arc<str>,
    /// A batch may not take longer than this without progress.
    pub watchdog: Duration,
}

/// Who is at the other end, for records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Host name, or `Lua via CONSTRUCTOR`.
    pub name: String,
    /// IP address, `0.0.0.0` for Lua.
    pub addr: String,
}

/// A way to deliver: makes routes out of configuration.
///
/// # Contract
/// `resolve` asks the network if it has to, within a time limit of its own; dropping its future gives the question up.
/// `route` does no I/O and gives equal routes for equal input. Between the two, policy is asked for the path to the
/// site that `resolve` named.
pub trait DeliveryProtocol: Send + Sync + 'static {
    /// The key of its section in a queue's `protocol`: `custom_lua`, `maildir_path`, `smtp`, `null`.
    fn name(&self) -> &'static str;

    /// Finds out where the mail of a queue goes. Protocols that go to no host need not do anything.
    ///
    /// # Errors
    /// When the section makes no sense, or there is nowhere to go.
    fn resolve<'a>(
        &'a self,
        queue: &'a QueueName,
        section: &'a Value,
    ) -> BoxFuture<'a, Result<Destination, ResolveError>> {
        let _ = section;
        async move { Ok(Destination::local(queue)) }.boxed()
    }

    /// Checks the section and makes a route.
    ///
    /// # Errors
    /// When the section makes no sense.
    fn route(&self, query: &RouteQuery<'_>) -> Result<Arc<dyn Route>, ConfigError>;
}

/// A configured way to one place.
///
/// # Contract
/// Routes of one ready queue are interchangeable. `connect` never outlives the time limits of its path; dropping its
/// future gives everything up.
pub trait Route: Send + Sync + 'static {
    /// The ready queue that it serves.
    fn ready_queue(&self) -> &ReadyQueueName;

    /// How batches are formed for it.
    fn batch(&self) -> BatchPolicy;

    /// The word in records: `Lua`, `Maildir`, `ESMTP`.
    fn protocol(&self) -> &'static str;

    /// The site in records, the name of the ready queue unless the protocol shows none.
    fn site(&self) -> &str {
        self.ready_queue().as_str()
    }

    /// Whether records of it show egress pool and source.
    fn shows_egress(&self) -> bool {
        true
    }

    /// Whether what it calls delivered stays ours: its sessions prepare messages for the queue that these name then. Each
    /// goes there, under its id, and a DeferredInjectionRebind record tells of it.
    fn forwards(&self) -> bool {
        false
    }

    /// Whether what it calls delivered waits on another node of ours now: its record is an XferOut then, no Delivery.
    fn hands_over(&self) -> bool {
        false
    }

    /// The longest time without progress before a session is aborted, where the path does not say.
    fn watchdog(&self) -> Duration {
        Duration::from_secs(600)
    }

    /// Opens a session.
    fn connect(&self, context: ConnectContext) -> BoxFuture<'_, Result<Box<dyn Session>, ConnectError>>;
}

/// A live session.
///
/// # Contract
/// - `deliver` gives exactly one outcome for each message, in order; the bodies of the messages are in memory.
/// - After any fate but [`crate::Fate::Keep`] only `close` is called.
/// - Dropping the future of `deliver` aborts the session; nobody knows what became of the batch.
pub trait Session: Send {
    /// Who is at the other end.
    fn peer(&self) -> Option<Peer>;

    /// What else there is to say about the connection.
    fn facts(&self) -> SessionFacts {
        SessionFacts::default()
    }

    /// Delivers a batch.
    fn deliver<'a>(&'a mut self, batch: &'a [Message]) -> BoxFuture<'a, BatchOutcome>;

    /// Ends the session in order. Its own trouble is its own to report.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}
