//! Hooks are made, changed and deleted.

use super::{EventHooks, MAX_HOOKS};
use crate::armed::Armed;
use crate::attempts;
use crate::error::HookError;
use crate::keys;
use crate::live::{self, Live, wait_for};
use crate::occurrence::stream_of;
use crate::shared::Shared;
use crate::signals::Changed;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;
use uuid::Uuid;
use waybill_authorizer::{Action, Caller, Subject};
use waybill_consumers::Registry;
use waybill_event_hooks_core::{Document, Dormant, Draft, Encoding, Handler, Hook, Stamp};
use waybill_spool::{Batch, Durability, StreamId};
use waybill_types::Timestamp;

/// What is known of a change, for whoever is told.
fn changed(operation: &'static str, hook: &Hook, old: Option<Value>) -> Changed {
    let (tenant, id) = (hook.draft.tenant.clone(), hook.id.to_string());
    Changed { schema: "event_hooks", operation, entity: hook.to_json(), old, tenant, id }
}

/// A hook in a list.
#[derive(Clone, Debug)]
pub enum Listed {
    /// One that runs, or would if it were enabled.
    Hook(Box<Hook>),
    /// One that cannot.
    Dormant(Box<Dormant>),
}

impl Listed {
    /// Where it stands in the list.
    pub fn place(&self) -> (Timestamp, Uuid) {
        match self {
            Listed::Hook(hook) => (hook.created_at, hook.id),
            Listed::Dormant(dormant) => (dormant.created_at(), dormant.id),
        }
    }

    /// As the API shows it.
    pub fn to_json(&self) -> Value {
        match self {
            Listed::Hook(hook) => hook.to_json(),
            Listed::Dormant(dormant) => dormant.to_json(),
        }
    }
}

/// One line for whoever audits: what was done to a hook, by whom, from where.
pub(super) fn audit(operation: &str, hook: &Hook, by: &dyn fmt::Display, peer: &dyn fmt::Display) {
    let (source, event, handler) = (&hook.draft.source, hook.draft.event.as_deref(), hook.draft.handler.name());
    let tenant = hook.draft.tenant.as_deref().unwrap_or_default();
    tracing::info!(
        target: "waybill::audit", entity = "event_hooks", operation, id = %hook.id, source, event, handler, tenant, %by,
        %peer, "event hook changed"
    );
}

/// A deleted hook that has not ended; dropped, it has.
struct Ending {
    hooks: EventHooks,
    id: Uuid,
    // Whoever waits is told when it is gone.
    _end: watch::Sender<bool>,
}

impl Ending {
    fn begin(hooks: &EventHooks, id: Uuid) -> Self {
        let (end, ended) = watch::channel(false);
        hooks.0.ending.lock().insert(id, ended);
        Ending { hooks: hooks.clone(), id, _end: end }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.hooks.0.ending.lock().remove(&self.id);
    }
}

impl EventHooks {
    /// All that the caller may see, the oldest first, those included that cannot run.
    pub fn list(&self, caller: &Caller) -> Vec<Listed> {
        let hooks = self.0.hooks.read();
        let armed = hooks.values().map(|live| live.shared.armed());
        let reached = armed.filter(|armed| caller.reaches(armed.hook.draft.tenant.as_deref()));
        let mut list: Vec<Listed> = reached.map(|armed| Listed::Hook(Box::new(armed.hook.clone()))).collect();
        let dormant = self.0.dormant.read();
        let asleep = dormant.values().filter(|dormant| caller.reaches(dormant.tenant()));
        list.extend(asleep.map(|dormant| Listed::Dormant(Box::new(dormant.clone()))));
        list.sort_by_key(Listed::place);
        list
    }

    /// One of them, as the API shows it.
    ///
    /// # Errors
    /// [`HookError::NotFound`].
    pub fn show(&self, caller: &Caller, id: Uuid) -> Result<Value, HookError> {
        match self.asleep(caller, id) {
            Some(dormant) => Ok(dormant.to_json()),
            None => Ok(self.get(caller, id)?.to_json()),
        }
    }

    /// One of those that can run.
    ///
    /// # Errors
    /// [`HookError::NotFound`].
    pub fn get(&self, caller: &Caller, id: Uuid) -> Result<Hook, HookError> {
        Ok(self.reached(caller, id)?.armed().hook.clone())
    }

    /// Makes a hook; it is told of everything that happens from then on. One with the handler `webhook` is pinged.
    ///
    /// # Errors
    /// When the description is wrong, there are too many, or it cannot be stored.
    pub async fn create(
        &self,
        caller: &Caller,
        id: Option<Uuid>,
        document: Document,
        encoding: Encoding,
    ) -> Result<Hook, HookError> {
        let draft = self.draft(caller, document, encoding).await?;
        let now = self.0.ground.clock.now();
        let hook = match id.and_then(|id| self.asleep(caller, id)) {
            Some(dormant) => dormant.mended(draft, now),
            None => Hook::new(Stamp { id: id.unwrap_or_else(Uuid::new_v4), now }, draft),
        };
        self.check_target(&hook)?;
        let made = loop {
            // Nobody who changes something else waits for that.
            self.ended(hook.id).await;
            let (hooks, by, hook) = (self.clone(), caller.clone(), hook.clone());
            if let Some(made) = self.change(async move { hooks.add(&by, hook).await }).await? {
                break made;
            }
        };
        if matches!(made.draft.handler, Handler::Webhook(_)) {
            let (hooks, id) = (self.clone(), made.id);
            self.0.ground.supervisor.spawn("first ping of an event hook", async move { hooks.first_ping(id).await });
        }
        Ok(made)
    }

    /// Until a deleted hook of this id has ended.
    async fn ended(&self, id: Uuid) {
        let ends = self.0.ending.lock().get(&id).cloned();
        if let Some(ends) = ends {
            wait_for(ends).await;
        }
    }

    /// Nothing while a deleted hook of this id has not ended: what it leaves would be taken for that of the new one, which
    /// would be removed with it.
    async fn add(&self, by: &Caller, hook: Hook) -> Result<Option<Hook>, HookError> {
        let inner = &self.0;
        if inner.ending.lock().contains_key(&hook.id) {
            return Ok(None);
        }
        let there = inner.hooks.read().len() + inner.dormant.read().len();
        if there >= MAX_HOOKS {
            return Err(HookError::Count(MAX_HOOKS));
        }
        // Whose id it takes has to be the caller's.
        if inner.dormant.read().contains_key(&hook.id) && self.asleep(by, hook.id).is_none() {
            return Err(HookError::NotFound);
        }
        if inner.hooks.read().contains_key(&hook.id) {
            return Err(HookError::Asked(format!("there is an event hook {} already", hook.id)));
        }
        // Before the place where it begins is chosen: nothing behind that is left out of the journal.
        self.note_wanted(Some(&hook.draft));
        let stream = stream_of(&hook.draft.source);
        let mut batch = Batch::new();
        inner.rows.set(&mut batch, &hook)?;
        let dormant = inner.dormant.read().get(&hook.id).map(Dormant::to_json);
        let mended = dormant.is_some();
        let operation = if mended { "update" } else { "create" };
        let goes_on = mended && self.has_place(hook.id, stream).await?;
        if mended && !goes_on {
            // It has a place in another stream, with what waits there.
            inner.registry.forget(&keys::consumer(hook.id)).await?;
        }
        if !goes_on {
            Registry::enrol(&mut batch, &keys::consumer(hook.id), stream, *inner.ground.store.visible(stream).borrow());
        }
        inner.ground.signals.changed(&mut batch, changed(operation, &hook, dormant));
        inner.ground.store.commit(batch, Durability::Synced).await?;
        inner.dormant.write().remove(&hook.id);
        self.run(hook.clone()).await?;
        audit(operation, &hook, by, &by.peer().address());
        Ok(Some(hook))
    }

    /// Whether a hook has its place in that stream.
    async fn has_place(&self, id: Uuid, stream: StreamId) -> Result<bool, HookError> {
        let name = keys::consumer(id);
        Ok(self.0.registry.list().await?.iter().any(|known| known.name == name && known.stream == stream))
    }

    async fn run(&self, hook: Hook) -> Result<(), HookError> {
        let shared = Arc::new(Shared::new(self.0.ground.arsenal.arm(hook)));
        let live = live::start(&self.0.ground, shared.clone()).await?;
        self.0.hooks.write().insert(shared.id, live);
        self.note_wanted(None);
        Ok(())
    }

    /// Changes a hook: what `patch` names, also within objects.
    ///
    /// # Errors
    /// When there is none, what comes out is wrong, or it cannot be stored.
    pub async fn patch(
        &self,
        caller: &Caller,
        id: Uuid,
        patch: Document,
        encoding: Encoding,
    ) -> Result<Hook, HookError> {
        if let Some(dormant) = self.asleep(caller, id) {
            let unknown = || HookError::Asked("what it was cannot be read any more: PUT describes it anew".to_owned());
            let document = dormant.patched(&patch)?.ok_or_else(unknown)?;
            return self.create(caller, Some(id), document, encoding).await;
        }
        loop {
            let base = self.reached(caller, id)?.armed();
            let document = base.hook.patched(&patch)?;
            // Somebody else may change it meanwhile: this goes on top of that.
            if let Some(hook) = self.describe(caller, id, (document, encoding), Some(base)).await? {
                return Ok(hook);
            }
        }
    }

    /// Replaces a hook, or makes one with this id; tells whether it is new.
    ///
    /// # Errors
    /// When the description is wrong, or it cannot be stored.
    pub async fn put(
        &self,
        caller: &Caller,
        id: Uuid,
        document: Document,
        encoding: Encoding,
    ) -> Result<Hook, HookError> {
        let there = self.0.hooks.read().contains_key(&id);
        if there && let Some(hook) = self.describe(caller, id, (document.clone(), encoding), None).await? {
            return Ok(hook);
        }
        if !caller.may(Subject::EventHooks, Action::Create, None, caller.tenant()) {
            return Err(HookError::NotAllowed("event_hooks:create".to_owned()));
        }
        self.create(caller, Some(id), document, encoding).await
    }

    /// Nothing where the hook is another than `base`, which the description was made of.
    async fn describe(
        &self,
        caller: &Caller,
        id: Uuid,
        (document, encoding): (Document, Encoding),
        base: Option<Arc<Armed>>,
    ) -> Result<Option<Hook>, HookError> {
        self.reached(caller, id)?;
        let draft = self.draft(caller, document, encoding).await?;
        let (hooks, by) = (self.clone(), caller.clone());
        self.change(async move { hooks.update(&by, id, draft, base).await }).await
    }

    async fn update(
        &self,
        by: &Caller,
        id: Uuid,
        draft: Draft,
        base: Option<Arc<Armed>>,
    ) -> Result<Option<Hook>, HookError> {
        let shared = self.reached(by, id)?;
        let armed = shared.armed();
        if base.is_some_and(|base| !Arc::ptr_eq(&base, &armed)) {
            return Ok(None);
        }
        let old = armed.hook.clone();
        let hook = old.updated(draft, self.0.ground.clock.now());
        self.check_target(&hook)?;
        self.note_wanted(Some(&hook.draft));
        let (before, after) = (stream_of(&old.draft.source), stream_of(&hook.draft.source));
        let mut batch = Batch::new();
        self.0.rows.set(&mut batch, &hook)?;
        self.0.ground.signals.changed(&mut batch, changed("update", &hook, Some(old.to_json())));
        if before == after {
            self.0.ground.store.commit(batch, Durability::Synced).await?;
            shared.rearm(self.0.ground.arsenal.arm(hook.clone()));
            self.follow(id).await;
        } else {
            // Its place is one in another stream: what it had not delivered of the old one goes with it.
            let removed = self.0.hooks.write().remove(&id);
            self.0.ground.feeds(before).remove(id);
            let moved = self.moved(id, removed, after, batch).await;
            // What runs is what is stored.
            self.run(if moved.is_ok() { hook.clone() } else { old }).await?;
            moved?;
        }
        self.note_wanted(None);
        audit("update", &hook, by, &by.peer().address());
        Ok(Some(hook))
    }

    /// Ends a hook, and gives it a place in another stream with what `batch` says of it.
    async fn moved(&self, id: Uuid, live: Option<Live>, to: StreamId, mut batch: Batch) -> Result<(), HookError> {
        self.end(id, live).await?;
        Registry::enrol(&mut batch, &keys::consumer(id), to, *self.0.ground.store.visible(to).borrow());
        self.0.ground.store.commit(batch, Durability::Synced).await?;
        Ok(())
    }

    /// Has the consumers of a hook rest or go on as it says.
    pub(super) async fn follow(&self, id: Uuid) {
        let found = {
            let hooks = self.0.hooks.read();
            hooks.get(&id).map(|live| (live.shared.armed(), live.stream, live.reader.control.clone()))
        };
        if let Some((armed, stream, control)) = found {
            let enabled = armed.hook.draft.enabled;
            self.0.ground.feeds(stream).change(id, armed.hook.draft.interest(), !enabled);
            // A runner that is gone reads nothing either.
            let _ = if enabled { control.resume().await } else { control.pause().await };
        }
    }

    /// Deletes a hook, with all that was on its way.
    ///
    /// # Errors
    /// When there is none, or that cannot be stored.
    pub async fn delete(&self, caller: &Caller, id: Uuid) -> Result<(), HookError> {
        let (hooks, by) = (self.clone(), caller.clone());
        self.change(async move { hooks.remove(&by, id).await }).await
    }

    async fn remove(&self, by: &Caller, id: Uuid) -> Result<(), HookError> {
        let mut batch = Batch::new();
        self.0.rows.unset(&mut batch, id);
        if let Some(dormant) = self.asleep(by, id) {
            return self.remove_dormant(by, &dormant, batch).await;
        }
        let hook = self.get(by, id)?;
        self.0.ground.signals.changed(&mut batch, changed("delete", &hook, None));
        self.0.ground.store.commit(batch, Durability::Synced).await?;
        let removed = self.0.hooks.write().remove(&id);
        self.0.ground.feeds(stream_of(&hook.draft.source)).remove(id);
        self.note_wanted(None);
        audit("delete", &hook, by, &by.peer().address());
        let (hooks, ending) = (self.clone(), Ending::begin(self, id));
        // What is being sent is waited for, and nobody waits for that but who takes its id.
        self.0.ground.supervisor.spawn("end of an event hook", async move {
            if let Err(error) = hooks.end(id, removed).await {
                tracing::error!(hook = %id, "what is left of a deleted event hook is removed at the next start: {error}");
            }
            drop(ending);
        });
        Ok(())
    }

    /// Nothing of it runs; `batch` removes what describes it.
    async fn remove_dormant(&self, by: &Caller, dormant: &Dormant, mut batch: Batch) -> Result<(), HookError> {
        let id = dormant.id;
        let (schema, operation, tenant) = ("event_hooks", "delete", dormant.tenant().map(str::to_owned));
        let entity = dormant.to_json();
        self.0
            .ground
            .signals
            .changed(&mut batch, Changed { schema, operation, entity, old: None, tenant, id: id.to_string() });
        self.0.ground.store.commit(batch, Durability::Synced).await?;
        self.0.dormant.write().remove(&id);
        self.note_wanted(None);
        let (source, tenant, peer) = (dormant.source(), dormant.tenant().unwrap_or_default(), by.peer().address());
        tracing::info!(
            target: "waybill::audit", entity = schema, operation, %id, source, tenant, %by, %peer,
            "event hook changed, which could not run"
        );
        let known = self.0.registry.list().await?;
        for consumer in known.iter().filter(|known| keys::consumer_of(&known.name) == Some(id)) {
            self.0.registry.forget(&consumer.name).await?;
        }
        Ok(attempts::clear(&*self.0.ground.store, id).await?)
    }

    /// Ends what runs of a hook, and removes what is kept of its consumers.
    async fn end(&self, id: Uuid, live: Option<Live>) -> Result<(), HookError> {
        let mut names: Vec<String> = vec![keys::consumer(id)];
        if let Some(live) = live {
            let readers: Vec<_> = std::iter::once(live.reader).chain(live.replays).collect();
            readers.iter().for_each(live::Reader::stop);
            for reader in readers {
                wait_for(reader.end()).await;
                names.push(reader.name);
            }
        }
        for name in names {
            self.0.registry.forget(&name).await?;
        }
        attempts::clear(&*self.0.ground.store, id).await?;
        Ok(())
    }
}
