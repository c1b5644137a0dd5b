use crate::asking::survive;
use crate::configs::{Announced, Freshness};
use crate::inbox::News;
use crate::manager::Shared;
use crate::ways::Path;
use futures::StreamExt;
use std::sync::Arc;
use waybill_delivery::{ConfigError, DeliveryProtocol, Destination, Egress, ResolveError, RouteQuery};
use waybill_policy::{PolicyError, Returned, Value};
use waybill_queue_core::config::{
    EgressPathConfig, EgressPool, EgressSource, ProtocolSection, QueueConfig, RefreshStrategy,
};
use waybill_queue_core::queues::{Choice, Route, Unroutable};
use waybill_queue_core::ready::PathLimits;
use waybill_queue_core::reason::Reason;
use waybill_types::{Objects, QueueName, ReadyQueueName, Response};

/// The built-in pool and source: needs no event.
const UNSPECIFIED: &str = "unspecified";
/// So many queues are asked for at a time when many are stale.
const REFRESHED_TOGETHER: usize = 16;

/// The way out of a queue: what the core goes by, and the live routes behind the names.
pub(crate) struct Found {
    pub(crate) route: Arc<Route>,
    pub(crate) paths: Vec<(ReadyQueueName, Path)>,
}

/// A queue of which policy is asked again.
pub(crate) struct Stale {
    pub(crate) queue: QueueName,
    /// Its way out is known, so that is asked for as well.
    pub(crate) routed: bool,
}

/// A pool as policy describes it.
struct Pool {
    name: Arc<str>,
    sources: Vec<(EgressSource, u32)>,
    /// Of what was said about it and its sources; nothing was asked about the built-in one.
    freshness: Option<Freshness>,
}

/// Where a queue goes, before it is known from which source.
pub(crate) struct Aim<'a> {
    queue: &'a QueueName,
    protocol: &'a dyn DeliveryProtocol,
    section: &'a serde_json::Value,
    pub(crate) destination: Destination,
}

impl Aim<'_> {
    /// The route over this source and path.
    pub(crate) fn route(&self, egress: &Egress) -> Result<Arc<dyn waybill_delivery::Route>, ConfigError> {
        let Aim { queue, section, destination, .. } = self;
        self.protocol.route(&RouteQuery { queue, section, destination, egress })
    }
}

/// Why there is no way out.
pub(crate) enum NoWay {
    /// Policy failed, or what it says makes no sense.
    Policy(PolicyError),
    /// The mail has nowhere to go.
    Nowhere(Unroutable),
}

impl From<PolicyError> for NoWay {
    fn from(error: PolicyError) -> Self {
        NoWay::Policy(error)
    }
}

impl From<ResolveError> for NoWay {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Config(error) => NoWay::Policy(PolicyError::unusable(error)),
            ResolveError::Nowhere { response, reason } => NoWay::Nowhere(Unroutable { response, reason }),
        }
    }
}

impl NoWay {
    fn unroutable(self, queue: &QueueName) -> Unroutable {
        match self {
            NoWay::Policy(error) => {
                tracing::error!(%queue, "no route: {error}");
                unroutable(queue, &error)
            }
            NoWay::Nowhere(nowhere) => {
                tracing::debug!(%queue, "nowhere to go: {}", nowhere.response);
                nowhere
            }
        }
    }
}

impl Shared {
    /// Answers [`waybill_queue_core::queues::Action::ResolveRoute`].
    pub(crate) async fn resolve(&self, queue: QueueName) {
        // A thousand queues may become due at once; policy runs for some of them at a time.
        let _place = self.resolving.acquire().await;
        let (config, found) = survive("the search for a route", self.look_for_route(&queue))
            .await
            .unwrap_or_else(|| (None, Err(PolicyError::unusable("the search for a route panicked").into())));
        let found = found.map_err(|error| error.unroutable(&queue));
        self.tell(News::Resolved { queue, config, found: Some(found) }).await;
    }

    async fn look_for_route(&self, queue: &QueueName) -> (Option<Announced>, Result<Found, NoWay>) {
        match self.queue_config(queue).await {
            Ok(config) => {
                let found = self.route(queue, &config).await;
                (Some(config), found)
            }
            Err(error) => (None, Err(error.into())),
        }
    }

    /// Asks again about queues that may have changed. What policy cannot say stays as it was.
    pub(crate) async fn refresh(&self, stale: Vec<Stale>) {
        futures::stream::iter(stale).for_each_concurrent(REFRESHED_TOGETHER, |stale| self.refresh_one(stale)).await;
    }

    async fn refresh_one(&self, Stale { queue, routed }: Stale) {
        let Ok(config) = self.ask_queue_config(&queue).await else { return };
        let found = match routed {
            true => self.route(&queue, &config).await,
            false => return self.tell(News::Resolved { queue, config: Some(config), found: None }).await,
        };
        let found = match found {
            Ok(found) => Some(Ok(found)),
            Err(error) => {
                let why = error.unroutable(&queue).response;
                tracing::error!(%queue, "the old route stays: {why}");
                self.configs.learn_way(&queue, self.broken());
                None
            }
        };
        self.tell(News::Resolved { queue, config: Some(config), found }).await;
    }

    async fn route(&self, queue: &QueueName, config: &Announced) -> Result<Found, NoWay> {
        let aim = self.aim(queue, config).await?;
        let pool = self.pool(config.egress_pool()).await?;
        let mut freshness = pool.freshness;
        let mut choices = Vec::new();
        let mut paths = Vec::new();
        for (source, weight) in pool.sources {
            let found = self.choice(&aim, &pool.name, source).await?;
            freshness = Some(freshness.map_or(found.freshness, |all| all.and(found.freshness)));
            paths.push((found.choice.ready_queue.clone(), found.path));
            choices.push((found.choice, weight));
        }
        let route = Route::weighted(choices).ok_or_else(|| {
            PolicyError::unusable(format_args!("egress pool {} has no source with a weight", pool.name))
        })?;
        if let Some(freshness) = freshness {
            self.configs.learn_way(queue, freshness);
        }
        Ok(Found { route: Arc::new(route), paths })
    }

    /// Finds the protocol, and has it find out where the mail goes.
    pub(crate) async fn aim<'a>(&'a self, queue: &'a QueueName, config: &'a QueueConfig) -> Result<Aim<'a>, NoWay> {
        const NOTHING: &serde_json::Value = &serde_json::Value::Null;
        let name = config.protocol_name();
        let protocol = self.options.protocols.get(name).ok_or_else(|| {
            PolicyError::unusable(format_args!(
                "this daemon cannot deliver by {name} yet; give queue {queue} another protocol in get_queue_config"
            ))
        })?;
        let section = config.protocol.as_ref().map_or(NOTHING, ProtocolSection::value);
        let destination = protocol.resolve(queue, section).await?;
        Ok(Aim { queue, protocol: &**protocol, section, destination })
    }

    async fn pool(&self, name: &str) -> Result<Pool, PolicyError> {
        if name == UNSPECIFIED {
            let sources = vec![(EgressSource::default(), 1)];
            return Ok(Pool { name: name.into(), sources, freshness: None });
        }
        let policy = &self.options.policy;
        let (now, epoch) = (self.options.clock.now(), policy.epoch());
        let fresh = |ttl| Freshness::of(RefreshStrategy::Ttl, ttl, now, epoch);
        let returned = policy.call("get_egress_pool", vec![Value::from(name)]).await?;
        let pool: EgressPool = self.read("get_egress_pool", &returned, read_object)?;
        let mut freshness = fresh(pool.ttl);
        let mut sources = Vec::with_capacity(pool.entries.len());
        for entry in pool.entries {
            let source: EgressSource = if entry.name == UNSPECIFIED {
                EgressSource::default()
            } else {
                let args = vec![Value::from(entry.name.as_str())];
                let returned = policy.call("get_egress_source", args).await?;
                self.read("get_egress_source", &returned, read_object)?
            };
            freshness = freshness.and(fresh(source.ttl));
            // The pool's word for it is the name in records and ready queues.
            sources.push((EgressSource { name: entry.name, ..source }, entry.weight));
        }
        Ok(Pool { name: name.into(), sources, freshness: Some(freshness) })
    }

    async fn choice(&self, aim: &Aim<'_>, pool: &Arc<str>, source: EgressSource) -> Result<FoundChoice, PolicyError> {
        let (now, epoch) = (self.options.clock.now(), self.options.policy.epoch());
        let path = self.path_config(aim, &source.name).await?;
        let egress = Egress { pool: pool.to_string(), source, path };
        let route = aim.route(&egress).map_err(PolicyError::unusable)?;
        let config = &egress.path;
        let choice =
            Choice { ready_queue: route.ready_queue().clone(), limits: PathLimits::from(config), batch: route.batch() };
        let freshness = Freshness::of(config.refresh_strategy, config.refresh_interval, now, epoch);
        let watchdog = config.dispatcher_progress_watchdog_timeout.filter(|limit| !limit.is_zero());
        let path = Path {
            watchdog: watchdog.unwrap_or_else(|| route.watchdog()),
            patience: config.system_shutdown_timeout,
            route,
            pool: pool.clone(),
            source: egress.source.name.as_str().into(),
            provider: config.provider_name.as_deref().map(Arc::from),
        };
        Ok(FoundChoice { choice, path, freshness })
    }

    pub(crate) async fn path_config(&self, aim: &Aim<'_>, source: &str) -> Result<EgressPathConfig, PolicyError> {
        let parts = aim.queue.parts();
        let domain = parts.routing_domain.unwrap_or(parts.domain);
        self.ask_path_config(domain, source, &aim.destination.site_name).await
    }

    /// The configuration of a path as policy gives it now.
    pub(crate) async fn ask_path_config(
        &self,
        domain: &str,
        source: &str,
        site_name: &str,
    ) -> Result<EgressPathConfig, PolicyError> {
        const EVENT: &str = "get_egress_path_config";
        if !self.options.policy.handles(EVENT) {
            return Ok(EgressPathConfig::default());
        }
        let args = vec![Value::from(domain), Value::from(source), Value::from(site_name)];
        let returned = self.options.policy.call(EVENT, args).await?;
        self.read(EVENT, &returned, Returned::config)
    }

    /// What an event returned, read; an error tells the event and its place.
    pub(crate) fn read<T>(
        &self,
        event: &str,
        returned: &Returned,
        read: impl FnOnce(&Returned) -> Result<T, PolicyError>,
    ) -> Result<T, PolicyError> {
        read(returned).map_err(|error| error.from_event(event, &*self.options.policy))
    }
}

struct FoundChoice {
    choice: Choice,
    path: Path,
    freshness: Freshness,
}

fn unroutable(queue: &QueueName, error: &PolicyError) -> Unroutable {
    let text = format!("4.4.4 KumoMTA internal: failed to resolve queue {queue}: {error}");
    Unroutable { response: Response::new(451, text), reason: Reason::FailedToInsertIntoReadyQueue }
}

/// What an event that must answer returned.
fn read_object<T: serde::de::DeserializeOwned>(returned: &Returned) -> Result<T, PolicyError> {
    match returned.first() {
        Value::Json(json) => T::deserialize(Objects::of_table(json)).map_err(PolicyError::unusable),
        other => Err(PolicyError::unusable(format_args!("expected a table, got a {}", other.kind()))),
    }
}
