//! What is told of queues to whoever watches them: that one rests, is full or grows, that a limit holds mail back.
//!
//! It is read off the look that metrics take of the queues, twice a second at most: mail pays nothing for it, and while
//! nobody wants it nothing is looked at. So what begins and ends between two looks is not told, but for a ready queue that
//! was full: that is counted.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::hash::Hash;
use std::time::Duration;
use waybill_queue_core::queues::{QueueStatus, Queues};
use waybill_queue_core::ready::{PathLimits, ReadyStatus};
use waybill_queue_core::reason::Reason;
use waybill_types::{QueueName, ReadyQueueName, ThrottleSpec, Timestamp};

/// Something about a queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Happening {
    /// A ready queue had no room for mail that was due.
    Full {
        /// Which.
        queue: ReadyQueueName,
        /// Messages in it.
        size: usize,
    },
    /// A queue rests.
    Suspended {
        /// Which: a scheduled queue or a ready queue.
        queue: String,
        /// Messages in it.
        size: usize,
        /// Why.
        reason: String,
    },
    /// A queue works again.
    Resumed {
        /// Which.
        queue: String,
        /// Messages in it.
        size: usize,
    },
    /// A scheduled queue has grown beyond what the watcher finds usual.
    Backlog {
        /// Which.
        queue: QueueName,
        /// Messages in it, whatever their state.
        size: usize,
        /// The age of the one that came first.
        oldest: Duration,
        /// By how much.
        reason: String,
    },
    /// A limit holds mail back.
    Limited {
        /// The limit: the option's name, or the name that the policy gave to a shared one.
        name: String,
        /// So much passes.
        limit: Option<u64>,
        /// In this time; none for a limit of connections.
        period: Option<Duration>,
        /// The queue that waits.
        queue: String,
    },
}

/// From where on a scheduled queue has a backlog.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BacklogRule {
    /// Messages.
    pub size: usize,
    /// The age of the message that came first.
    pub age: Duration,
}

/// Somebody who wants to hear of queues.
///
/// # Contract
/// - `wants` costs next to nothing: it is asked at every look. While it is false nothing is looked at.
/// - What is so when it begins to want is told as if it had just begun.
/// - `tell` never waits: the driver of all mail calls it.
pub trait Watcher: Send + Sync + 'static {
    /// Whether anything is to be told.
    fn wants(&self) -> bool;

    /// What counts as a backlog.
    fn backlog(&self) -> BacklogRule;

    /// This happened since the last look.
    fn tell(&self, happened: Vec<Happening>);
}

/// What was so at the last look.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    suspended: BTreeSet<String>,
    backlogs: BTreeSet<QueueName>,
    /// Limits, with the queue that they hold back.
    limits: BTreeSet<(String, String)>,
}

/// One look.
pub(crate) struct Look<'a, K> {
    pub(crate) queues: &'a Queues<K>,
    pub(crate) rule: BacklogRule,
    pub(crate) now: Timestamp,
}

impl<K: Copy + Eq + Hash + Ord + Debug> Look<'_, K> {
    /// What is so now and was not at the look before. `full_before` tells how often a ready queue had been full then.
    pub(crate) fn since(&self, seen: &mut Seen, full_before: impl Fn(&ReadyQueueName) -> u64) -> Vec<Happening> {
        let (mut now, mut told) = (Seen::default(), Vec::new());
        for name in self.queues.names() {
            let Some(status) = self.queues.status(name, self.now) else { continue };
            self.scheduled(name, &status, seen, &mut now, &mut told);
        }
        let mut limits = None;
        for name in self.queues.ready_names() {
            let Some(status) = self.queues.ready_status(name, self.now) else { continue };
            if status.full > full_before(name) {
                told.push(Happening::Full { queue: name.clone(), size: status.ready });
            }
            if let Some(order) = &status.suspended {
                suspended(name.as_str(), status.ready, &order.reason, seen, &mut now, &mut told);
            }
            if status.throttled.is_some() || status.connection_limited {
                let limits = limits.get_or_insert_with(|| self.limits());
                for limited in limited(name, &status, limits.get(name)) {
                    limit(limited, seen, &mut now, &mut told);
                }
            }
        }
        for queue in seen.suspended.difference(&now.suspended) {
            told.push(Happening::Resumed { queue: queue.clone(), size: self.size(queue) });
        }
        *seen = now;
        told
    }

    fn scheduled(
        &self,
        name: &QueueName,
        status: &QueueStatus,
        seen: &Seen,
        now: &mut Seen,
        told: &mut Vec<Happening>,
    ) {
        let size = status.scheduled + status.ready + status.in_flight;
        if let Some(order) = &status.suspended {
            suspended(name.as_str(), size, &order.reason, seen, now, told);
        }
        if status.throttled_until.is_some()
            && let Some(spec) = &status.config.max_message_rate
        {
            limit(spent("max_message_rate".to_owned(), spec, name.as_str()), seen, now, told);
        }
        let oldest = self.oldest(name);
        let reason = if size >= self.rule.size {
            format!("{size} messages, and {} are a backlog", self.rule.size)
        } else if oldest.is_some_and(|age| age >= self.rule.age) {
            format!("its oldest message waits for longer than {}", waybill_types::format_duration(self.rule.age))
        } else {
            return;
        };
        now.backlogs.insert(name.clone());
        if !seen.backlogs.contains(name) {
            let oldest = oldest.unwrap_or_default();
            told.push(Happening::Backlog { queue: name.clone(), size, oldest, reason });
        }
    }

    /// The age of the message that came first.
    fn oldest(&self, name: &QueueName) -> Option<Duration> {
        let first = self.queues.members(name).next()?;
        Some(self.now.since(self.queues.details(&first)?.created))
    }

    /// What the ready queues go by, as the routes say that lead to them.
    fn limits(&self) -> HashMap<ReadyQueueName, PathLimits> {
        let routes = self.queues.names().filter_map(|name| self.queues.status(name, self.now)?.route);
        let mut limits = HashMap::new();
        for route in routes {
            for choice in route.choices() {
                limits.entry(choice.ready_queue.clone()).or_insert_with(|| choice.limits.clone());
            }
        }
        limits
    }

    fn size(&self, queue: &str) -> usize {
        let scheduled = self.queues.status(&QueueName::new(queue), self.now);
        let scheduled = scheduled.map(|status| status.scheduled + status.ready + status.in_flight);
        let ready = || self.queues.ready_status(&ReadyQueueName::new(queue), self.now).map(|status| status.ready);
        scheduled.or_else(ready).unwrap_or(0)
    }
}

fn suspended(queue: &str, size: usize, reason: &str, seen: &Seen, now: &mut Seen, told: &mut Vec<Happening>) {
    now.suspended.insert(queue.to_owned());
    if !seen.suspended.contains(queue) {
        told.push(Happening::Suspended { queue: queue.to_owned(), size, reason: reason.to_owned() });
    }
}

fn limit(limited: Happening, seen: &Seen, now: &mut Seen, told: &mut Vec<Happening>) {
    let Happening::Limited { name, queue, .. } = &limited else { return };
    let key = (name.clone(), queue.clone());
    let is_new = !seen.limits.contains(&key);
    now.limits.insert(key);
    if is_new {
        told.push(limited);
    }
}

fn spent(name: String, spec: &ThrottleSpec, queue: &str) -> Happening {
    Happening::Limited { name, limit: Some(spec.limit), period: Some(spec.period), queue: queue.to_owned() }
}

/// The limits that hold a ready queue back.
fn limited(name: &ReadyQueueName, status: &ReadyStatus, limits: Option<&PathLimits>) -> Vec<Happening> {
    let queue = || name.as_str().to_owned();
    let rate = status.throttled.as_ref().map(|throttled| {
        let of_connections = throttled.reason != Reason::MessageRateThrottle;
        let own = if of_connections { "max_connection_rate" } else { "max_message_rate" };
        let spec = limits.and_then(|limits| match (&throttled.name, of_connections) {
            (Some(shared), _) => limits.additional_message_rate_throttles.get(shared).copied(),
            (None, true) => limits.max_connection_rate,
            (None, false) => limits.max_message_rate,
        });
        let name = throttled.name.as_deref().unwrap_or(own).to_owned();
        let (limit, period) = (spec.map(|spec| spec.limit), spec.map(|spec| spec.period));
        Happening::Limited { name, limit, period, queue: queue() }
    });
    let connections = status.connection_limited.then(|| {
        let limit = limits.and_then(|limits| match &status.limited_by {
            Some(shared) => limits.additional_connection_limits.get(shared).copied(),
            None => Some(limits.connection_limit),
        });
        let name = status.limited_by.as_deref().unwrap_or("connection_limit").to_owned();
        Happening::Limited { name, limit: limit.map(u64::from), period: None, queue: queue() }
    });
    rate.into_iter().chain(connections).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use waybill_queue_core::config::QueueConfig;
    use waybill_queue_core::queues::{Action, Arrival, Choice, Event, Order, Route};
    use waybill_queue_core::ready::BatchPolicy;

    const RULE: BacklogRule = BacklogRule { size: 3, age: Duration::from_secs(60) };

    /// Queues with a clock that only the test moves.
    struct Bench {
        queues: Queues<u32>,
        now: Timestamp,
        seen: Seen,
        full: HashMap<ReadyQueueName, u64>,
    }

    impl Bench {
        fn new(config: serde_json::Value, limits: PathLimits) -> Self {
            let now = Timestamp::from_secs(1_700_000_000);
            let mut bench = Bench { queues: Queues::new(1), now, seen: Seen::default(), full: HashMap::new() };
            let config: QueueConfig = serde_json::from_value(config).unwrap();
            bench.step(Event::ConfigChanged { queue: queue(), config: Arc::new(config) });
            let choice = Choice { ready_queue: path(), limits, batch: BatchPolicy::single() };
            bench.step(Event::RouteResolved { queue: queue(), route: Ok(Arc::new(Route::single(choice))) });
            bench
        }

        fn step(&mut self, event: Event<u32>) {
            let mut actions: Vec<Action<u32>> = Vec::new();
            self.queues.step(self.now, event, &mut actions);
        }

        fn arrive(&mut self, items: std::ops::Range<u32>) {
            items.for_each(|item| self.step(Event::Arrived(Arrival::received(item, queue(), self.now))));
        }

        fn after(&mut self, seconds: u64) {
            self.now = self.now + Duration::from_secs(seconds);
            self.step(Event::Tick);
        }

        fn look(&mut self) -> Vec<Happening> {
            let look = Look { queues: &self.queues, rule: RULE, now: self.now };
            let full = self.full.clone();
            let told = look.since(&mut self.seen, |name| full.get(name).copied().unwrap_or(0));
            let now = self.queues.ready_names().map(|name| (name, self.queues.ready_status(name, self.now)));
            self.full = now.filter_map(|(name, status)| Some((name.clone(), status?.full))).collect();
            told
        }
    }

    fn queue() -> QueueName {
        QueueName::new("a.example")
    }

    fn path() -> ReadyQueueName {
        ReadyQueueName::new("unspecified->a.example@test")
    }

    #[test]
    fn a_queue_is_told_of_when_it_is_suspended_and_when_it_works_again() {
        let mut bench = Bench::new(serde_json::json!({}), PathLimits::default());
        bench.arrive(0..1);
        assert_eq!(bench.look(), []);
        let order = Order { reason: "maintenance".into(), until: None };
        bench.step(Event::Suspended { queue: queue(), order: order.clone() });
        bench.step(Event::ReadySuspended { queue: path(), order });
        let (name, ready) = ("a.example".to_owned(), path().as_str().to_owned());
        let reason = || "maintenance".to_owned();
        let told = bench.look();
        assert!(told.contains(&Happening::Suspended { queue: name.clone(), size: 1, reason: reason() }), "{told:?}");
        assert!(
            told.iter().any(|one| matches!(one, Happening::Suspended { queue, .. } if *queue == ready)),
            "{told:?}"
        );
        assert_eq!(bench.look(), [], "it is told once");
        bench.step(Event::Resumed { queue: queue() });
        assert_eq!(bench.look(), [Happening::Resumed { queue: name, size: 1 }]);
    }

    #[test]
    fn a_backlog_is_told_when_it_begins_by_size_or_by_age() {
        let mut bench = Bench::new(serde_json::json!({}), PathLimits { connection_limit: 1, ..PathLimits::default() });
        bench.arrive(0..2);
        let backlogs = |told: Vec<Happening>| {
            let of = |one: Happening| match one {
                Happening::Backlog { size, oldest, reason, .. } => Some((size, oldest.as_secs(), reason)),
                _ => None,
            };
            told.into_iter().filter_map(of).collect::<Vec<_>>()
        };
        assert_eq!(backlogs(bench.look()), []);
        bench.arrive(2..3);
        assert_eq!(backlogs(bench.look()), [(3, 0, "3 messages, and 3 are a backlog".to_owned())]);
        assert_eq!(backlogs(bench.look()), [], "it is told once");
        let mut bench = Bench::new(serde_json::json!({}), PathLimits { connection_limit: 1, ..PathLimits::default() });
        bench.arrive(0..1);
        bench.after(59);
        assert_eq!(backlogs(bench.look()), []);
        bench.after(1);
        assert_eq!(backlogs(bench.look()), [(1, 60, "its oldest message waits for longer than 1m".to_owned())]);
    }

    #[test]
    fn a_ready_queue_without_room_is_told_of_each_time_that_it_was_full() {
        let limits = PathLimits { max_ready: 1, connection_limit: 1, ..PathLimits::default() };
        let mut bench = Bench::new(serde_json::json!({}), limits);
        let full = |told: &[Happening]| told.iter().any(|one| matches!(one, Happening::Full { size: 1, .. }));
        bench.arrive(0..1);
        assert!(!full(&bench.look()));
        bench.arrive(1..2);
        assert!(full(&bench.look()));
        assert!(!full(&bench.look()), "nothing came since");
        bench.arrive(2..3);
        assert!(full(&bench.look()));
    }

    #[test]
    fn limits_that_hold_mail_back_are_told_with_what_they_let_pass() {
        let mut bench = Bench::new(serde_json::json!({ "max_message_rate": "1/h" }), PathLimits::default());
        bench.arrive(0..2);
        let hour = Some(Duration::from_secs(3600));
        let name = |name: &str| name.to_owned();
        let of_queue = Happening::Limited {
            name: name("max_message_rate"),
            limit: Some(1),
            period: hour,
            queue: name("a.example"),
        };
        assert_eq!(bench.look(), [of_queue]);
        assert_eq!(bench.look(), []);
        let mut bench = Bench::new(serde_json::json!({}), PathLimits { connection_limit: 1, ..PathLimits::default() });
        bench.arrive(0..2);
        let connections = Happening::Limited {
            name: name("connection_limit"),
            limit: Some(1),
            period: None,
            queue: path().as_str().to_owned(),
        };
        assert_eq!(bench.look(), [connections]);
    }
}
