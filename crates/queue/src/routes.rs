use crate::configs::read_config;
use crate::manager::{PathRoute, Shared};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use waybill_delivery::RouteQuery;
use waybill_policy::{PolicyError, Value};
use waybill_queue_core::config::{EgressPathConfig, ProtocolSection, QueueConfig};
use waybill_queue_core::queues::{Choice, Event, Route, Unroutable};
use waybill_queue_core::ready::PathLimits;
use waybill_queue_core::reason::Reason;
use waybill_types::{MessageId, QueueName, Response};

/// The built-in pool and source: needs no event.
const UNSPECIFIED: &str = "unspecified";

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
    /// The events that answer [`waybill_queue_core::queues::Action::ResolveRoute`].
    pub(crate) async fn resolve(&self, queue: &QueueName) -> Vec<Event<MessageId>> {
        let (config, changed) = match self.queue_config(queue).await {
            Ok(found) => found,
            Err(error) => return vec![unroutable(queue, &error)],
        };
        let mut events = Vec::with_capacity(2);
        if changed {
            events.push(Event::ConfigChanged { queue: queue.clone(), config: config.clone() });
        }
        match self.route(queue, &config).await {
            Ok(route) => events.push(Event::RouteResolved { queue: queue.clone(), route: Ok(Arc::new(route)) }),
            Err(error) => {
                tracing::error!(%queue, "no route: {error}");
                events.push(unroutable(queue, &error));
            }
        }
        events
    }

    async fn route(&self, queue: &QueueName, config: &QueueConfig) -> Result<Route, PolicyError> {
        let pool: Arc<str> = config.egress_pool().into();
        let mut choices = Vec::new();
        for entry in self.pool(&pool).await? {
            choices.push((self.choice(queue, config, &pool, &entry.name).await?, entry.weight));
        }
        Route::weighted(choices)
            .ok_or_else(|| PolicyError::unusable(format_args!("egress pool {pool} has no source with a weight")))
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
    ) -> Result<Choice, PolicyError> {
        let name = config.protocol_name();
        let protocol = self.options.protocols.get(name).ok_or_else(|| {
            PolicyError::unusable(format_args!(
                "this daemon cannot deliver by {name} yet; give queue {queue} another protocol in get_queue_config"
            ))
        })?;
        let nothing = serde_json::Value::Null;
        let section = config.protocol.as_ref().map_or(&nothing, ProtocolSection::value);
        let route = protocol.route(&RouteQuery { queue, source, section }).map_err(PolicyError::unusable)?;
        let parts = queue.parts();
        let site = parts.routing_domain.unwrap_or(parts.domain);
        let path: EgressPathConfig = if self.options.policy.handles("get_egress_path_config") {
            let args = vec![Value::from(site), Value::from(source), Value::from(site)];
            read_config(&self.options.policy.call("get_egress_path_config", args).await?)?
        } else {
            EgressPathConfig::default()
        };
        let choice =
            Choice { ready_queue: route.ready_queue().clone(), limits: PathLimits::from(&path), batch: route.batch() };
        let watchdog = route.watchdog().max(Duration::from_secs(1));
        let path = PathRoute { route, pool: pool.clone(), source: source.into(), watchdog };
        self.routes.lock().insert(choice.ready_queue.clone(), path);
        Ok(choice)
    }
}

fn unroutable(queue: &QueueName, error: &PolicyError) -> Event<MessageId> {
    let text = format!("4.4.4 KumoMTA internal: failed to resolve queue {queue}: {error}");
    let response = Response::new(451, text);
    let reason = Reason::FailedToInsertIntoReadyQueue;
    Event::RouteResolved { queue: queue.clone(), route: Err(Unroutable { response, reason }) }
}
