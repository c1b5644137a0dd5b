//! The queues with a clock, a destination and an operator that only the test moves.

mod admin;
mod flow;
mod limits;
mod outcomes;
mod returns;
mod schedules;

use super::*;
use crate::config::QueueConfig;
use crate::ready::{BatchPolicy, PathLimits};
use crate::reason::Reason;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use waybill_types::{QueueName, ReadyQueueName, Response, Schedule, Timestamp};

const QUEUE: &str = "a.example";

struct Bench {
    queues: Queues<u32>,
    now: Timestamp,
}

impl Bench {
    /// Nobody has configured or routed anything.
    fn bare() -> Self {
        Bench { queues: Queues::new(1), now: Timestamp::from_secs(1_700_000_000) }
    }

    /// The queue has a configuration and one way out.
    fn new(config: serde_json::Value, limits: PathLimits, batch: BatchPolicy) -> Self {
        let mut bench = Bench::bare();
        bench.configure(config);
        bench.route(limits, batch);
        bench
    }

    fn plain() -> Self {
        Bench::new(json!({}), PathLimits::default(), BatchPolicy::single())
    }

    /// One connection.
    fn narrow(config: serde_json::Value) -> Self {
        Bench::new(config, PathLimits { connection_limit: 1, ..PathLimits::default() }, BatchPolicy::single())
    }

    fn configure(&mut self, config: serde_json::Value) -> Vec<Action<u32>> {
        let config: QueueConfig = serde_json::from_value(config).unwrap();
        self.step(Event::ConfigChanged { queue: queue(), config: Arc::new(config) })
    }

    fn route(&mut self, limits: PathLimits, batch: BatchPolicy) -> Vec<Action<u32>> {
        let choice = Choice { ready_queue: path(), limits, batch };
        self.step(Event::RouteResolved { queue: queue(), route: Ok(Arc::new(Route::single(choice))) })
    }

    fn unroutable(&mut self, code: u16) -> Vec<Action<u32>> {
        let response = Response::new(code, "KumoMTA internal: failed to resolve queue");
        let unroutable = Unroutable { response, reason: Reason::FailedToInsertIntoReadyQueue };
        self.step(Event::RouteResolved { queue: queue(), route: Err(unroutable) })
    }

    fn step(&mut self, event: Event<u32>) -> Vec<Action<u32>> {
        let mut actions = Vec::new();
        self.queues.step(self.now, event, &mut actions);
        actions.retain(|action| !matches!(action, Action::WakeAt(_)));
        actions
    }

    fn after(&mut self, seconds: u64) -> Vec<Action<u32>> {
        self.now = self.now + secs(seconds);
        self.step(Event::Tick)
    }

    fn arrive(&mut self, item: u32) -> Vec<Action<u32>> {
        self.arrive_in(item, QUEUE)
    }

    fn arrive_in(&mut self, item: u32, queue: &str) -> Vec<Action<u32>> {
        let arrival = Arrival::received(item, QueueName::new(queue), self.now);
        self.step(Event::Arrived(arrival))
    }

    /// A session that is connected and has been given the first of these messages.
    fn deliver(&mut self, items: std::ops::Range<u32>) -> SessionId {
        let mut session = None;
        for item in items {
            let actions = self.arrive(item);
            session = session.or_else(|| opened(&actions));
        }
        let session = session.expect("a session was opened");
        self.step(Event::SessionReady { session });
        session
    }

    fn finish(&mut self, session: SessionId, item: u32, outcome: Outcome) -> Vec<Action<u32>> {
        self.step(Event::Finished { session, outcomes: vec![(item, outcome)], fate: Fate::Keep })
    }

    fn transient(&mut self, session: SessionId, item: u32) -> Vec<Action<u32>> {
        self.finish(session, item, Outcome::Transient { retry_after: None })
    }

    fn due(&self, item: u32) -> Duration {
        match self.queues.state(&item) {
            Some(State::Scheduled { due, .. }) => due.since(self.now),
            other => panic!("{other:?}"),
        }
    }

    fn is_ready(&self, item: u32) -> bool {
        self.queues.state(&item) == Some(State::Ready { queue: path() })
    }

    fn order(&self) -> Order {
        Order { reason: "maintenance".into(), until: None }
    }
}

fn queue() -> QueueName {
    QueueName::new(QUEUE)
}

fn path() -> ReadyQueueName {
    ReadyQueueName::new("unspecified->a.example@test")
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn opened(actions: &[Action<u32>]) -> Option<SessionId> {
    actions.iter().find_map(|action| if let Action::Open { session, .. } = action { Some(*session) } else { None })
}

fn handed(actions: &[Action<u32>]) -> Vec<u32> {
    let hand = |action: &Action<u32>| if let Action::Hand { items, .. } = action { items.clone() } else { Vec::new() };
    actions.iter().flat_map(hand).collect()
}

/// Records, in a line each: the message, the attempts it shows, what happened and in which words.
fn logged(actions: &[Action<u32>]) -> Vec<String> {
    let line = |action: &Action<u32>| {
        let Action::Log { item, attempts, what, .. } = action else { return None };
        let (name, response) = match what {
            Logged::Delivery => ("Delivery", None),
            Logged::TransientFailure { response } => ("TransientFailure", response.as_deref().cloned()),
            Logged::Bounce { response } => ("Bounce", response.as_deref().cloned()),
            Logged::Expiration { response } => ("Expiration", Some(response.clone())),
            Logged::AdminBounce { silent: true, .. } => return None,
            Logged::AdminBounce { response, .. } => ("AdminBounce", Some(response.clone())),
            Logged::Forwarded => ("Forwarded", None),
            Logged::AdminRebind { response } => ("AdminRebind", Some(response.clone())),
            Logged::Delayed { response, .. } => ("Delayed", Some(response.clone())),
        };
        let text = response.map(|response| format!(" {response}")).unwrap_or_default();
        Some(format!("{item} #{attempts} {name}{text}"))
    };
    actions.iter().filter_map(line).collect()
}

/// The records without their words.
fn kinds(actions: &[Action<u32>]) -> Vec<String> {
    logged(actions).iter().map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" ")).collect()
}

fn removed(actions: &[Action<u32>]) -> Vec<u32> {
    let remove = |action: &Action<u32>| if let Action::Remove { item } = action { Some(*item) } else { None };
    actions.iter().filter_map(remove).collect()
}
