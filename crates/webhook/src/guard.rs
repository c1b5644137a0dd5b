use crate::failure::Failure;
use std::net::{IpAddr, SocketAddr};
use waybill_dns::Resolver;
use waybill_webhook_core::{AddressPolicy, Host, Refused, Target, Trouble};

/// Which addresses may be dialled.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Guard {
    /// Endpoints, and servers that give tokens.
    pub targets: AddressPolicy,
    /// Proxies. A rule of their own: a proxy is often inside a network whose other hosts must stay out of reach.
    pub proxies: AddressPolicy,
}

/// The addresses of a target that may be dialled, in the order in which to try them: the families take turns, IPv6
/// first. Nobody asks for the name a second time, so what was checked is what is dialled.
pub(crate) async fn addresses(
    resolver: &dyn Resolver,
    policy: &AddressPolicy,
    target: &Target,
    most: usize,
    blocked: impl Fn(Refused) -> Failure,
) -> Result<Vec<SocketAddr>, Failure> {
    let found = match target.host() {
        Host::Address(ip) => vec![*ip],
        Host::Name(_) if target.is_localhost() => vec![IpAddr::from([127, 0, 0, 1]), IpAddr::V6(1.into())],
        Host::Name(name) => look_up(resolver, name).await?,
    };
    let mut refused = None;
    let mut permitted = Vec::new();
    for ip in found {
        let address = SocketAddr::new(waybill_webhook_core::canonical(ip), target.port());
        match policy.check(target.name(), address) {
            Ok(()) if permitted.contains(&address) => {}
            Ok(()) => permitted.push(address),
            Err(why) => refused = refused.or(Some(why)),
        }
    }
    permitted.truncate(most);
    match (permitted.is_empty(), refused) {
        (true, Some(why)) => Err(blocked(why)),
        _ => Ok(permitted),
    }
}

async fn look_up(resolver: &dyn Resolver, name: &str) -> Result<Vec<IpAddr>, Failure> {
    let trouble = |why: String| Trouble::Resolve { name: name.to_owned(), why };
    let (six, four) = futures::join!(resolver.ipv6(name), resolver.ipv4(name));
    let (six, four) = match (six, four) {
        (Err(error), Err(_)) => return Err(trouble(error.to_string()).into()),
        (six, four) => (six.ok(), four.ok()),
    };
    let mut six = six.map(|answer| answer.records).unwrap_or_default().into_iter().map(IpAddr::V6);
    let mut four = four.map(|answer| answer.records).unwrap_or_default().into_iter().map(IpAddr::V4);
    let mut all = Vec::new();
    loop {
        let pair = [six.next(), four.next()];
        if pair == [None, None] {
            break;
        }
        all.extend(pair.into_iter().flatten());
    }
    if all.is_empty() { Err(trouble("it has no address".to_owned()).into()) } else { Ok(all) }
}
