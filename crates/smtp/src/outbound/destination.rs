//! Where a queue's mail goes: what the DNS says of the domain, or the hosts of a list.

use waybill_delivery::{ConfigError, Destination, Host, ResolveError};
use waybill_dns::name::ascii;
use waybill_dns::{ExchangeKind, LookupError, MailExchange, NoExchange, Resolver, is_ambiguous};
use waybill_queue_core::config::{MxHost, SmtpSection};
use waybill_queue_core::reason::Reason;
use waybill_types::{QueueName, Response};

/// Finds out.
pub(super) async fn resolve(
    resolver: &dyn Resolver,
    queue: &QueueName,
    section: &SmtpSection,
) -> Result<Destination, ResolveError> {
    if !section.mx_list.is_empty() {
        return Ok(of_list(&section.mx_list)?);
    }
    let parts = queue.parts();
    let domain = parts.routing_domain.unwrap_or(parts.domain);
    match MailExchange::find(resolver, domain).await {
        Ok(found) => Ok(of_exchange(found)),
        Err(error) => Err(nowhere(&error)),
    }
}

fn of_exchange(found: MailExchange) -> Destination {
    let address = match found.kind {
        ExchangeKind::Literal(address) => Some(address),
        ExchangeKind::Mx | ExchangeKind::Implicit => None,
    };
    let names: Vec<&str> = found.hosts.iter().map(|host| host.name.as_str()).collect();
    // Two sets of hosts that share a site name must not share a ready queue: mail of one domain would go to the hosts
    // of another, and whose those are is the other domain's choice.
    let site = if is_ambiguous(names.iter().copied()) {
        format!("{}#{:08x}", found.site_name, fingerprint(&names))
    } else {
        found.site_name.clone()
    };
    let host = |host: &waybill_dns::MailHost| Host {
        name: if address.is_some() { host.name.clone() } else { format!("{}.", host.name) },
        preference: host.preference,
        address,
        port: None,
    };
    Destination { site_name: found.site_name, site, hosts: found.hosts.iter().map(host).collect() }
}

/// Tells sets of hosts apart, the same on every machine and in every version.
fn fingerprint(names: &[&str]) -> u32 {
    use sha2::{Digest, Sha256};
    let mut names = names.to_vec();
    names.sort_unstable();
    let digest = Sha256::digest(names.join(",").as_bytes());
    digest.iter().take(4).fold(0, |number, byte| (number << 8) | u32::from(*byte))
}

fn nowhere(error: &NoExchange) -> ResolveError {
    let (code, enhanced, reason) = match error {
        NoExchange::NullMx(_) => (556, "5.1.10", Reason::FailedDueToNullMx),
        NoExchange::NoSuchDomain(_) => (550, "5.4.4", Reason::MxResolvedToZeroHosts),
        NoExchange::Failed { error: LookupError::NotAName(_), .. } => (550, "5.1.2", Reason::MxResolvedToZeroHosts),
        NoExchange::Failed { .. } => (451, "4.4.3", Reason::MxResolvedToZeroHosts),
    };
    let response = Response::new(code, format!("{enhanced} KumoMTA internal: {error}"));
    ResolveError::Nowhere { response, reason }
}

/// The hosts of `mx_list`, in its order.
fn of_list(list: &[MxHost]) -> Result<Destination, ConfigError> {
    let mut hosts = Vec::with_capacity(list.len());
    let mut words = Vec::with_capacity(list.len());
    for (index, entry) in list.iter().enumerate() {
        if entry.address.is_none() {
            let wrong = |why| ConfigError(format!("protocol.smtp.mx_list: entry {}: {why}", index + 1).into());
            ascii(&entry.name).map_err(wrong)?;
        }
        hosts.push(Host {
            name: entry.name.clone(),
            preference: u16::try_from(index).unwrap_or(u16::MAX),
            address: entry.address,
            port: entry.port,
        });
        words.push(entry.word());
    }
    let site = format!("mx_list:{}", words.join(","));
    Ok(Destination { site_name: site.clone(), site, hosts })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use waybill_dns::Zones;

    async fn find(queue: &str, list: Value) -> Result<Destination, ResolveError> {
        let zones = Zones::parse(["$ORIGIN example.com.
             @      MX 10 mx1
             @      MX 20 mx2
             nomail MX 0 .
             evil   MX 0 a.x.example.com.
             evil   MX 0 b.y.example.com.
             good   MX 0 a.y.example.com.
             good   MX 0 b.x.example.com."]);
        let section = serde_json::from_value(json!({"mx_list": list})).unwrap();
        let zones = zones.unwrap().failing("broken.example.com");
        resolve(&zones, &QueueName::new(queue), &section).await
    }

    async fn refused(queue: &str) -> (String, Reason) {
        match find(queue, json!([])).await {
            Err(ResolveError::Nowhere { response, reason }) => (response.to_string(), reason),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn hosts_and_site_come_from_the_dns_of_the_routing_domain() {
        for queue in ["c:t@example.com", "other.example!example.com"] {
            let found = find(queue, json!([])).await.unwrap();
            assert_eq!((found.site.as_str(), found.site_name.as_str()), ("(mx1|mx2).example.com", found.site.as_str()));
            let names: Vec<_> = found.hosts.iter().map(|host| host.name.as_str()).collect();
            assert_eq!(names, ["mx1.example.com.", "mx2.example.com."]);
        }
        let found = find("[192.0.2.7]", json!([])).await.unwrap();
        assert_eq!((found.site.as_str(), found.hosts[0].address), ("[192.0.2.7]", "192.0.2.7".parse().ok()));
    }

    #[tokio::test]
    async fn domains_that_share_a_site_name_by_chance_share_no_ready_queue() {
        let evil = find("evil.example.com", json!([])).await.unwrap();
        let good = find("good.example.com", json!([])).await.unwrap();
        assert_eq!(evil.site_name, good.site_name);
        assert_ne!(evil.site, good.site);
        assert!(evil.site.starts_with("(a|b).(x|y).example.com#"), "{}", evil.site);
    }

    #[tokio::test]
    async fn a_domain_without_mail_is_refused_for_good_and_one_in_trouble_for_now() {
        for (queue, begins, reason) in [
            ("nomail.example.com", "556 5.1.10 KumoMTA internal: nomail.example.com takes", Reason::FailedDueToNullMx),
            ("gone.example.com", "550 5.4.4 KumoMTA internal: there is no", Reason::MxResolvedToZeroHosts),
            ("a..b", "550 5.1.2 KumoMTA internal: failed", Reason::MxResolvedToZeroHosts),
            ("broken.example.com", "451 4.4.3 KumoMTA internal: failed", Reason::MxResolvedToZeroHosts),
        ] {
            let (text, why) = refused(queue).await;
            assert!(text.starts_with(begins), "{text}");
            assert_eq!(why, reason);
        }
    }

    #[tokio::test]
    async fn a_list_of_hosts_asks_nobody() {
        let list = json!(["relay.example", "relay.example:2525", "192.0.2.1:26", "[::1]:27", "[192.0.2.2]:28",
            "2001:db8::1", {"name": "named", "addr": "192.0.2.3:29"}]);
        let found = find("broken.example.com", list).await.unwrap();
        assert_eq!(
            found.site,
            "mx_list:relay.example,relay.example:2525,192.0.2.1:26,[::1]:27,[192.0.2.2]:28,2001:db8::1,\
             named/192.0.2.3:29"
        );
        let hosts: Vec<_> = found
            .hosts
            .iter()
            .map(|host| (host.name.as_str(), host.address.map(|address| address.to_string()), host.port))
            .collect();
        let ip = |text: &str| Some(text.to_owned());
        assert_eq!(
            hosts,
            [
                ("relay.example", None, None),
                ("relay.example", None, Some(2525)),
                ("192.0.2.1", ip("192.0.2.1"), Some(26)),
                ("::1", ip("::1"), Some(27)),
                ("[192.0.2.2]", ip("192.0.2.2"), Some(28)),
                ("2001:db8::1", ip("2001:db8::1"), None),
                ("named", ip("192.0.2.3"), Some(29)),
            ]
        );
    }

    #[tokio::test]
    async fn a_list_that_makes_no_sense_names_its_entry() {
        // Nothing else gets as far: what is no host is refused where the policy names it.
        for entry in [json!("relay\u{2488}.example"), json!("xn--\u{fc}.example")] {
            let error = find("example.com", json!(["fine.example", entry])).await.unwrap_err().to_string();
            assert!(error.starts_with("protocol.smtp.mx_list: entry 2: "), "{error}");
        }
    }
}
