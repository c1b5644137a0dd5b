use crate::session::{Command, Task};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use waybill_delivery::{BatchOutcome, Peer, Route, SessionFacts, TroubledSource};
use waybill_queue_core::ready::SessionId;
use waybill_queue_core::reason::Reason;
use waybill_runtime::Supervisor;
use waybill_spool::Message;
use waybill_types::{NumberMap, QueueName, Response};

/// Gives the messages behind the items of a batch, bodies in memory.
///
/// # Contract
/// One result for each item, in order; an error is what the record of the failed attempt says.
pub trait Loader<K>: Send + Sync + 'static {
    /// Loads.
    fn load<'a>(&'a self, items: &'a [K]) -> BoxFuture<'a, Vec<Result<Message, Response>>>;
}

/// A batch that was tried.
pub struct Finished<K> {
    /// The items, in order.
    pub items: Vec<K>,
    /// Their messages; `None` for one that could not be loaded.
    pub messages: Vec<Option<Message>>,
    /// One outcome for each item.
    pub outcome: BatchOutcome,
    /// Who was at the other end.
    pub peer: Option<Peer>,
    /// What else there is to say about the connection.
    pub facts: SessionFacts,
    /// Why there was no connection, where there is more to say than that an attempt failed.
    pub reason: Option<Reason>,
    /// Id of the session for records.
    pub session_id: Arc<str>,
    /// What it went over.
    pub route: Arc<dyn Route>,
    /// How long the delivery took.
    pub took: Duration,
}

/// What a session reports.
pub enum SessionEvent<K> {
    /// It can take a batch.
    Ready(SessionId),
    /// It could not connect. It can take one batch, which fails with what it reports here.
    Refused(SessionId, Box<Refused>),
    /// A batch was tried.
    Finished(SessionId, Box<Finished<K>>),
    /// It is gone. What it was trying is in the list: nobody knows what became of it.
    Closed(SessionId, Vec<K>),
}

/// A session that could not connect.
pub struct Refused {
    /// What the records say.
    pub response: Response,
    /// Id of the session for records.
    pub session_id: Arc<str>,
    /// What it was to go over.
    pub route: Arc<dyn Route>,
    /// What is wrong with its source, if that is to blame.
    pub source: Option<Arc<TroubledSource>>,
}

impl<K> std::fmt::Debug for SessionEvent<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SessionEvent::Ready(session) => write!(f, "Ready({session})"),
            SessionEvent::Refused(session, refused) => write!(f, "Refused({session}, {})", refused.response),
            SessionEvent::Finished(session, finished) => write!(f, "Finished({session}, {})", finished.items.len()),
            SessionEvent::Closed(session, lost) => write!(f, "Closed({session}, {} lost)", lost.len()),
        }
    }
}

/// What sessions need.
#[derive(Clone)]
pub struct SessionsOptions<K> {
    /// Their tasks.
    pub supervisor: Supervisor,
    /// Where the messages come from.
    pub loader: Arc<dyn Loader<K>>,
    /// Where reports go. When it is full a session waits with its report: the owner sets the pace.
    pub events: mpsc::Sender<SessionEvent<K>>,
}

/// Takes a report in the task of the session that makes it, which spares two changes of tasks. What would have to wait for
/// anything comes back, and goes the usual way.
///
/// # Contract
/// It never waits. A session makes no report before the owner has heard of the one before it, so that none overtakes
/// another, whichever way they go.
pub type AtOnce<K> = Arc<dyn Fn(SessionEvent<K>) -> Option<SessionEvent<K>> + Send + Sync>;

/// The live sessions of one owner.
pub struct Sessions<K> {
    options: SessionsOptions<K>,
    at_once: Option<AtOnce<K>>,
    live: Arc<Mutex<NumberMap<SessionId, mpsc::Sender<Command<K>>>>>,
}

/// A batch and a close: the ready queues never send more before an answer.
const COMMANDS: usize = 2;

impl<K: Copy + Send + Sync + 'static> Sessions<K> {
    /// None yet.
    pub fn new(options: SessionsOptions<K>) -> Self {
        Sessions { options, at_once: None, live: Arc::default() }
    }

    /// Reports are shown to this first.
    #[must_use]
    pub fn at_once(mut self, takes: AtOnce<K>) -> Self {
        self.at_once = Some(takes);
        self
    }

    /// Opens a session; answered by [`SessionEvent::Ready`] or [`SessionEvent::Refused`].
    pub fn open(&self, session: SessionId, route: Arc<dyn Route>, representative: QueueName, watchdog: Duration) {
        let (sender, commands) = mpsc::channel(COMMANDS);
        self.live.lock().insert(session, sender);
        let name = format!("session {session} {}", route.ready_queue());
        let task = Task {
            session,
            route,
            representative,
            watchdog,
            commands,
            loader: self.options.loader.clone(),
            events: self.options.events.clone(),
            at_once: self.at_once.clone(),
            live: self.live.clone(),
        };
        self.options.supervisor.spawn(name, task.run());
    }

    /// Hands a batch to a session; answered by [`SessionEvent::Finished`]. False: there is no such session.
    pub fn hand(&self, session: SessionId, items: Vec<K>) -> bool {
        self.command(session, Command::Deliver(items))
    }

    /// Closes a session in order; answered by [`SessionEvent::Closed`]. False: there is no such session.
    pub fn close(&self, session: SessionId) -> bool {
        self.command(session, Command::Close)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.live.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn command(&self, session: SessionId, command: Command<K>) -> bool {
        let live = self.live.lock();
        live.get(&session).is_some_and(|sender| sender.try_send(command).is_ok())
    }
}
