use crate::address::{Special, canonical, nat64, special};
use crate::target::{Host, Target};
use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Which addresses may be called. By default those of the public internet, at ports where HTTP is likely to be.
///
/// The operator opens more with rules: an address or a range (`127.0.0.0/8`, `::1`), a name (`hooks.internal.example`)
/// or all names below one (`*.internal.example`), each with a port behind it or not (`10.1.0.0/16:8080`,
/// `[::1]:25`). A rule without a port opens the usual ports; a rule with one opens that port alone, whichever it is.
/// A rule by name opens whatever the name resolves to, except metadata services and what nobody can listen on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AddressPolicy {
    rules: Vec<Rule>,
    /// This machine and private networks are open.
    own_networks: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Rule {
    whom: Whom,
    port: Option<u16>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Whom {
    Net(IpNet),
    Name(String),
    Below(String),
}

/// The text is no rule.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is no target; write a range (10.1.0.0/16), an address, a name or *.name, with :PORT behind it or not")]
pub struct RuleError(pub String);

/// Why an address must not be called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// The address is special.
    Special(Special),
    /// Something else than HTTP is likely to listen there.
    Port,
}

/// An address that must not be called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// The name that led there, if one did.
    pub name: Option<String>,
    /// The address.
    pub address: SocketAddr,
    /// What is wrong with it.
    pub why: Why,
}

impl Refused {
    /// Why, without what to do about it.
    pub fn reason(&self) -> String {
        let (address, ip) = (self.address, self.address.ip());
        match (self.why, &self.name) {
            (Why::Special(special), None) => format!("{ip} is {}", special.described()),
            (Why::Special(special), Some(name)) => format!("{name} leads to {ip}, which is {}", special.described()),
            (Why::Port, _) => {
                format!("{address}: something else than HTTP is likely to listen at port {}", address.port())
            }
        }
    }
}

impl Refused {
    /// With what to do about it: which list of `kumo.configure_webhooks` opens it.
    pub fn told(&self, list: &str) -> String {
        let open = match self.why {
            Why::Special(_) => self.address.ip().to_string(),
            Why::Port => self.address.to_string(),
        };
        format!("{}; to open it: kumo.configure_webhooks {{ {list} = {{ '{open}' }} }}", self.reason())
    }
}

/// As it is told of a target.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told("allow_targets"))
    }
}

impl std::error::Error for Refused {}

impl AddressPolicy {
    /// The default with these rules.
    ///
    /// # Errors
    /// The first that is none.
    pub fn allowing<'a>(rules: impl IntoIterator<Item = &'a str>) -> Result<Self, RuleError> {
        let rules = rules.into_iter().map(|text| rule(text).ok_or_else(|| RuleError(text.to_owned())));
        Ok(AddressPolicy { rules: rules.collect::<Result<_, _>>()?, own_networks: false })
    }

    /// The default, with this machine and private networks open: for what the operator alone can name, such as another
    /// node. Not opened by it are link-local addresses, those of metadata services and all else that is special.
    pub fn own_networks() -> Self {
        AddressPolicy { rules: Vec::new(), own_networks: true }
    }

    /// Whether this address may be called, `name` being what led there.
    ///
    /// # Errors
    /// When it must not.
    pub fn check(&self, name: Option<&str>, address: SocketAddr) -> Result<(), Refused> {
        let ip = canonical(address.ip());
        let address = SocketAddr::new(ip, address.port());
        let special = special(ip);
        let applies =
            |rule: &&Rule| rule.applies(name, ip, special) && rule.port.is_none_or(|port| port == address.port());
        let refused = |why| Err(Refused { name: name.map(str::to_owned), address, why });
        let mut applying = self.rules.iter().filter(applies).peekable();
        match special {
            Some(special) if applying.peek().is_none() && !self.opens(special) => refused(Why::Special(special)),
            _ if usual(address.port()) || applying.any(|rule| rule.port.is_some()) => Ok(()),
            _ => refused(Why::Port),
        }
    }

    fn opens(&self, special: Special) -> bool {
        self.own_networks && matches!(special, Special::Loopback | Special::Private)
    }

    /// What can be said of a URL before anybody asks the DNS: its address, where it is one, or `localhost`, and its
    /// port. For the moment at which an endpoint is described; what a name leads to is only known when it is called.
    ///
    /// # Errors
    /// When it would certainly be refused.
    pub fn check_literal(&self, target: &Target) -> Result<(), Refused> {
        match target.host() {
            Host::Address(ip) => self.check(None, SocketAddr::new(*ip, target.port())),
            Host::Name(name) if target.is_localhost() => {
                self.check(Some(name), SocketAddr::new(IpAddr::from([127, 0, 0, 1]), target.port()))
            }
            Host::Name(_) => Ok(()),
        }
    }
}

impl Rule {
    fn applies(&self, name: Option<&str>, ip: IpAddr, special: Option<Special>) -> bool {
        let by_name = || special.is_none_or(Special::opened_by_name);
        match (&self.whom, name) {
            (Whom::Net(net), _) => net.contains(&ip) || within(ip).is_some_and(|ip| net.contains(&ip)),
            (Whom::Name(rule), Some(name)) => by_name() && rule == name,
            (Whom::Below(rule), Some(name)) => {
                by_name() && name.strip_suffix(rule).is_some_and(|head| head.ends_with('.'))
            }
            (_, None) => false,
        }
    }
}

fn within(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V6(six) => nat64(six).map(IpAddr::V4),
        IpAddr::V4(_) => None,
    }
}

/// Ports below 1024 belong to other services, but for HTTP's own; above, some belong to services that would take an
/// HTTP request for commands, or that answer everybody who reaches them.
fn usual(port: u16) -> bool {
    const OTHERS: &[u16] = &[
        1433, 1521, 1719, 1720, 1723, 2049, 2375, 2376, 2379, 2380, 2525, 3306, 3389, 3659, 4045, 4190, 4444, 5060,
        5061, 5432, 5672, 5900, 5984, 6000, 6379, 6443, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 7001, 9042,
        9092, 9100, 9200, 9300, 10_080, 10_250, 10_255, 11_211, 15_672, 27_017, 50_000, 50_070,
    ];
    matches!(port, 80 | 443 | 1024..) && !OTHERS.contains(&port)
}

fn rule(text: &str) -> Option<Rule> {
    let text = text.trim();
    if let Some(behind) = text.strip_prefix('[') {
        let (net, port) = behind.split_once(']')?;
        let port = match port.strip_prefix(':') {
            Some(port) => Some(port_of(port)?),
            None if port.is_empty() => None,
            None => return None,
        };
        return Some(Rule { whom: Whom::Net(net_of(net)?), port });
    }
    if let Some(net) = net_of(text) {
        return Some(Rule { whom: Whom::Net(net), port: None });
    }
    let (whom, port) = match text.rsplit_once(':') {
        Some((whom, port)) => (whom, Some(port_of(port)?)),
        None => (text, None),
    };
    if let Some(net) = net_of(whom) {
        return matches!(net, IpNet::V4(_)).then_some(Rule { whom: Whom::Net(net), port });
    }
    let whom = match whom.strip_prefix("*.") {
        Some(rest) => Whom::Below(name_of(rest)?),
        None => Whom::Name(name_of(whom)?),
    };
    Some(Rule { whom, port })
}

fn port_of(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

fn net_of(text: &str) -> Option<IpNet> {
    let net = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
    // A mapped address is dialled as the IPv4 address, so a rule about it is one about that.
    match net {
        IpNet::V6(six) if six.prefix_len() >= 96 && six.addr().to_ipv4_mapped().is_some() => {
            let four = six.addr().to_ipv4_mapped()?;
            IpNet::new(four.into(), six.prefix_len() - 96).ok()
        }
        other => Some(other),
    }
}

/// A name as URLs have it after parsing; what looks like an address but is none (`10.0.0`) is no name.
fn name_of(text: &str) -> Option<String> {
    if text.contains(['/', '?', '#', '@', '%', ':', '\\', '*']) {
        return None;
    }
    match url::Host::parse(text).ok()? {
        url::Host::Domain(name) => Some(name.trim_end_matches('.').to_owned()).filter(|name| !name.is_empty()),
        url::Host::Ipv4(_) | url::Host::Ipv6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rules: &[&str]) -> AddressPolicy {
        AddressPolicy::allowing(rules.iter().copied()).unwrap()
    }

    fn allows(policy: &AddressPolicy, name: Option<&str>, address: &str) -> bool {
        policy.check(name, address.parse().unwrap()).is_ok()
    }

    #[test]
    fn by_default_only_public_addresses_are_called() {
        let closed = AddressPolicy::default();
        assert!(allows(&closed, Some("good.example"), "8.8.8.8:443"));
        assert!(!allows(&closed, Some("good.example"), "10.0.0.1:443"));
        assert!(!allows(&closed, None, "[::ffff:127.0.0.1]:80"));
    }

    #[test]
    fn own_networks_are_this_machine_and_private_ones_and_nothing_else_that_is_special() {
        let own = AddressPolicy::own_networks();
        for open in
            ["127.0.0.1:8000", "[::1]:8000", "10.1.2.3:8000", "192.168.1.1:443", "[fd12::1]:8000", "8.8.8.8:443"]
        {
            assert!(allows(&own, None, open), "{open}");
        }
        for closed in [
            "169.254.169.254:80",
            "[fd00:ec2::254]:80",
            "100.100.100.200:80",
            "169.254.1.1:8000",
            "[fe80::1]:8000",
            "0.0.0.0:8000",
            "224.0.0.1:8000",
            "127.0.0.1:25",
            "10.0.0.1:6379",
        ] {
            assert!(!allows(&own, Some("node.example"), closed), "{closed}");
        }
    }

    #[test]
    fn ssrf_3_ports_of_other_services_are_refused_until_a_rule_names_them() {
        let closed = AddressPolicy::default();
        for port in [22, 25, 110, 465, 587, 6379, 11_211, 2525] {
            assert!(!allows(&closed, None, &format!("8.8.8.8:{port}")), "{port}");
        }
        for port in [80, 443, 1024, 8000, 8080, 8443, 65_535] {
            assert!(allows(&closed, None, &format!("8.8.8.8:{port}")), "{port}");
        }
        assert!(!allows(&policy(&["8.8.8.8"]), None, "8.8.8.8:25"), "a rule without a port opens the usual ones");
        let named = policy(&["8.8.8.8:25"]);
        assert!(allows(&named, None, "8.8.8.8:25") && !allows(&named, None, "8.8.8.8:22"));
    }

    #[test]
    fn a_rule_opens_a_range_a_name_or_what_is_below_a_name() {
        let range = policy(&["10.1.0.0/16"]);
        assert!(allows(&range, None, "10.1.2.3:80") && !allows(&range, None, "10.2.0.1:80"));
        assert!(allows(&range, None, "[::ffff:10.1.2.3]:80"));
        assert!(allows(&range, None, "[64:ff9b::a01:203]:80"), "NAT64 of an address that is open");
        let name = policy(&["Hooks.Internal.Example."]);
        assert!(allows(&name, Some("hooks.internal.example"), "10.0.0.1:80"));
        assert!(!allows(&name, Some("a.hooks.internal.example"), "10.0.0.1:80"));
        assert!(!allows(&name, None, "10.0.0.1:80"));
        let below = policy(&["*.internal.example"]);
        assert!(allows(&below, Some("a.b.internal.example"), "10.0.0.1:80"));
        assert!(!allows(&below, Some("internal.example"), "10.0.0.1:80"));
        assert!(!allows(&below, Some("evilinternal.example"), "10.0.0.1:80"));
        let port = policy(&["[::1]:8025", "127.0.0.0/8:9025"]);
        assert!(allows(&port, None, "[::1]:8025") && !allows(&port, None, "[::1]:8026"));
        assert!(allows(&port, None, "127.0.0.1:9025"));
    }

    #[test]
    fn a_name_never_opens_a_metadata_service_and_an_address_does() {
        let name = policy(&["metadata.google.internal", "*.google.internal"]);
        assert!(!allows(&name, Some("metadata.google.internal"), "169.254.169.254:80"));
        assert!(!allows(&name, Some("metadata.google.internal"), "0.0.0.0:80"));
        assert!(allows(&policy(&["169.254.169.254"]), None, "169.254.169.254:80"));
    }

    #[test]
    fn a_refusal_names_the_rule_and_the_setting() {
        let closed = AddressPolicy::default();
        let refused = |name, address: &str| closed.check(name, address.parse().unwrap()).unwrap_err().to_string();
        assert_eq!(
            refused(Some("a.example"), "[::ffff:169.254.169.254]:80"),
            "a.example leads to 169.254.169.254, which is the address of a cloud's metadata service; to open it: \
             kumo.configure_webhooks { allow_targets = { '169.254.169.254' } }"
        );
        assert_eq!(
            refused(None, "8.8.8.8:25"),
            "8.8.8.8:25: something else than HTTP is likely to listen at port 25; to open it: \
             kumo.configure_webhooks { allow_targets = { '8.8.8.8:25' } }"
        );
    }

    #[test]
    fn what_a_literal_leads_to_is_known_before_it_is_called() {
        let closed = AddressPolicy::default();
        let check = |url: &str| closed.check_literal(&Target::parse(url).unwrap());
        for url in [
            "http://2130706433/",
            "http://localhost./",
            "https://a.localhost",
            "http://[fd00:ec2::254]/",
            "http://8.8.8.8:25",
        ] {
            assert!(check(url).is_err(), "{url}");
        }
        assert_eq!(check("http://good.example/"), Ok(()));
    }

    #[test]
    fn what_is_no_rule_is_refused_with_the_forms_that_are() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0",
            "http://a/",
            "a b",
            "::1:",
            "*.",
            "*",
            "a:0",
            "a:99999",
            "[::1",
            "[a]:1",
            "[::1]x",
        ] {
            assert_eq!(AddressPolicy::allowing([text]), Err(RuleError(text.to_owned())), "{text:?}");
        }
    }
}
