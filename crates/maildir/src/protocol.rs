use crate::modes::Modes;
use crate::name::Names;
use crate::store::Store;
use crate::template::PathTemplate;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use waybill_delivery::{
    BatchOutcome, BatchPolicy, ConfigError, ConnectContext, ConnectError, DeliveryProtocol, Fate, Outcome, Peer, Route,
    RouteQuery, Session,
};
use waybill_queue_core::config::MaildirSection;
use waybill_spool::Message;
use waybill_types::{ReadyQueueName, Response, Timestamp, format_duration};

/// Delivers into folders: the `maildir_path` section of a queue's `protocol`.
#[derive(Clone)]
pub struct Maildir {
    names: Arc<Names>,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Maildir {
    /// With a clock: file names begin with the time. One for the whole process, since it counts deliveries too.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Maildir { names: Arc::new(Names::new()), now: Arc::new(now) }
    }
}

impl DeliveryProtocol for Maildir {
    fn name(&self) -> &'static str {
        "maildir_path"
    }

    fn route(&self, query: &RouteQuery<'_>) -> Result<Arc<dyn Route>, ConfigError> {
        let section = MaildirSection::deserialize(query.section)
            .map_err(|error| ConfigError(format!("protocol.maildir_path: {error}").into()))?;
        let protocol = format!("maildir:{}", section.maildir_path);
        let store = Store {
            template: PathTemplate::parse(&section.maildir_path)?,
            modes: Modes::of(&section)?,
            names: self.names.clone(),
            now: self.now.clone(),
        };
        let ready_queue = query.ready_queue(&protocol);
        Ok(Arc::new(MaildirRoute { ready_queue, store: Arc::new(store) }))
    }
}

struct MaildirRoute {
    ready_queue: ReadyQueueName,
    store: Arc<Store>,
}

impl Route for MaildirRoute {
    fn ready_queue(&self) -> &ReadyQueueName {
        &self.ready_queue
    }

    fn batch(&self) -> BatchPolicy {
        BatchPolicy::single()
    }

    fn protocol(&self) -> &'static str {
        "Maildir"
    }

    fn site(&self) -> &str {
        ""
    }

    fn shows_egress(&self) -> bool {
        false
    }

    fn connect(&self, context: ConnectContext) -> BoxFuture<'_, Result<Box<dyn Session>, ConnectError>> {
        let session = MaildirSession { store: self.store.clone(), watchdog: context.watchdog };
        async move { Ok(Box::new(session) as Box<dyn Session>) }.boxed()
    }
}

struct MaildirSession {
    store: Arc<Store>,
    watchdog: Duration,
}

impl MaildirSession {
    async fn hand(&self, batch: &[Message]) -> BatchOutcome {
        let (store, messages) = (self.store.clone(), batch.to_vec());
        let work = tokio::task::spawn_blocking(move || messages.iter().map(|message| store.deliver(message)).collect());
        match tokio::time::timeout(self.watchdog, work).await {
            Ok(Ok(outcomes)) => BatchOutcome { outcomes, peer_spoke: false, session: Fate::Keep },
            Ok(Err(_)) => ours(batch.len(), "4.3.0 the delivery to a maildir was stopped"),
            Err(_) => {
                let limit = format_duration(self.watchdog);
                let text =
                    format!("4.4.1 dispatcher watchdog aborted task; no_progress_for={limit} detail=\"maildir\"");
                ours(batch.len(), &text)
            }
        }
    }
}

/// Nobody knows how far it came.
fn ours(count: usize, text: &str) -> BatchOutcome {
    let outcome = Outcome::Transient(Response::new(451, text), None);
    BatchOutcome { outcomes: vec![outcome; count], peer_spoke: false, session: Fate::Broken }
}

impl Session for MaildirSession {
    fn peer(&self) -> Option<Peer> {
        None
    }

    fn deliver<'a>(&'a mut self, batch: &'a [Message]) -> BoxFuture<'a, BatchOutcome> {
        self.hand(batch).boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async {}.boxed()
    }
}
