use crate::list::list;
use ipnet::IpNet;
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;

/// A set of networks and single addresses: `{"127.0.0.1", "10.0.0.0/8", "::1"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CidrSet(Vec<IpNet>);

impl CidrSet {
    /// The networks of some addresses, each with the length of its prefix in bits; one that is longer than its address
    /// means the address alone.
    pub fn of(networks: impl IntoIterator<Item = (IpAddr, u8)>) -> Self {
        let net = |(address, length)| IpNet::new(address, length).unwrap_or_else(|_| address.into());
        CidrSet(networks.into_iter().map(net).collect())
    }

    /// Whether an address is in it. An IPv4 address that came in through an IPv6 socket counts as IPv4.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|net| net.contains(&ip))
    }
}

impl FromIterator<IpAddr> for CidrSet {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addresses: I) -> Self {
        CidrSet(addresses.into_iter().map(IpNet::from).collect())
    }
}

/// A value for each of some networks; the most specific one that an address is in wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CidrMap<V>(Vec<(IpNet, V)>);

impl<V> CidrMap<V> {
    /// The value of the longest prefix.
    pub fn get(&self, ip: IpAddr) -> Option<&V> {
        let ip = ip.to_canonical();
        let matching = self.0.iter().filter(|(net, _)| net.contains(&ip));
        matching.max_by_key(|(net, _)| net.prefix_len()).map(|(_, value)| value)
    }

    /// All values.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }
}

impl<V> Default for CidrMap<V> {
    fn default() -> Self {
        CidrMap(Vec::new())
    }
}

/// A network, or a single address as one.
fn parse(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| format!("expected an IP address or a CIDR, got {text:?}"))
}

impl<'de> Deserialize<'de> for CidrSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = list::<_, String>(deserializer)?;
        let nets: Result<Vec<IpNet>, String> = texts.iter().map(|text| parse(text)).collect();
        nets.map(CidrSet).map_err(de::Error::custom)
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for CidrMap<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> de::Visitor<'de> for Visitor<V> {
            type Value = CidrMap<V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table whose keys are CIDRs")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    entries.push((parse(&key).map_err(de::Error::custom)?, map.next_value()?));
                }
                Ok(CidrMap(entries))
            }
        }
        deserializer.deserialize_map(Visitor(PhantomData))
    }
}

/// As a policy writes it: a single address has no prefix.
impl Serialize for CidrSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = |net: &IpNet| match net.prefix_len() == net.max_prefix_len() {
            true => net.addr().to_string(),
            false => net.to_string(),
        };
        serializer.collect_seq(self.0.iter().map(shown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn sets_hold_addresses_and_networks() {
        let set: CidrSet = from_value(json!(["127.0.0.1", "10.0.0.5/8", "::1", "2001:db8::/32"])).unwrap();
        for inside in ["127.0.0.1", "10.9.9.9", "::1", "2001:db8::9", "::ffff:10.0.0.1"] {
            assert!(set.contains(ip(inside)), "{inside}");
        }
        for outside in ["127.0.0.2", "11.0.0.1", "::2", "::ffff:192.0.2.1"] {
            assert!(!set.contains(ip(outside)), "{outside}");
        }
    }

    #[test]
    fn an_empty_table_is_an_empty_set_and_anything_else_is_an_error() {
        assert_eq!(from_value::<CidrSet>(json!({})).unwrap(), CidrSet::default());
        for wrong in [json!({"a": 1}), json!(["host.example"]), json!(["10.0.0.0/33"]), json!(5), json!([5])] {
            assert!(from_value::<CidrSet>(wrong.clone()).is_err(), "{wrong}");
        }
        let error = from_value::<CidrSet>(json!(["10.0.0.0/8", "host.example"])).unwrap_err().to_string();
        assert_eq!(error, "expected an IP address or a CIDR, got \"host.example\"");
    }

    #[test]
    fn a_set_is_shown_as_it_was_written() {
        let written = json!(["0.0.0.0", "127.0.0.0/8", "10.0.0.5/8", "::/127", "2001:db8::1"]);
        let set: CidrSet = from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(set).unwrap(), written);
    }

    #[test]
    fn the_longest_prefix_wins() {
        let map: CidrMap<u32> = from_value(json!({"0.0.0.0/0": 0, "10.0.0.0/8": 8, "10.1.0.0/16": 16})).unwrap();
        assert_eq!(map.get(ip("10.1.2.3")), Some(&16));
        assert_eq!(map.get(ip("10.2.2.3")), Some(&8));
        assert_eq!(map.get(ip("192.0.2.1")), Some(&0));
        assert_eq!(map.get(ip("::1")), None);
    }
}
