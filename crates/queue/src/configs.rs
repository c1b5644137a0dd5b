use crate::manager::Shared;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use waybill_policy::{Epoch, PolicyError, Returned, Value};
use waybill_queue_core::config::{ProtocolSection, QueueConfig, RefreshStrategy};
use waybill_types::{NodeUrl, QueueName, Timestamp};

/// A configuration that goes with news of a queue: the core has to know it before the news.
pub(crate) type Announced = Arc<QueueConfig>;

/// An answer that policy could not give anew is good for this long.
const BROKEN_FOR: Duration = Duration::from_secs(60);

/// What `get_queue_config` said of each queue.
///
/// What is known is used, fresh or not: the driver has stale answers asked for again, so that reception waits for
/// policy only where a queue is new.
#[derive(Default)]
pub(crate) struct Configs {
    known: Mutex<HashMap<QueueName, Known>>,
}

struct Known {
    config: Announced,
    freshness: Freshness,
    /// Of what the queue's way out depends on beside its own configuration.
    way: Option<Freshness>,
}

/// When an answer of policy has to be asked for again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Freshness {
    until: Timestamp,
    epoch: Option<Epoch>,
}

impl Freshness {
    /// Of an answer that says for itself how it gets stale.
    pub(crate) fn of(strategy: RefreshStrategy, interval: Duration, now: Timestamp, epoch: Epoch) -> Self {
        match strategy {
            RefreshStrategy::Ttl => Freshness { until: now + interval, epoch: None },
            RefreshStrategy::Epoch => Freshness { until: Timestamp::MAX, epoch: Some(epoch) },
        }
    }

    /// Of two answers together: stale as soon as one of them is.
    pub(crate) fn and(self, other: Freshness) -> Self {
        let epoch = [self.epoch, other.epoch].into_iter().flatten().min();
        Freshness { until: self.until.min(other.until), epoch }
    }

    fn is_stale(self, now: Timestamp, epoch: Epoch) -> bool {
        self.until <= now || self.epoch.is_some_and(|seen| seen != epoch)
    }
}

impl Configs {
    /// What is known of a queue.
    pub(crate) fn get(&self, queue: &QueueName) -> Option<Announced> {
        self.known.lock().get(queue).map(|known| known.config.clone())
    }

    /// Queues of which policy has to be asked again.
    pub(crate) fn stale(&self, now: Timestamp, epoch: Epoch) -> Vec<QueueName> {
        let is_stale = |known: &Known| {
            [Some(known.freshness), known.way].into_iter().flatten().any(|answer| answer.is_stale(now, epoch))
        };
        self.known.lock().iter().filter(|(_, known)| is_stale(known)).map(|(queue, _)| queue.clone()).collect()
    }

    pub(crate) fn forget(&self, queue: &QueueName) {
        self.known.lock().remove(queue);
    }

    /// The way out of a queue was found, or looked for in vain, with answers this fresh.
    pub(crate) fn learn_way(&self, queue: &QueueName, way: Freshness) {
        if let Some(known) = self.known.lock().get_mut(queue) {
            known.way = Some(way);
        }
    }

    /// Remembers an answer; gives what is known from now on, which is the old one where nothing has changed.
    fn learn(&self, queue: &QueueName, config: QueueConfig, freshness: Freshness) -> Announced {
        let mut all = self.known.lock();
        match all.get_mut(queue) {
            Some(known) => {
                known.freshness = freshness;
                if *known.config != config {
                    known.config = Arc::new(config);
                }
                known.config.clone()
            }
            None => {
                let config = Arc::new(config);
                all.insert(queue.clone(), Known { config: config.clone(), freshness, way: None });
                config
            }
        }
    }

    /// Policy could not say: what worked goes on working.
    fn keep(&self, queue: &QueueName, freshness: Freshness) -> Option<Announced> {
        self.known.lock().get_mut(queue).map(|known| {
            known.freshness = freshness;
            known.config.clone()
        })
    }
}

impl Shared {
    /// The configuration of a queue.
    ///
    /// # Errors
    /// When policy fails and nothing is known from before.
    pub(crate) async fn queue_config(&self, queue: &QueueName) -> Result<Announced, PolicyError> {
        match self.configs.get(queue) {
            Some(config) => Ok(config),
            None => self.ask_queue_config(queue).await,
        }
    }

    /// The configuration of a queue as policy gives it now, or the one from before.
    ///
    /// # Errors
    /// When policy fails and nothing is known from before.
    pub(crate) async fn ask_queue_config(&self, queue: &QueueName) -> Result<Announced, PolicyError> {
        const EVENT: &str = "get_queue_config";
        let (now, epoch) = (self.options.clock.now(), self.options.policy.epoch());
        let parts = queue.parts();
        let args = vec![
            Value::from(parts.domain),
            Value::from(parts.tenant),
            Value::from(parts.campaign),
            Value::from(parts.routing_domain),
        ];
        let answer = self.options.policy.call(EVENT, args).await;
        match answer.and_then(|returned| self.read(EVENT, &returned, Returned::config::<QueueConfig>)) {
            Ok(config) => {
                let config = with_own_protocol(queue, config);
                let freshness = Freshness::of(config.refresh_strategy, config.refresh_interval, now, epoch);
                Ok(self.configs.learn(queue, config, freshness))
            }
            Err(error) => {
                tracing::error!(%queue, "get_queue_config failed: {error}");
                let again = Freshness::of(RefreshStrategy::Ttl, BROKEN_FOR, now, epoch);
                self.configs.keep(queue, again).ok_or(error)
            }
        }
    }

    /// How long an answer that failed is kept from being asked for again.
    pub(crate) fn broken(&self) -> Freshness {
        let (now, epoch) = (self.options.clock.now(), self.options.policy.epoch());
        Freshness::of(RefreshStrategy::Ttl, BROKEN_FOR, now, epoch)
    }
}

/// A queue of the daemon itself leaves by a protocol of its own, whatever policy says of the rest.
fn with_own_protocol(queue: &QueueName, config: QueueConfig) -> QueueConfig {
    match queue.parts().domain {
        QueueName::GENERATOR => {
            QueueConfig { protocol: Some(ProtocolSection::internal("http_injection_generator")), ..config }
        }
        QueueName::DEFERRED_SMTP_INJECT => {
            QueueConfig { protocol: Some(ProtocolSection::internal("deferred_smtp_injection")), ..config }
        }
        _ => match NodeUrl::of_queue(queue) {
            Some(node) => QueueConfig { protocol: Some(ProtocolSection::xfer(node.as_str())), ..config },
            None => config,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
    const MINUTE: Duration = Duration::from_secs(60);

    fn freshness(strategy: RefreshStrategy) -> Freshness {
        Freshness::of(strategy, MINUTE, NOW, Epoch(1))
    }

    #[test]
    fn an_answer_gets_stale_by_time_or_by_epoch_as_it_says() {
        let ttl = freshness(RefreshStrategy::Ttl);
        assert!(!ttl.is_stale(NOW, Epoch(2)) && ttl.is_stale(NOW + MINUTE, Epoch(1)));
        let epoch = freshness(RefreshStrategy::Epoch);
        assert!(!epoch.is_stale(NOW + 1000 * MINUTE, Epoch(1)) && epoch.is_stale(NOW, Epoch(2)));
    }

    #[test]
    fn the_queue_of_deferred_injections_has_a_protocol_of_its_own_and_the_rest_from_policy() {
        let by_policy = QueueConfig { retry_interval: MINUTE, ..QueueConfig::default() };
        let own = with_own_protocol(&QueueName::new("t@generator.kumomta.internal"), by_policy.clone());
        assert_eq!((own.protocol_name(), own.retry_interval), ("http_injection_generator", MINUTE));
        let own = with_own_protocol(&QueueName::new(QueueName::DEFERRED_SMTP_INJECT), by_policy.clone());
        assert_eq!((own.protocol_name(), own.retry_interval), ("deferred_smtp_injection", MINUTE));
        let node = NodeUrl::parse("http://n2:8000").unwrap();
        let own = with_own_protocol(&node.queue(), by_policy.clone());
        assert_eq!((own.protocol, own.retry_interval), (Some(ProtocolSection::xfer("http://n2:8000")), MINUTE));
        assert_eq!(with_own_protocol(&QueueName::new("a.example"), by_policy.clone()), by_policy);
    }

    #[test]
    fn answers_together_are_stale_with_the_first() {
        let both = freshness(RefreshStrategy::Ttl).and(freshness(RefreshStrategy::Epoch));
        assert!(!both.is_stale(NOW, Epoch(1)));
        assert!(both.is_stale(NOW, Epoch(2)) && both.is_stale(NOW + MINUTE, Epoch(1)));
    }

    #[test]
    fn an_equal_answer_is_the_one_from_before() {
        let configs = Configs::default();
        let queue = QueueName::new("a.example");
        let first = configs.learn(&queue, QueueConfig::default(), freshness(RefreshStrategy::Ttl));
        let second = configs.learn(&queue, QueueConfig::default(), freshness(RefreshStrategy::Ttl));
        assert!(Arc::ptr_eq(&first, &second));
        let other = QueueConfig { retry_interval: MINUTE, ..QueueConfig::default() };
        assert_eq!(configs.learn(&queue, other, freshness(RefreshStrategy::Ttl)).retry_interval, MINUTE);
    }

    #[test]
    fn a_queue_is_stale_with_its_way_out() {
        let configs = Configs::default();
        let queue = QueueName::new("a.example");
        configs.learn(&queue, QueueConfig::default(), freshness(RefreshStrategy::Epoch));
        assert!(configs.stale(NOW + MINUTE, Epoch(1)).is_empty());
        configs.learn_way(&queue, freshness(RefreshStrategy::Ttl));
        assert_eq!(configs.stale(NOW + MINUTE, Epoch(1)), [queue]);
    }
}
