//! IP addresses as scripts write them, and their names backwards.

use crate::raise;
use std::net::{IpAddr, SocketAddr};
use waybill_dns::name::reverse;

/// An address, also one with a port: `received_from` of a message has one.
pub(crate) fn parse(function: &str, text: &str) -> mlua::Result<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().map(|socket| socket.ip());
    bare.parse().or_else(|_| with_port()).map_err(|_| raise(function, format_args!("{text:?} is not an IP address")))
}

/// `1.0.0.127` of `127.0.0.1`.
pub(crate) fn reversed(function: &str, ip: &str) -> mlua::Result<String> {
    parse(function, ip).map(backwards)
}

/// The name under which the names of an address stand.
pub(crate) fn ptr_host(ip: &str) -> mlua::Result<String> {
    parse("ptr_host", ip).map(reverse)
}

/// Without the domain that [`reverse`] puts behind it.
pub(crate) fn backwards(address: IpAddr) -> String {
    let name = reverse(address);
    let tail = if address.is_ipv4() { ".in-addr.arpa" } else { ".ip6.arpa" };
    name.strip_suffix(tail).unwrap_or(&name).to_owned()
}
