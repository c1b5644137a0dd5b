use ipnet::IpNet;
use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;

/// A set of networks and single addresses: `{"127.0.0.1", "10.0.0.0/8", "::1"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CidrSet(Vec<IpNet>);

impl CidrSet {
    /// Whether an address is in it. An IPv4 address that came in through an IPv6 socket counts as IPv4.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|net| net.contains(&ip))
    }
}

impl FromIterator<IpNet> for CidrSet {
    fn from_iter<I: IntoIterator<Item = IpNet>>(nets: I) -> Self {
        CidrSet(nets.into_iter().collect())
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
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }
}

impl<V> Default for CidrMap<V> {
    fn default() -> Self {
        CidrMap(Vec::new())
    }
}

/// A network, or a single address as one.
pub(crate) fn parse(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| format!("expected an IP address or a CIDR, got {text:?}"))
}

impl<'de> Deserialize<'de> for CidrSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = list::<_, String>(deserializer)?;
        texts.iter().map(|text| parse(text).map_err(de::Error::custom)).collect()
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

/// Reads a list. An empty Lua table may arrive as an empty map: that is an empty list too.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Visitor<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }
        fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = seq.next_element()? {
                items.push(item);
            }
            Ok(items)
        }
        fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            match map.next_key::<String>()? {
                None => Ok(Vec::new()),
                Some(key) => Err(de::Error::custom(format_args!("expected a list, got a table with the key {key:?}"))),
            }
        }
    }
    deserializer.deserialize_any(Visitor(PhantomData))
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
