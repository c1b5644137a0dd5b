//! A log hook: a consumer of the journal whose events become messages that policy queues and sends.
//!
//! [`LogHook`] judges events through `should_enqueue_log_record`, finds the lane and the route of each through
//! `get_queue_config`, and drives the ready queues of its sessions. It tells its runner (crate `consumers`) what became
//! of every event, and the log files what was tried.

mod administered;
mod counts;
mod dispatch;
mod driver;
mod foresight;
mod items;
mod judging;
mod outcomes;
mod ready;
mod rebinding;
mod records;
mod routes;
mod trouble;

pub use counts::{CLASSES, Counts};

use crate::admin::Bounced;
use crate::config::LogHookConfig;
use crate::template::Templates;
use foresight::Foresight;
use items::Items;
use parking_lot::Mutex;
use ready::Ready;
use records::Waiting;
use routes::Routes;
use std::collections::HashMap;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Weak};
use tokio::sync::{Notify, mpsc};
use trouble::Trouble;
use waybill_consumers::{LastResponse, Report, Reports};
use waybill_delivery::DeliveryProtocol;
use waybill_log_record::{Capture, RecordType};
use waybill_policy::PolicyHost;
use waybill_queue_core::ready::ReadyQueues;
use waybill_queue_core::shared::SharedLimits;
use waybill_ready::{Board, SessionEvent, Sessions, SessionsOptions};
use waybill_runtime::{Clock, Histogram, Observed, Supervisor};
use waybill_spool::{Injector, RecordSink};
use waybill_types::{IdMint, Offset, QueueName, Timestamp};

/// What every hook of a daemon shares.
#[derive(Clone)]
pub struct HookContext {
    /// Limits that queues name, here and elsewhere in the daemon.
    pub limits: SharedLimits,
    /// Operator policy.
    pub policy: Arc<dyn PolicyHost>,
    /// The ways to deliver, by the name of their section in a queue's `protocol`.
    pub protocols: Arc<HashMap<&'static str, Arc<dyn DeliveryProtocol>>>,
    /// Log files, told of every attempt.
    pub files: Arc<dyn RecordSink>,
    /// Where a message goes that only the spool can hold.
    pub injector: Arc<dyn Injector>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids of records about hook messages.
    pub mint: Arc<IdMint>,
    /// This node, for records.
    pub nodeid: Arc<str>,
    /// The hooks' tasks.
    pub supervisor: Supervisor,
}

/// What a [`LogHook`] is there for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Role {
    /// Every event, as it comes.
    #[default]
    Live,
    /// Events again that it had before: only those of these kinds, all when empty, over at most half its connections.
    Replay(Vec<RecordType>),
}

impl Role {
    fn takes(&self, kind: RecordType) -> bool {
        match self {
            Role::Live => true,
            Role::Replay(kinds) => kinds.is_empty() || kinds.contains(&kind),
        }
    }

    /// Of so many connections, those that it may have.
    fn share(&self, limit: u32) -> u32 {
        match self {
            Role::Live => limit,
            Role::Replay(_) => (limit / 2).max(1),
        }
    }
}

/// Upper bounds in seconds: an endpoint that works answers within the first half of them, one that was down for a night
/// is in the second.
const LATENCY_BOUNDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0,
];
/// How many reports of sessions may wait for the driver; a session waits when there are more.
const SESSION_EVENTS: usize = 1024;

/// One log hook.
pub struct LogHook {
    config: LogHookConfig,
    role: Role,
    capture: Arc<Capture>,
    templates: Templates,
    context: HookContext,
    items: Arc<Items>,
    foresight: Mutex<Foresight>,
    routes: Mutex<Routes>,
    ready: Mutex<Ready>,
    sessions: Sessions<Offset>,
    board: Arc<Board>,
    reports: Reports,
    /// Records that wait for the driver, which may wait for the files.
    records: Mutex<Waiting>,
    /// Offered events whose lane has to be looked up first, by lane.
    unrouted: Mutex<HashMap<QueueName, Vec<Offset>>>,
    /// There is something for the driver to do.
    nudge: Notify,
    /// Until when the driver sleeps, in nanoseconds like a [`Timestamp`]: a later time is no news to it.
    asleep_until: AtomicI64,
    /// A connection under a shared limit is free for one of its ready queues.
    freed: Arc<Notify>,
    last_response: Mutex<Option<LastResponse>>,
    counts: Counts,
    latency: Histogram,
    trouble: Mutex<Trouble>,
    /// Of the orders of operators.
    bounced: Bounced,
    /// When it was last said that events come without a queue.
    no_queue_told: Mutex<Option<Timestamp>>,
}

impl LogHook {
    /// Makes a hook. Its driver must run ([`LogHook::drive`]) and its dispatch be given to a runner.
    pub fn new(
        config: LogHookConfig,
        role: Role,
        templates: Templates,
        context: HookContext,
        reports: Reports,
    ) -> (Arc<LogHook>, mpsc::Receiver<SessionEvent<Offset>>) {
        let (events, receiver) = mpsc::channel(SESSION_EVENTS);
        let items = Arc::new(Items::default());
        let board = Arc::new(Board::new(context.clock.clone()));
        let freed = Arc::new(Notify::new());
        let told = freed.clone();
        let queues = ReadyQueues::sharing(&context.limits, Arc::new(move || told.notify_one()));
        let ready = Ready { queues, paths: HashMap::new() };
        let hook = Arc::new_cyclic(|hook: &Weak<LogHook>| LogHook {
            sessions: Self::sessions(hook.clone(), &context, &items, events),
            capture: Arc::new(config.capture()),
            config,
            role,
            templates,
            context,
            items,
            foresight: Mutex::default(),
            routes: Mutex::default(),
            ready: Mutex::new(ready),
            board,
            reports,
            records: Mutex::default(),
            unrouted: Mutex::default(),
            nudge: Notify::new(),
            asleep_until: AtomicI64::new(i64::MAX),
            freed,
            last_response: Mutex::new(None),
            counts: Counts::default(),
            latency: Histogram::new(LATENCY_BOUNDS),
            trouble: Mutex::default(),
            bounced: Bounced::default(),
            no_queue_told: Mutex::new(None),
        });
        (hook, receiver)
    }

    fn sessions(
        hook: Weak<LogHook>,
        context: &HookContext,
        items: &Arc<Items>,
        events: mpsc::Sender<SessionEvent<Offset>>,
    ) -> Sessions<Offset> {
        let at_once = move |event| match hook.upgrade() {
            Some(hook) => hook.hear_at_once(event),
            None => Some(event),
        };
        let (supervisor, loader) = (context.supervisor.clone(), items.clone());
        Sessions::new(SessionsOptions { supervisor, loader, events }).at_once(Arc::new(at_once))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Headers and meta fields that it shows.
    pub fn capture(&self) -> &Arc<Capture> {
        &self.capture
    }

    /// What the endpoint said last.
    pub fn last_response(&self) -> Option<LastResponse> {
        self.last_response.lock().clone()
    }

    /// What came of its attempts.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How long the delivered ones took. Of a replay none: what it brings was appended long before.
    pub fn latencies(&self) -> Observed {
        self.latency.seen()
    }

    /// Its settings.
    pub fn config(&self) -> &LogHookConfig {
        &self.config
    }

    /// How many events it has in memory.
    pub fn in_memory(&self) -> usize {
        self.items.len()
    }

    /// Has a lane rest until then: nothing of it is sent, and what it cannot hold in memory waits on disk.
    pub fn suspend(&self, lane: &QueueName, until: Timestamp) {
        self.reports.send(Report::Suspended(lane.clone(), Some(until)));
    }

    /// Ends the rest of a lane.
    pub fn resume(&self, lane: &QueueName) {
        self.reports.send(Report::Suspended(lane.clone(), None));
    }
}
