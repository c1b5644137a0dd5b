use crate::asking::survive;
use crate::configs::{Announced, Freshness, read_config};
use crate::inbox::News;
use crate::manager::Shared;
use crate::ways::Path;
use futures::StreamExt;
use serde::Deserialize;
use std::sync::Arc;
use waybill_delivery::RouteQuery;
use waybill_policy::{PolicyError, Value};
use waybill_queue_core::config::{EgressPathConfig, ProtocolSection, QueueConfig};
use waybill_queue_core::queues::{Choice, Route, Unroutable};
use waybill_queue_core::ready::PathLimits;
use waybill_queue_core::reason::Reason;
use waybill_types::{QueueName, ReadyQueueName, Response};

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

/// What `get_egress_pool` returns (`kumo.make_egress_pool`).
#[derive(Deserialize, Default)]
struct Pool {
    entries: Vec<PoolEntry>,
}

#[derive(Deserialize)]
struct PoolEntry {
    name: String,
    #[serde(default = "one")]
    weight: u32,
}

fn one() -> u32 {
    1
}

impl Shared {
    /// Answers [`waybill_queue_core::queues::Action::ResolveRoute`].
    pub(crate) async fn resolve(&self, queue: QueueName) {
        // A thousand queues may become due at once; policy runs for some of them at a time.
        let _place = self.resolving.acquire().await;
        let (config, found) = survive("the search for a route", self.look_for_route(&queue))
            .await
            .unwrap_or_else(|| (None, Err(PolicyError::unusable("the search for a route panicked"))));
        let found = found.map_err(|error| {
            tracing::error!(%queue, "no route: {error}");
            unroutable(&queue, &error)
        });
        self.tell(News::Resolved { queue, config, found: Some(found) }).await;
    }

    async fn look_for_route(&self, queue: &QueueName) -> (Option<Announced>, Result<Found, PolicyError>) {
        match self.queue_config(queue).await {
            Ok(config) => {
                let found = self.route(queue, &config).await;
                (Some(config), found)
            }
            Err(error) => (None, Err(error)),
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
                tracing::error!(%queue, "the old route stays: {error}");
                self.configs.learn_way(&queue, self.broken());
                None
            }
        };
        self.tell(News::Resolved { queue, config: Some(config), found }).await;
    }

    async fn route(&self, queue: &QueueName, config: &Announced) -> Result<Found, PolicyError> {
        let pool: Arc<str> = config.egress_pool().into();
        let mut choices = Vec::new();
        let mut paths = Vec::new();
        let mut freshness: Option<Freshness> = None;
        for entry in self.pool(&pool).await? {
            let found = self.choice(queue, config, &pool, &entry.name).await?;
            freshness = Some(freshness.map_or(found.freshness, |all| all.and(found.freshness)));
            paths.push((found.choice.ready_queue.clone(), found.path));
            choices.push((found.choice, entry.weight));
        }
        let route = Route::weighted(choices)
            .ok_or_else(|| PolicyError::unusable(format_args!("egress pool {pool} has no source with a weight")))?;
        if let Some(freshness) = freshness {
            self.configs.learn_way(queue, freshness);
        }
        Ok(Found { route: Arc::new(route), paths })
    }

    async fn pool(&self, name: &str) -> Result<Vec<PoolEntry>, PolicyError> {
        if name == UNSPECIFIED {
            return Ok(vec![PoolEntry { name: UNSPECIFIED.to_owned(), weight: 1 }]);
        }
        let pool: Pool = read_config(&self.options.policy.call("get_egress_pool", vec![Value::from(name)]).await?)?;
        for entry in &pool.entries {
            if entry.name != UNSPECIFIED {
                self.options.policy.call("get_egress_source", vec![Value::from(entry.name.as_str())]).await?;
            }
        }
        Ok(pool.entries)
    }

    async fn choice(
        &self,
        queue: &QueueName,
        config: &QueueConfig,
        pool: &Arc<str>,
        source: &str,
    ) -> Result<FoundChoice, PolicyError> {
        let name = config.protocol_name();
        let protocol = self.options.protocols.get(name).ok_or_else(|| {
            PolicyError::unusable(format_args!(
                "this daemon cannot deliver by {name} yet; give queue {queue} another protocol in get_queue_config"
            ))
        })?;
        let nothing = serde_json::Value::Null;
        let section = config.protocol.as_ref().map_or(&nothing, ProtocolSection::value);
        let route = protocol.route(&RouteQuery { queue, source, section }).map_err(PolicyError::unusable)?;
        let (now, epoch) = (self.options.clock.now(), self.options.policy.epoch());
        let config = self.path_config(queue, source).await?;
        let choice = Choice {
            ready_queue: route.ready_queue().clone(),
            limits: PathLimits::from(&config),
            batch: route.batch(),
        };
        let freshness = Freshness::of(config.refresh_strategy, config.refresh_interval, now, epoch);
        let watchdog = config.dispatcher_progress_watchdog_timeout.filter(|limit| !limit.is_zero());
        let path = Path {
            watchdog: watchdog.unwrap_or_else(|| route.watchdog()),
            route,
            pool: pool.clone(),
            source: source.into(),
            provider: config.provider_name.map(Arc::from),
        };
        Ok(FoundChoice { choice, path, freshness })
    }

    async fn path_config(&self, queue: &QueueName, source: &str) -> Result<EgressPathConfig, PolicyError> {
        const EVENT: &str = "get_egress_path_config";
        if !self.options.policy.handles(EVENT) {
            return Ok(EgressPathConfig::default());
        }
        let parts = queue.parts();
        let site = parts.routing_domain.unwrap_or(parts.domain);
        let args = vec![Value::from(site), Value::from(source), Value::from(site)];
        read_config(&self.options.policy.call(EVENT, args).await?)
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
