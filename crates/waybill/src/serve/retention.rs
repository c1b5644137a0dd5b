use super::daemon::Common;
use super::plan::JournalSection;
use super::status::Hooks;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use waybill_consumers::{Detached, Registry, Retention, RetentionRule};
use waybill_event_hooks::EventHooks;
use waybill_log_record::Entry;
use waybill_runtime::{Clock, Stop, Supervisor};
use waybill_spool::{Store, StreamId};
use waybill_types::{Offset, Timestamp};

/// Between two looks at detached hooks.
const INTERVAL: Duration = Duration::from_secs(60);

/// Who reads the journal beside the hooks of the policy.
pub(crate) struct Beside {
    /// Below this offset none of those needs anything that are no consumers.
    pub(crate) others: Arc<dyn Fn() -> Option<Offset> + Send + Sync>,
    pub(crate) event_hooks: EventHooks,
}

/// Trims the journal, and looks after hooks that left the policy.
pub(crate) async fn start(
    common: &Common,
    store: &Arc<dyn Store>,
    journal: &JournalSection,
    hooks: &Arc<Hooks>,
    supervisor: &Supervisor,
    stop: &Stop,
    beside: Beside,
) {
    let Beside { others, event_hooks } = beside;
    let rule = RetentionRule {
        retention: journal.retention,
        max_size: journal.max_size,
        dead_max_age: RetentionRule::default().dead_max_age,
    };
    let registry = Registry::new(store.clone());
    let clock = common.clock.clone();
    let retention = Retention { store: store.clone(), registry: registry.clone(), clock, rule, created, others };
    supervisor.spawn("journal retention", retention.run(stop.clone()));
    let detached = Detached::new(registry.clone(), journal.max_age);
    let of_policy: Vec<String> = hooks.running().iter().map(|handle| handle.hook.name().to_owned()).collect();
    // Event hooks come and go while the daemon runs.
    let configured = move || of_policy.iter().cloned().chain(event_hooks.consumers()).collect::<Vec<_>>();
    let (store, clock, hooks, mut stop) = (store.clone(), common.clock.clone(), hooks.clone(), stop.clone());
    // The first look comes before anybody can ask.
    sweep(&detached, &registry, &configured(), &store, clock.as_ref(), &hooks).await;
    supervisor.spawn("detached hooks", async move {
        loop {
            tokio::select! {
                biased;
                () = stop.requested() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            sweep(&detached, &registry, &configured(), &store, clock.as_ref(), &hooks).await;
        }
    });
}

async fn sweep(
    detached: &Detached,
    registry: &Registry,
    configured: &[String],
    store: &Arc<dyn Store>,
    clock: &dyn Clock,
    hooks: &Hooks,
) {
    match registry.dropped().await {
        Ok(dropped) => hooks.set_dropped(dropped),
        Err(error) => tracing::error!("dropped dead letters were not counted: {error}"),
    }
    let visible = *store.visible(StreamId::EVENTS).borrow();
    match detached.sweep(configured, visible, clock.now()).await {
        Ok(found) => hooks.set_detached(found),
        Err(error) => tracing::error!("detached hooks were not looked after: {error}"),
    }
}

fn created(entry: &Bytes) -> Option<Timestamp> {
    Entry::decode(entry.clone()).ok().map(|entry| entry.id().created())
}
