use std::net::IpAddr;
use std::sync::Arc;

/// Who is at the other end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Peer {
    /// A client over TCP; an IPv4 address is one, also where it came in mapped to IPv6.
    Ip(IpAddr),
    /// Whoever may open the admin socket: trusted like the operator.
    Admin,
}

impl Peer {
    /// A client over TCP.
    pub fn ip(address: IpAddr) -> Self {
        // On a socket for both families 127.0.0.1 is ::ffff:127.0.0.1, which no CIDR of the operator would match.
        Peer::Ip(address.to_canonical())
    }

    /// The address for meta and records, where the admin socket counts as this machine.
    pub fn address(&self) -> IpAddr {
        match self {
            Peer::Ip(address) => *address,
            Peer::Admin => IpAddr::from([127, 0, 0, 1]),
        }
    }
}

/// What is known of a connection; every request carries it as an extension. One without it is trusted by nobody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connection {
    /// Who is at the other end.
    pub peer: Peer,
    /// Our end: `address:port`, or the path of the admin socket.
    pub via: Arc<str>,
}
