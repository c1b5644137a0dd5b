//! All event hooks of a daemon.

mod changes;
mod draft;
mod gone;
mod history;
mod probes;
mod signals;
mod status;
mod tail;

pub use changes::Listed;
pub use history::{Resend, Window};
pub use probes::Tested;
pub use status::Status;
pub use tail::{Place, Watch};

use crate::armed::Arsenal;
use crate::attempts::AttemptLog;
use crate::courier::Courier;
use crate::dice::Dice;
use crate::error::HookError;
use crate::feeds::Feeds;
use crate::functions::Functions;
use crate::ground::Ground;
use crate::live::{self, Live};
use crate::rows::{Found, Rows};
use crate::shared::Shared;
use crate::signals::Signals;
use crate::wanted::RecordsWanted;
use crate::{attempts, keys};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;
use waybill_authorizer::Caller;
use waybill_consumers::Registry;
use waybill_event_hooks_core::{Catalogue, Dormant, Draft};
use waybill_log_record::{Capture, RecordType};
use waybill_runtime::{Clock, Stop, Supervisor};
use waybill_sealing::Keyring;
use waybill_spool::{Store, StoreError, StreamId};
use waybill_types::{IdMint, Timestamp};
use waybill_webhook_core::Rate;

/// So many hooks there may be.
pub const MAX_HOOKS: usize = 10_000;

/// What [`EventHooks`] are made of.
pub struct Parts {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Owns the tasks.
    pub supervisor: Supervisor,
    /// Ends them.
    pub stop: Stop,
    /// Makes ids.
    pub mint: Arc<IdMint>,
    /// The name of this node.
    pub node: Arc<str>,
    /// Which events there are.
    pub catalogue: Arc<RwLock<Catalogue>>,
    /// What is seen of headers and meta of log records.
    pub capture: Arc<Capture>,
    /// Which records hooks wait for: kept up to date from here on.
    pub records: Arc<RecordsWanted>,
    /// Where events are written down that are no log records.
    pub signals: Signals,
    /// Brings events to endpoints.
    pub courier: Arc<dyn Courier>,
    /// Runs functions; without it there are no hooks with the handler `lambda`.
    pub functions: Option<Arc<dyn Functions>>,
    /// What hooks are sealed with.
    pub keys: Arc<Keyring>,
    /// Draws jitter; tests give a constant.
    pub seed: u64,
}

/// All event hooks of a daemon. Cheap to clone; clones are the same.
///
/// What changes something goes on to its end when its future is dropped: a client that hangs up tears nothing.
#[derive(Clone)]
pub struct EventHooks(Arc<Inner>);

struct Inner {
    ground: Ground,
    rows: Rows,
    registry: Registry,
    stop: Stop,
    records: Arc<RecordsWanted>,
    hooks: RwLock<BTreeMap<Uuid, Live>>,
    /// Hooks that are kept and cannot run, with why.
    dormant: RwLock<BTreeMap<Uuid, Dormant>>,
    /// One change of what there is at a time.
    changing: tokio::sync::Mutex<()>,
    /// Hooks that were deleted and have not ended yet: whoever takes their id has to wait.
    ending: Mutex<HashMap<Uuid, watch::Receiver<bool>>>,
    /// People who watch events as they happen.
    watchers: AtomicUsize,
    /// How often tests and pings may be asked for, by tenant.
    probes: Mutex<HashMap<Option<String>, Rate>>,
}

impl EventHooks {
    /// Takes up what the store holds, and starts what runs.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn open(parts: Parts) -> Result<Self, StoreError> {
        let Parts { store, clock, supervisor, stop, mint, node, catalogue, capture, records, signals, .. } = &parts;
        let rows = Rows::new(store.clone(), parts.keys.clone());
        let master = rows.hash_key().await?;
        let (courier, functions) = (parts.courier.clone(), parts.functions.clone());
        let arsenal = Arsenal { courier, functions, master, origin: node.clone() };
        let (attempts, writer) = AttemptLog::new(store.clone(), clock.clone());
        supervisor.spawn("attempts of event hooks", writer.run(stop.clone()));
        let (gone, leaving) = mpsc::channel(MAX_HOOKS);
        let registry = Registry::new(store.clone());
        let known = registry.list().await?;
        let feeds = |stream| {
            let of_hooks = known.iter().filter(|one| one.stream == stream && one.replay.is_none());
            let cursors = of_hooks.filter(|one| keys::consumer_of(&one.name).is_some()).map(|one| one.cursor);
            let begin = cursors.min().unwrap_or_else(|| *store.visible(stream).borrow());
            Feeds::new(store.clone(), stream, capture.clone(), begin)
        };
        let ground = Ground {
            store: store.clone(),
            clock: clock.clone(),
            supervisor: supervisor.clone(),
            catalogue: catalogue.clone(),
            capture: capture.clone(),
            arsenal,
            attempts,
            signals: signals.clone(),
            records: feeds(StreamId::EVENTS),
            others: feeds(StreamId::SIGNALS),
            mint: mint.clone(),
            dice: Arc::new(Dice::new(parts.seed)),
            gone,
        };
        let inner = Inner {
            registry,
            ground,
            rows,
            stop: stop.clone(),
            records: records.clone(),
            hooks: RwLock::default(),
            dormant: RwLock::default(),
            changing: tokio::sync::Mutex::default(),
            ending: Mutex::default(),
            watchers: AtomicUsize::new(0),
            probes: Mutex::default(),
        };
        let hooks = EventHooks(Arc::new(inner));
        hooks.take_up().await?;
        hooks.note_wanted(None);
        for feeds in [&hooks.0.ground.records, &hooks.0.ground.others] {
            supervisor.spawn("index of event hooks", feeds.clone().run(stop.clone()));
        }
        supervisor.spawn("event hooks whose target is gone", hooks.clone().disable_gone(leaving));
        supervisor.spawn("retention of signals", hooks.clone().trim_signals());
        supervisor.spawn("stop of event hooks", hooks.clone().stop_all());
        Ok(hooks)
    }

    async fn take_up(&self) -> Result<(), StoreError> {
        let inner = &self.0;
        let catalogue = inner.ground.catalogue.read().clone();
        let known = inner.registry.list().await?;
        for found in inner.rows.all(&catalogue).await? {
            match found {
                Found::Hook(hook) => {
                    let shared = Arc::new(Shared::new(inner.ground.arsenal.arm(*hook)));
                    let (id, name) = (shared.id, keys::consumer(shared.id));
                    let mut live = live::start(&inner.ground, shared.clone()).await?;
                    for consumer in known.iter().filter(|one| one.replay.as_ref().is_some_and(|r| r.of == name)) {
                        let part = live::Part { stream: live.stream, fed: None, replay: consumer.replay.clone() };
                        let (name, left) = (consumer.name.clone(), live.left.clone());
                        let reader = live::read(&inner.ground, shared.clone(), name, part, left);
                        live.replays.push(reader.await?);
                    }
                    inner.hooks.write().insert(id, live);
                }
                Found::Dormant(dormant) => {
                    let (id, why) = (dormant.id, &dormant.reason);
                    tracing::error!(hook = %id, "the event hook is kept and does not run: {why}");
                    inner.dormant.write().insert(id, *dormant);
                }
            }
        }
        // A crash may have come between the end of a hook and that of its consumer.
        for consumer in known {
            let Some(id) = keys::consumer_of(&consumer.name) else { continue };
            if !inner.hooks.read().contains_key(&id) && !inner.dormant.read().contains_key(&id) {
                inner.registry.forget(&consumer.name).await?;
                attempts::clear(&*inner.ground.store, id).await?;
            }
        }
        Ok(())
    }

    /// Which events there are.
    pub fn catalogue(&self) -> Catalogue {
        self.0.ground.catalogue.read().clone()
    }

    /// Now.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.ground.clock.now()
    }

    /// Names of the consumers that are hooks', running or not: nobody else looks after them.
    pub fn consumers(&self) -> Vec<String> {
        let running = self.0.hooks.read().keys().copied().collect::<Vec<_>>();
        let dormant = self.0.dormant.read().keys().copied().collect::<Vec<_>>();
        running.into_iter().chain(dormant).map(keys::consumer).collect()
    }

    /// Tells who writes events down which of them are wanted. `soon` is a hook that is about to be.
    fn note_wanted(&self, soon: Option<&Draft>) {
        if self.0.watchers.load(Ordering::Acquire) > 0 {
            self.0.records.set(RecordType::ALL.iter().copied());
            let catalogue = self.0.ground.catalogue.read();
            return self.0.ground.signals.want(catalogue.sources().map(str::to_owned).collect());
        }
        let hooks = self.0.hooks.read();
        let armed: Vec<_> = hooks.values().map(|live| live.shared.armed()).collect();
        let drafts = armed.iter().map(|armed| &armed.hook.draft).chain(soon);
        let dormant = self.0.dormant.read();
        // What cannot run now is told of what it missed once it can.
        let asleep = dormant.values().filter_map(|dormant| Some((dormant.source()?, dormant.event())));
        let wanted: Vec<(&str, Option<&str>)> =
            drafts.map(|draft| (draft.source.as_str(), draft.event.as_deref())).chain(asleep).collect();
        let kinds = |(_, event): &(&str, Option<&str>)| match event {
            Some(event) => RecordType::ALL.iter().copied().filter(|kind| kind.as_str() == *event).collect(),
            None => RecordType::ALL.to_vec(),
        };
        let of_log = wanted.iter().filter(|(source, _)| *source == "log");
        self.0.records.set(of_log.flat_map(kinds));
        let sources: BTreeSet<String> = wanted.iter().map(|(source, _)| (*source).to_owned()).collect();
        self.0.ground.signals.want(sources);
    }

    /// A hook that the caller may see.
    fn reached(&self, caller: &Caller, id: Uuid) -> Result<Arc<Shared>, HookError> {
        let hooks = self.0.hooks.read();
        let shared = hooks.get(&id).map(|live| live.shared.clone()).ok_or(HookError::NotFound)?;
        let armed = shared.armed();
        if caller.reaches(armed.hook.draft.tenant.as_deref()) { Ok(shared) } else { Err(HookError::NotFound) }
    }

    /// A hook that does not run, if it is one and the caller may see it.
    fn asleep(&self, caller: &Caller, id: Uuid) -> Option<Dormant> {
        self.0.dormant.read().get(&id).filter(|dormant| caller.reaches(dormant.tenant())).cloned()
    }

    /// Runs a change to its end, one at a time, also when this future is dropped.
    async fn change<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, HookError>> + Send + 'static,
    ) -> Result<T, HookError> {
        const STOPPING: HookError = HookError::NotReady("the daemon is being stopped");
        if self.0.stop.is_requested() {
            return Err(STOPPING);
        }
        let (done, result) = oneshot::channel();
        let inner = self.0.clone();
        self.0.ground.supervisor.spawn("change of an event hook", async move {
            let _one = inner.changing.lock().await;
            // Nobody is left to hear it when the client hung up.
            let _ = done.send(work.await);
        });
        result.await.unwrap_or(Err(STOPPING))
    }

    async fn stop_all(self) {
        let mut stop = self.0.stop.clone();
        stop.requested().await;
        // A change that is under way has its hook started before.
        let _one = self.0.changing.lock().await;
        let mut running = Vec::new();
        for live in self.0.hooks.read().values() {
            live.reader.stop();
            live.replays.iter().for_each(live::Reader::stop);
            let ends = std::iter::once(&live.reader).chain(&live.replays).map(live::Reader::end);
            running.push((live.shared.clone(), ends.collect::<Vec<_>>()));
        }
        // They wait for what is being sent as long as their grace allows.
        for (shared, ends) in running {
            for end in ends {
                live::wait_for(end).await;
            }
            shared.close();
        }
    }
}
