//! Networks: the longest prefix that holds an address wins.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use mlua::Value;

use super::Keys;

#[derive(Default)]
pub(super) struct Networks {
    values: BTreeMap<IpNet, Value>,
    /// Lengths of prefixes that there are: no other is looked for.
    lengths: BTreeSet<u8>,
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let network = network.map_err(|_| format!("'{text}' is no network such as '10.0.0.0/8' and no address"))?;
    Ok(network.trunc())
}

/// An address, also with a port behind it.
fn address(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address| address.to_canonical())
}

impl Keys for Networks {
    fn set(&mut self, key: &str, value: Value) -> Result<(), String> {
        let network = network(key)?;
        if value.is_nil() {
            self.values.remove(&network);
            self.lengths = self.values.keys().map(IpNet::prefix_len).collect();
        } else {
            self.lengths.insert(network.prefix_len());
            self.values.insert(network, value);
        }
        Ok(())
    }

    fn find(&self, what: &str) -> Option<Value> {
        // A network is looked up by its address: what holds all of it holds that.
        let (address, longest) = match address(what) {
            Some(address) => (address, u8::MAX),
            None => network(what).ok().map(|network| (network.addr(), network.prefix_len()))?,
        };
        let lengths = self.lengths.iter().rev().filter(|length| **length <= longest);
        let mut networks = lengths.filter_map(|length| IpNet::new(address, *length).ok());
        networks.find_map(|network| self.values.get(&network.trunc())).cloned()
    }

    fn pairs(&self) -> Vec<(String, Value)> {
        self.values.iter().map(|(network, value)| (network.to_string(), value.clone())).collect()
    }
}
