//! A log hook: a consumer of the journal whose events become messages that policy queues and sends.
//!
//! [`LogHook`] judges events through `should_enqueue_log_record`, finds the lane and the route of each through
//! `get_queue_config`, and drives the ready queues of its sessions. It tells its runner (crate `consumers`) what became
//! of every event, and the log files what was tried.

mod dispatch;
mod driver;
mod items;
mod lanes;
mod records;

use crate::config::LogHookConfig;
use crate::template::Templates;
use items::Items;
use lanes::Lanes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::{Notify, mpsc};
use waybill_consumers::{LastResponse, Reports};
use waybill_delivery::{DeliveryProtocol, Route};
use waybill_log_record::Capture;
use waybill_policy::PolicyHost;
use waybill_queue_core::ready::ReadyQueues;
use waybill_ready::{SessionEvent, Sessions, SessionsOptions};
use waybill_runtime::{Clock, Supervisor};
use waybill_spool::{Injector, RecordSink};
use waybill_types::{IdMint, Offset, ReadyQueueName, Timestamp};

/// What every hook of a daemon shares.
#[derive(Clone)]
pub struct HookContext {
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

/// How many reports of sessions may wait for the driver; a session waits when there are more.
const SESSION_EVENTS: usize = 1024;

/// One log hook.
pub struct LogHook {
    config: LogHookConfig,
    capture: Arc<Capture>,
    templates: Templates,
    context: HookContext,
    items: Arc<Items>,
    lanes: Mutex<Lanes>,
    ready: Mutex<Ready>,
    sessions: Sessions<Offset>,
    reports: Reports,
    /// Records that wait for the driver, which may wait for the files.
    records: Mutex<Vec<(waybill_log_record::Entry, Option<waybill_spool::Message>)>>,
    /// Offered events whose lane has to be looked up first.
    unrouted: Mutex<Vec<(waybill_types::QueueName, Offset)>>,
    nudge: Notify,
    last_response: Mutex<Option<LastResponse>>,
    responses: Responses,
}

/// Attempts by what the endpoint said.
#[derive(Debug, Default)]
pub struct Responses {
    /// Delivered.
    pub delivered: AtomicU64,
    /// Failed for now.
    pub transient: AtomicU64,
    /// Failed for good.
    pub permanent: AtomicU64,
}

pub(crate) struct Ready {
    pub(crate) queues: ReadyQueues<Offset>,
    pub(crate) routes: HashMap<ReadyQueueName, Arc<dyn Route>>,
    /// When the queues want to be looked at again.
    pub(crate) wake: Option<Timestamp>,
}

impl LogHook {
    /// Makes a hook. Its driver must run ([`LogHook::drive`]) and its dispatch be given to a runner.
    pub fn new(
        config: LogHookConfig,
        templates: Templates,
        context: HookContext,
        reports: Reports,
    ) -> (Arc<LogHook>, mpsc::Receiver<SessionEvent<Offset>>) {
        let (events, receiver) = mpsc::channel(SESSION_EVENTS);
        let items = Arc::new(Items::default());
        let sessions =
            Sessions::new(SessionsOptions { supervisor: context.supervisor.clone(), loader: items.clone(), events });
        let hook = LogHook {
            capture: Arc::new(config.capture()),
            config,
            templates,
            context,
            items,
            lanes: Mutex::new(Lanes::default()),
            ready: Mutex::new(Ready { queues: ReadyQueues::new(), routes: HashMap::new(), wake: None }),
            sessions,
            reports,
            records: Mutex::new(Vec::new()),
            unrouted: Mutex::new(Vec::new()),
            nudge: Notify::new(),
            last_response: Mutex::new(None),
            responses: Responses::default(),
        };
        (Arc::new(hook), receiver)
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

    /// Attempts by what the endpoint said.
    pub fn responses(&self) -> &Responses {
        &self.responses
    }

    /// Its settings.
    pub fn config(&self) -> &LogHookConfig {
        &self.config
    }
}
