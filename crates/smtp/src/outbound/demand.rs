//! What a domain asks of the connections that carry its mail, beside what the path asks: an MTA-STS policy.
//!
//! Domains with the same hosts share a ready queue, its sessions and their connections, but each has a word of its own on
//! how its mail may go. So a connection is made for the mail of one domain, and whether it will do is looked at for each
//! message.

use super::connection::Security;
use super::plan::Candidate;
use super::sts::Policies;
use std::fmt;
use std::sync::Arc;
use waybill_dns::name::ascii;
use waybill_mta_sts::{Mode, Policy};
use waybill_types::QueueName;

/// Finds out what domains ask for.
pub(super) struct Demands {
    /// `None` where the path does not want to know, or where the hosts are those of a list: then nobody was asked whose they are.
    pub(super) policies: Option<Arc<Policies>>,
}

/// What one domain asks for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Demand {
    /// Empty where nothing is asked for.
    domain: Arc<str>,
    sts: Option<Arc<Policy>>,
}

/// What is asked of the connection to one host.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) enum Guard {
    /// What the path asks.
    #[default]
    Path,
    /// TLS with a certificate that is checked: the policy of this domain says so.
    Sts(Arc<str>),
}

impl Demands {
    /// What the domain of a queue asks for.
    pub(super) async fn of(&self, queue: &QueueName) -> Demand {
        let Some(policies) = &self.policies else { return Demand::default() };
        let parts = queue.parts();
        let domain = parts.routing_domain.unwrap_or(parts.domain);
        let Some(domain) = ascii(domain).ok().filter(|domain| is_host(domain)) else { return Demand::default() };
        match policies.of(&domain).await {
            Some(policy) => Demand { domain: domain.into(), sts: Some(policy) },
            None => Demand::default(),
        }
    }
}

/// Whether it may stand in a URL. Literals and other oddities have no policy.
fn is_host(domain: &str) -> bool {
    domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

impl Demand {
    /// The policy that has to be kept.
    fn enforced(&self) -> Option<&Policy> {
        self.sts.as_deref().filter(|policy| policy.mode == Mode::Enforce)
    }

    /// What a connection to a host has to be like.
    ///
    /// # Errors
    /// When mail must not go there at all: the sentence.
    pub(super) fn of_host(&self, host: &str) -> Result<Guard, String> {
        match self.enforced() {
            None => Ok(Guard::Path),
            Some(policy) if policy.lists(host) => Ok(Guard::Sts(self.domain.clone())),
            Some(_) => Err(format!("{host} is not listed by the MTA-STS policy of {} (mode enforce)", self.domain)),
        }
    }

    /// Whether a connection that was made for mail of another domain will do.
    pub(super) fn is_met_by(&self, to: &Candidate, security: Security) -> bool {
        self.enforced().is_none_or(|policy| policy.lists(&to.host) && security == Security::Verified)
    }

    /// Notes what a policy in mode `testing` would have to say about a connection.
    pub(super) fn note(&self, to: &Candidate, security: Security) {
        let Some(policy) = self.sts.as_deref().filter(|policy| policy.mode == Mode::Testing) else { return };
        let why = match security {
            _ if !policy.lists(&to.host) => "the host is not listed",
            Security::Plain => "there is no TLS",
            Security::Unverified => "the certificate was not checked",
            Security::Verified => return,
        };
        let domain = &*self.domain;
        tracing::warn!(domain, host = %to, "an MTA-STS policy in mode testing is not kept, mail goes all the same: {why}");
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Guard::Path => f.write_str("enable_tls"),
            Guard::Sts(domain) => write!(f, "the MTA-STS policy of {domain}"),
        }
    }
}
