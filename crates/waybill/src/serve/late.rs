//! Stand-ins for what comes later: listeners and policy are there before the spool is open.

use arc_swap::ArcSwapOption;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value as Json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use waybill_http_api::{CompactError, ScriptInjection, ScriptRequest};
use waybill_lua::{BodyLoader, Injection};
use waybill_queue::QueueManager;
use waybill_spool::{Durability, Incoming, Injector, Intake, IntakeError, IntakeState, Message, Rejection, Store};

/// The queue manager, once there is one.
#[derive(Default)]
pub(crate) struct Late {
    manager: ArcSwapOption<QueueManager>,
    /// What a log directory is short of: no mail is taken that could not be logged.
    shortage: ArcSwapOption<String>,
    /// There is too little memory for more mail.
    shedding: AtomicBool,
}

impl Late {
    /// Here it is.
    pub(crate) fn set(&self, manager: QueueManager) {
        self.manager.store(Some(Arc::new(manager)));
    }

    /// The memory that is held and the limit that it is over, if it is. What changes is told.
    pub(crate) fn set_shedding(&self, over: Option<(u64, u64)>) {
        match (self.shedding.swap(over.is_some(), Ordering::Relaxed), over) {
            (false, Some((held, soft))) => {
                tracing::warn!("{held} bytes of memory are more than the soft limit of {soft}: no mail is received");
            }
            (true, None) => tracing::info!("memory is below its soft limit again"),
            _ => {}
        }
    }

    /// Log files have room, or not. What changes is told.
    pub(crate) fn set_shortage(&self, shortage: Option<String>) {
        let before = self.shortage.swap(shortage.clone().map(Arc::new));
        match (before, shortage) {
            (None, Some(why)) => tracing::warn!("{why}; no mail is received until there is room"),
            (Some(_), None) => tracing::info!("there is room for log files again"),
            _ => {}
        }
    }
}

impl Intake for Late {
    fn accept(&self, incoming: Vec<Incoming>, durability: Durability) -> BoxFuture<'_, Result<(), IntakeError>> {
        async move {
            match self.manager.load_full() {
                Some(manager) => manager.accept(incoming, durability).await,
                None => Err(IntakeError::Overloaded("waiting for spool startup".into())),
            }
        }
        .boxed()
    }

    fn rejected(&self, rejection: Rejection) -> BoxFuture<'_, ()> {
        async move {
            if let Some(manager) = self.manager.load_full() {
                manager.rejected(rejection).await;
            }
        }
        .boxed()
    }

    fn state(&self) -> IntakeState {
        let state = self.manager.load().as_ref().map_or(IntakeState::WaitingForSpool, |manager| manager.state());
        if state == IntakeState::Open && self.shedding.load(Ordering::Relaxed) {
            return IntakeState::LoadShedding;
        }
        match self.shortage.load().as_ref() {
            Some(shortage) if state == IntakeState::Open => IntakeState::DiskFull(shortage.as_str().into()),
            _ => state,
        }
    }
}

impl BodyLoader for Late {
    fn load<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), String>> {
        async move {
            match self.manager.load_full() {
                Some(manager) => manager.load_body(message).await,
                None => Err("the spool is not open yet".to_owned()),
            }
        }
        .boxed()
    }

    fn save<'a>(&'a self, message: &'a Message, synced: bool) -> BoxFuture<'a, Result<(), String>> {
        async move {
            let Some(manager) = self.manager.load_full() else { return Err("the spool is not open yet".to_owned()) };
            let durability = if synced { Durability::Synced } else { Durability::Written };
            manager.save(message, durability).await
        }
        .boxed()
    }

    fn inject(&self, message: Message) -> BoxFuture<'_, Result<(), String>> {
        async move {
            let Some(manager) = self.manager.load_full() else { return Err("the spool is not open yet".to_owned()) };
            manager.inject(message).await.map_err(|error| error.to_string())
        }
        .boxed()
    }
}

/// Injection for scripts, once there is one.
#[derive(Default)]
pub(crate) struct LateInjection(ArcSwapOption<ScriptInjection>);

impl LateInjection {
    /// Here it is.
    pub(crate) fn set(&self, injection: ScriptInjection) {
        self.0.store(Some(Arc::new(injection)));
    }

    fn get(&self) -> Result<Arc<ScriptInjection>, String> {
        self.0.load_full().ok_or_else(|| "no mail is taken before init is done".to_owned())
    }
}

impl Injection for LateInjection {
    fn inject<'a>(&'a self, request: &'a Json) -> BoxFuture<'a, Result<Json, String>> {
        async move {
            let request = ScriptRequest::read(request)?;
            self.get()?.inject(request).await
        }
        .boxed()
    }

    fn build<'a>(&'a self, request: &'a Json) -> BoxFuture<'a, Result<Vec<Message>, String>> {
        async move {
            let request = ScriptRequest::read(request)?;
            self.get()?.build(request).await
        }
        .boxed()
    }
}

/// The spools that the policy defines: they have names at once, and a store once it is open. It is one for all.
pub(crate) struct LateSpools {
    names: Vec<String>,
    store: OnceLock<Arc<dyn Store>>,
}

impl LateSpools {
    /// Spools with these names.
    pub(crate) fn new(names: Vec<String>) -> Self {
        LateSpools { names, store: OnceLock::new() }
    }

    /// Here it is. A second one is ignored.
    pub(crate) fn set(&self, store: Arc<dyn Store>) {
        let _ = self.store.set(store);
    }

    /// Has the store behind a spool give back the room of what was removed.
    pub(crate) async fn compact(&self, name: &str) -> Result<(), CompactError> {
        if !self.names.iter().any(|known| known == name) {
            return Err(CompactError::Unknown(self.names.clone()));
        }
        let Some(store) = self.store.get() else {
            return Err(CompactError::Failed("the spool is not open yet".to_owned()));
        };
        store.compact().await.map_err(|error| CompactError::Failed(error.to_string()))
    }
}
