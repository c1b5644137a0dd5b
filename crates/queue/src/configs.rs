use crate::manager::Shared;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use waybill_policy::{PolicyError, Returned, Value};
use waybill_queue_core::config::QueueConfig;
use waybill_types::{QueueName, Timestamp};

/// What `get_queue_config` said of each queue, remembered for the queue's `refresh_interval`.
#[derive(Default)]
pub(crate) struct Configs {
    known: Mutex<HashMap<QueueName, Known>>,
}

#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) config: Arc<QueueConfig>,
    refresh_at: Timestamp,
}

impl Configs {
    /// What is known and still fresh.
    pub(crate) fn fresh(&self, queue: &QueueName, now: Timestamp) -> Option<Arc<QueueConfig>> {
        let known = self.known.lock();
        known.get(queue).filter(|known| known.refresh_at > now).map(|known| known.config.clone())
    }

    /// What is known, fresh or not.
    pub(crate) fn last(&self, queue: &QueueName) -> Option<Arc<QueueConfig>> {
        self.known.lock().get(queue).map(|known| known.config.clone())
    }

    /// Queues whose settings have to be asked for again.
    pub(crate) fn stale(&self, now: Timestamp) -> Vec<QueueName> {
        let known = self.known.lock();
        known.iter().filter(|(_, known)| known.refresh_at <= now).map(|(queue, _)| queue.clone()).collect()
    }

    pub(crate) fn forget(&self, queue: &QueueName) {
        self.known.lock().remove(queue);
    }

    fn learn(&self, queue: &QueueName, config: Arc<QueueConfig>, now: Timestamp) {
        let refresh_at = now + config.refresh_interval;
        self.known.lock().insert(queue.clone(), Known { config, refresh_at });
    }
}

impl Shared {
    /// Settings of a queue and whether they are new to us.
    ///
    /// # Errors
    /// When policy fails and nothing is known from before.
    pub(crate) async fn queue_config(&self, queue: &QueueName) -> Result<(Arc<QueueConfig>, bool), PolicyError> {
        let now = self.options.clock.now();
        if let Some(config) = self.configs.fresh(queue, now) {
            return Ok((config, false));
        }
        let parts = queue.parts();
        let args = vec![
            Value::from(parts.domain),
            Value::from(parts.tenant),
            Value::from(parts.campaign),
            Value::from(parts.routing_domain),
        ];
        let answer = self.options.policy.call("get_queue_config", args).await;
        match answer.and_then(|returned| read_config(&returned)) {
            Ok(config) => {
                let config: Arc<QueueConfig> = Arc::new(config);
                let changed = self.configs.last(queue).is_none_or(|last| last != config);
                self.configs.learn(queue, config.clone(), now);
                Ok((config, changed))
            }
            Err(error) => {
                tracing::error!(%queue, "get_queue_config failed: {error}");
                // What worked goes on working while the policy is broken.
                match self.configs.last(queue) {
                    Some(config) => {
                        self.configs.learn(queue, config.clone(), now);
                        Ok((config, false))
                    }
                    None => Err(error),
                }
            }
        }
    }
}

/// A configuration that policy returned; nothing or nil is the default.
pub(crate) fn read_config<T: serde::de::DeserializeOwned + Default>(returned: &Returned) -> Result<T, PolicyError> {
    match returned.first() {
        Value::Nil => Ok(T::default()),
        Value::Json(json) => serde_json::from_value(json.clone()).map_err(PolicyError::unusable),
        other => Err(PolicyError::unusable(format_args!("expected a configuration, got {other:?}"))),
    }
}
