use super::explain::{shown, site_of};
use crate::driver::Driver;
use crate::inbox::News;
use crate::manager::{QueueManager, Shared};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;
use waybill_admin::{
    InspectedMessage, MessageView, NoPath, Order, PathView, QueueOwner, ReadyState, ReadyStates, ReadyView, Rebind,
    ScheduledQuery, ScheduledView,
};
use waybill_queue_core::queues::{QueueStatus, State};
use waybill_queue_core::ready::ReadyStatus;
use waybill_ready::Abort;
use waybill_spool::Message;
use waybill_types::{MessageId, QueueName, ReadyQueueName, Timestamp};

/// So many messages of a queue are shown at most, whatever was asked for: an answer has to fit into memory.
const SHOWN: usize = 10_000;
/// So many bytes of bodies are shown at most: behind that, messages come without.
const BODIES: u64 = 32 << 20;

impl QueueOwner for QueueManager {
    fn begin(&self, order: Arc<Order>) -> BoxFuture<'_, ()> {
        self.shared.tell(News::Begin(order)).boxed()
    }

    fn end(&self, order: Uuid) -> BoxFuture<'_, ()> {
        self.shared.tell(News::End(order)).boxed()
    }

    fn bounced(&self, order: Uuid) -> BTreeMap<QueueName, u64> {
        self.shared.bounced.of(order)
    }

    fn rebind(&self, rebind: Arc<Rebind>) -> BoxFuture<'_, ()> {
        self.shared.tell(News::Rebind(rebind)).boxed()
    }

    fn inspect_message(&self, id: MessageId, want_body: bool) -> BoxFuture<'_, Option<InspectedMessage>> {
        async move {
            let message = self.shared.messages.get(id)?;
            let due = self.shared.look(move |driver, _| driver.due(id)).await.flatten();
            Some(self.shared.shown_message(&message, due, want_body).await)
        }
        .boxed()
    }

    fn inspect_scheduled(&self, query: ScheduledQuery) -> BoxFuture<'_, Option<ScheduledView>> {
        self.shared.inspect_scheduled(query).boxed()
    }

    fn inspect_ready(&self, queue: ReadyQueueName, with_scheduled: bool) -> BoxFuture<'_, Option<ReadyView>> {
        self.shared.inspect_ready(queue, with_scheduled).boxed()
    }

    fn ready_states(&self) -> BoxFuture<'_, BTreeMap<ReadyQueueName, ReadyStates>> {
        async move {
            let looked = self.shared.look(|driver, now| {
                let states = driver.queues.ready_names().filter_map(|name| {
                    let states = ReadyStates::of(&driver.queues.ready_status(name, now)?, now);
                    (states != ReadyStates::default()).then(|| (name.clone(), states))
                });
                states.collect()
            });
            looked.await.unwrap_or_default()
        }
        .boxed()
    }

    fn abort(&self, queue: ReadyQueueName, session: String) -> BoxFuture<'_, bool> {
        async move {
            match self.shared.board.abort(&queue, &session) {
                None => false,
                Some(Abort::Done) => true,
                // What it may be handed meanwhile comes back from the core.
                Some(Abort::Close(number)) => {
                    self.shared.sessions.close(number);
                    true
                }
            }
        }
        .boxed()
    }

    fn resolve(&self, domain: String, source: Option<String>) -> BoxFuture<'_, Option<Result<PathView, NoPath>>> {
        async move { Some(self.shared.explain(domain, source).await) }.boxed()
    }
}

/// What the driver knows of a scheduled queue.
struct Looked {
    status: QueueStatus,
    items: Vec<(MessageId, Option<Timestamp>)>,
    now: Timestamp,
}

/// What the driver knows of a ready queue.
struct LookedReady {
    status: ReadyStatus,
    pool: Arc<str>,
    source: Arc<str>,
    watchdog: Duration,
    scheduled: Vec<QueueName>,
    now: Timestamp,
}

impl Shared {
    async fn inspect_scheduled(&self, query: ScheduledQuery) -> Option<ScheduledView> {
        let ScheduledQuery { queue, want_body, limit } = query;
        let (name, limit) = (queue.clone(), limit.unwrap_or(SHOWN).min(SHOWN));
        let looked = self.look(move |driver, now| {
            let status = driver.queues.status(&name, now)?;
            let items = driver.queues.members(&name).take(limit).map(|item| (item, driver.due(item))).collect();
            Some(Looked { status, items, now })
        });
        let Looked { status, items, now } = looked.await.flatten()?;
        let mut messages = Vec::with_capacity(items.len());
        let mut room = BODIES;
        for (id, due) in items {
            let Some(message) = self.messages.get(id) else { continue };
            let want_body = want_body && room >= message.size();
            room = room.saturating_sub(if want_body { message.size() } else { 0 });
            messages.push(self.shown_message(&message, due, want_body).await);
        }
        let count = (status.scheduled + status.ready + status.in_flight) as u64;
        Some(ScheduledView {
            queue_name: queue,
            messages,
            num_scheduled: count,
            queue_config: shown(&*status.config),
            delayed_metric: status.scheduled as u64,
            now,
            last_changed: status.last_changed,
        })
    }

    async fn inspect_ready(&self, queue: ReadyQueueName, with_scheduled: bool) -> Option<ReadyView> {
        let name = queue.clone();
        let looked = self.look(move |driver, now| driver.look_at_ready(&name, now));
        let looked = looked.await.flatten()?;
        let site = site_of(&queue);
        let first = looked.scheduled.first().map(QueueName::parts);
        let routing_domain = first.map_or(site, |parts| parts.routing_domain.unwrap_or(parts.domain));
        let (path_config, constraints) = match self.ask_path_config(routing_domain, &looked.source, site).await {
            Ok(path) => (shown(&path), path.constraints()),
            // The rest is worth showing all the same.
            Err(error) => (Value::String(format!("get_egress_path_config failed: {error}")), Value::Null),
        };
        let states = ReadyStates::of(&looked.status, looked.now);
        let status = looked.status;
        Some(ReadyView {
            mx: None,
            egress_source: looked.source.to_string(),
            egress_pool: looked.pool.to_string(),
            protocol: queue.protocol().to_owned(),
            state: ReadyState {
                ready_count: status.ready,
                connection_count: status.opening + status.idle + status.busy,
                connection_rate_throttled: states.connection_rate_throttled,
                connection_limited: states.connection_limited,
                suspended: status.suspended.map(|order| order.reason.to_string()),
                watchdog_threshold: Some(looked.watchdog),
            },
            path_config,
            constraints,
            scheduled_queue_names: with_scheduled.then_some(looked.scheduled),
            dispatchers: self.board.of(&queue),
            now: looked.now,
            queue_name: queue,
        })
    }

    async fn shown_message(&self, message: &Message, due: Option<Timestamp>, want_body: bool) -> InspectedMessage {
        let data = if want_body { self.copy_of_body(message).await } else { None };
        let mut recipients: Vec<Value> =
            message.recipients().iter().map(|recipient| Value::String(recipient.to_string())).collect();
        let recipient = if recipients.len() == 1 { recipients.swap_remove(0) } else { Value::Array(recipients) };
        InspectedMessage {
            id: message.id(),
            message: MessageView {
                sender: message.sender().as_str().to_owned(),
                recipient,
                meta: Value::Object(message.all_meta()),
                data,
                due,
                num_attempts: Some(message.attempts()),
                scheduling: None,
            },
        }
    }

    /// A body for human eyes. One that is on disk stays there: looking at a queue must not fill the memory.
    async fn copy_of_body(&self, message: &Message) -> Option<String> {
        let data = match message.data() {
            Some(data) => data,
            None => match self.options.store.load(message.id(), waybill_spool::Part::Data).await {
                Ok(data) => data?,
                Err(error) => {
                    tracing::error!(message = %message.id(), "its body cannot be shown: {error}");
                    return None;
                }
            },
        };
        Some(String::from_utf8_lossy(&data).into_owned())
    }
}

impl Driver {
    fn due(&self, item: MessageId) -> Option<Timestamp> {
        match self.queues.state(&item)? {
            State::Scheduled { due, .. } => Some(due),
            State::Ready { .. } | State::InFlight { .. } => None,
        }
    }

    fn look_at_ready(&self, name: &ReadyQueueName, now: Timestamp) -> Option<LookedReady> {
        let status = self.queues.ready_status(name, now)?;
        let path = self.ways.get(name)?;
        Some(LookedReady {
            status,
            pool: path.pool.clone(),
            source: path.source.clone(),
            watchdog: path.watchdog,
            scheduled: self.ways.leading_to(name),
            now,
        })
    }
}
