//! Addresses of the loopback network, of which every part of a scenario has its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// How many values a part of an address has: neither 0 nor 255.
const PART: u32 = 254;

/// An address in 127/8 that nobody else in this process has, nor anybody on this machine is likely to have.
pub(crate) fn own() -> Ipv4Addr {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    numbered(std::process::id().wrapping_mul(1024).wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed)))
}

/// Each number its own address, up to 254³ of them.
fn numbered(number: u32) -> Ipv4Addr {
    let part = |place: u32| u8::try_from(1 + number / PART.pow(place) % PART).expect("at most 254");
    Ipv4Addr::new(127, part(2), part(1), part(0))
}

/// Ports that are free now, at an address of our own: nobody else takes them, so another program can be told to.
pub(crate) fn free<const N: usize>() -> [SocketAddr; N] {
    let host = own();
    let bound = [0; N].map(|port| TcpListener::bind((host, port)).expect("bind a loopback address"));
    bound.map(|listener| listener.local_addr().expect("its address"))
}

/// A port of 127.0.0.1 that is free now, for another program that listens nowhere else. Connections get theirs from above.
pub(crate) fn local() -> SocketAddr {
    const FIRST: u32 = 20_000;
    const LAST: u32 = 32_000;
    let begin = FIRST + std::process::id().wrapping_mul(16) % (LAST - FIRST);
    let ports = (begin..LAST).chain(FIRST..begin).map(|port| u16::try_from(port).expect("a port"));
    let listener = ports.into_iter().find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
    listener.and_then(|listener| listener.local_addr().ok()).expect("a free port of 127.0.0.1")
}

#[test]
fn a_thousand_numbers_that_follow_each_other_are_a_thousand_addresses() {
    let addresses: std::collections::HashSet<Ipv4Addr> = (60_000..61_000).map(numbered).collect();
    assert_eq!(addresses.len(), 1000);
    assert!(addresses.iter().all(|address| address.octets()[1..].iter().all(|part| (1..=254).contains(part))));
}
