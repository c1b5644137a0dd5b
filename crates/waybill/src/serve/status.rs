//! The hooks that there are, and how they stand.

use parking_lot::Mutex;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use waybill_consumers::{ConsumerState, Control, LastResponse, LeftLetters, Letters, Snapshot};
use waybill_hooks::LogHook;
use waybill_runtime::Observed;
use waybill_types::ReadyQueueName;

/// A hook or replay that runs.
#[derive(Clone)]
pub(crate) struct HookHandle {
    pub(crate) name: String,
    pub(crate) hook: Arc<LogHook>,
    pub(crate) snapshot: Arc<Mutex<Option<Snapshot>>>,
    pub(crate) control: Control,
}

/// All hooks, running and detached.
#[derive(Default)]
pub(crate) struct Hooks {
    running: Mutex<Vec<HookHandle>>,
    detached: Mutex<Vec<Snapshot>>,
    /// Outcomes of replays that are done.
    ended: Mutex<Ended>,
    /// Dead letters that retention dropped, by hook.
    dropped: Mutex<HashMap<String, u64>>,
    /// Dead letters that replays left, by hook.
    left: Mutex<HashMap<String, LeftLetters>>,
}

/// Delivered, failed for now, failed for good.
pub(crate) type Outcomes = [u64; 3];

/// What replays that are done have come to.
#[derive(Clone, Default)]
pub(crate) struct Ended {
    /// By ready queue, while the hook itself has one of that name.
    pub(crate) by_ready_queue: BTreeMap<ReadyQueueName, Outcomes>,
    /// By way of delivery.
    pub(crate) by_protocol: BTreeMap<String, Outcomes>,
    /// Sessions that the watchdog ended: by ready queue, likewise.
    pub(crate) aborted: BTreeMap<ReadyQueueName, u64>,
    /// How long sessions worked, by way of delivery.
    pub(crate) deliveries: BTreeMap<String, Observed>,
}

/// One line of `GET /api/hooks/v1`.
#[derive(Serialize)]
pub(crate) struct HookStatus {
    name: String,
    state: ConsumerState,
    lag_events: u64,
    lag_seconds: f64,
    in_flight: usize,
    parked: u64,
    dead_letters: u64,
    /// Dead letters are being tried again.
    redriving: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<f64>,
    last_response: Option<String>,
    last_response_at: Option<String>,
}

impl Hooks {
    pub(crate) fn add(&self, handle: HookHandle) {
        self.running.lock().push(handle);
    }

    /// A replay is done. What it delivered still counts.
    pub(crate) fn remove(&self, name: &str) {
        let mut running = self.running.lock();
        let Some(place) = running.iter().position(|handle| handle.name == name) else { return };
        let hook = running.swap_remove(place).hook;
        drop(running);
        let mut ended = self.ended.lock();
        for (queue, counts) in hook.counts().by_ready_queue() {
            add(ended.by_ready_queue.entry(queue).or_default(), counts);
        }
        for (protocol, counts) in hook.counts().by_protocol() {
            add(ended.by_protocol.entry(protocol).or_default(), counts);
        }
        for (queue, count) in hook.counts().aborted() {
            *ended.aborted.entry(queue).or_default() += count;
        }
        add_times(&mut ended.deliveries, hook.counts().deliveries());
    }

    /// What replays that are done have come to. Ready queues that are not among those `living` are forgotten.
    pub(crate) fn ended(&self, living: impl Fn(&ReadyQueueName) -> bool) -> Ended {
        let mut ended = self.ended.lock();
        ended.by_ready_queue.retain(|queue, _| living(queue));
        ended.aborted.retain(|queue, _| living(queue));
        ended.clone()
    }

    pub(crate) fn running(&self) -> Vec<HookHandle> {
        self.running.lock().clone()
    }

    /// A hook or replay that runs.
    pub(crate) fn find(&self, name: &str) -> Option<HookHandle> {
        self.running.lock().iter().find(|handle| handle.name == name).cloned()
    }

    pub(crate) fn is_detached(&self, name: &str) -> bool {
        self.detached.lock().iter().any(|snapshot| snapshot.name == name)
    }

    pub(crate) fn set_detached(&self, detached: Vec<Snapshot>) {
        *self.detached.lock() = detached;
    }

    pub(crate) fn forget_detached(&self, name: &str) {
        self.detached.lock().retain(|snapshot| snapshot.name != name);
    }

    pub(crate) fn set_dropped(&self, dropped: HashMap<String, u64>) {
        *self.dropped.lock() = dropped;
    }

    /// How a hook that runs stands.
    pub(crate) fn snapshot(&self, handle: &HookHandle) -> Snapshot {
        let mut snapshot = handle.snapshot.lock().clone().unwrap_or_else(|| just_started(&handle.name));
        let dropped = self.dropped.lock().get(&handle.name).copied().unwrap_or(0);
        let left = self.left.lock().get(&handle.name).map_or(0, LeftLetters::get);
        snapshot.dead_letters = snapshot.letters.and(left).kept(dropped);
        snapshot
    }

    /// What replays leave with a hook.
    pub(crate) fn left(&self, hook: &str) -> LeftLetters {
        self.left.lock().entry(hook.to_owned()).or_default().clone()
    }

    pub(crate) fn status(&self, handle: &HookHandle) -> HookStatus {
        status(self.snapshot(handle), handle.hook.last_response())
    }

    pub(crate) fn list(&self) -> Vec<HookStatus> {
        let running = self.running();
        let running = running.iter().map(|handle| self.status(handle));
        let detached = self.detached.lock().clone();
        let mut list: Vec<_> = running.chain(detached.into_iter().map(|snapshot| status(snapshot, None))).collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }
}

pub(crate) fn add(sum: &mut Outcomes, more: Outcomes) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

/// Adds durations, name by name.
pub(crate) fn add_times(sum: &mut BTreeMap<String, Observed>, more: BTreeMap<String, Observed>) {
    for (name, times) in more {
        match sum.get_mut(&name) {
            Some(known) => known.add(&times),
            None => {
                sum.insert(name, times);
            }
        }
    }
}

/// A hook that has not counted yet.
fn just_started(name: &str) -> Snapshot {
    Snapshot {
        name: name.to_owned(),
        state: ConsumerState::Active,
        lag_events: 0,
        lag_seconds: 0.0,
        in_flight: 0,
        parked: 0,
        lanes: Vec::new().into(),
        dead_letters: 0,
        letters: Letters::default(),
        redriving: false,
        attempts: 0,
        progress: None,
        last_response: None,
    }
}

fn status(snapshot: Snapshot, last: Option<LastResponse>) -> HookStatus {
    HookStatus {
        name: snapshot.name,
        state: snapshot.state,
        lag_events: snapshot.lag_events,
        lag_seconds: snapshot.lag_seconds,
        in_flight: snapshot.in_flight,
        parked: snapshot.parked,
        dead_letters: snapshot.dead_letters,
        redriving: snapshot.redriving,
        progress: snapshot.progress,
        last_response_at: last.as_ref().map(|last| last.at.to_rfc3339()),
        last_response: last.map(|last| last.text),
    }
}
