//! The engine: generations, the pool of states, and the calls.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use mlua::Lua;
use parking_lot::Mutex;
use waybill_policy::{Args, Epoch, PolicyError, PolicyHost, PolicyObject, Returned};
use waybill_queue_core::throttle::Pace;
use waybill_runtime::Supervisor;
use waybill_types::ThrottleSpec;

use crate::aside::Aside;
use crate::builder::{EngineBuilder, Observer, Settings};
use crate::events;
use crate::generation::{Generation, Seen};
use crate::load;
use crate::modules::counter_series::Counters;
use crate::modules::dkim::Keys;
use crate::modules::memoize::Caches;
use crate::modules::mpsc::Queues;
use crate::modules::throttle::Throttles;
use crate::objects::{self, Homes};
use crate::pool::Pool;
use crate::rule::RULED;
use crate::state::{Here, State};
use crate::watchdog::{self, Allowed, Stuck, Watchdog};

/// Runs operator policy: the [`PolicyHost`] of a daemon.
///
/// Cheap to clone; clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

/// What the clones of an engine share.
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) watchdog: Watchdog,
    pub(crate) aside: Arc<Aside>,
    pub(crate) pool: Pool,
    pub(crate) homes: Homes,
    pub(crate) caches: Caches,
    pub(crate) throttles: Throttles,
    pub(crate) injection_pace: Arc<Pace>,
    pub(crate) queues: Queues,
    pub(crate) keys: Keys,
    pub(crate) counters: Counters,
    pub(crate) supervisor: Supervisor,
    pub(crate) globs: Mutex<Vec<String>>,
    pub(crate) validation_failed: AtomicBool,
    generation: ArcSwap<Generation>,
    reload: tokio::sync::Mutex<Reload>,
    reload_wanted: AtomicBool,
    load_error: Mutex<Option<Arc<str>>>,
}

/// What the last reading of the policy saw, whether it succeeded or not.
#[derive(Default)]
struct Reload {
    seen: Seen,
}

impl Engine {
    /// Begins to build an engine for the policy at `path`.
    pub fn builder(path: impl Into<PathBuf>) -> EngineBuilder {
        EngineBuilder::new(path.into())
    }

    /// The engine that a state belongs to: for modules whose functions call policy. `None` while it goes away.
    pub fn of(lua: &Lua) -> Option<Engine> {
        let engine = lua.app_data_ref::<Here>()?.engine.upgrade()?;
        Some(Engine { inner: engine })
    }

    /// How fast HTTP may bring recipients, as the policy says (`kumo.set_httpinject_recipient_rate_limit`).
    pub fn injection_pace(&self) -> Arc<Pace> {
        self.inner.injection_pace.clone()
    }

    /// Has somebody hear, from now on, of each throttle of the policy that lets nothing pass: its name and its rate. Set
    /// once; others are ignored. It must not wait.
    pub fn on_throttled(&self, listener: impl Fn(&str, &ThrottleSpec) + Send + Sync + 'static) {
        self.inner.throttles.listen(Arc::new(listener));
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    pub(crate) async fn start(settings: Settings) -> Result<Engine, PolicyError> {
        let limits = settings.limits;
        let inner = Inner {
            watchdog: Watchdog::new(Allowed { slice: limits.slice, call: limits.call_timeout }),
            aside: Arc::new(Aside::new(limits.slice * watchdog::STUCK_AFTER)),
            pool: Pool::new(limits.max_states, limits.memory),
            homes: Homes::new(limits.object_states),
            caches: Caches::default(),
            throttles: Throttles::default(),
            injection_pace: Arc::default(),
            queues: Queues::default(),
            keys: Keys::default(),
            counters: Counters::default(),
            supervisor: settings.supervisor.clone().unwrap_or_else(Supervisor::current),
            globs: Mutex::new(settings.globs.clone()),
            validation_failed: AtomicBool::new(false),
            generation: ArcSwap::from_pointee(Generation::new(Epoch(0))),
            reload: tokio::sync::Mutex::default(),
            reload_wanted: AtomicBool::new(false),
            load_error: Mutex::new(None),
            settings,
        };
        let engine = Engine { inner: Arc::new(inner) };
        engine.reload().await?;
        Ok(engine)
    }

    /// Reads the policy again if one of its files changed, or if somebody asked for it. Call it every ten seconds.
    ///
    /// Returns whether a new generation serves from now on. One that does not load leaves the old one serving.
    pub async fn check_for_changes(&self) -> bool {
        self.report_stuck();
        let wanted = self.inner.reload_wanted.swap(false, Ordering::Relaxed);
        let seen = self.inner.reload.lock().await.seen.clone();
        let globs = self.inner.globs.lock().clone();
        let changed = tokio::task::spawn_blocking(move || seen.changed(&globs)).await.unwrap_or(false);
        self.inner.pool.prune(self.epoch());
        (wanted || changed) && self.reload().await.is_ok()
    }

    /// Reads the policy again, now, and begins a new generation even if no file changed.
    ///
    /// # Errors
    /// Why it does not load; the old generation keeps serving.
    pub async fn bump_epoch(&self) -> Result<Epoch, PolicyError> {
        self.reload().await.map(|()| self.epoch())
    }

    /// Asks for [`Engine::bump_epoch`] at the next [`Engine::check_for_changes`].
    pub fn request_reload(&self) {
        self.inner.reload_wanted.store(true, Ordering::Relaxed);
    }

    /// Why the policy as it is on disk does not load; `None` while the newest generation serves.
    pub fn load_error(&self) -> Option<Arc<str>> {
        self.inner.load_error.lock().clone()
    }

    /// Whether policy called `kumo.validation_failed()`.
    pub fn validation_failed(&self) -> bool {
        self.inner.validation_failed.load(Ordering::Relaxed)
    }

    /// Calls that should have been stopped and were not. Each holds a thread.
    pub fn stuck(&self) -> Vec<Stuck> {
        self.inner.watchdog.stuck()
    }

    /// Tells the log of calls that got stuck since it was last told, and lets others have their places.
    fn report_stuck(&self) {
        for stuck in self.inner.watchdog.newly_stuck() {
            tracing::error!(
                thread = stuck.thread,
                "'{}' has been in something that cannot be stopped for {:?}, such as a pattern match without end: its \
                 thread is given up, what it worked on waits for a restart",
                stuck.event,
                stuck.running
            );
        }
        self.inner.aside.replace_stuck();
    }

    /// Idle states, and all states.
    pub fn state_counts(&self) -> (usize, usize) {
        self.inner.pool.counts()
    }

    async fn reload(&self) -> Result<(), PolicyError> {
        let mut reload = self.inner.reload.lock().await;
        let old = self.inner.generation();
        let fresh = Arc::new(Generation::new(Epoch(old.epoch.0 + 1)));
        let loaded = self.inner.aside.run(load::new_state(&self.inner, &fresh)).await;
        // A failed reading may have stopped early: what the one before it read still counts.
        let also = if loaded.is_err() { reload.seen.files().clone() } else { BTreeSet::new() };
        let (sources, globs) = (fresh.sources.clone(), self.inner.globs.lock().clone());
        let seen = tokio::task::spawn_blocking(move || Seen::of(&sources, &globs, &also)).await;
        reload.seen = seen.unwrap_or_default();
        match loaded {
            Ok(state) => {
                self.inner.generation.store(fresh);
                *self.inner.load_error.lock() = None;
                self.inner.pool.put(state, self.epoch());
                self.inner.pool.prune(self.epoch());
                if old.epoch > Epoch(0) {
                    tracing::info!(epoch = self.epoch().0, "the policy was read again");
                }
                Ok(())
            }
            Err(error) => {
                if old.epoch > Epoch(0) {
                    tracing::error!(
                        epoch = old.epoch.0,
                        "the policy does not load, the old one keeps serving: {error}"
                    );
                }
                *self.inner.load_error.lock() = Some(error.to_string().into());
                Err(error)
            }
        }
    }
}

impl Inner {
    /// The generation in force.
    pub(crate) fn generation(&self) -> Arc<Generation> {
        self.generation.load_full()
    }

    /// A state for a call: an idle one, or a new one.
    pub(crate) async fn take(self: &Arc<Self>, generation: &Arc<Generation>) -> Result<State, PolicyError> {
        match self.pool.take(generation.epoch) {
            Some(state) => Ok(state),
            None => load::new_state(self, generation).await,
        }
    }

    /// Keeps a state for later if its call went well. To reject is an ordinary result.
    pub(crate) fn give_back<T>(&self, state: State, result: &Result<T, PolicyError>) {
        if matches!(result, Ok(_) | Err(PolicyError::Rejected(_))) {
            self.pool.put(state, self.generation.load().epoch);
        }
    }

    async fn call(self: &Arc<Self>, event: &str, args: Args) -> Result<Returned, PolicyError> {
        let generation = self.generation();
        let Some(event) = generation.event(event) else { return unhandled(event) };
        let mut state = self.take(&generation).await?;
        let begun = Instant::now();
        let result = match state.by_rule(event, &args) {
            Some(returned) => {
                self.settings.observer.called(event, begun.elapsed());
                Ok(returned)
            }
            None => self.observed(event, state.call(event, args)).await,
        };
        self.give_back(state, &result);
        result
    }

    async fn call_each(self: &Arc<Self>, event: &str, items: Vec<Args>) -> Vec<Result<Returned, PolicyError>> {
        let generation = self.generation();
        let Some(event) = generation.event(event) else {
            return items.iter().map(|_| unhandled(event)).collect();
        };
        let mut results = Vec::with_capacity(items.len());
        let mut kept = None;
        let (mut ruled, mut took) = (0_u32, Duration::ZERO);
        // Since when one event after the other is answered by rule: so many need two looks at the clock together.
        let mut run: Option<Instant> = None;
        for args in items {
            let (mut state, rules) = match kept.take() {
                Some(kept) => kept,
                None => match self.take(&generation).await {
                    Ok(state) => {
                        let rules = state.rules(event);
                        (state, rules)
                    }
                    Err(error) => {
                        results.push(Err(error));
                        continue;
                    }
                },
            };
            let begun = *run.get_or_insert_with(Instant::now);
            if let Some(returned) = rules.answer(&args) {
                ruled += 1;
                results.push(Ok(returned));
                kept = Some((state, rules));
                continue;
            }
            took += begun.elapsed();
            run = None;
            let result = self.observed(event, state.call(event, args)).await;
            // After an error the rest goes on in a fresh state.
            kept = matches!(result, Ok(_) | Err(PolicyError::Rejected(_))).then_some((state, rules));
            results.push(result);
        }
        took += run.map_or(Duration::ZERO, |begun| begun.elapsed());
        if let Some((state, _)) = kept {
            self.pool.put(state, self.generation.load().epoch);
        }
        if ruled > 0 {
            self.settings.observer.called_often(event, ruled, took / ruled);
        }
        results
    }

    /// Limits the call of an event as a whole, and tells the observer of it, however it ends.
    pub(crate) async fn observed<T>(
        &self,
        event: &str,
        call: impl Future<Output = Result<T, PolicyError>>,
    ) -> Result<T, PolicyError> {
        let _told = Told { observer: &*self.settings.observer, event, begun: Instant::now() };
        self.timed(event, call).await
    }

    /// Limits a call as a whole. When the time is up its future is dropped.
    pub(crate) async fn timed<T>(
        &self,
        event: &str,
        call: impl Future<Output = Result<T, PolicyError>>,
    ) -> Result<T, PolicyError> {
        let limit = self.settings.limits.call_timeout;
        let late = || PolicyError::TimedOut(format!("'{event}' did not return within {limit:?}").into());
        tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(late()))
    }
}

/// Tells the observer of a call at its end, also when its future is dropped.
struct Told<'a> {
    observer: &'a dyn Observer,
    event: &'a str,
    begun: Instant,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.observer.called(self.event, self.begun.elapsed());
    }
}

fn unhandled(event: &str) -> Result<Returned, PolicyError> {
    if events::is_required(event) { Err(not_registered(event)) } else { Ok(Returned::default()) }
}

/// The error of an event that needs a handler and has none.
pub(crate) fn not_registered(event: &str) -> PolicyError {
    PolicyError::Missing(format!("Event {event} has not been registered").into())
}

impl PolicyHost for Engine {
    fn call<'a>(&'a self, event: &'a str, args: Args) -> BoxFuture<'a, Result<Returned, PolicyError>> {
        self.inner.aside.run(self.inner.call(event, args))
    }

    fn call_each<'a>(&'a self, event: &'a str, items: Vec<Args>) -> BoxFuture<'a, Vec<Result<Returned, PolicyError>>> {
        self.inner.aside.run(self.inner.call_each(event, items))
    }

    fn construct<'a>(
        &'a self,
        event: &'a str,
        args: Args,
    ) -> BoxFuture<'a, Result<Box<dyn PolicyObject>, PolicyError>> {
        self.inner.aside.run(objects::construct(&self.inner, event, args))
    }

    fn handles(&self, event: &str) -> bool {
        self.inner.generation.load().event(event).is_some()
    }

    fn places(&self, event: &str) -> Vec<String> {
        self.inner.generation.load().places(event).to_vec()
    }

    fn queue_of_all(&self, hook: &str, records: usize) -> Option<Arc<str>> {
        let queue = self.inner.generation.load().queue_of_all(hook).cloned()?;
        if records > 0 {
            let records = u32::try_from(records).unwrap_or(u32::MAX);
            self.inner.settings.observer.called_often(RULED, records, Duration::ZERO);
        }
        Some(queue)
    }

    fn epoch(&self) -> Epoch {
        self.inner.generation.load().epoch
    }
}
