use crate::admin::Counts;
use crate::ahead::Arrivals;
use crate::configs::Configs;
use crate::inbox::{Inboxes, News, Senders, channels};
use crate::messages::Messages;
use crate::stats::Stats;
use crate::watch::Watcher;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use tokio::sync::{Semaphore, mpsc};
use waybill_delivery::DeliveryProtocol;
use waybill_policy::PolicyHost;
use waybill_queue_core::shared::SharedLimits;
use waybill_ready::{Board, Sessions, SessionsOptions};
use waybill_runtime::{Clock, Supervisor};
use waybill_spool::{Batch, Durability, Health, Injector, Intake, IntakeState, Message, RecordSink, Store};
use waybill_types::{IdMint, MessageId};

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
    /// Limits that queues name, here and elsewhere in the daemon.
    pub limits: SharedLimits,
}

/// Policy is asked for the routes of so many queues at a time.
const RESOLVED_TOGETHER: usize = 64;

/// The queue manager. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct QueueManager {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) options: ManagerOptions,
    pub(crate) messages: Arc<Messages>,
    pub(crate) configs: Configs,
    pub(crate) resolving: Semaphore,
    pub(crate) sessions: Sessions<MessageId>,
    pub(crate) phase: Mutex<Phase>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) inboxes: Mutex<Option<Inboxes>>,
    pub(crate) rejections: mpsc::Sender<Bytes>,
    /// What the live sessions do.
    pub(crate) board: Arc<Board>,
    /// What operators' bounces have taken.
    pub(crate) bounced: Counts,
    pub(crate) arrivals: Arrivals,
    /// Who wants to hear of queues.
    pub(crate) watcher: OnceLock<Arc<dyn Watcher>>,
    news: mpsc::Sender<News>,
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
    /// A manager that takes no mail yet: see [`QueueManager::open`] and [`QueueManager::run`].
    pub fn new(options: ManagerOptions) -> Self {
        let (Senders { news, reports, rejections }, inboxes) = channels();
        let stats = Arc::new(Stats::default());
        let messages = Arc::new(Messages::new(options.store.clone(), stats.clone()));
        let sessions = Sessions::new(SessionsOptions {
            supervisor: options.supervisor.clone(),
            loader: messages.clone(),
            events: reports,
        });
        let shared = Shared {
            messages,
            configs: Configs::default(),
            resolving: Semaphore::new(RESOLVED_TOGETHER),
            sessions,
            phase: Mutex::new(Phase::Waiting),
            stats,
            inboxes: Mutex::new(Some(inboxes)),
            rejections,
            board: Arc::new(Board::new(options.clock.clone())),
            bounced: Counts::default(),
            arrivals: Arrivals::new(),
            watcher: OnceLock::new(),
            news,
            options,
        };
        QueueManager { shared: Arc::new(shared) }
    }

    /// Counters and gauges.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.shared.stats
    }

    /// Has queues told of to somebody, from the next look on. Set once; others are ignored.
    pub fn tell(&self, watcher: Arc<dyn Watcher>) {
        let _ = self.shared.watcher.set(watcher);
    }

    /// As an intake.
    pub fn intake(&self) -> Arc<dyn Intake> {
        Arc::new(self.clone())
    }

    /// As an injector.
    pub fn injector(&self) -> Arc<dyn Injector> {
        Arc::new(self.clone())
    }

    /// Takes mail from here on, unless [`QueueManager::close`] came first.
    pub fn open(&self) {
        let mut phase = self.shared.phase.lock();
        if *phase == Phase::Waiting {
            *phase = Phase::Open;
        }
    }

    /// Takes no more mail; deliveries go on until the driver is told to stop too. What the daemon itself injects is
    /// stored still, and delivered after the next start.
    pub fn close(&self) {
        *self.shared.phase.lock() = Phase::Stopping;
    }

    /// Loads a body that the spool has, for whoever needs it now.
    ///
    /// # Errors
    /// A sentence saying what is wrong.
    pub async fn load_body(&self, message: &Message) -> Result<(), String> {
        self.shared.messages.load_body(message).await
    }

    /// Stores a queued message as it is now. One that is not in the queue is left alone: mail is stored when it is
    /// accepted and not before, a log message with its lane row.
    ///
    /// # Errors
    /// A sentence saying what is wrong.
    pub async fn save(&self, message: &Message, durability: Durability) -> Result<(), String> {
        if !self.shared.messages.contains(message.id()) {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.save(message);
        self.shared.options.store.commit(batch, durability).await.map(|_| ()).map_err(|error| error.to_string())
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

    /// Tells the driver. After the stop nobody listens, and what was stored waits for the next start.
    pub(crate) async fn tell(&self, news: News) {
        let _ = self.news.send(news).await;
    }
}
