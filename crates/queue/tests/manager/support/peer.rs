use super::within;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use waybill_delivery::{
    BatchOutcome, BatchPolicy, ConfigError, ConnectContext, ConnectError, DeliveryProtocol, Destination, Fate, Outcome,
    ResolveError, Route, RouteQuery, Session, SessionFacts,
};
use waybill_queue_core::reason::Reason;
use waybill_spool::Message;
use waybill_types::{MessageId, QueueName, ReadyQueueName, Response};

type Answer = Arc<dyn Fn(&Message, usize) -> Outcome + Send + Sync>;

/// The other side: a protocol that answers as told, remembers what it was given, and can be held up.
#[derive(Clone)]
pub(crate) struct Peer {
    answer: Answer,
    batch: BatchPolicy,
    fate: Fate,
    speaks: bool,
    seen: watch::Sender<Vec<Seen>>,
    times: Arc<Mutex<HashMap<MessageId, usize>>>,
    watchdogs: Arc<Mutex<Vec<Duration>>>,
    /// So many connections fail, with this.
    refuses: Option<(usize, Response)>,
    connections: Arc<AtomicUsize>,
    destination: Option<Result<Destination, ResolveError>>,
    facts: SessionFacts,
    gate: Option<Arc<Semaphore>>,
    forgets: bool,
}

/// One message of one batch, and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) id: MessageId,
    pub(crate) body: Vec<u8>,
    pub(crate) outcome: Outcome,
}

pub(crate) fn delivered() -> Outcome {
    Outcome::Delivered(Response::plain(200, "ok"))
}

pub(crate) fn transient(text: &str) -> Outcome {
    Outcome::Transient(Response::plain(451, text), None)
}

pub(crate) fn permanent(text: &str) -> Outcome {
    Outcome::Permanent(Response::plain(550, text))
}

/// As a session answers when its watchdog stops it.
pub(crate) fn aborted() -> Outcome {
    let text = "4.4.1 dispatcher watchdog aborted task; phase=deliver_message no_progress_for=10m detail=\"lua: send\"";
    Outcome::Transient(Response::new(451, text), None)
}

impl Peer {
    /// Takes everything.
    pub(crate) fn new() -> Self {
        Peer {
            answer: Arc::new(|_, _| delivered()),
            batch: BatchPolicy::single(),
            fate: Fate::Keep,
            speaks: true,
            seen: watch::channel(Vec::new()).0,
            times: Arc::default(),
            watchdogs: Arc::default(),
            refuses: None,
            connections: Arc::default(),
            destination: None,
            facts: SessionFacts::default(),
            gate: None,
            forgets: false,
        }
    }

    /// Answers each message as told; the number says how often it came before.
    pub(crate) fn answering(mut self, answer: impl Fn(&Message, usize) -> Outcome + Send + Sync + 'static) -> Self {
        self.answer = Arc::new(answer);
        self
    }

    /// Answers what is told for the first time that a message comes, and takes it the next time.
    pub(crate) fn at_first(self, outcome: Outcome) -> Self {
        self.answering(move |_, before| if before == 0 { outcome.clone() } else { delivered() })
    }

    pub(crate) fn batches_of(mut self, size: usize) -> Self {
        self.batch = BatchPolicy::new(size, 1, Duration::ZERO);
        self
    }

    /// Breaks after each batch that is not delivered.
    pub(crate) fn breaking(mut self) -> Self {
        self.fate = Fate::Broken;
        self
    }

    /// So many connections fail at first, with this.
    pub(crate) fn refusing(mut self, times: usize, response: Response) -> Self {
        self.refuses = Some((times, response));
        self
    }

    /// Every queue's mail goes there, or nowhere.
    pub(crate) fn at(mut self, destination: Result<Destination, ResolveError>) -> Self {
        self.destination = Some(destination);
        self
    }

    /// What its sessions say of themselves.
    pub(crate) fn with_facts(mut self, facts: SessionFacts) -> Self {
        self.facts = facts;
        self
    }

    /// How many connections were tried.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// What it says is our own word.
    pub(crate) fn silent(mut self) -> Self {
        self.speaks = false;
        self
    }

    /// Breaks its contract: it has no outcome for the first batch.
    pub(crate) fn forgetting(mut self) -> Self {
        self.forgets = true;
        self
    }

    /// Answers a batch only after a permit.
    pub(crate) fn held(mut self) -> (Self, Arc<Semaphore>) {
        let gate = Arc::new(Semaphore::new(0));
        self.gate = Some(gate.clone());
        (self, gate)
    }

    /// What it was given and has answered so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    pub(crate) fn ids(&self) -> Vec<MessageId> {
        self.seen.borrow().iter().map(|seen| seen.id).collect()
    }

    /// Waits until it has answered so often.
    pub(crate) async fn answered(&self, count: usize) {
        within(self.seen.subscribe().wait_for(|seen| seen.len() >= count)).await.unwrap();
    }

    /// The time limits that its sessions were opened with.
    pub(crate) fn watchdogs(&self) -> Vec<Duration> {
        self.watchdogs.lock().clone()
    }
}

impl DeliveryProtocol for Peer {
    fn name(&self) -> &'static str {
        "smtp"
    }

    fn resolve<'a>(
        &'a self,
        queue: &'a QueueName,
        _section: &'a serde_json::Value,
    ) -> BoxFuture<'a, Result<Destination, ResolveError>> {
        let destination = self.destination.clone().unwrap_or_else(|| Ok(Destination::local(queue)));
        async move { destination }.boxed()
    }

    fn route(&self, query: &RouteQuery<'_>) -> Result<Arc<dyn Route>, ConfigError> {
        let ready_queue = query.ready_queue("lua:make.test");
        Ok(Arc::new(PeerRoute { ready_queue, peer: self.clone() }))
    }
}

struct PeerRoute {
    ready_queue: ReadyQueueName,
    peer: Peer,
}

impl Route for PeerRoute {
    fn ready_queue(&self) -> &ReadyQueueName {
        &self.ready_queue
    }

    fn batch(&self) -> BatchPolicy {
        self.peer.batch
    }

    fn protocol(&self) -> &'static str {
        "Lua"
    }

    fn connect(&self, context: ConnectContext) -> BoxFuture<'_, Result<Box<dyn Session>, ConnectError>> {
        self.peer.watchdogs.lock().push(context.watchdog);
        let before = self.peer.connections.fetch_add(1, Ordering::SeqCst);
        if let Some((times, response)) = &self.peer.refuses
            && before < *times
        {
            let error = ConnectError::new(response.clone()).because(Reason::MxResolvedToZeroHosts);
            return async move { Err(error) }.boxed();
        }
        let session = PeerSession { peer: self.peer.clone() };
        async move { Ok(Box::new(session) as Box<dyn Session>) }.boxed()
    }
}

struct PeerSession {
    peer: Peer,
}

impl Session for PeerSession {
    fn peer(&self) -> Option<waybill_delivery::Peer> {
        Some(waybill_delivery::Peer { name: "Lua via make.test".into(), addr: "0.0.0.0".into() })
    }

    fn facts(&self) -> SessionFacts {
        self.peer.facts.clone()
    }

    fn deliver<'a>(&'a mut self, batch: &'a [Message]) -> BoxFuture<'a, BatchOutcome> {
        async move {
            if let Some(gate) = &self.peer.gate {
                gate.acquire().await.unwrap().forget();
            }
            let mut outcomes = Vec::new();
            self.peer.seen.send_modify(|seen| {
                for message in batch {
                    let before = *self.peer.times.lock().entry(message.id()).and_modify(|n| *n += 1).or_default();
                    let outcome = (self.peer.answer)(message, before);
                    let body = message.data().expect("the body is in memory").to_vec();
                    seen.push(Seen { id: message.id(), body, outcome: outcome.clone() });
                    outcomes.push(outcome);
                }
            });
            if self.peer.forgets && self.peer.seen.borrow().len() == batch.len() {
                outcomes.clear();
            }
            let failed = outcomes.iter().any(|outcome| !matches!(outcome, Outcome::Delivered(_)));
            let session = if failed { self.peer.fate } else { Fate::Keep };
            BatchOutcome { outcomes, peer_spoke: self.peer.speaks, session }
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async {}.boxed()
    }
}
