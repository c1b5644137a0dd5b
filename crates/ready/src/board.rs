use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use waybill_admin::Dispatcher;
use waybill_delivery::{
    BatchOutcome, BatchPolicy, ConnectContext, ConnectError, Fate, Outcome, Peer, Route, Session, SessionFacts,
};
use waybill_queue_core::ready::SessionId;
use waybill_runtime::Clock;
use waybill_spool::Message;
use waybill_types::{ReadyQueueName, Response, Timestamp};

const CUT_OFF: &str = "4.4.1 session aborted by the administrator";

/// What the live sessions of one owner do: who looks here keeps none of them waiting.
pub struct Board {
    clock: Arc<dyn Clock>,
    sessions: Mutex<BTreeMap<SessionId, Shown>>,
}

struct Shown {
    queue: ReadyQueueName,
    session_id: Arc<str>,
    started: Timestamp,
    phase: Phase,
    since: Timestamp,
    delivered: u64,
    transfailed: u64,
    failed: u64,
    abort: Arc<Notify>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Idle,
    Delivering,
    Closing,
}

/// What has to be done to end a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Abort {
    /// Nothing more: its work is being cut off, and its batch comes back.
    Done,
    /// It has no work: it can be closed.
    Close(SessionId),
}

impl Board {
    /// No sessions yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Board { clock, sessions: Mutex::default() }
    }

    /// The sessions of a ready queue.
    pub fn of(&self, queue: &ReadyQueueName) -> Vec<Dispatcher> {
        let now = self.clock.now();
        self.sessions.lock().values().filter(|shown| shown.queue == *queue).map(|shown| shown.view(now)).collect()
    }

    /// Cuts off what a session does; `None` when there is no such session.
    pub fn abort(&self, queue: &ReadyQueueName, session: &str) -> Option<Abort> {
        let sessions = self.sessions.lock();
        let (number, shown) =
            sessions.iter().find(|(_, shown)| shown.queue == *queue && *shown.session_id == *session)?;
        Some(match shown.phase {
            Phase::Connecting | Phase::Delivering => {
                shown.abort.notify_one();
                Abort::Done
            }
            Phase::Idle | Phase::Closing => Abort::Close(*number),
        })
    }

    fn change(&self, number: SessionId, change: impl FnOnce(&mut Shown)) {
        let now = self.clock.now();
        if let Some(shown) = self.sessions.lock().get_mut(&number) {
            shown.since = now;
            change(shown);
        }
    }
}

impl Shown {
    fn view(&self, now: Timestamp) -> Dispatcher {
        let age = now.since(self.started);
        let all = self.delivered + self.transfailed + self.failed;
        #[expect(clippy::cast_precision_loss, reason = "a rate for human eyes")]
        let rate = if age.is_zero() { 0.0 } else { all as f64 / age.as_secs_f64() };
        Dispatcher {
            session_id: self.session_id.to_string(),
            started_at: self.started,
            age,
            phase: match self.phase {
                Phase::Connecting => "connecting",
                Phase::Idle => "idle",
                Phase::Delivering => "deliver_message",
                Phase::Closing => "closing",
            }
            .to_owned(),
            detail: None,
            time_in_current_phase: now.since(self.since),
            messages_delivered: self.delivered,
            messages_transfailed: self.transfailed,
            messages_failed: self.failed,
            delivered_this_connection: 0,
            overall_rate_per_sec: rate,
        }
    }
}

/// Whether an administrator cut this off: nobody knows how far it came.
pub fn is_cut_off(response: &Response) -> bool {
    response.code == 451 && response.text() == CUT_OFF
}

fn cut_off() -> Response {
    Response::new(451, CUT_OFF)
}

/// A route whose session is shown on the board and can be cut off.
///
/// It passes on every method of [`Route`] and [`Session`], those with a default too: one that is forgotten here would
/// answer with the default, and nobody would notice.
pub struct Watched {
    /// The route itself.
    pub route: Arc<dyn Route>,
    /// Where its sessions are shown.
    pub board: Arc<Board>,
    /// Of the session.
    pub number: SessionId,
}

/// A place on the board, empty again when this goes.
struct Place {
    board: Arc<Board>,
    number: SessionId,
    abort: Arc<Notify>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.board.sessions.lock().remove(&self.number);
    }
}

impl Route for Watched {
    fn ready_queue(&self) -> &ReadyQueueName {
        self.route.ready_queue()
    }

    fn batch(&self) -> BatchPolicy {
        self.route.batch()
    }

    fn protocol(&self) -> &'static str {
        self.route.protocol()
    }

    fn site(&self) -> &str {
        self.route.site()
    }

    fn shows_egress(&self) -> bool {
        self.route.shows_egress()
    }

    fn forwards(&self) -> bool {
        self.route.forwards()
    }

    fn hands_over(&self) -> bool {
        self.route.hands_over()
    }

    fn watchdog(&self) -> Duration {
        self.route.watchdog()
    }

    fn connect(&self, context: ConnectContext) -> BoxFuture<'_, Result<Box<dyn Session>, ConnectError>> {
        let now = self.board.clock.now();
        let abort = Arc::new(Notify::new());
        let shown = Shown {
            queue: self.route.ready_queue().clone(),
            session_id: context.session_id.clone(),
            started: now,
            phase: Phase::Connecting,
            since: now,
            delivered: 0,
            transfailed: 0,
            failed: 0,
            abort: abort.clone(),
        };
        self.board.sessions.lock().insert(self.number, shown);
        let place = Place { board: self.board.clone(), number: self.number, abort };
        async move {
            let session = tokio::select! {
                biased;
                connected = self.route.connect(context) => connected?,
                () = place.abort.notified() => return Err(ConnectError::new(cut_off())),
            };
            place.board.change(place.number, |shown| shown.phase = Phase::Idle);
            Ok(Box::new(WatchedSession { session, place }) as Box<dyn Session>)
        }
        .boxed()
    }
}

struct WatchedSession {
    session: Box<dyn Session>,
    place: Place,
}

impl Session for WatchedSession {
    fn peer(&self) -> Option<Peer> {
        self.session.peer()
    }

    fn facts(&self) -> SessionFacts {
        self.session.facts()
    }

    fn deliver<'a>(&'a mut self, batch: &'a [Message]) -> BoxFuture<'a, BatchOutcome> {
        async move {
            let Place { board, number, abort } = &self.place;
            board.change(*number, |shown| shown.phase = Phase::Delivering);
            let outcome = tokio::select! {
                biased;
                outcome = self.session.deliver(batch) => outcome,
                () = abort.notified() => BatchOutcome {
                    outcomes: vec![Outcome::Transient(cut_off(), None); batch.len()],
                    peer_spoke: false,
                    session: Fate::Broken,
                },
            };
            board.change(*number, |shown| {
                shown.phase = Phase::Idle;
                for outcome in &outcome.outcomes {
                    *match outcome.deciding() {
                        Outcome::Delivered(_) => &mut shown.delivered,
                        Outcome::Transient(..) | Outcome::Divided(_) => &mut shown.transfailed,
                        Outcome::Permanent(_) => &mut shown.failed,
                    } += 1;
                }
            });
            outcome
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        let WatchedSession { session, place } = *self;
        async move {
            place.board.change(place.number, |shown| shown.phase = Phase::Closing);
            session.close().await;
            drop(place);
        }
        .boxed()
    }
}
