//! What is told to event hooks of queues and limits (sources `queue`, `throttle`), and of logs and egress webhooks (`crud`,
//! `endpoint`).
//!
//! Whoever notices something never waits: it goes through a channel to a task that writes it down. Nothing is made while no
//! hook waits for it.

use super::event_hooks::Happenings;
use super::plan::EventHooksSection;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use waybill_event_hooks::{Changed, EndpointTold, Signals, Told};
use waybill_lua::Engine;
use waybill_queue::{BacklogRule, Happening, QueueManager, Watcher};
use waybill_runtime::{Clock, Stop, Supervisor};
use waybill_spool::{Batch, Durability, Store};
use waybill_streams::{Change, EndpointNews, News};
use waybill_streams_core::{Turn, Turned};
use waybill_types::{QueueName, Timestamp, format_duration};
use waybill_webhook_core::Target;

/// Events on their way into the stream; what does not fit is dropped and counted.
const ROOM: usize = 1024;
/// Events of one batch.
const TOGETHER: usize = 64;
/// A limit that is exceeded, or a queue that is full, is told of no more often than this: it may be so a thousand times a
/// second.
const AGAIN: Duration = Duration::from_secs(60);
/// So many of them are remembered.
const MANY: usize = 10_000;

/// Tells of queues, limits, logs and egress webhooks.
pub(crate) struct Telling {
    signals: Signals,
    rule: BacklogRule,
    clock: Arc<dyn Clock>,
    lately: Mutex<HashMap<(&'static str, String, String), Timestamp>>,
    way: mpsc::Sender<Told>,
}

impl Telling {
    /// What it is told goes into the stream until the daemon stops.
    pub(crate) fn start(
        happenings: &Happenings,
        clock: Arc<dyn Clock>,
        section: &EventHooksSection,
        store: Arc<dyn Store>,
        (supervisor, stop): (&Supervisor, Stop),
    ) -> Arc<Self> {
        let (way, told) = mpsc::channel(ROOM);
        let signals = happenings.signals.clone();
        supervisor.spawn("events about queues and limits", write(told, signals.clone(), store, stop));
        let rule = BacklogRule { size: section.backlog_size, age: section.backlog_age };
        Arc::new(Telling { signals, rule, clock, lately: Mutex::default(), way })
    }

    /// Has the queues and the policy's throttles tell what happens to them.
    pub(crate) fn listen(self: &Arc<Self>, manager: &QueueManager, engine: &Engine) {
        manager.tell(self.clone());
        let telling = self.clone();
        engine.on_throttled(move |name, spec| {
            if telling.signals.are_wanted("throttle") {
                telling.exceeded(name, Some(spec.limit), Some(spec.period), None);
            }
        });
    }
}

/// Writes events down, those of a moment together, until the daemon stops.
async fn write(mut told: mpsc::Receiver<Told>, signals: Signals, store: Arc<dyn Store>, mut stop: Stop) {
    let mut events = Vec::new();
    loop {
        tokio::select! {
            biased;
            count = told.recv_many(&mut events, TOGETHER) => if count == 0 { return },
            () = stop.requested() => return,
        }
        let mut batch = Batch::new();
        events.drain(..).for_each(|event| signals.add(&mut batch, event));
        if !batch.is_empty()
            && let Err(error) = store.commit(batch, Durability::Written).await
        {
            tracing::error!("events about queues and limits were not written down: {error}");
        }
    }
}

impl Watcher for Telling {
    fn wants(&self) -> bool {
        let wants = self.signals.are_wanted("queue") || self.signals.are_wanted("throttle");
        if !wants {
            // Whoever wants it next has heard nothing yet.
            self.lately.lock().clear();
        }
        wants
    }

    fn backlog(&self) -> BacklogRule {
        self.rule
    }

    fn tell(&self, happened: Vec<Happening>) {
        for happening in happened {
            match happening {
                Happening::Full { queue, size } => {
                    if self.is_news("ready-queue-full", "", queue.as_str()) {
                        self.queue("ready-queue-full", queue.as_str(), size, None, "there is no room in it");
                    }
                }
                Happening::Suspended { queue, size, reason } => {
                    self.queue("suspended", &queue, size, None, &reason);
                }
                Happening::Resumed { queue, size } => self.queue("resumed", &queue, size, None, ""),
                Happening::Backlog { queue, size, oldest, reason } => {
                    if self.is_news("backlog", "", queue.as_str()) {
                        self.queue("backlog", queue.as_str(), size, Some(oldest), &reason);
                    }
                }
                Happening::Limited { name, limit, period, queue } => {
                    self.exceeded(&name, limit, period, Some(queue.as_str()));
                }
            }
        }
    }
}

impl Telling {
    fn queue(&self, event: &str, queue: &str, size: usize, oldest: Option<Duration>, reason: &str) {
        let data = json!({
            "queue": queue,
            "size": size,
            "oldest_age": oldest.map(|age| age.as_secs()),
            "reason": (!reason.is_empty()).then_some(reason),
        });
        self.send("queue", event, Some(queue), data);
    }

    fn exceeded(&self, name: &str, limit: Option<u64>, period: Option<Duration>, queue: Option<&str>) {
        if !self.is_news("limit-exceeded", name, queue.unwrap_or_default()) {
            return;
        }
        let period = period.map(format_duration);
        let data = json!({ "name": name, "limit": limit, "period": period, "peer": null, "queue": queue });
        self.send("throttle", "limit-exceeded", queue, data);
    }

    /// Whether it was not told lately.
    fn is_news(&self, event: &'static str, name: &str, queue: &str) -> bool {
        let now = self.clock.now();
        let mut lately = self.lately.lock();
        if lately.len() >= MANY {
            lately.retain(|_, at| now.since(*at) < AGAIN);
        }
        let key = (event, name.to_owned(), queue.to_owned());
        if lately.get(&key).is_some_and(|at| now.since(*at) < AGAIN) {
            return false;
        }
        // With more than that in a minute, some are told twice.
        if lately.len() < MANY {
            lately.insert(key, now);
        }
        true
    }

    fn send(&self, source: &str, event: &str, queue: Option<&str>, data: Value) {
        let data = match data {
            Value::Object(data) => data,
            _ => Map::new(),
        };
        // A ready queue serves everybody.
        let tenant = queue.filter(|queue| !queue.contains("->")).and_then(tenant_of);
        self.pass(Told { source: source.to_owned(), event: event.to_owned(), tenant, about: Vec::new(), data });
    }

    fn pass(&self, told: Told) {
        if self.way.try_send(told).is_err() {
            self.signals.lost();
        }
    }
}

impl News for Telling {
    fn changed(&self, change: Change, batch: &mut Batch) {
        let Change { schema, operation, entity, old, tenant, id } = change;
        self.signals.changed(batch, Changed { schema, operation, entity, old, tenant, id });
    }

    fn turned(&self, news: EndpointNews) {
        if !self.signals.are_wanted("endpoint") {
            return;
        }
        let EndpointNews { id, tenant, destination, turned: Turned { turn, attempts, since }, last_response } = news;
        let event = match turn {
            Turn::Failing => "failing",
            Turn::Disabled => "disabled",
            Turn::Recovered => "recovered",
        };
        let (target, last_response) = (Target::parse(&destination).ok(), Some(last_response.as_str()));
        let (target, tenant) = (target.as_ref(), tenant.as_deref());
        self.pass(EndpointTold { event, endpoint: &id, target, tenant, since, attempts, last_response }.into());
    }
}

fn tenant_of(queue: &str) -> Option<String> {
    QueueName::new(queue).parts().tenant.map(str::to_owned)
}
