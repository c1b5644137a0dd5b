//! Which addresses are not the public internet. IANA's registries of special-purpose addresses (RFC 6890) and what
//! clouds put beside them.

use ipnet::{Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a special address is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Special {
    /// "This host" (0.0.0.0/8, ::): connecting to it reaches the machine itself.
    Unspecified,
    /// The machine itself.
    Loopback,
    /// Of a private network (RFC 1918, RFC 4193), shared by a carrier (RFC 6598), or site-local (RFC 3879).
    Private,
    /// Of this link only.
    LinkLocal,
    /// Where a cloud tells a machine about itself, credentials included.
    Metadata,
    /// Of a group.
    Multicast,
    /// Set aside for protocols, documentation, benchmarks or the future.
    Reserved,
    /// An IPv6 address with an IPv4 address within, by a transition mechanism (6to4, Teredo, v4-compatible, local NAT64).
    Transition,
}

impl Special {
    /// As it stands in "... is a loopback address".
    pub fn described(self) -> &'static str {
        match self {
            Special::Unspecified => "an unspecified address",
            Special::Loopback => "a loopback address",
            Special::Private => "an address of a private network",
            Special::LinkLocal => "a link-local address",
            Special::Metadata => "the address of a cloud's metadata service",
            Special::Multicast => "a multicast or broadcast address",
            Special::Reserved => "a reserved address",
            Special::Transition => "an address of a transition mechanism, which could lead anywhere",
        }
    }

    /// Whether the operator's word for a *name* opens what it resolves to. Metadata services and what nobody can
    /// listen on must be named by address.
    pub(crate) fn opened_by_name(self) -> bool {
        !matches!(self, Special::Metadata | Special::Unspecified | Special::Multicast)
    }
}

/// The address that is really dialled: an IPv4-mapped IPv6 address is the IPv4 address.
pub fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// What is special about an address; `None` where it is one of the public internet.
pub fn special(address: IpAddr) -> Option<Special> {
    match canonical(address) {
        IpAddr::V4(four) => special_v4(four),
        IpAddr::V6(six) => special_v6(six),
    }
}

const fn four(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

/// The first that holds an address names it, so the narrower stand first.
const V4: &[(Ipv4Net, Special)] = &[
    (four(0, 0, 0, 0, 8), Special::Unspecified),
    (four(127, 0, 0, 0, 8), Special::Loopback),
    (four(169, 254, 169, 254, 32), Special::Metadata),
    // Amazon's credentials of containers, and their time and DNS servers' neighbours.
    (four(169, 254, 170, 0, 24), Special::Metadata),
    (four(169, 254, 0, 0, 16), Special::LinkLocal),
    // Alibaba's, within the carriers' range.
    (four(100, 100, 100, 200, 32), Special::Metadata),
    // Azure's, a public address that only its machines see.
    (four(168, 63, 129, 16, 32), Special::Metadata),
    // Oracle's, within the protocol assignments.
    (four(192, 0, 0, 192, 32), Special::Metadata),
    (four(10, 0, 0, 0, 8), Special::Private),
    (four(172, 16, 0, 0, 12), Special::Private),
    (four(192, 168, 0, 0, 16), Special::Private),
    (four(100, 64, 0, 0, 10), Special::Private),
    (four(192, 0, 0, 0, 24), Special::Reserved),
    (four(192, 0, 2, 0, 24), Special::Reserved),
    (four(192, 88, 99, 0, 24), Special::Reserved),
    (four(198, 18, 0, 0, 15), Special::Reserved),
    (four(198, 51, 100, 0, 24), Special::Reserved),
    (four(203, 0, 113, 0, 24), Special::Reserved),
    (four(224, 0, 0, 0, 4), Special::Multicast),
    (four(255, 255, 255, 255, 32), Special::Multicast),
    (four(240, 0, 0, 0, 4), Special::Reserved),
];

fn special_v4(address: Ipv4Addr) -> Option<Special> {
    V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, special)| *special)
}

const fn six(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

const V6: &[(Ipv6Net, Special)] = &[
    (six([0, 0, 0, 0, 0, 0, 0, 0], 128), Special::Unspecified),
    (six([0, 0, 0, 0, 0, 0, 0, 1], 128), Special::Loopback),
    // ::a.b.c.d, deprecated by RFC 4291.
    (six([0, 0, 0, 0, 0, 0, 0, 0], 96), Special::Transition),
    (six([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), Special::LinkLocal),
    (six([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), Special::Private),
    (six([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32), Special::Metadata),
    (six([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), Special::Private),
    (six([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), Special::Multicast),
    (six([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), Special::Transition),
    (six([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), Special::Transition),
    (six([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), Special::Transition),
    (six([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), Special::Reserved),
    (six([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), Special::Reserved),
    (six([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), Special::Reserved),
    (six([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16), Special::Reserved),
];

/// NAT64's well-known prefix (RFC 6052): what is within counts, as that is where the packets go.
const NAT64: Ipv6Net = six([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);
/// The only range in which public addresses are given out.
const GLOBAL: Ipv6Net = six([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

fn special_v6(address: Ipv6Addr) -> Option<Special> {
    if let Some(within) = nat64(address) {
        return special_v4(within);
    }
    let known = V6.iter().find(|(net, _)| net.contains(&address)).map(|(_, special)| *special);
    known.or_else(|| (!GLOBAL.contains(&address)).then_some(Special::Reserved))
}

/// The IPv4 address behind NAT64.
pub(crate) fn nat64(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., a, b, c, d] = address.octets();
    NAT64.contains(&address).then(|| Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Special> {
        special(text.parse().unwrap_or_else(|_| panic!("{text}")))
    }

    #[test]
    fn ssrf_1_special_ipv4_addresses_are_known() {
        for (text, kind) in [
            ("127.0.0.1", Special::Loopback),
            ("127.255.255.254", Special::Loopback),
            ("0.0.0.0", Special::Unspecified),
            ("0.1.2.3", Special::Unspecified),
            ("10.0.0.1", Special::Private),
            ("172.16.0.1", Special::Private),
            ("172.31.255.255", Special::Private),
            ("192.168.0.1", Special::Private),
            ("169.254.169.254", Special::Metadata),
            ("169.254.170.2", Special::Metadata),
            ("169.254.1.1", Special::LinkLocal),
            ("100.64.0.1", Special::Private),
            ("100.100.100.200", Special::Metadata),
            ("168.63.129.16", Special::Metadata),
            ("192.0.0.192", Special::Metadata),
            ("192.0.0.1", Special::Reserved),
            ("192.0.2.1", Special::Reserved),
            ("192.88.99.1", Special::Reserved),
            ("198.18.0.1", Special::Reserved),
            ("198.19.255.255", Special::Reserved),
            ("198.51.100.1", Special::Reserved),
            ("203.0.113.1", Special::Reserved),
            ("224.0.0.1", Special::Multicast),
            ("240.0.0.1", Special::Reserved),
            ("255.255.255.255", Special::Multicast),
        ] {
            assert_eq!(of(text), Some(kind), "{text}");
        }
    }

    #[test]
    fn ssrf_1_their_public_neighbours_are_not_special() {
        for text in
            ["172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1", "11.0.0.1", "8.8.8.8", "198.20.0.0"]
        {
            assert_eq!(of(text), None, "{text}");
        }
        for text in ["2606:4700::1", "2a00::1", "2001:4860:4860::8888", "64:ff9b::808:808"] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn ssrf_2_special_ipv6_addresses_are_known_and_mapped_ones_are_what_they_map() {
        for (text, kind) in [
            ("::", Special::Unspecified),
            ("::1", Special::Loopback),
            ("::ffff:127.0.0.1", Special::Loopback),
            ("::ffff:a9fe:a9fe", Special::Metadata),
            ("::127.0.0.1", Special::Transition),
            ("fe80::1", Special::LinkLocal),
            ("fec0::1", Special::Private),
            ("fc00::1", Special::Private),
            ("fd00:ec2::254", Special::Metadata),
            ("fd12::1", Special::Private),
            ("ff02::1", Special::Multicast),
            ("64:ff9b::a9fe:a9fe", Special::Metadata),
            ("64:ff9b::7f00:1", Special::Loopback),
            ("64:ff9b:1::1", Special::Transition),
            ("2002:7f00:1::", Special::Transition),
            ("2001:0::1", Special::Transition),
            ("2001:db8::1", Special::Reserved),
            ("2001:10::1", Special::Reserved),
            ("3fff::1", Special::Reserved),
            ("100::1", Special::Reserved),
            ("5f00::1", Special::Reserved),
            ("4000::1", Special::Reserved),
        ] {
            assert_eq!(of(text), Some(kind), "{text}");
        }
    }
}
