//! Sources that are left alone for a while because connections from them cannot even begin.

use super::Order;
use crate::config::{SourceSuspension, SuspensionTrigger};
use std::collections::HashMap;
use std::sync::Arc;
use waybill_types::{ReadyQueueName, Timestamp};

/// What keeps connections of a source from beginning.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SourceTrouble {
    /// Its address is not one of this machine (`suspend_when_unplumbed`).
    Unplumbed,
    /// Its proxy cannot be reached, or does not do its part (`suspend_when_proxy_unhealthy`).
    Proxy,
}

/// Troubles that were counted, and who is left alone.
#[derive(Debug, Default)]
pub(super) struct Sources {
    counted: HashMap<(Arc<str>, SourceTrouble), Count>,
    suspended: HashMap<Arc<str>, Order>,
}

/// Troubles of one kind since the first.
#[derive(Debug)]
struct Count {
    until: Timestamp,
    troubles: u64,
}

impl Sources {
    /// A connection of a source could not begin. Gives the order where the source is left alone from now on.
    pub(super) fn troubled(
        &mut self,
        now: Timestamp,
        source: &Arc<str>,
        trouble: SourceTrouble,
        rule: &SourceSuspension,
        why: &str,
    ) -> Option<Order> {
        self.suspended.retain(|_, order| order.holds(now));
        self.counted.retain(|_, count| now < count.until);
        // Those that were on their way when it began tell nothing new.
        if self.suspended.contains_key(source) {
            return None;
        }
        if let SuspensionTrigger::Threshold(spec) = &rule.trigger {
            let first = || Count { until: now + spec.period, troubles: 0 };
            let count = self.counted.entry((source.clone(), trouble)).or_insert_with(first);
            count.troubles += 1;
            if count.troubles < spec.limit {
                return None;
            }
        }
        self.counted.remove(&(source.clone(), trouble));
        let order = Order { reason: why.into(), until: Some(now + rule.duration) };
        self.suspended.insert(source.clone(), order.clone());
        Some(order)
    }

    /// The order that a ready queue is under because its source is.
    pub(super) fn order_of(&self, queue: &ReadyQueueName, now: Timestamp) -> Option<&Order> {
        if self.suspended.is_empty() {
            return None;
        }
        let of = |(source, order): (&Arc<str>, _)| is_of(queue, source).then_some(order);
        self.suspended.iter().filter_map(of).find(|order: &&Order| order.holds(now))
    }
}

/// Whether a ready queue is one of this source.
pub(super) fn is_of(queue: &ReadyQueueName, source: &str) -> bool {
    queue.as_str().strip_prefix(source).is_some_and(|rest| rest.starts_with("->"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + seconds)
    }

    fn rule(spec: &str) -> SourceSuspension {
        let trigger = SuspensionTrigger::Threshold(spec.parse().unwrap());
        SourceSuspension { trigger, duration: Duration::from_secs(600) }
    }

    #[test]
    fn a_source_is_left_alone_at_once_or_after_so_many_troubles_in_a_period() {
        let (mut sources, source): (_, Arc<str>) = (Sources::default(), "s".into());
        let unplumbed = SourceTrouble::Unplumbed;
        let at_once = SourceSuspension::immediate(Duration::from_secs(60));
        let order = sources.troubled(at(0), &source, unplumbed, &at_once, "why").unwrap();
        assert_eq!((order.until, &*order.reason), (Some(at(60)), "why"));
        assert_eq!(sources.troubled(at(1), &source, unplumbed, &at_once, "why"), None, "it is left alone already");
        let mut seen = |second, trouble| sources.troubled(at(second), &source, trouble, &rule("3/m"), "x").is_some();
        assert!(
            !seen(100, unplumbed) && !seen(101, unplumbed) && !seen(102, SourceTrouble::Proxy),
            "each kind for itself"
        );
        assert!(!seen(160, unplumbed), "a minute is over: this is the first again");
        assert!(!seen(161, unplumbed));
        assert!(seen(162, unplumbed));
        assert!(!seen(163, unplumbed));
    }

    #[test]
    fn all_ready_queues_of_a_source_are_under_its_order_and_no_others() {
        let mut sources = Sources::default();
        sources.troubled(
            at(0),
            &"s".into(),
            SourceTrouble::Proxy,
            &SourceSuspension::immediate(Duration::from_secs(60)),
            "",
        );
        for (name, second, held) in [
            ("s->a.example@smtp_client", 59, true),
            ("s->b.example@smtp_client", 59, true),
            ("s->a.example@smtp_client", 60, false),
            ("s2->a.example@smtp_client", 59, false),
            ("t->s->a@smtp_client", 59, false),
        ] {
            assert_eq!(sources.order_of(&ReadyQueueName::new(name), at(second)).is_some(), held, "{name}");
        }
    }
}
