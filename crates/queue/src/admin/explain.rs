use crate::manager::Shared;
use crate::routes::NoWay;
use serde_json::{Value as Json, json};
use waybill_admin::{NoPath, PathView};
use waybill_delivery::Egress;
use waybill_policy::PolicyError;
use waybill_queue_core::config::EgressSource;
use waybill_types::{QueueName, ReadyQueueName};

const UNSPECIFIED: &str = "unspecified";

impl Shared {
    /// How mail for a domain would leave.
    pub(crate) async fn explain(&self, domain: String, source: Option<String>) -> Result<PathView, NoPath> {
        let source = source.unwrap_or_else(|| UNSPECIFIED.to_owned());
        let queue = QueueName::new(domain.as_str());
        let failed = |error: PolicyError| NoPath::Policy(error.to_string());
        let config = self.queue_config(&queue).await.map_err(failed)?;
        let aim = self.aim(&queue, &config).await.map_err(|why| match why {
            NoWay::Policy(error) => failed(error),
            NoWay::Nowhere(nowhere) => NoPath::Nowhere(nowhere.response),
        })?;
        let path = self.path_config(&aim, &source).await.map_err(failed)?;
        let hosts: Vec<&str> = aim.destination.hosts.iter().map(|host| host.name.as_str()).collect();
        let mx = (!hosts.is_empty()).then(|| json!({ "site_name": aim.destination.site_name, "hosts": hosts }));
        let egress = Egress {
            pool: config.egress_pool().to_owned(),
            source: EgressSource { name: source.clone(), ..EgressSource::default() },
            path,
        };
        let route = aim.route(&egress).map_err(|error| NoPath::Policy(error.to_string()))?;
        let (queue_name, path) = (route.ready_queue().clone(), egress.path);
        Ok(PathView {
            domain,
            source,
            mx,
            queue_name,
            queue_config: shown(&*config),
            constraints: path.constraints(),
            path_config: shown(&path),
        })
    }
}

/// The site in `SOURCE->SITE@PROTOCOL`.
pub(crate) fn site_of(queue: &ReadyQueueName) -> &str {
    let name = queue.as_str();
    let rest = name.split_once("->").map_or(name, |(_, rest)| rest);
    rest.split_once('@').map_or(rest, |(site, _)| site)
}

/// A configuration as the admin API shows it.
pub(crate) fn shown(config: &impl serde::Serialize) -> Json {
    // Configurations are maps with text keys.
    serde_json::to_value(config).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ready_queues_name_tells_its_site() {
        let name = ReadyQueueName::new("unspecified->webhook.log_hook@lua:make.webhook.log_hook");
        assert_eq!(site_of(&name), "webhook.log_hook");
        let name = ReadyQueueName::new("ip-1->(mx1|mx2).example.com@smtp_client");
        assert_eq!(site_of(&name), "(mx1|mx2).example.com");
        assert_eq!(site_of(&ReadyQueueName::new("nothing")), "nothing");
    }
}
