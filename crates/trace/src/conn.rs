use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use std::net::IpAddr;

/// One side of a kind of conversation, as listeners see and choose it.
///
/// # Contract
/// `passes` and the JSON form do no I/O: they are asked for while mail waits.
pub trait Conn: Serialize + Send + Sync + 'static {
    /// What a listener wants to hear. The default is everything.
    type Filter: Send + Sync + Default + 'static;

    /// Whether such a listener hears of this connection.
    fn passes(&self, filter: &Self::Filter) -> bool;

    /// Whether it wants the beginning of messages only.
    fn is_terse(filter: &Self::Filter) -> bool;
}

/// A client that sends us mail. In JSON it is the connection's meta.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(transparent)]
pub struct ServerConn {
    /// The client's address.
    #[serde(skip)]
    pub peer: IpAddr,
    /// `received_from`, `received_via`, `session_id` and whatever policy has set.
    pub meta: Map<String, Value>,
}

/// Which clients a listener wants to hear.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerFilter {
    /// Only clients of these networks; an address alone counts as one.
    #[serde(default, deserialize_with = "networks")]
    pub source_addr: Option<Vec<IpNet>>,
    /// Only the beginning of messages.
    #[serde(default)]
    pub terse: bool,
}

impl Conn for ServerConn {
    type Filter = ServerFilter;

    fn passes(&self, filter: &ServerFilter) -> bool {
        filter.source_addr.as_ref().is_none_or(|networks| contain(networks, self.peer))
    }

    fn is_terse(filter: &ServerFilter) -> bool {
        filter.terse
    }
}

/// A delivery session of ours. What is not known yet is null.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct ClientConn {
    /// The session, as in records.
    pub session_id: String,
    /// Of the message that is being carried, as what follows up to `rcpt_to`.
    pub campaign: Option<String>,
    /// Its tenant.
    pub tenant: Option<String>,
    /// Its domain.
    pub domain: Option<String>,
    /// Where its mail goes instead of to its domain.
    pub routing_domain: Option<String>,
    /// Its envelope sender.
    pub mail_from: Option<String>,
    /// Its envelope recipients.
    pub rcpt_to: Vec<String>,
    /// The egress pool that the source was chosen from.
    pub egress_pool: Option<String>,
    /// The source of the ready queue.
    pub egress_source: Option<String>,
    /// The ready queue.
    pub ready_queue: String,
    /// The host's name.
    pub mx_host: Option<String>,
    /// The host's address.
    pub mx_addr: Option<IpAddr>,
}

/// Which sessions a listener wants to hear: those that every list has something of; an absent list is about nothing.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientFilter {
    /// Campaigns.
    pub campaign: Option<Vec<String>>,
    /// Tenants.
    pub tenant: Option<Vec<String>>,
    /// Domains.
    pub domain: Option<Vec<String>>,
    /// Routing domains.
    pub routing_domain: Option<Vec<String>>,
    /// Egress pools.
    pub egress_pool: Option<Vec<String>>,
    /// Sources.
    pub egress_source: Option<Vec<String>>,
    /// Envelope senders.
    pub mail_from: Option<Vec<String>>,
    /// Envelope recipients; one of a message's is enough.
    pub rcpt_to: Option<Vec<String>>,
    /// Hosts.
    pub mx_host: Option<Vec<String>>,
    /// Ready queues.
    pub ready_queue: Option<Vec<String>>,
    /// Networks of hosts; an address alone counts as one.
    #[serde(deserialize_with = "networks")]
    pub mx_addr: Option<Vec<IpNet>>,
    /// Only the beginning of messages.
    pub terse: bool,
}

impl Conn for ClientConn {
    type Filter = ClientFilter;

    fn passes(&self, filter: &ClientFilter) -> bool {
        let one_of = |wanted: &Option<Vec<String>>, is: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| is.as_ref().is_some_and(|is| named(wanted, is)))
        };
        one_of(&filter.campaign, &self.campaign)
            && one_of(&filter.tenant, &self.tenant)
            && one_of(&filter.domain, &self.domain)
            && one_of(&filter.routing_domain, &self.routing_domain)
            && one_of(&filter.egress_pool, &self.egress_pool)
            && one_of(&filter.egress_source, &self.egress_source)
            && one_of(&filter.mail_from, &self.mail_from)
            && filter.rcpt_to.as_ref().is_none_or(|wanted| self.rcpt_to.iter().any(|to| named(wanted, to)))
            // A host's name may end with the dot of the DNS.
            && one_of(&filter.mx_host, &self.mx_host.as_ref().map(|host| host.trim_end_matches('.').to_owned()))
            && filter.ready_queue.as_ref().is_none_or(|wanted| named(wanted, &self.ready_queue))
            && filter
                .mx_addr
                .as_ref()
                .is_none_or(|networks| self.mx_addr.is_some_and(|address| contain(networks, address)))
    }

    fn is_terse(filter: &ClientFilter) -> bool {
        filter.terse
    }
}

fn named(wanted: &[String], is: &str) -> bool {
    wanted.iter().any(|wanted| wanted.trim_end_matches('.').eq_ignore_ascii_case(is))
}

fn contain(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// One network or a list of them, each `ADDRESS` or `ADDRESS/BITS`.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<IpNet>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        One(String),
        Many(Vec<String>),
    }
    let given = match Option::<Given>::deserialize(deserializer)? {
        None => return Ok(None),
        Some(Given::One(one)) => vec![one],
        Some(Given::Many(many)) => many,
    };
    let read = |text: String| {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map_err(|_| serde::de::Error::custom(format!("{text:?} is neither an address nor a network")))
    };
    given.into_iter().map(read).collect::<Result<_, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn server(filter: Value, peer: &str) -> bool {
        let filter: ServerFilter = serde_json::from_value(filter).unwrap();
        ServerConn { peer: peer.parse().unwrap(), meta: Map::new() }.passes(&filter)
    }

    #[test]
    fn clients_are_chosen_by_their_network() {
        assert!(server(json!({}), "192.0.2.1"));
        for filter in [json!(["192.0.2.0/24", "::1"]), json!("192.0.2.1")] {
            let filter = json!({"source_addr": filter, "terse": false});
            assert!(server(filter.clone(), "192.0.2.1"), "{filter}");
            assert!(!server(filter.clone(), "198.51.100.1"), "{filter}");
        }
        let error = serde_json::from_value::<ServerFilter>(json!({"source_addr": "example.com"})).unwrap_err();
        assert!(error.to_string().contains("\"example.com\" is neither an address nor a network"), "{error}");
        let error = serde_json::from_value::<ServerFilter>(json!({"domain": ["x"]})).unwrap_err();
        assert!(error.to_string().contains("unknown field `domain`"), "{error}");
    }

    #[test]
    fn sessions_are_chosen_by_all_that_is_asked_for() {
        let conn = ClientConn {
            tenant: Some("t1".into()),
            domain: Some("example.com".into()),
            rcpt_to: vec!["a@example.com".into(), "b@example.com".into()],
            mx_host: Some("mx.example.com.".into()),
            mx_addr: Some([192, 0, 2, 1].into()),
            egress_pool: Some("pool-1".into()),
            ready_queue: "unspecified->mx.example.com@smtp_client".into(),
            ..ClientConn::default()
        };
        for (filter, passes) in [
            (json!({}), true),
            (json!({"tenant": ["t0", "t1"]}), true),
            (json!({"tenant": ["t1"], "domain": ["EXAMPLE.com"]}), true),
            (json!({"tenant": ["t1"], "domain": ["other.example"]}), false),
            (json!({"campaign": ["c"]}), false),
            (json!({"egress_pool": ["pool-1"]}), true),
            (json!({"egress_pool": ["pool-2"]}), false),
            (json!({"rcpt_to": ["b@example.com"]}), true),
            (json!({"rcpt_to": []}), false),
            (json!({"mx_host": ["mx.example.com"]}), true),
            (json!({"mx_addr": ["192.0.2.0/24"]}), true),
            (json!({"mx_addr": ["192.0.2.2"]}), false),
            (json!({"ready_queue": ["unspecified->mx.example.com@smtp_client"], "terse": true}), true),
        ] {
            let read: ClientFilter = serde_json::from_value(filter.clone()).unwrap();
            assert_eq!(conn.passes(&read), passes, "{filter}");
        }
    }
}
