//! The addresses to try, in order: hosts by preference, equal ones in any order, and of each host all addresses.

use super::demand::Demand;
use super::failure::nowhere;
use super::guard::{Guard, NoGuard};
use super::settings::Settings;
use futures::future::join_all;
use rand::seq::SliceRandom;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use waybill_delivery::{ConnectError, Destination, Host};
use waybill_dns::{LookupError, Resolver};
use waybill_queue_core::config::IpLookup;
use waybill_queue_core::reason::Reason;

/// A domain with more hosts than this has the others for nothing.
const MOST_HOSTS: usize = 32;
/// And a host with more addresses.
const MOST_ADDRESSES: usize = 16;

/// One address to connect to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Candidate {
    /// The host's name, as records show it.
    pub(super) host: String,
    pub(super) address: SocketAddr,
    /// What is asked of the connection.
    pub(super) guard: Guard,
    /// Whether DNSSEC was looked at when that was found out.
    pub(super) looked_at_dnssec: bool,
}

impl std::fmt::Display for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.host, self.address)
    }
}

/// Looks up the addresses of all hosts, and leaves out those that the path or the domain's policy does not want.
pub(super) async fn plan(
    resolver: &dyn Resolver,
    destination: &Destination,
    settings: &Settings,
    demand: &Demand,
) -> Result<VecDeque<Candidate>, ConnectError> {
    let mut hosts: Vec<&Host> = destination.hosts.iter().take(MOST_HOSTS).collect();
    hosts.shuffle(&mut rand::rng());
    hosts.sort_by_key(|host| host.preference);
    let validated = demand.looks_at_dnssec().then(|| resolver.validated());
    let resolver = validated.as_deref().unwrap_or(resolver);
    let port = |host: &Host| host.port.unwrap_or(settings.port);
    let mut failure: Option<LookupError> = None;
    let mut refused = None;
    let asked = join_all(hosts.iter().map(|host| demand.of_host(resolver, host, port(host)))).await;
    let (hosts, guards): (Vec<&Host>, Vec<Guard>) = hosts
        .into_iter()
        .zip(asked)
        .filter_map(|(host, guard)| match guard {
            Ok(guard) => Some((host, guard)),
            Err(NoGuard::Refused(why)) => {
                refused = Some(why);
                None
            }
            Err(NoGuard::Failed(error)) => {
                failure = Some(error);
                None
            }
        })
        .unzip();
    let lookups = hosts.iter().map(|host| addresses(resolver, host, settings.path.ip_lookup_strategy));
    let mut candidates = VecDeque::new();
    let (mut skipped, mut foreign) = (false, false);
    for ((host, guard), found) in hosts.iter().zip(guards).zip(join_all(lookups).await) {
        let mut found = found.unwrap_or_else(|error| {
            failure = Some(error);
            Vec::new()
        });
        found.shuffle(&mut rand::rng());
        for address in found.into_iter().take(MOST_ADDRESSES) {
            // One poisonous address poisons the whole domain: its mail would come back to us.
            if settings.prohibited.contains(address) {
                let why = format_args!("{} is {address}, a prohibited host", host.name);
                return Err(nowhere(550, "5.4.4", Reason::MxWasProhibited, why));
            }
            if settings.skipped.contains(address) {
                skipped = true;
            } else if settings.seen_source().is_some_and(|source| source.is_ipv4() != address.is_ipv4()) {
                foreign = true;
            } else {
                let address = SocketAddr::new(address, port(host));
                candidates.push_back(Candidate {
                    host: host.name.clone(),
                    address,
                    guard: guard.clone(),
                    looked_at_dnssec: validated.is_some(),
                });
            }
        }
    }
    if !candidates.is_empty() {
        return Ok(candidates);
    }
    let site = &destination.site_name;
    let none = Reason::MxResolvedToZeroHosts;
    Err(match (failure, refused) {
        (Some(error), _) => nowhere(451, "4.4.3", none, format_args!("failed to resolve the hosts of {site}: {error}")),
        // For now: the domain may list it tomorrow.
        (None, Some(why)) => nowhere(451, "4.7.5", Reason::MxWasSkipped, format_args!("{why}")),
        _ if foreign => {
            let why = format_args!("no host of {site} has an address of the same family as the source");
            nowhere(451, "4.4.4", none, why)
        }
        _ if skipped => {
            nowhere(550, "5.4.4", Reason::MxWasSkipped, format_args!("all hosts of {site} are to be skipped"))
        }
        _ => nowhere(550, "5.4.4", none, format_args!("no host of {site} has an address")),
    })
}

async fn addresses(resolver: &dyn Resolver, host: &Host, wanted: IpLookup) -> Result<Vec<IpAddr>, LookupError> {
    if let Some(address) = host.address {
        return Ok(vec![address]);
    }
    let four = async || {
        let answer = resolver.ipv4(&host.name).await?;
        Ok::<Vec<IpAddr>, LookupError>(answer.records.into_iter().map(IpAddr::V4).collect())
    };
    let six = async || {
        let answer = resolver.ipv6(&host.name).await?;
        Ok::<Vec<IpAddr>, LookupError>(answer.records.into_iter().map(IpAddr::V6).collect())
    };
    // That there are none of the second kind does not make a failure of the first one final.
    let second_best = |first: Result<Vec<IpAddr>, LookupError>, second| match (first, second) {
        (Err(error), Ok(found)) if Vec::is_empty(&found) => Err(error),
        (_, second) => second,
    };
    match wanted {
        IpLookup::Ipv4Only => four().await,
        IpLookup::Ipv6Only => six().await,
        IpLookup::Ipv4ThenIpv6 => match four().await {
            Ok(found) if !found.is_empty() => Ok(found),
            first => second_best(first, six().await),
        },
        IpLookup::Ipv6ThenIpv4 => match six().await {
            Ok(found) if !found.is_empty() => Ok(found),
            first => second_best(first, four().await),
        },
        // What one of the two knows is enough, whatever becomes of the other.
        IpLookup::Ipv4AndIpv6 => match futures::join!(four(), six()) {
            (Ok(mut four), Ok(six)) => {
                four.extend(six);
                Ok(four)
            }
            (Ok(found), Err(error)) | (Err(error), Ok(found)) => {
                if found.is_empty() {
                    Err(error)
                } else {
                    Ok(found)
                }
            }
            (Err(error), Err(_)) => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use waybill_delivery::Egress;
    use waybill_dns::Zones;

    async fn candidates(path: Value, source: Option<&str>, hosts: &[(&str, u16)]) -> Result<Vec<String>, String> {
        let zones = Zones::parse(["$ORIGIN example.
             a A 192.0.2.1
             b A 192.0.2.2
             b AAAA 2001:db8::2
             c AAAA 2001:db8::3
             loop A 127.0.0.1
             none TXT x"]);
        let zones = zones.unwrap().failing("broken.example");
        let mut egress = Egress { path: serde_json::from_value(path).unwrap(), ..Egress::default() };
        egress.source.source_address = source.map(|text| text.parse().unwrap());
        let host = |(name, preference): &(&str, u16)| Host {
            name: (*name).to_owned(),
            preference: *preference,
            address: None,
            port: None,
        };
        let hosts = hosts.iter().map(host).collect();
        let destination = Destination { site_name: "site".into(), site: "site".into(), hosts };
        let settings = Settings::new(&egress, "us.example").unwrap();
        let found = plan(&zones, &destination, &settings, &Demand::default()).await;
        let found = found.map_err(|error| error.response.to_string())?;
        Ok(found.iter().map(|candidate| candidate.address.to_string()).collect())
    }

    #[tokio::test]
    async fn hosts_come_by_preference_and_with_all_their_addresses() {
        let mut found = candidates(json!({}), None, &[("b.example", 20), ("a.example", 10)]).await.unwrap();
        assert_eq!(found[0], "192.0.2.1:25");
        found.sort();
        assert_eq!(found, ["192.0.2.1:25", "192.0.2.2:25", "[2001:db8::2]:25"]);
        let four = json!({"ip_lookup_strategy": "Ipv4Only", "smtp_port": 26});
        assert_eq!(candidates(four, None, &[("b.example", 0)]).await.unwrap(), ["192.0.2.2:26"]);
        let first = json!({"ip_lookup_strategy": "Ipv4ThenIpv6"});
        assert_eq!(candidates(first, None, &[("c.example", 0)]).await.unwrap(), ["[2001:db8::3]:25"]);
    }

    #[tokio::test]
    async fn a_prohibited_address_stops_everything_and_a_skipped_one_only_itself() {
        let error = candidates(json!({}), None, &[("a.example", 0), ("loop.example", 1)]).await.unwrap_err();
        assert_eq!(error, "550 5.4.4 KumoMTA internal: loop.example is 127.0.0.1, a prohibited host");
        let skip = json!({"skip_hosts": ["192.0.2.1"]});
        let found = candidates(skip.clone(), None, &[("a.example", 0), ("c.example", 1)]).await.unwrap();
        assert_eq!(found, ["[2001:db8::3]:25"]);
        let error = candidates(skip, None, &[("a.example", 0)]).await.unwrap_err();
        assert_eq!(error, "550 5.4.4 KumoMTA internal: all hosts of site are to be skipped");
    }

    #[tokio::test]
    async fn no_address_is_for_good_unless_nobody_could_be_asked() {
        let error = candidates(json!({}), None, &[("none.example", 0), ("gone.example", 0)]).await.unwrap_err();
        assert_eq!(error, "550 5.4.4 KumoMTA internal: no host of site has an address");
        let error = candidates(json!({}), None, &[("none.example", 0), ("broken.example", 1)]).await.unwrap_err();
        assert!(error.starts_with("451 4.4.3 KumoMTA internal: failed to resolve the hosts of site: "), "{error}");
        assert_eq!(candidates(json!({}), None, &[("broken.example", 0), ("a.example", 1)]).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_source_reaches_only_addresses_of_its_own_family() {
        let found = candidates(json!({}), Some("192.0.2.9"), &[("b.example", 0)]).await.unwrap();
        assert_eq!(found, ["192.0.2.2:25"]);
        let error = candidates(json!({}), Some("192.0.2.9"), &[("c.example", 0)]).await.unwrap_err();
        assert!(error.starts_with("451 4.4.4 "), "{error}");
    }
}
