use crate::configs::read_config;
use crate::manager::Shared;
use serde_json::{Value as Json, json};
use waybill_admin::PathView;
use waybill_delivery::RouteQuery;
use waybill_policy::{PolicyError, Value};
use waybill_queue_core::config::{EgressPathConfig, ProtocolSection};
use waybill_types::{QueueName, ReadyQueueName};

const PATH_EVENT: &str = "get_egress_path_config";
const UNSPECIFIED: &str = "unspecified";

impl Shared {
    /// How mail for a domain would leave.
    pub(crate) async fn explain(&self, domain: String, source: Option<String>) -> Result<PathView, String> {
        let source = source.unwrap_or_else(|| UNSPECIFIED.to_owned());
        let queue = QueueName::new(domain.as_str());
        let config = self.queue_config(&queue).await.map_err(|error| error.to_string())?;
        let name = config.protocol_name();
        let protocol = self.options.protocols.get(name).ok_or_else(|| {
            format!("this daemon cannot deliver by {name} yet; give queue {queue} another protocol in get_queue_config")
        })?;
        let nothing = Json::Null;
        let section = config.protocol.as_ref().map_or(&nothing, ProtocolSection::value);
        let query = RouteQuery { queue: &queue, source: &source, section };
        let route = protocol.route(&query).map_err(|error| error.to_string())?;
        let queue_name = route.ready_queue().clone();
        let parts = queue.parts();
        let routing_domain = parts.routing_domain.unwrap_or(parts.domain);
        let path = self.shown_path(routing_domain, &source, site_of(&queue_name)).await;
        let path = path.map_err(|error| error.to_string())?;
        Ok(PathView {
            domain,
            source,
            mx: None,
            queue_name,
            queue_config: shown(&*config),
            constraints: constraints(&path),
            path_config: shown(&path),
        })
    }

    /// The configuration of a path as policy gives it now.
    pub(crate) async fn shown_path(
        &self,
        routing_domain: &str,
        source: &str,
        site: &str,
    ) -> Result<EgressPathConfig, PolicyError> {
        if !self.options.policy.handles(PATH_EVENT) {
            return Ok(EgressPathConfig::default());
        }
        let args = vec![Value::from(routing_domain), Value::from(source), Value::from(site)];
        read_config(&self.options.policy.call(PATH_EVENT, args).await?)
    }
}

/// The site in `SOURCE->SITE@PROTOCOL`.
pub(crate) fn site_of(queue: &ReadyQueueName) -> &str {
    let name = queue.as_str();
    let rest = name.split_once("->").map_or(name, |(_, rest)| rest);
    rest.split_once('@').map_or(rest, |(site, _)| site)
}

/// The protocol in `SOURCE->SITE@PROTOCOL`, without what stands behind a colon.
pub(crate) fn protocol_of(queue: &ReadyQueueName) -> &str {
    let name = queue.as_str();
    let rest = name.split_once("->").map_or(name, |(_, rest)| rest);
    let protocol = rest.split_once('@').map_or("", |(_, protocol)| protocol);
    protocol.split_once(':').map_or(protocol, |(protocol, _)| protocol)
}

/// A configuration as the admin API shows it.
pub(crate) fn shown(config: &impl serde::Serialize) -> Json {
    // Configurations are maps with text keys.
    serde_json::to_value(config).unwrap_or_default()
}

/// The limits of a path that are in force.
pub(crate) fn constraints(path: &EgressPathConfig) -> Json {
    json!({
        "connection_limit": path.connection_limit,
        "max_connection_rate": path.max_connection_rate,
        "max_message_rate": path.max_message_rate,
        "source_selection_rate": path.source_selection_rate,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ready_queues_name_tells_site_and_protocol() {
        let name = ReadyQueueName::new("unspecified->webhook.log_hook@lua:make.webhook.log_hook");
        assert_eq!((site_of(&name), protocol_of(&name)), ("webhook.log_hook", "lua"));
        let name = ReadyQueueName::new("ip-1->(mx1|mx2).example.com@smtp_client");
        assert_eq!((site_of(&name), protocol_of(&name)), ("(mx1|mx2).example.com", "smtp_client"));
        let name = ReadyQueueName::new("nothing");
        assert_eq!((site_of(&name), protocol_of(&name)), ("nothing", ""));
    }
}
