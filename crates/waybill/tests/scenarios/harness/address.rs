//! Addresses of the loopback network, of which every part of a scenario has its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// An address in 127/8 that nobody else on this machine is likely to have.
pub(crate) fn own() -> Ipv4Addr {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id().wrapping_mul(256).wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
    let [_, second, third, fourth] = number.to_be_bytes();
    Ipv4Addr::new(127, second.clamp(1, 254), third.clamp(1, 254), fourth.clamp(1, 254))
}

/// Ports that are free now, at an address of our own: nobody else takes them, so another program can be told to.
pub(crate) fn free<const N: usize>() -> [SocketAddr; N] {
    let host = own();
    let bound = [0; N].map(|port| TcpListener::bind((host, port)).expect("bind a loopback address"));
    bound.map(|listener| listener.local_addr().expect("its address"))
}
