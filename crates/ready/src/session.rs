use crate::{AtOnce, Finished, Loader, Refused, SessionEvent};
use futures::FutureExt;
use parking_lot::Mutex;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use waybill_delivery::{BatchOutcome, ConnectContext, ConnectError, Fate, Outcome, Peer, Route, Session, SessionFacts};
use waybill_queue_core::ready::SessionId;
use waybill_queue_core::reason::Reason;
use waybill_spool::Message;
use waybill_types::{NumberMap, QueueName, Response};

pub(crate) enum Command<K> {
    Deliver(Vec<K>),
    Close,
}

pub(crate) struct Task<K> {
    pub(crate) session: SessionId,
    pub(crate) route: Arc<dyn Route>,
    pub(crate) representative: QueueName,
    pub(crate) watchdog: Duration,
    pub(crate) commands: mpsc::Receiver<Command<K>>,
    pub(crate) loader: Arc<dyn Loader<K>>,
    pub(crate) events: mpsc::Sender<SessionEvent<K>>,
    pub(crate) at_once: Option<AtOnce<K>>,
    pub(crate) live: Arc<Mutex<NumberMap<SessionId, mpsc::Sender<Command<K>>>>>,
}

type Connected = Result<Box<dyn Session>, ConnectError>;

/// What came of a batch: outcomes of those messages that could be loaded, and how long it took.
struct Delivered {
    loaded: Vec<Result<Message, Response>>,
    outcome: BatchOutcome,
    peer: Option<Peer>,
    facts: SessionFacts,
    reason: Option<Reason>,
    took: Duration,
}

impl<K: Copy + Send + Sync + 'static> Task<K> {
    pub(crate) async fn run(mut self) {
        let session_id: Arc<str> = uuid::Uuid::new_v4().to_string().into();
        let context = ConnectContext {
            representative: self.representative.clone(),
            session_id: session_id.clone(),
            watchdog: self.watchdog,
        };
        let connected = survive("connect", self.route.connect(context)).await;
        let mut connected = connected.unwrap_or_else(|| Err(ConnectError::new(panicked())));
        self.report(match &connected {
            Ok(_) => SessionEvent::Ready(self.session),
            Err(error) => {
                let response = error.response.clone();
                let (session_id, route) = (session_id.clone(), self.route.clone());
                let refused = Refused { response, session_id, route, source: error.troubled.clone() };
                SessionEvent::Refused(self.session, Box::new(refused))
            }
        })
        .await;
        while let Some(command) = self.commands.recv().await {
            match command {
                Command::Deliver(items) => {
                    let finished = self.deliver(&mut connected, items, &session_id).await;
                    self.report(SessionEvent::Finished(self.session, Box::new(finished))).await;
                }
                Command::Close => break,
            }
        }
        if let Ok(session) = connected {
            survive("close", session.close()).await;
        }
        self.live.lock().remove(&self.session);
        self.report(SessionEvent::Closed(self.session, Vec::new())).await;
    }

    /// An owner that is gone wants no reports.
    async fn report(&self, event: SessionEvent<K>) {
        let left = match &self.at_once {
            Some(takes) => takes(event),
            None => Some(event),
        };
        if let Some(event) = left {
            let _ = self.events.send(event).await;
        }
    }

    async fn deliver(&self, connected: &mut Connected, items: Vec<K>, session_id: &Arc<str>) -> Finished<K> {
        let begun = Instant::now();
        let delivered = survive("deliver", self.try_batch(connected, &items)).await.unwrap_or_else(|| {
            // Nobody knows in which state it is: not even its `close` is called.
            *connected = Err(ConnectError::new(panicked()));
            let loaded = items.iter().map(|_| Err(panicked())).collect();
            let outcome = BatchOutcome { outcomes: vec![], peer_spoke: false, session: Fate::Broken };
            let facts = SessionFacts::default();
            Delivered { loaded, outcome, peer: None, facts, reason: None, took: begun.elapsed() }
        });
        let Delivered { loaded, outcome, peer, facts, reason, took } = delivered;
        let outcome = merge(&loaded, outcome);
        Finished {
            items,
            messages: loaded.into_iter().map(Result::ok).collect(),
            peer: peer.filter(|_| outcome.peer_spoke),
            facts,
            reason,
            outcome,
            session_id: session_id.clone(),
            route: self.route.clone(),
            took,
        }
    }

    async fn try_batch(&self, connected: &mut Connected, items: &[K]) -> Delivered {
        let mut loaded = self.loader.load(items).await;
        // A loader that gives too few has broken its contract: the rest fail for now.
        loaded.resize_with(items.len(), || Err(Response::plain(400, "KumoMTA internal: the message was not loaded")));
        let begun = Instant::now();
        let batch: Vec<Message> = loaded.iter().filter_map(|loaded| loaded.as_ref().ok().cloned()).collect();
        let reason = connected.as_ref().err().and_then(|error| error.reason);
        let (peer, facts, outcome) = match connected {
            Err(error) => (None, SessionFacts::default(), refused(batch.len(), error)),
            Ok(_) if batch.is_empty() => {
                let outcome = BatchOutcome { outcomes: vec![], peer_spoke: false, session: Fate::Keep };
                (None, SessionFacts::default(), outcome)
            }
            Ok(session) => {
                let outcome = session.deliver(&batch).await;
                (session.peer(), session.facts(), outcome)
            }
        };
        Delivered { loaded, outcome, peer, facts, reason, took: begun.elapsed() }
    }
}

/// `None` when it panicked, which is said loudly: a protocol at fault must not leave its queue waiting for ever.
async fn survive<T>(what: &str, work: impl Future<Output = T>) -> Option<T> {
    let done = AssertUnwindSafe(work).catch_unwind().await;
    done.inspect_err(|_| tracing::error!("a session panicked in {what}")).ok()
}

fn panicked() -> Response {
    Response::plain(400, "KumoMTA internal: error in deliver_message: the session panicked")
}

/// No connection: every message fails, and the session is of no use.
fn refused(count: usize, error: &ConnectError) -> BatchOutcome {
    let response = error.response.clone();
    let outcome =
        if response.is_permanent() { Outcome::Permanent(response) } else { Outcome::Transient(response, None) };
    BatchOutcome { outcomes: vec![outcome; count], peer_spoke: false, session: Fate::Broken }
}

/// Puts the outcomes of those that could not be loaded between those of the batch. A protocol that gives too few
/// outcomes has broken its contract: the rest fail for now.
fn merge(loaded: &[Result<Message, Response>], delivered: BatchOutcome) -> BatchOutcome {
    let BatchOutcome { outcomes, peer_spoke, session } = delivered;
    let mut outcomes = outcomes.into_iter();
    let missing = || {
        let response = Response::plain(400, "KumoMTA internal: the protocol gave no outcome for this message");
        Outcome::Transient(response, None)
    };
    let merged = loaded.iter().map(|loaded| match loaded {
        Ok(_) => outcomes.next().unwrap_or_else(missing),
        Err(response) => Outcome::Transient(response.clone(), None),
    });
    BatchOutcome { outcomes: merged.collect(), peer_spoke, session }
}
