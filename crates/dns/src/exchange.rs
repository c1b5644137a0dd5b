use crate::name::{ascii, literal};
use crate::{LookupError, Resolver, site_name};
use std::net::IpAddr;

/// Who takes the mail of a domain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MailExchange {
    /// The domain, lower case, ASCII; a literal with its brackets.
    pub domain: String,
    /// What the hosts are known from.
    pub kind: ExchangeKind,
    /// In the order of preference; equal preferences in the order of names. At least one.
    pub hosts: Vec<MailHost>,
    /// The name that domains with the same hosts share.
    pub site_name: String,
    /// Whether DNSSEC vouches for the list of hosts.
    pub secure: bool,
}

/// What the hosts of a domain are known from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExchangeKind {
    /// MX records.
    Mx,
    /// The domain has none: it is its own host (RFC 5321 section 5.1).
    Implicit,
    /// The domain is an address in brackets.
    Literal(IpAddr),
}

/// A host that takes mail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MailHost {
    /// Its name, without the dot at the end; a literal with its brackets.
    pub name: String,
    /// The lower, the sooner.
    pub preference: u16,
}

/// Why nobody takes the mail of a domain.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoExchange {
    /// It says so itself (RFC 7505).
    #[error("{0} takes no mail (null MX)")]
    NullMx(String),
    /// It does not exist.
    #[error("there is no domain {0}")]
    NoSuchDomain(String),
    /// Nobody knows at the moment, or the domain is no name at all.
    #[error("failed to resolve the MX of {domain}: {error}")]
    Failed {
        /// The domain.
        domain: String,
        /// What went wrong.
        error: LookupError,
    },
}

impl MailExchange {
    /// Asks who takes the mail of a domain or of an address literal. Addresses of the hosts are not asked for.
    ///
    /// # Errors
    /// When nobody does, or nobody knows.
    pub async fn find(resolver: &dyn Resolver, domain: &str) -> Result<Self, NoExchange> {
        let failed = |error| NoExchange::Failed { domain: domain.to_owned(), error };
        if let Some(address) = literal(domain) {
            return address.map(|address| MailExchange::literal(domain, address)).map_err(failed);
        }
        let domain = ascii(domain).map_err(failed)?;
        let answer = match resolver.mx(&domain).await {
            Ok(answer) => answer,
            Err(error) => return Err(NoExchange::Failed { domain, error }),
        };
        if !answer.exists {
            return Err(NoExchange::NoSuchDomain(domain));
        }
        // A root among others is a mistake of theirs, and nowhere to send mail to.
        let named: Vec<_> = answer.records.iter().filter(|mx| !mx.exchange.is_empty()).collect();
        if named.is_empty() && !answer.records.is_empty() {
            return Err(NoExchange::NullMx(domain));
        }
        let (kind, mut hosts) = if named.is_empty() {
            (ExchangeKind::Implicit, vec![MailHost { name: domain.clone(), preference: 0 }])
        } else {
            let host = |mx: &&crate::Mx| MailHost { name: mx.exchange.clone(), preference: mx.preference };
            (ExchangeKind::Mx, named.iter().map(host).collect())
        };
        hosts.sort_by(|a, b| (a.preference, &a.name).cmp(&(b.preference, &b.name)));
        // One host twice is tried once, at its better preference.
        let mut seen = std::collections::HashSet::new();
        hosts.retain(|host| seen.insert(host.name.clone()));
        let site_name = site_name(hosts.iter().map(|host| host.name.as_str()));
        Ok(MailExchange { domain, kind, hosts, site_name, secure: answer.secure })
    }

    fn literal(domain: &str, address: IpAddr) -> Self {
        let domain = domain.to_ascii_lowercase();
        MailExchange {
            hosts: vec![MailHost { name: domain.clone(), preference: 0 }],
            site_name: domain.clone(),
            kind: ExchangeKind::Literal(address),
            domain,
            secure: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Zones;
    use futures::executor::block_on;

    fn find(domain: &str) -> Result<MailExchange, NoExchange> {
        let zones = Zones::parse(["$ORIGIN example.com.
             @       MX 20 mx2
             @       MX 10 mx3
             @       MX 10 mx1
             @       MX 30 mx1
             mx1     A 192.0.2.1
             nomail  MX 0 .
             odd     MX 0 .
             odd     MX 10 mx1
             plain   A 192.0.2.9"]);
        block_on(MailExchange::find(&zones.unwrap().failing("broken.example.com"), domain))
    }

    fn names(found: &MailExchange) -> Vec<&str> {
        found.hosts.iter().map(|host| host.name.as_str()).collect()
    }

    #[test]
    fn hosts_come_by_preference_each_once() {
        let found = find("EXAMPLE.com.").unwrap();
        assert_eq!(names(&found), ["mx1.example.com", "mx3.example.com", "mx2.example.com"]);
        assert_eq!((found.kind, found.site_name.as_str()), (ExchangeKind::Mx, "(mx1|mx2|mx3).example.com"));
    }

    #[test]
    fn a_domain_without_mx_is_its_own_host() {
        let found = find("plain.example.com").unwrap();
        assert_eq!((found.kind, names(&found)), (ExchangeKind::Implicit, vec!["plain.example.com"]));
        assert_eq!(found.site_name, "plain.example.com");
    }

    #[test]
    fn a_null_mx_takes_no_mail_unless_there_are_others() {
        assert_eq!(find("nomail.example.com"), Err(NoExchange::NullMx("nomail.example.com".into())));
        assert_eq!(names(&find("odd.example.com").unwrap()), ["mx1.example.com"]);
    }

    #[test]
    fn a_missing_domain_is_not_one_that_could_not_be_asked_for() {
        assert_eq!(find("gone.example.com"), Err(NoExchange::NoSuchDomain("gone.example.com".into())));
        assert!(matches!(find("broken.example.com"), Err(NoExchange::Failed { .. })));
        assert!(matches!(find("a..b"), Err(NoExchange::Failed { error: LookupError::NotAName(_), .. })));
    }

    #[test]
    fn a_literal_is_its_own_site() {
        let found = find("[192.0.2.7]").unwrap();
        assert_eq!(found.kind, ExchangeKind::Literal("192.0.2.7".parse().unwrap()));
        assert_eq!((names(&found), found.site_name.as_str()), (vec!["[192.0.2.7]"], "[192.0.2.7]"));
        assert!(matches!(find("[192.0.2]"), Err(NoExchange::Failed { .. })));
    }
}
