//! Where a lane goes and by which settings: what `get_queue_config` and `get_egress_path_config` say, remembered.

use super::LogHook;
use super::ready::Path;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use waybill_consumers::Report;
use waybill_delivery::{Destination, Egress, Route, RouteQuery};
use waybill_journal_core::LaneConfig;
use waybill_policy::{Epoch, PolicyError, Returned, Value};
use waybill_queue_core::config::{EgressPathConfig, QueueConfig, RefreshStrategy};
use waybill_queue_core::ready::PathLimits;
use waybill_types::{LimitSpec, QueueName, ReadyQueueName, Timestamp};

/// Hook queues are for a few connections to one endpoint, not for the whole internet (ARCHITECTURE section 7).
const HOOK_CONNECTIONS: u32 = 10;
/// Room in memory for the events of a lane.
const HOOK_MAX_READY: usize = 10_000;
/// How long a lane whose settings cannot be found waits before they are looked for again.
const BROKEN_FOR: Duration = Duration::from_secs(60);
/// The protocol that sends views; everything else needs a message in the spool.
const CUSTOM_LUA: &str = "custom_lua";
/// From so many remembered lanes on, those are forgotten that nobody needs.
const MANY: usize = 1024;

/// What is known of the lanes of a hook.
///
/// What is known is used, fresh or not, and asked for again beside: events wait for policy only where a lane is new.
#[derive(Default)]
pub(super) struct Routes {
    by_queue: HashMap<QueueName, Arc<LaneRoute>>,
    /// Those that the driver is to ask for again.
    stale: HashSet<QueueName>,
    window: usize,
}

/// A lane's settings and where it goes.
pub(super) struct LaneRoute {
    pub(super) config: LaneConfig,
    pub(super) way: Way,
    fresh: Freshness,
}

#[derive(Clone)]
pub(super) enum Way {
    /// Over this route; its ready queue is configured.
    Session(ReadyQueueName),
    /// The queue's protocol needs a message in the spool.
    Spool,
    /// Nobody gave the queue a protocol: it would be mail.
    Mail,
    /// The settings could not be found. Until when they are not looked for again.
    Broken(Timestamp),
}

/// When an answer has to be asked for again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Freshness {
    until: Timestamp,
    epoch: Option<Epoch>,
}

impl Freshness {
    fn of(strategy: RefreshStrategy, interval: Duration, now: Timestamp, epoch: Epoch) -> Self {
        match strategy {
            RefreshStrategy::Ttl => Freshness { until: now + interval, epoch: None },
            RefreshStrategy::Epoch => Freshness { until: Timestamp::MAX, epoch: Some(epoch) },
        }
    }

    /// Of two answers together: stale as soon as one of them is.
    fn and(self, other: Freshness) -> Self {
        Freshness { until: self.until.min(other.until), epoch: self.epoch.or(other.epoch) }
    }

    fn is_stale(self, now: Timestamp, epoch: Epoch) -> bool {
        self.until <= now || self.epoch.is_some_and(|seen| seen != epoch)
    }
}

impl Routes {
    /// The lanes that the driver is to ask about.
    pub(super) fn take_stale(&mut self) -> HashSet<QueueName> {
        std::mem::take(&mut self.stale)
    }

    fn learn(&mut self, queue: &QueueName, route: Arc<LaneRoute>, now: Timestamp, epoch: Epoch) {
        // A policy that leaves the queue to the recipient's domain names a new one with every event.
        if self.by_queue.len() >= MANY && self.by_queue.len().is_power_of_two() {
            let needed = |route: &LaneRoute| matches!(route.way, Way::Session(_)) || !route.fresh.is_stale(now, epoch);
            self.by_queue.retain(|_, route| needed(route));
        }
        self.by_queue.insert(queue.clone(), route);
    }

    /// The lanes that go over a ready queue.
    pub(super) fn leading_to(&self, queue: &ReadyQueueName) -> Vec<(QueueName, LaneConfig)> {
        let goes_there = |route: &LaneRoute| matches!(&route.way, Way::Session(name) if name == queue);
        let all = self.by_queue.iter().filter(|(_, route)| goes_there(route));
        all.map(|(lane, route)| (lane.clone(), route.config)).collect()
    }

    /// The ready queue is gone: whoever needs it next makes it again.
    pub(super) fn forget_way(&mut self, queue: &ReadyQueueName) {
        let goes_there = |route: &LaneRoute| matches!(&route.way, Way::Session(name) if name == queue);
        self.by_queue.retain(|_, route| !goes_there(route));
    }
}

impl LogHook {
    /// Settings and way of a lane. Policy is waited for where the lane is new.
    pub(super) async fn lane_route(&self, queue: &QueueName) -> Arc<LaneRoute> {
        match self.known_route(queue) {
            Some(known) => known,
            None => self.ask_route(queue).await,
        }
    }

    /// What is known of a lane. Has it asked for again when that is stale.
    pub(super) fn known_route(&self, queue: &QueueName) -> Option<Arc<LaneRoute>> {
        let (now, epoch) = (self.context.clock.now(), self.context.policy.epoch());
        let mut routes = self.routes.lock();
        let known = routes.by_queue.get(queue).cloned()?;
        if known.fresh.is_stale(now, epoch) && routes.stale.insert(queue.clone()) {
            self.nudge.notify_one();
        }
        Some(known)
    }

    /// Settings and way of a lane as policy gives them now. What worked goes on working while policy does not.
    pub(super) async fn ask_route(&self, queue: &QueueName) -> Arc<LaneRoute> {
        let (now, epoch) = (self.context.clock.now(), self.context.policy.epoch());
        let found = self.resolve(queue, now, epoch).await.unwrap_or_else(|error| {
            tracing::error!(hook = self.name(), %queue, "the queue cannot be used: {error}");
            self.broken(queue, now, epoch)
        });
        let found = Arc::new(found);
        self.routes.lock().learn(queue, found.clone(), now, epoch);
        if !matches!(found.way, Way::Broken(_)) {
            self.reports.send(Report::Configured(queue.clone(), found.config));
        }
        found
    }

    /// Asking for a lane came to nothing at all.
    pub(super) fn break_route(&self, queue: &QueueName) {
        let (now, epoch) = (self.context.clock.now(), self.context.policy.epoch());
        let broken = self.broken(queue, now, epoch);
        self.routes.lock().learn(queue, Arc::new(broken), now, epoch);
    }

    /// What worked goes on working, for a while; a lane that is new has no way.
    fn broken(&self, queue: &QueueName, now: Timestamp, epoch: Epoch) -> LaneRoute {
        // Another policy may do better at once.
        let fresh = Freshness { until: now + BROKEN_FOR, epoch: Some(epoch) };
        let known = self.routes.lock().by_queue.get(queue).cloned();
        match known.filter(|known| !matches!(known.way, Way::Broken(_))) {
            Some(known) => LaneRoute { config: known.config, way: known.way.clone(), fresh },
            None => {
                let config = lane_config(&QueueConfig::default(), HOOK_MAX_READY);
                LaneRoute { config, way: Way::Broken(fresh.until), fresh }
            }
        }
    }

    /// What policy says of a queue now.
    pub(super) async fn ask_queue_config(&self, queue: &QueueName) -> Result<QueueConfig, PolicyError> {
        let parts = queue.parts();
        let args = vec![
            Value::from(parts.domain),
            Value::from(parts.tenant),
            Value::from(parts.campaign),
            Value::from(parts.routing_domain),
        ];
        const EVENT: &str = "get_queue_config";
        let policy = &self.context.policy;
        policy.call(EVENT, args).await?.config().map_err(|error| error.from_event(EVENT, &**policy))
    }

    async fn resolve(&self, queue: &QueueName, now: Timestamp, epoch: Epoch) -> Result<LaneRoute, PolicyError> {
        let parts = queue.parts();
        let config = self.ask_queue_config(queue).await?;
        let fresh = Freshness::of(config.refresh_strategy, config.refresh_interval, now, epoch);
        let elsewhere = |way| LaneRoute { config: lane_config(&config, HOOK_MAX_READY), way, fresh };
        let Some(section) = &config.protocol else { return Ok(elsewhere(Way::Mail)) };
        match section.name() {
            CUSTOM_LUA => {}
            "smtp" => return Ok(elsewhere(Way::Mail)),
            _ => return Ok(elsewhere(Way::Spool)),
        }
        let protocol = self.context.protocols.get(section.name());
        let missing = || PolicyError::unusable(format_args!("no protocol {} in this daemon", section.name()));
        let site = parts.routing_domain.unwrap_or(parts.domain);
        let path = self.path_config(site, "unspecified", site).await?;
        let (destination, egress) = (Destination::local(queue), Egress { path, ..Egress::default() });
        let query = RouteQuery { queue, section: section.value(), destination: &destination, egress: &egress };
        let route = protocol.ok_or_else(missing)?.route(&query).map_err(PolicyError::unusable)?;
        let path = egress.path;
        let fresh = fresh.and(Freshness::of(path.refresh_strategy, path.refresh_interval, now, epoch));
        let lane = lane_config(&config, path.max_ready.max(1));
        let way = Way::Session(self.open_way(route, &path));
        Ok(LaneRoute { config: lane, way, fresh })
    }

    /// Limits of a path: what policy sets counts, for the rest hooks have defaults of their own.
    async fn path_config(&self, domain: &str, source: &str, site: &str) -> Result<EgressPathConfig, PolicyError> {
        const EVENT: &str = "get_egress_path_config";
        let mut returned = Returned::default();
        if self.context.policy.handles(EVENT) {
            let args = vec![Value::from(domain), Value::from(source), Value::from(site)];
            returned = self.context.policy.call(EVENT, args).await?;
        }
        let read = returned.config::<EgressPathConfig>();
        let mut path = read.map_err(|error| error.from_event(EVENT, &*self.context.policy))?;
        // What make_egress_path returns holds what the script wrote and nothing else.
        let unset = |key: &str| !matches!(returned.first(), Value::Json(json) if json.get(key).is_some());
        if unset("connection_limit") {
            path.connection_limit = LimitSpec::new(HOOK_CONNECTIONS);
        }
        path.connection_limit.limit = self.role.share(path.connection_limit.limit);
        if unset("max_ready") {
            path.max_ready = HOOK_MAX_READY;
        }
        Ok(path)
    }

    /// Makes or changes the ready queue of a route.
    fn open_way(&self, route: Arc<dyn Route>, config: &EgressPathConfig) -> ReadyQueueName {
        let name = route.ready_queue().clone();
        let in_flight = (config.connection_limit.limit as usize).saturating_mul(route.batch().batch_size());
        {
            let mut routes = self.routes.lock();
            if in_flight > routes.window {
                routes.window = in_flight;
                self.reports.send(Report::Window(in_flight));
            }
        }
        // How much is in memory is the lane's business: the ready queue takes whatever a lane offers.
        // And so is how often one that cannot be delivered is tried: a lane that fails sends one probe at a time.
        let mut limits =
            PathLimits { max_ready: usize::MAX, consecutive_connection_failures: u32::MAX, ..PathLimits::from(config) };
        select_as_it_leaves(&name, &mut limits);
        let watchdog = config.dispatcher_progress_watchdog_timeout.unwrap_or_else(|| route.watchdog());
        let path = Path { route, watchdog, provider: config.provider_name.clone(), config: config.clone() };
        self.configure_path(path, limits);
        name
    }
}

/// A hook has one source, so choosing it is letting an event leave: such a rate is one more rate of what leaves.
fn select_as_it_leaves(queue: &ReadyQueueName, limits: &mut PathLimits) {
    let own = limits.source_selection_rate.take().map(|spec| (format!("source_selection_rate of {queue}"), spec));
    let named = std::mem::take(&mut limits.additional_source_selection_rates);
    let named = named.into_iter().map(|(name, spec)| (format!("source selection {name}"), spec));
    limits.additional_message_rate_throttles.extend(named.chain(own).map(|(name, spec)| (name.into(), spec)));
}

fn lane_config(config: &QueueConfig, capacity: usize) -> LaneConfig {
    LaneConfig { retry: config.retry(), capacity, rate: config.max_message_rate }
}
