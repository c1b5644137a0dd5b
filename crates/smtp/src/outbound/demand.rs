//! What a domain asks of the connections that carry its mail, beside what the path asks: an MTA-STS policy, and that its
//! hosts are those that DNSSEC vouches for.
//!
//! Domains with the same hosts share a ready queue, its sessions and their connections, but each has a word of its own on
//! how its mail may go. So a connection is made for the mail of one domain, and whether it will do is looked at for each
//! message.

use super::connection::Security;
use super::failure::nowhere;
use super::guard::{Guard, NoGuard};
use super::plan::Candidate;
use super::sts::Policies;
use std::net::IpAddr;
use std::sync::Arc;
use waybill_delivery::{ConnectError, Host};
use waybill_dns::name::ascii;
use waybill_dns::{ExchangeKind, MailExchange, NoExchange, Resolver};
use waybill_mta_sts::{Mode, Policy};
use waybill_queue_core::reason::Reason;
use waybill_types::QueueName;

/// Finds out what domains ask for.
pub(super) struct Demands {
    pub(super) resolver: Arc<dyn Resolver>,
    /// `None` where the path does not want to know, or where the hosts are those of a list: then nobody was asked whose they are.
    pub(super) policies: Option<Arc<Policies>>,
    pub(super) dane: Dane,
}

/// Whether TLSA records of hosts count, and whose hosts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dane {
    /// They do not.
    Off,
    /// Those of hosts in MX records that DNSSEC vouches for.
    Mx,
    /// Those of the hosts of a list that the operator vouches for.
    List,
}

/// What one domain asks for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Demand {
    /// Empty where nothing is asked for.
    domain: Arc<str>,
    sts: Option<Arc<Policy>>,
    vouched: Option<Vouched>,
}

/// Hosts whose TLSA records count.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Vouched {
    All,
    /// Names without a dot at the end.
    These(Arc<[String]>),
}

impl Vouched {
    fn for_host(&self, host: &str) -> bool {
        match self {
            Vouched::All => true,
            Vouched::These(names) => names.iter().any(|name| name.eq_ignore_ascii_case(host)),
        }
    }
}

impl Demands {
    /// What the domain of a queue asks for.
    ///
    /// # Errors
    /// When nobody can say.
    pub(super) async fn of(&self, queue: &QueueName) -> Result<Demand, ConnectError> {
        if self.dane == Dane::List {
            return Ok(Demand { vouched: Some(Vouched::All), ..Demand::default() });
        }
        if self.dane == Dane::Off && self.policies.is_none() {
            return Ok(Demand::default());
        }
        let parts = queue.parts();
        let domain = parts.routing_domain.unwrap_or(parts.domain);
        let Some(domain) = ascii(domain).ok().filter(|domain| is_host(domain)) else { return Ok(Demand::default()) };
        let vouched = self.vouched(&domain).await?;
        let sts = match &self.policies {
            Some(policies) => policies.of(&domain).await,
            None => None,
        };
        let nothing = vouched.is_none() && sts.is_none();
        Ok(if nothing { Demand::default() } else { Demand { domain: domain.into(), sts, vouched } })
    }

    async fn vouched(&self, domain: &str) -> Result<Option<Vouched>, ConnectError> {
        if self.dane != Dane::Mx {
            return Ok(None);
        }
        match MailExchange::find(&*self.resolver.validated(), domain).await {
            // A domain that is its own host was named by nobody in between.
            Ok(found) if found.secure || found.kind == ExchangeKind::Implicit => {
                Ok(Some(Vouched::These(found.hosts.into_iter().map(|host| host.name).collect())))
            }
            Ok(_) | Err(NoExchange::NullMx(_) | NoExchange::NoSuchDomain(_)) => Ok(None),
            Err(error) => {
                let why = format_args!("enable_dane: {error}");
                Err(nowhere(451, "4.4.3", Reason::MxResolvedToZeroHosts, why))
            }
        }
    }
}

/// Whether it may stand in a URL. Literals and other oddities have no policy.
fn is_host(domain: &str) -> bool {
    domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

/// Without the dot at the end.
fn bare(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

impl Demand {
    /// Whether answers of the DNS have to be looked at with DNSSEC.
    pub(super) fn looks_at_dnssec(&self) -> bool {
        self.vouched.is_some()
    }

    /// The policy that has to be kept.
    fn enforced(&self) -> Option<&Policy> {
        self.sts.as_deref().filter(|policy| policy.mode == Mode::Enforce)
    }

    /// What a connection to a host has to be like. `resolver` looks at DNSSEC where that counts.
    pub(super) async fn of_host(&self, resolver: &dyn Resolver, host: &Host, port: u16) -> Result<Guard, NoGuard> {
        let name = bare(&host.name);
        let mut tlsa = None;
        if let Some(vouched) = &self.vouched {
            // Those that were found without DNSSEC are others: somebody may have put them there.
            if !vouched.for_host(name) {
                let why = format!("DNSSEC does not vouch for {name} as a host of {}", self.domain);
                return Err(NoGuard::Refused(why));
            }
            if is_host(name) && name.parse::<IpAddr>().is_err() {
                let asked = Guard::of_tlsa(resolver, name, port, host.address.is_some()).await;
                tlsa = asked.map_err(NoGuard::Failed)?;
            }
        }
        match (tlsa, self.enforced()) {
            // A policy has no say where records of the DNS have it (RFC 8461 section 2).
            (Some(Guard::Dane(associations)), _) => Ok(Guard::Dane(associations)),
            (tlsa, None) => Ok(tlsa.unwrap_or_default()),
            (_, Some(policy)) if policy.lists(name) => Ok(Guard::Sts(self.domain.clone())),
            (_, Some(_)) => {
                let why = format!("{name} is not listed by the MTA-STS policy of {} (mode enforce)", self.domain);
                Err(NoGuard::Refused(why))
            }
        }
    }

    /// Whether a connection that was made for mail of another domain will do.
    pub(super) fn is_met_by(&self, to: &Candidate, security: Security) -> bool {
        if let Some(vouched) = &self.vouched {
            if !to.looked_at_dnssec || !vouched.for_host(bare(&to.host)) {
                return false;
            }
            if security == Security::Dane {
                return true;
            }
        }
        self.enforced().is_none_or(|policy| policy.lists(&to.host) && security == Security::Verified)
    }

    /// Notes what a policy in mode `testing` would have to say about a connection.
    pub(super) fn note(&self, to: &Candidate, security: Security) {
        let Some(policy) = self.sts.as_deref().filter(|policy| policy.mode == Mode::Testing) else { return };
        let why = match security {
            Security::Dane => return,
            _ if !policy.lists(&to.host) => "the host is not listed",
            Security::Plain => "there is no TLS",
            Security::Unverified => "the certificate was not checked",
            Security::Verified => return,
        };
        let domain = &*self.domain;
        tracing::warn!(domain, host = %to, "an MTA-STS policy in mode testing is not kept, mail goes all the same: {why}");
    }
}
