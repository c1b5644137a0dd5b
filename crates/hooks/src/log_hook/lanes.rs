use super::LogHook;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use waybill_consumers::Report;
use waybill_delivery::{Route, RouteQuery};
use waybill_journal_core::LaneConfig;
use waybill_policy::{PolicyError, Returned, Value};
use waybill_queue_core::config::{EgressPathConfig, QueueConfig};
use waybill_queue_core::ready::{PathLimits, ReadyEvent};
use waybill_queue_core::retry::RetryPolicy;
use waybill_types::{LimitSpec, QueueName, ReadyQueueName, Timestamp};

/// Hook queues are for a few connections to one endpoint, not for the whole internet (ARCHITECTURE section 7).
const HOOK_CONNECTIONS: u32 = 10;
/// Room in memory for the events of a lane.
const HOOK_MAX_READY: usize = 10_000;
/// How long a lane whose settings cannot be found waits before it is tried again.
const BROKEN_FOR: Duration = Duration::from_secs(60);
/// The protocol that sends views; everything else needs a message in the spool.
const CUSTOM_LUA: &str = "custom_lua";

/// What is known of the lanes of a hook.
#[derive(Default)]
pub(crate) struct Lanes {
    by_queue: HashMap<QueueName, Arc<LaneRoute>>,
    window: usize,
}

/// A lane's settings and where it goes.
pub(crate) struct LaneRoute {
    pub(crate) config: LaneConfig,
    pub(crate) way: Way,
    refresh_at: Timestamp,
}

impl LaneRoute {
    /// Whether it need not be asked for again yet.
    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        self.refresh_at > now
    }
}

#[derive(Clone)]
pub(crate) enum Way {
    /// Over this route; its ready queue is configured.
    Session(ReadyQueueName),
    /// The queue's protocol needs a message in the spool.
    Spool,
    /// Nobody gave the queue a protocol: it would be mail.
    Mail,
    /// The settings could not be found.
    Broken,
}

impl LogHook {
    /// Settings and way of a lane: remembered for the queue's `refresh_interval`.
    pub(crate) async fn lane_route(&self, queue: &QueueName) -> Arc<LaneRoute> {
        let now = self.context.clock.now();
        let known = self.lanes.lock().by_queue.get(queue).cloned();
        if let Some(known) = known.as_ref().filter(|known| known.is_fresh(now)) {
            return known.clone();
        }
        let found = match self.resolve(queue, now).await {
            Ok(route) => Arc::new(route),
            Err(error) => {
                tracing::error!(hook = self.name(), %queue, "the queue cannot be used: {error}");
                match known {
                    // What worked goes on working while the policy is broken.
                    Some(known) if !matches!(known.way, Way::Broken) => {
                        let again =
                            LaneRoute { refresh_at: now + BROKEN_FOR, config: known.config, way: known.way.clone() };
                        Arc::new(again)
                    }
                    _ => Arc::new(LaneRoute {
                        config: LaneConfig { retry: hook_retry(&QueueConfig::default()), capacity: HOOK_MAX_READY },
                        way: Way::Broken,
                        refresh_at: now + BROKEN_FOR,
                    }),
                }
            }
        };
        self.lanes.lock().by_queue.insert(queue.clone(), found.clone());
        self.reports.send(Report::Configured(queue.clone(), found.config));
        found
    }

    /// What is known of a lane without asking policy.
    pub(crate) fn known_route(&self, queue: &QueueName) -> Option<Arc<LaneRoute>> {
        self.lanes.lock().by_queue.get(queue).cloned()
    }

    /// The ready queue is gone: whoever needs it next makes it again.
    pub(crate) fn forget_route(&self, queue: &ReadyQueueName) {
        let goes_there = |route: &LaneRoute| matches!(&route.way, Way::Session(name) if name == queue);
        self.lanes.lock().by_queue.retain(|_, route| !goes_there(route));
    }

    async fn resolve(&self, queue: &QueueName, now: Timestamp) -> Result<LaneRoute, PolicyError> {
        let parts = queue.parts();
        let args = vec![
            Value::from(parts.domain),
            Value::from(parts.tenant),
            Value::from(parts.campaign),
            Value::from(parts.routing_domain),
        ];
        let config: QueueConfig = read(&self.context.policy.call("get_queue_config", args).await?)?;
        let refresh_at = now + config.refresh_interval;
        let mut lane = LaneConfig { retry: config.retry(), capacity: HOOK_MAX_READY };
        let Some(section) = &config.protocol else {
            return Ok(LaneRoute { config: lane, way: Way::Mail, refresh_at });
        };
        if section.name() != CUSTOM_LUA {
            let way = if section.name() == "smtp" { Way::Mail } else { Way::Spool };
            return Ok(LaneRoute { config: lane, way, refresh_at });
        }
        let protocol = self
            .context
            .protocols
            .get(section.name())
            .ok_or_else(|| PolicyError::unusable(format_args!("no protocol {} in this daemon", section.name())))?;
        let query = RouteQuery { queue, source: "unspecified", section: section.value() };
        let route = protocol.route(&query).map_err(PolicyError::unusable)?;
        let site = parts.routing_domain.unwrap_or(parts.domain);
        let limits = self.path_limits(site, "unspecified", site).await?;
        lane.capacity = limits.max_ready.max(1);
        let window = limits.connection_limit as usize * route.batch().batch_size();
        let name = self.configure(route, limits);
        let mut lanes = self.lanes.lock();
        if window > lanes.window {
            lanes.window = window;
            self.reports.send(Report::Window(window));
        }
        Ok(LaneRoute { config: lane, way: Way::Session(name), refresh_at })
    }

    /// Limits of a path: what policy sets counts, for the rest hooks have defaults of their own.
    async fn path_limits(&self, domain: &str, source: &str, site: &str) -> Result<PathLimits, PolicyError> {
        let mut returned = Returned::default();
        if self.context.policy.handles("get_egress_path_config") {
            let args = vec![Value::from(domain), Value::from(source), Value::from(site)];
            returned = self.context.policy.call("get_egress_path_config", args).await?;
        }
        let mut path: EgressPathConfig = read(&returned)?;
        // What make_egress_path returns holds what the script wrote and nothing else.
        let unset = |key: &str| !matches!(returned.first(), Value::Json(json) if json.get(key).is_some());
        if unset("connection_limit") {
            path.connection_limit = LimitSpec::new(HOOK_CONNECTIONS);
        }
        if unset("max_ready") {
            path.max_ready = HOOK_MAX_READY;
        }
        Ok(PathLimits::from(&path))
    }

    fn configure(&self, route: Arc<dyn Route>, limits: PathLimits) -> ReadyQueueName {
        let name = route.ready_queue().clone();
        let batch = route.batch();
        // How much is in memory is the lane's business: the ready queue takes whatever a lane offers.
        let limits = PathLimits { max_ready: usize::MAX, ..limits };
        let actions = {
            let mut ready = self.ready.lock();
            ready.routes.insert(name.clone(), route);
            let mut actions = Vec::new();
            let event = ReadyEvent::Configure { queue: name.clone(), limits, batch };
            ready.queues.step(self.context.clock.now(), event, &mut actions);
            actions
        };
        self.perform(actions);
        name
    }
}

/// The retry of a queue whose settings nobody knows.
fn hook_retry(config: &QueueConfig) -> RetryPolicy {
    RetryPolicy {
        retry_interval: Duration::from_secs(60),
        max_retry_interval: Some(Duration::from_secs(20 * 60)),
        max_age: config.max_age,
    }
}

/// A configuration that policy returned; nothing or nil is the default.
fn read<T: serde::de::DeserializeOwned + Default>(returned: &Returned) -> Result<T, PolicyError> {
    match returned.first() {
        Value::Nil => Ok(T::default()),
        Value::Json(json) => serde_json::from_value(json.clone()).map_err(PolicyError::unusable),
        other => Err(PolicyError::unusable(format_args!("expected a configuration, got {other:?}"))),
    }
}
