use axum::routing::get;
use axum::{Json, Router};
use parking_lot::Mutex;
use serde::Serialize;
use std::sync::Arc;
use waybill_consumers::{ConsumerState, Snapshot};
use waybill_hooks::LogHook;

/// A hook that runs.
#[derive(Clone)]
pub(crate) struct HookHandle {
    pub(crate) hook: Arc<LogHook>,
    pub(crate) snapshot: Arc<Mutex<Option<Snapshot>>>,
}

/// All hooks, running and detached.
#[derive(Default)]
pub(crate) struct Hooks {
    running: Mutex<Vec<HookHandle>>,
    detached: Mutex<Vec<Snapshot>>,
}

/// One line of `GET /api/hooks/v1`.
#[derive(Serialize)]
struct HookStatus {
    name: String,
    state: ConsumerState,
    lag_events: u64,
    lag_seconds: f64,
    in_flight: usize,
    parked: u64,
    dead_letters: u64,
    last_response: Option<String>,
    last_response_at: Option<String>,
}

impl Hooks {
    pub(crate) fn add(&self, handle: HookHandle) {
        self.running.lock().push(handle);
    }

    pub(crate) fn running(&self) -> Vec<HookHandle> {
        self.running.lock().clone()
    }

    pub(crate) fn set_detached(&self, detached: Vec<Snapshot>) {
        *self.detached.lock() = detached;
    }

    fn list(&self) -> Vec<HookStatus> {
        let running = self.running();
        let running = running.iter().map(|handle| {
            let snapshot = handle.snapshot.lock().clone();
            let snapshot = snapshot.unwrap_or_else(|| just_started(handle.hook.name()));
            status(snapshot, handle.hook.last_response())
        });
        let detached = self.detached.lock().clone();
        let mut list: Vec<_> = running.chain(detached.into_iter().map(|snapshot| status(snapshot, None))).collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }

    /// The routes about hooks.
    pub(crate) fn router(self: &Arc<Self>) -> Router {
        let hooks = self.clone();
        Router::new().route("/api/hooks/v1", get(async move || Json(hooks.list())))
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
        dead_letters: 0,
        attempts: 0,
        last_response: None,
    }
}

fn status(snapshot: Snapshot, last: Option<waybill_consumers::LastResponse>) -> HookStatus {
    HookStatus {
        name: snapshot.name,
        state: snapshot.state,
        lag_events: snapshot.lag_events,
        lag_seconds: snapshot.lag_seconds,
        in_flight: snapshot.in_flight,
        parked: snapshot.parked,
        dead_letters: snapshot.dead_letters,
        last_response_at: last.as_ref().map(|last| last.at.to_rfc3339()),
        last_response: last.map(|last| last.text),
    }
}
