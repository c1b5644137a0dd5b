//! The check itself: RFC 7208, sections 4 and 5.

use std::net::IpAddr;

use mail_auth::spf::{Directive, Macro, Mechanism, Qualifier, Variables};
use waybill_dns::name::ascii;
use waybill_dns::{Answer, LookupError, Resolver};

use super::Disposition;
use super::budget::{Budget, MOST_NAMES};
use super::record::Record;

/// Whose mail it says it is, and who brings it.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The host that brings it.
    pub ip: IpAddr,
    /// The domain whose record is asked for.
    pub domain: &'a str,
    /// The sender; of a host's own name, or of a mail without a sender, `postmaster@` and the name.
    pub sender: &'a str,
    /// What the host calls itself.
    pub helo: &'a str,
    /// What we call ourselves.
    pub host: &'a str,
}

/// What came of it, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// What came of it.
    pub disposition: Disposition,
    /// Why, for people.
    pub reason: String,
}

/// Why a check cannot go on.
#[derive(Debug)]
pub(super) struct Stop(Verdict);

impl Stop {
    pub(super) fn permanent(reason: String) -> Self {
        Stop(Verdict { disposition: Disposition::PermError, reason })
    }

    pub(super) fn temporary(reason: String) -> Self {
        Stop(Verdict { disposition: Disposition::TempError, reason })
    }
}

/// Checks whether the host may send for the domain. The explanation that a domain may have for a failure is not asked for.
pub async fn check(resolver: &dyn Resolver, query: &Query<'_>) -> Verdict {
    let mut checking =
        Checking { resolver, query, ip: query.ip.to_canonical(), budget: Budget::default(), named: None };
    match checking.host(query.domain).await {
        Ok(Some(verdict)) => verdict,
        Ok(None) => Verdict { disposition: Disposition::None, reason: format!("{} has no SPF record", query.domain) },
        Err(Stop(verdict)) => verdict,
    }
}

struct Checking<'a> {
    resolver: &'a dyn Resolver,
    query: &'a Query<'a>,
    ip: IpAddr,
    budget: Budget,
    /// The name of the host that leads back to it, once it was asked for: the macro `p`.
    named: Option<String>,
}

impl Checking<'_> {
    /// What the record of a domain says; `None` when there is none.
    async fn host(&mut self, domain: &str) -> Result<Option<Verdict>, Stop> {
        let mut domain = domain.to_owned();
        let Some(mut record) = Record::find(self.resolver, &domain).await? else { return Ok(None) };
        // Ends, as each turn spends one of the terms that may ask.
        loop {
            for (index, directive) in record.parsed.directives.iter().enumerate() {
                if self.matches(directive, &domain).await? {
                    let reason = format!("matched '{}' directive", record.term(index));
                    return Ok(Some(Verdict { disposition: said(&directive.qualifier), reason }));
                }
            }
            let Some(redirect) = &record.parsed.redirect else {
                let reason = format!("no directive of {domain} matched");
                return Ok(Some(Verdict { disposition: Disposition::Neutral, reason }));
            };
            self.budget.term()?;
            let next = self.expanded(redirect, &domain).await?;
            let Some(found) = Record::find(self.resolver, &next).await? else {
                return Err(Stop::permanent(format!("{domain} redirects to {next}, which has no SPF record")));
            };
            (domain, record) = (next, found);
        }
    }

    async fn matches(&mut self, directive: &Directive, domain: &str) -> Result<bool, Stop> {
        match &directive.mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Ip4 { addr, mask } => Ok(self.is_in(IpAddr::V4(*addr), *mask, 0)),
            Mechanism::Ip6 { addr, mask } => Ok(self.is_in(IpAddr::V6(*addr), 0, *mask)),
            Mechanism::A { macro_string, ip4_mask, ip6_mask } => {
                self.budget.term()?;
                let name = self.expanded(macro_string, domain).await?;
                let found = self.addresses(&name).await?;
                Ok(found.into_iter().any(|address| self.is_in(address, *ip4_mask, *ip6_mask)))
            }
            Mechanism::Mx { macro_string, ip4_mask, ip6_mask } => {
                self.budget.term()?;
                let name = self.expanded(macro_string, domain).await?;
                self.is_exchange(&name, *ip4_mask, *ip6_mask).await
            }
            Mechanism::Include { macro_string } => {
                self.budget.term()?;
                let name = self.expanded(macro_string, domain).await?;
                match Box::pin(self.host(&name)).await? {
                    Some(verdict) => Ok(verdict.disposition == Disposition::Pass),
                    None => Err(Stop::permanent(format!("{domain} includes {name}, which has no SPF record"))),
                }
            }
            Mechanism::Exists { macro_string } => {
                self.budget.term()?;
                let name = self.expanded(macro_string, domain).await?;
                let found = answered(&name, self.resolver.ipv4(&name).await)?;
                Ok(!self.budget.answered(found)?.is_empty())
            }
            Mechanism::Ptr { macro_string } => {
                self.budget.term()?;
                let name = self.expanded(macro_string, domain).await?;
                let below = format!(".{name}");
                Ok(self.names().await?.iter().any(|known| *known == name || known.ends_with(&below)))
            }
        }
    }

    async fn is_exchange(&mut self, name: &str, ip4_mask: u32, ip6_mask: u128) -> Result<bool, Stop> {
        let found = answered(name, self.resolver.mx(name).await)?;
        let hosts = self.budget.answered(found)?;
        if hosts.len() > MOST_NAMES {
            return Err(Stop::permanent(format!(
                "{name} has more than {MOST_NAMES} MX hosts (RFC 7208, section 4.6.4)"
            )));
        }
        for host in hosts.iter().filter(|host| !host.exchange.is_empty()) {
            let found = self.addresses(&host.exchange).await?;
            if found.into_iter().any(|address| self.is_in(address, ip4_mask, ip6_mask)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The addresses of a host, of the kind that the sending host has.
    async fn addresses(&mut self, name: &str) -> Result<Vec<IpAddr>, Stop> {
        let found: Vec<IpAddr> = match self.ip {
            IpAddr::V4(_) => {
                let found = answered(name, self.resolver.ipv4(name).await)?;
                found.into_iter().map(IpAddr::V4).collect()
            }
            IpAddr::V6(_) => {
                let found = answered(name, self.resolver.ipv6(name).await)?;
                found.into_iter().map(IpAddr::V6).collect()
            }
        };
        self.budget.answered(found)
    }

    /// The names of the host that lead back to it (RFC 7208, section 5.5). What cannot be asked for is none.
    async fn names(&mut self) -> Result<Vec<String>, Stop> {
        let found = self.resolver.ptr(self.ip).await.map(|answer| answer.records).unwrap_or_default();
        let mut names = Vec::new();
        for name in self.budget.answered(found)?.into_iter().take(MOST_NAMES) {
            let leads_back = match self.ip {
                IpAddr::V4(ip) => self.resolver.ipv4(&name).await.is_ok_and(|answer| answer.records.contains(&ip)),
                IpAddr::V6(ip) => self.resolver.ipv6(&name).await.is_ok_and(|answer| answer.records.contains(&ip)),
            };
            if leads_back {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// A name with its macros filled in (RFC 7208, section 7).
    async fn expanded(&mut self, text: &Macro, domain: &str) -> Result<String, Stop> {
        if text.needs_ptr() && self.named.is_none() {
            self.budget.term()?;
            let names = self.names().await?;
            let below = format!(".{domain}");
            let best = names.iter().find(|name| *name == domain || name.ends_with(&below)).or_else(|| names.first());
            self.named = Some(best.map_or("unknown", String::as_str).to_owned());
        }
        let mut variables = Variables::new();
        variables.set_ip(&self.ip);
        variables.set_sender(self.query.sender.as_bytes());
        variables.set_domain(domain.as_bytes());
        variables.set_helo_domain(self.query.helo.as_bytes());
        variables.set_host_domain(self.query.host.as_bytes());
        variables.set_validated_domain(self.named.as_deref().unwrap_or("unknown").as_bytes());
        let name = text.eval(&variables, domain, false);
        let name = shortened(name.strip_suffix('.').unwrap_or(&name));
        // What is no name is asked for as it is, and is nowhere.
        Ok(ascii(name).unwrap_or_else(|_| name.to_owned()))
    }

    fn is_in(&self, network: IpAddr, ip4_mask: u32, ip6_mask: u128) -> bool {
        match (self.ip, network) {
            (IpAddr::V4(ip), IpAddr::V4(network)) => ip.to_bits() & ip4_mask == network.to_bits() & ip4_mask,
            (IpAddr::V6(ip), IpAddr::V6(network)) => ip.to_bits() & ip6_mask == network.to_bits() & ip6_mask,
            _ => false,
        }
    }
}

/// Labels are left out on the left until it is short enough for the DNS (RFC 7208, section 7.3).
fn shortened(name: &str) -> &str {
    const LONGEST: usize = 253;
    let mut name = name;
    while name.len() > LONGEST {
        let Some((_, rest)) = name.split_once('.') else { break };
        name = rest;
    }
    name
}

/// What the DNS knows; a name that cannot be is one that is not there.
fn answered<T>(name: &str, answer: Result<Answer<T>, LookupError>) -> Result<Vec<T>, Stop> {
    match answer {
        Ok(answer) => Ok(answer.records),
        Err(LookupError::NotAName(_)) => Ok(Vec::new()),
        Err(error) => Err(Stop::temporary(format!("failed to resolve {name}: {error}"))),
    }
}

fn said(qualifier: &Qualifier) -> Disposition {
    match qualifier {
        Qualifier::Pass => Disposition::Pass,
        Qualifier::Fail => Disposition::Fail,
        Qualifier::SoftFail => Disposition::SoftFail,
        Qualifier::Neutral => Disposition::Neutral,
    }
}
