//! Hooks are made, changed and deleted.

use super::{EventHooks, MAX_HOOKS};
use crate::attempts;
use crate::error::HookError;
use crate::keys;
use crate::live::{self, Live, wait_for};
use crate::occurrence::stream_of;
use crate::shared::Shared;
use crate::signals::Changed;
use serde_json::Value;
use std::sync::Arc;
use uuid::Uuid;
use waybill_authorizer::{Action, Caller, Subject};
use waybill_consumers::Registry;
use waybill_event_hooks_core::{Document, Draft, Encoding, Handler, Hook, Stamp};
use waybill_spool::{Batch, Durability};

/// What is known of a change, for whoever is told.
fn changed(operation: &'static str, hook: &Hook, old: Option<Value>) -> Changed {
    let (tenant, id) = (hook.draft.tenant.clone(), hook.id.to_string());
    Changed { schema: "event_hooks", operation, entity: hook.to_json(), old, tenant, id }
}

/// One line for whoever audits.
fn audit(operation: &str, hook: &Hook, by: &Caller) {
    let (source, event, handler) = (&hook.draft.source, hook.draft.event.as_deref(), hook.draft.handler.name());
    let (tenant, peer) = (hook.draft.tenant.as_deref().unwrap_or_default(), by.peer().address());
    tracing::info!(
        target: "waybill::audit", entity = "event_hooks", operation, id = %hook.id, source, event, handler, tenant, %by,
        %peer, "event hook changed"
    );
}

impl EventHooks {
    /// All that the caller may see, the oldest first.
    pub fn list(&self, caller: &Caller) -> Vec<Hook> {
        let hooks = self.0.hooks.read();
        let armed = hooks.values().map(|live| live.shared.armed());
        let reached = armed.filter(|armed| caller.reaches(armed.hook.draft.tenant.as_deref()));
        let mut list: Vec<Hook> = reached.map(|armed| armed.hook.clone()).collect();
        list.sort_by_key(|hook| (hook.created_at, hook.id));
        list
    }

    /// One of them.
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
        let stamp = Stamp { id: id.unwrap_or_else(Uuid::new_v4), now: self.0.ground.clock.now() };
        let hook = Hook::new(stamp, draft);
        self.check_target(&hook)?;
        let (hooks, by) = (self.clone(), caller.clone());
        let made = self.change(async move { hooks.add(&by, hook).await }).await?;
        if matches!(made.draft.handler, Handler::Webhook(_)) {
            let (hooks, id) = (self.clone(), made.id);
            self.0.ground.supervisor.spawn("first ping of an event hook", async move { hooks.first_ping(id).await });
        }
        Ok(made)
    }

    async fn add(&self, by: &Caller, hook: Hook) -> Result<Hook, HookError> {
        let inner = &self.0;
        let there = inner.hooks.read().len() + inner.dormant.read().len();
        if there >= MAX_HOOKS {
            return Err(HookError::Count(MAX_HOOKS));
        }
        if inner.hooks.read().contains_key(&hook.id) {
            return Err(HookError::Asked(format!("there is an event hook {} already", hook.id)));
        }
        // Before the place where it begins is chosen: nothing behind that is left out of the journal.
        self.note_wanted(Some(&hook.draft));
        let stream = stream_of(&hook.draft.source);
        let mut batch = Batch::new();
        inner.rows.set(&mut batch, &hook)?;
        Registry::enrol(&mut batch, &keys::consumer(hook.id), stream, *inner.ground.store.visible(stream).borrow());
        inner.ground.signals.changed(&mut batch, changed("create", &hook, None));
        inner.ground.store.commit(batch, Durability::Synced).await?;
        inner.dormant.write().remove(&hook.id);
        self.run(hook.clone()).await?;
        audit("create", &hook, by);
        Ok(hook)
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
        let document = self.get(caller, id)?.patched(patch);
        self.describe(caller, id, document, encoding).await
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
        if there {
            return self.describe(caller, id, document, encoding).await;
        }
        if !caller.may(Subject::EventHooks, Action::Create, None, caller.tenant()) {
            return Err(HookError::NotAllowed("event_hooks:create".to_owned()));
        }
        self.create(caller, Some(id), document, encoding).await
    }

    async fn describe(
        &self,
        caller: &Caller,
        id: Uuid,
        document: Document,
        encoding: Encoding,
    ) -> Result<Hook, HookError> {
        self.reached(caller, id)?;
        let draft = self.draft(caller, document, encoding).await?;
        let (hooks, by) = (self.clone(), caller.clone());
        self.change(async move { hooks.update(&by, id, draft).await }).await
    }

    async fn update(&self, by: &Caller, id: Uuid, draft: Draft) -> Result<Hook, HookError> {
        let shared = self.reached(by, id)?;
        let old = shared.armed().hook.clone();
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
            self.end(id, removed).await?;
            Registry::enrol(&mut batch, &keys::consumer(id), after, *self.0.ground.store.visible(after).borrow());
            self.0.ground.store.commit(batch, Durability::Synced).await?;
            self.run(hook.clone()).await?;
        }
        self.note_wanted(None);
        audit("update", &hook, by);
        Ok(hook)
    }

    /// Has the consumers of a hook rest or go on as it says.
    pub(super) async fn follow(&self, id: Uuid) {
        let found = {
            let hooks = self.0.hooks.read();
            hooks.get(&id).map(|live| (live.shared.armed().hook.draft.enabled, live.reader.control.clone()))
        };
        if let Some((enabled, control)) = found {
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
        if self.0.dormant.read().contains_key(&id) && by.reaches(None) {
            self.0.ground.store.commit(batch, Durability::Synced).await?;
            self.0.dormant.write().remove(&id);
            self.0.registry.forget(&keys::consumer(id)).await?;
            return Ok(());
        }
        let hook = self.get(by, id)?;
        self.0.ground.signals.changed(&mut batch, changed("delete", &hook, None));
        self.0.ground.store.commit(batch, Durability::Synced).await?;
        let removed = self.0.hooks.write().remove(&id);
        self.note_wanted(None);
        audit("delete", &hook, by);
        let hooks = self.clone();
        // What is being sent is waited for, and nobody waits for that.
        self.0.ground.supervisor.spawn("end of an event hook", async move {
            if let Err(error) = hooks.end(id, removed).await {
                tracing::error!(hook = %id, "what is left of a deleted event hook is removed at the next start: {error}");
            }
        });
        Ok(())
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
