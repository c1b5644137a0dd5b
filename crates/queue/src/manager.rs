use crate::configs::Configs;
use crate::messages::Messages;
use crate::stats::Stats;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use waybill_delivery::{DeliveryProtocol, Route};
use waybill_policy::PolicyHost;
use waybill_queue_core::queues::Event;
use waybill_ready::{SessionEvent, Sessions, SessionsOptions};
use waybill_runtime::{Clock, Supervisor};
use waybill_spool::{Health, IntakeState, Message, Part, RecordSink, Store};
use waybill_types::{IdMint, MessageId, ReadyQueueName};

/// What a queue manager needs.
#[derive(Clone)]
pub struct ManagerOptions {
    /// Where messages and events are stored.
    pub store: Arc<dyn Store>,
    /// Operator policy.
    pub policy: Arc<dyn PolicyHost>,
    /// The ways to deliver, by the name of their section in a queue's `protocol`.
    pub protocols: Arc<HashMap<&'static str, Arc<dyn DeliveryProtocol>>>,
    /// Who wants records.
    pub sink: Arc<dyn RecordSink>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids of events.
    pub mint: Arc<IdMint>,
    /// This node, for records.
    pub nodeid: Arc<str>,
    /// The manager's tasks.
    pub supervisor: Supervisor,
    /// Draws jitter; tests give a constant.
    pub seed: u64,
}

/// Events on their way to the driver: when it is full, whoever brings mail waits.
const EVENTS: usize = 8192;
/// Reports of sessions on their way to the driver: a session waits with its report.
const SESSION_EVENTS: usize = 1024;

/// The queue manager. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct QueueManager {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) options: ManagerOptions,
    pub(crate) messages: Arc<Messages>,
    pub(crate) configs: Configs,
    pub(crate) routes: Mutex<HashMap<ReadyQueueName, PathRoute>>,
    pub(crate) sessions: Sessions<MessageId>,
    pub(crate) events: mpsc::Sender<Vec<Event<MessageId>>>,
    pub(crate) phase: Mutex<Phase>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) inboxes: Mutex<Option<Inboxes>>,
}

/// Where a ready queue goes.
#[derive(Clone)]
pub(crate) struct PathRoute {
    pub(crate) route: Arc<dyn Route>,
    pub(crate) pool: Arc<str>,
    pub(crate) source: Arc<str>,
    pub(crate) watchdog: Duration,
}

/// What the driver reads.
pub(crate) struct Inboxes {
    pub(crate) events: mpsc::Receiver<Vec<Event<MessageId>>>,
    pub(crate) sessions: mpsc::Receiver<SessionEvent<MessageId>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// The spool is not open yet.
    Waiting,
    /// Mail is taken.
    Open,
    /// No more.
    Stopping,
}

impl QueueManager {
    /// A manager that takes no mail yet. See [`QueueManager::start`].
    pub fn new(options: ManagerOptions) -> Self {
        let (events, event_inbox) = mpsc::channel(EVENTS);
        let (session_events, session_inbox) = mpsc::channel(SESSION_EVENTS);
        let messages = Arc::new(Messages::new(options.store.clone()));
        let sessions = Sessions::new(SessionsOptions {
            supervisor: options.supervisor.clone(),
            loader: messages.clone(),
            events: session_events,
        });
        let shared = Shared {
            messages,
            configs: Configs::default(),
            routes: Mutex::new(HashMap::new()),
            sessions,
            events,
            phase: Mutex::new(Phase::Waiting),
            stats: Arc::new(Stats::default()),
            inboxes: Mutex::new(Some(Inboxes { events: event_inbox, sessions: session_inbox })),
            options,
        };
        QueueManager { shared: Arc::new(shared) }
    }

    /// Counters and gauges.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.shared.stats
    }

    /// Takes no more mail; deliveries go on until the driver is told to stop too.
    pub fn close(&self) {
        *self.shared.phase.lock() = Phase::Stopping;
    }

    /// Loads a body that the spool has, for whoever needs it now.
    ///
    /// # Errors
    /// A sentence saying what is wrong.
    pub async fn load_body(&self, message: &Message) -> Result<(), String> {
        if message.data().is_some() {
            return Ok(());
        }
        match self.shared.options.store.load(message.id(), Part::Data).await {
            Ok(Some(data)) => {
                message.set_loaded(data);
                Ok(())
            }
            Ok(None) => Err(format!("message {} has no body in the spool", message.id())),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Shared {
    /// Whether mail is taken right now.
    pub(crate) fn intake_state(&self) -> IntakeState {
        match *self.phase.lock() {
            Phase::Waiting => IntakeState::WaitingForSpool,
            Phase::Stopping => IntakeState::ShuttingDown,
            Phase::Open => match self.options.store.health() {
                Health::Ok => IntakeState::Open,
                Health::DiskFull(why) => IntakeState::DiskFull(why),
                Health::Failing(why) => IntakeState::SpoolFailing(why),
            },
        }
    }

    /// Tells the driver. After a stop nobody listens, and what was stored waits for the next start.
    pub(crate) async fn tell(&self, events: Vec<Event<MessageId>>) {
        let _ = self.events.send(events).await;
    }
}
