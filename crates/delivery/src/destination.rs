use crate::ConfigError;
use std::net::IpAddr;
use waybill_queue_core::config::{EgressPathConfig, EgressSource};
use waybill_queue_core::reason::Reason;
use waybill_types::{QueueName, Response};

/// Where the mail of a queue goes, as far as the network had to be asked: what [`crate::DeliveryProtocol::resolve`]
/// found, and [`crate::DeliveryProtocol::route`] makes a route of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Destination {
    /// The site's name as policy hears it, the third argument of `get_egress_path_config`.
    pub site_name: String,
    /// The site in the name of the ready queue: the same, unless that name alone does not tell two destinations apart.
    pub site: String,
    /// The hosts, sooner ones first, for protocols that go to hosts.
    pub hosts: Vec<Host>,
}

/// A host that a protocol may connect to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Host {
    /// Its name, as records show it.
    pub name: String,
    /// The lower, the sooner; equal ones are tried in any order.
    pub preference: u16,
    /// Its address, where that need not be asked for.
    pub address: Option<IpAddr>,
    /// Its port, where it has one of its own.
    pub port: Option<u16>,
}

impl Destination {
    /// The queue's own domain, for protocols that go to no host: its routing domain where it has one.
    pub fn local(queue: &QueueName) -> Self {
        let parts = queue.parts();
        let site = parts.routing_domain.unwrap_or(parts.domain);
        Destination { site_name: site.to_owned(), site: site.to_owned(), hosts: Vec::new() }
    }
}

/// Why there is no destination.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ResolveError {
    /// The protocol's section makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The domain takes no mail, or nobody knows who does.
    #[error("{response}")]
    Nowhere {
        /// What the records say: for good when it is a 5xx.
        response: Response,
        /// Why.
        reason: Reason,
    },
}

/// How mail goes: what policy says about the source and about the path from it to the site.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Egress {
    /// The pool that the source was chosen from; empty where nobody chose.
    pub pool: String,
    /// Where it leaves from.
    pub source: EgressSource,
    /// The path.
    pub path: EgressPathConfig,
}
