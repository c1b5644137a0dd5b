//! All logs, offsets and webhooks of a daemon.

mod filters;
mod ingress;
mod logs;
mod messages;
mod offsets;
mod policy;
mod webhooks;

pub(crate) use ingress::{PATIENCE, Receipt};
pub use policy::{Consumed, Unsent};

use crate::courier::Courier;
use crate::egress::{Base, Webhook};
use crate::events::EventsLog;
use crate::filter::Copier;
use crate::log::{Ground, Memory, UserLog, failed, stopping};
use crate::news::News;
use crate::registry::Registry;
use crate::retention;
use crate::source::Source;
use crate::vault::Vault;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Mutex, Semaphore, oneshot};
use waybill_log_record::Capture;
use waybill_runtime::{Clock, Stop, Supervisor};
use waybill_sealing::{KeyId, Keyring};
use waybill_spool::{Store, StoreError};
use waybill_streams_core::{Code, Error, Id, Ingress, Kind, Limits, Reach, Secrets};
use waybill_types::Offset;

/// What [`Streams`] are made of.
pub struct Parts {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Owns the tasks.
    pub supervisor: Supervisor,
    /// Ends them, and those who wait for messages.
    pub stop: Stop,
    /// How much may be asked for and held.
    pub limits: Limits,
    /// Brings messages to endpoints.
    pub courier: Arc<dyn Courier>,
    /// What the built-in log of mail events shows of headers and meta.
    pub capture: Arc<Capture>,
    /// What seals the secrets of webhooks in the store; without it they stand there in clear.
    pub keys: Option<Arc<Keyring>>,
    /// Keys that an operator gave up: a webhook whose secret was sealed by one gets a new secret, and an egress webhook is
    /// paused until its receiver knows that.
    pub lost_keys: Vec<KeyId>,
    /// Who hears of changes and of endpoints.
    pub news: Option<Arc<dyn News>>,
    /// Is set while an egress webhook needs the mail events to be written down.
    pub events_wanted: Arc<AtomicBool>,
}

/// All logs, offsets and webhooks of a daemon. Cheap to clone; clones are the same.
///
/// What changes something goes on to its end when its future is dropped: a client that hangs up tears nothing. Whoever is
/// confined to a tenant has a handle that reaches that tenant's logs and what hangs on them ([`Streams::within`]).
#[derive(Clone)]
pub struct Streams(Arc<Inner>, Reach);

struct Inner {
    ground: Ground,
    registry: Registry,
    limits: Limits,
    base: Base,
    events: EventsLog,
    events_wanted: Arc<AtomicBool>,
    logs: RwLock<BTreeMap<Id, UserLog>>,
    webhooks: RwLock<BTreeMap<Id, Webhook>>,
    filters: RwLock<BTreeMap<Id, Copier>>,
    ingress: RwLock<BTreeMap<Id, (Ingress, Secrets)>>,
    /// One change of what there is at a time.
    changing: Mutex<()>,
    /// Consumers that wait.
    waiting: Semaphore,
    /// Bodies of ingress webhooks that are read: their senders have shown no token.
    receiving: Semaphore,
}

impl Streams {
    /// Takes up what the store holds, and starts what runs.
    ///
    /// # Errors
    /// When the store cannot be read, or what it holds makes no sense.
    pub async fn open(parts: Parts) -> Result<Self, StoreError> {
        let Parts { store, clock, supervisor, stop, limits, courier, capture, keys, lost_keys, .. } = parts;
        let (news, events_wanted) = (parts.news, parts.events_wanted);
        let registry = Registry::new(store.clone(), Vault::new(keys, lost_keys));
        let seconds = i64::try_from(limits.remember.as_secs()).unwrap_or(i64::MAX);
        let memory = Memory { seconds, most: limits.remembered };
        let ground = Ground { store: store.clone(), clock: clock.clone(), supervisor: supervisor.clone(), memory };
        let minted = Id::mint(Kind::Log, clock.now().secs(), rand::random());
        let events = EventsLog::new(registry.events_id(minted).await?, store, capture);
        let mut logs = BTreeMap::new();
        for row in registry.logs().await? {
            logs.insert(row.log.log_id, UserLog::open(ground.clone(), row.number, row.log).await?);
        }
        let base = Base { registry: registry.clone(), courier, clock, supervisor, stop, news };
        let waiting = Semaphore::new(limits.waiting.min(Semaphore::MAX_PERMITS));
        let inner = Inner {
            ground,
            registry: registry.clone(),
            limits,
            base,
            events,
            events_wanted,
            logs: RwLock::new(logs),
            webhooks: RwLock::default(),
            filters: RwLock::default(),
            ingress: RwLock::default(),
            changing: Mutex::default(),
            waiting,
            receiving: Semaphore::new(ingress::AT_ONCE),
        };
        let streams = Streams(Arc::new(inner), Reach::All);
        for row in registry.egress().await? {
            let id = row.egress.webhook_id;
            match streams.source(row.egress.log_id) {
                Some(source) => {
                    let webhook = Webhook::start(streams.0.base.clone(), source, row);
                    streams.0.webhooks.write().insert(id, webhook);
                }
                None => tracing::error!(webhook = %id, "its log is gone; it is not started"),
            }
        }
        for (filter, progress) in registry.filters().await? {
            let id = filter.filter_id;
            if let Err(error) = streams.start_filter(filter, progress) {
                tracing::error!(filter = %id, "it is not started: {error}");
            }
        }
        for (ingress, secrets) in registry.ingress().await? {
            streams.0.ingress.write().insert(ingress.webhook_id, (ingress, secrets));
        }
        streams.note_events_wanted();
        retention::start(&streams.0.base, streams.clone());
        Ok(streams)
    }

    /// Below this offset of the journal no egress webhook and no filter needs anything any more; `None` when none reads
    /// it.
    pub fn settled_events(&self) -> Option<Offset> {
        let events = self.0.events.id();
        let (webhooks, filters) = (self.0.webhooks.read(), self.0.filters.read());
        let sending = webhooks.values().filter(|webhook| webhook.egress().log_id == events).map(Webhook::next_offset);
        let copying = filters.values().filter(|copier| copier.filter().source_id == events).map(Copier::next_offset);
        sending.chain(copying).map(Offset).min()
    }

    /// What may be asked for and held.
    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Now, in microseconds.
    pub(crate) fn now(&self) -> i64 {
        self.0.ground.clock.now().nanos() / 1000
    }

    /// All logs of users.
    pub(crate) fn user_logs(&self) -> Vec<UserLog> {
        self.0.logs.read().values().cloned().collect()
    }

    /// Removes what is left of deleted logs.
    pub(crate) async fn remove_gone(&self) {
        if let Err(error) = self.0.registry.remove_gone(&self.0.base.stop).await {
            tracing::error!("the messages of deleted logs were not removed: {error}");
        }
    }

    /// The same streams, for somebody with this reach.
    pub(crate) fn within(&self, reach: Reach) -> Self {
        Streams(self.0.clone(), reach)
    }

    /// A log, if it is there and within reach.
    fn source(&self, id: Id) -> Option<Source> {
        if id == self.0.events.id() {
            return self.1.covers(None).then(|| Source::Events(self.0.events.clone()));
        }
        let log = self.0.logs.read().get(&id).cloned()?;
        self.1.covers(log.log().tenant.as_deref()).then_some(Source::User(log))
    }

    /// Whether what hangs on this log is within reach.
    fn sees(&self, log: Id) -> bool {
        self.1 == Reach::All || self.source(log).is_some()
    }

    fn found_source(&self, id: Id) -> Result<Source, Error> {
        self.source(id).ok_or_else(|| Error::new(Code::LogNotFound, format!("there is no log {id}")))
    }

    /// A log that somebody can publish to.
    fn user_log(&self, id: Id) -> Result<UserLog, Error> {
        match self.found_source(id)? {
            Source::User(log) => Ok(log),
            Source::Events(_) => {
                let why = "the log of mail events is read only: what this daemon does is its only publisher";
                Err(Error::new(Code::AuthorizationFailed, why))
            }
        }
    }

    fn mint(&self, kind: Kind) -> Id {
        Id::mint(kind, self.0.ground.clock.now().secs(), rand::random())
    }

    fn note_events_wanted(&self) {
        self.0.events_wanted.store(self.settled_events().is_some(), Ordering::Release);
    }

    /// Runs a change to its end, whoever hangs up.
    async fn to_its_end<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, done) = oneshot::channel();
        self.0.ground.supervisor.spawn(name, async move {
            // Who hung up does not want to know.
            let _ = answer.send(work.await);
        });
        done.await.unwrap_or_else(|_| Err(stopping()))
    }
}

/// Whether something's metadata is what a list asks for.
pub(crate) fn wanted(metadata: &str, filter: Option<&str>) -> bool {
    filter.is_none_or(|filter| filter == metadata)
}

fn stored<T>(result: Result<T, StoreError>) -> Result<T, Error> {
    result.map_err(|error| failed(&error))
}
