//! Hooks whose target answered 410.

use super::EventHooks;
use super::changes::audit;
use crate::armed::Armed;
use crate::driver::endpoint_event;
use crate::error::HookError;
use crate::signals::Changed;
use crate::target;
use tokio::sync::mpsc;
use uuid::Uuid;
use waybill_spool::{Batch, Durability};

/// Whom it calls, for people.
fn shown(armed: &Armed) -> String {
    armed.config.as_ref().map(|config| target::shown(&config.url)).unwrap_or_default()
}

impl EventHooks {
    /// Disables them as they come, until the daemon stops.
    pub(super) async fn disable_gone(self, mut leaving: mpsc::Receiver<(Uuid, String)>) {
        let mut stop = self.0.stop.clone();
        loop {
            let (id, said) = tokio::select! {
                biased;
                () = stop.requested() => return,
                next = leaving.recv() => match next {
                    Some(next) => next,
                    None => return,
                },
            };
            let hooks = self.clone();
            if let Err(error) = self.change(async move { hooks.disable(id, said).await }).await {
                // Its target is asked again after the next start, and says the same.
                tracing::error!(hook = %id, "that its target wants nothing any more was not stored: {error}");
            }
        }
    }

    async fn disable(&self, id: Uuid, said: String) -> Result<(), HookError> {
        let found = self.0.hooks.read().get(&id).map(|live| live.shared.clone());
        let Some(shared) = found else { return Ok(()) };
        let armed = shared.armed();
        if !armed.hook.draft.enabled {
            return Ok(());
        }
        let reason = format!("its target answered 410 (gone): {said}");
        let hook = armed.hook.disabled(reason, self.0.ground.clock.now());
        let mut batch = Batch::new();
        self.0.rows.set(&mut batch, &hook)?;
        let signals = &self.0.ground.signals;
        signals.add(&mut batch, endpoint_event(&armed, "disabled", &shared.health()));
        let (old, tenant) = (Some(armed.hook.to_json()), hook.draft.tenant.clone());
        let entity = hook.to_json();
        signals.changed(
            &mut batch,
            Changed { schema: "event_hooks", operation: "update", entity, old, tenant, id: id.to_string() },
        );
        self.0.ground.store.commit(batch, Durability::Synced).await?;
        audit("disable", &hook, &"its target", &shown(&armed));
        shared.rearm(self.0.ground.arsenal.arm(hook));
        self.follow(id).await;
        tracing::warn!(hook = %id, "disabled: its target answered 410; its events stay until it is enabled again");
        Ok(())
    }
}
