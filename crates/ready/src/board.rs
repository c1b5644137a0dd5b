use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use waybill_admin::Dispatcher;
use waybill_delivery::{
    BatchOutcome, BatchPolicy, ConnectContext, ConnectError, Fate, Outcome, Peer, Route, Session, SessionFacts,
};
use waybill_queue_core::ready::SessionId;
use waybill_runtime::Clock;
use waybill_spool::Message;
use waybill_types::{ReadyQueueName, Response, Timestamp};

const CUT_OFF: &str = "4.4.1 session aborted by the administrator";
const OUT_OF_TIME: &str = "4.4.1 session aborted: the daemon stops, and system_shutdown_timeout is over";

/// What the live sessions of one owner do: who looks here keeps none of them waiting.
pub struct Board {
    clock: Arc<dyn Clock>,
    sessions: Mutex<BTreeMap<SessionId, Shown>>,
    /// Since when the owner stops.
    stopping: watch::Sender<Option<Instant>>,
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
        Board { clock, sessions: Mutex::default(), stopping: watch::Sender::new(None) }
    }

    /// The owner stops: from here on sessions have as long as their path gives them.
    pub fn stop(&self) {
        self.stopping.send_if_modified(|since| since.is_none() && since.replace(Instant::now()).is_none());
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

/// Whether an administrator cut this off, or the stop did: nobody knows how far it came.
pub fn is_cut_off(response: &Response) -> bool {
    response.code == 451 && [CUT_OFF, OUT_OF_TIME].contains(&response.text().as_str())
}

fn cut_off(why: &str) -> Response {
    Response::new(451, why)
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
    /// How long a connection or a batch may take once the owner stops (`system_shutdown_timeout`); unset is as long as it
    /// takes.
    pub patience: Option<Duration>,
}

/// A place on the board, empty again when this goes.
struct Place {
    board: Arc<Board>,
    number: SessionId,
    abort: Arc<Notify>,
    patience: Option<Duration>,
}

impl Place {
    /// Waits until what the session does is to be cut off, and says why. Cancel safe.
    async fn cut_off(&self) -> Response {
        tokio::select! {
            () = self.abort.notified() => cut_off(CUT_OFF),
            () = self.out_of_time() => cut_off(OUT_OF_TIME),
        }
    }

    async fn out_of_time(&self) {
        let Some(patience) = self.patience else { return std::future::pending().await };
        let mut stopping = self.board.stopping.subscribe();
        let since = stopping.wait_for(Option::is_some).await.ok().and_then(|since| *since);
        match since {
            Some(since) => tokio::time::sleep_until(since + patience).await,
            None => std::future::pending().await,
        }
    }
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
        let place = Place { board: self.board.clone(), number: self.number, abort, patience: self.patience };
        async move {
            let session = tokio::select! {
                biased;
                connected = self.route.connect(context) => connected?,
                why = place.cut_off() => return Err(ConnectError::new(why)),
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
            let (board, number) = (&self.place.board, self.place.number);
            board.change(number, |shown| shown.phase = Phase::Delivering);
            let outcome = tokio::select! {
                biased;
                outcome = self.session.deliver(batch) => outcome,
                why = self.place.cut_off() => BatchOutcome {
                    outcomes: vec![Outcome::Transient(why, None); batch.len()],
                    peer_spoke: false,
                    session: Fate::Broken,
                },
            };
            board.change(number, |shown| {
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
