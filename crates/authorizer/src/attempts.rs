//! Failed attempts, counted by who made them: a bounded table, whatever comes.

use crate::Peer;
use crate::bucket::{Bucket, Rate};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;
use waybill_types::Timestamp;

/// Wrong tokens of one peer that are answered 401; beyond that it is 429.
const WRONG: Rate = Rate { burst: 20, every: Duration::from_secs(3) };
/// Refusals of one peer that are told in the log.
const TOLD: Rate = Rate { burst: 10, every: Duration::from_secs(6) };
/// Refusals of all peers that are told in the log: somebody with many addresses must not fill the disk.
const TOLD_OF_ALL: Rate = Rate { burst: 200, every: Duration::from_millis(500) };
/// Peers that are remembered. Beyond that those who did nothing lately are forgotten, or the one that did the least.
const CAPACITY: usize = 4096;

/// Who failed how often.
#[derive(Default)]
pub(crate) struct Attempts {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    peers: HashMap<Peer, Failures>,
    told: Bucket,
}

#[derive(Clone, Copy, Default)]
struct Failures {
    wrong: Bucket,
    told: Bucket,
    /// Refusals that were not told since the last that was.
    untold: u64,
    last: Timestamp,
}

impl Attempts {
    /// Counts a token that was none.
    ///
    /// # Errors
    /// How long to wait, when there were too many.
    pub(crate) fn wrong(&self, peer: Peer, now: Timestamp) -> Result<(), Duration> {
        self.inner.lock().of(peer, now).wrong.take(WRONG, now)
    }

    /// Whether this refusal is to be told, and how many before it were not.
    pub(crate) fn tell(&self, peer: Peer, now: Timestamp) -> Option<u64> {
        let mut inner = self.inner.lock();
        let mut of_all = inner.told;
        let failures = inner.of(peer, now);
        let told = failures.told.take(TOLD, now).is_ok() && of_all.take(TOLD_OF_ALL, now).is_ok();
        let untold = if told { std::mem::take(&mut failures.untold) } else { failures.untold + 1 };
        failures.untold = if told { 0 } else { untold };
        inner.told = of_all;
        told.then_some(untold)
    }
}

impl Inner {
    fn of(&mut self, peer: Peer, now: Timestamp) -> &mut Failures {
        let peer = neighbours(peer);
        if self.peers.len() >= CAPACITY && !self.peers.contains_key(&peer) {
            self.make_room(now);
        }
        let failures = self.peers.entry(peer).or_default();
        failures.last = now;
        failures
    }

    fn make_room(&mut self, now: Timestamp) {
        self.peers.retain(|_, failures| !failures.wrong.is_full(now) || !failures.told.is_full(now));
        if self.peers.len() >= CAPACITY {
            // An eighth at a time, so that a flood of addresses does not pay for a look at all of them each time.
            let mut times: Vec<Timestamp> = self.peers.values().map(|failures| failures.last).collect();
            let (_, cut, _) = times.select_nth_unstable(CAPACITY / 8);
            let cut = *cut;
            self.peers.retain(|_, failures| failures.last > cut);
        }
    }
}

/// Whoever has one IPv6 address has the network of 64 bits around it.
fn neighbours(peer: Peer) -> Peer {
    match peer {
        Peer::Ip(IpAddr::V6(address)) => {
            Peer::Ip(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer::ip(text.parse().unwrap())
    }

    #[test]
    fn one_peer_is_slowed_down_and_others_are_not() {
        let (attempts, now) = (Attempts::default(), Timestamp::from_secs(1000));
        let (one, other) = (peer("192.0.2.1"), peer("192.0.2.2"));
        let let_through = (0..100).filter(|_| attempts.wrong(one, now).is_ok()).count();
        assert_eq!(let_through, 20);
        assert_eq!(attempts.wrong(one, now), Err(Duration::from_secs(3)));
        assert_eq!(attempts.wrong(other, now), Ok(()));
        assert_eq!(attempts.wrong(one, now + Duration::from_secs(3)), Ok(()));
    }

    #[test]
    fn the_addresses_of_one_network_are_one_peer() {
        let (attempts, now) = (Attempts::default(), Timestamp::from_secs(1000));
        let tries = |network: &str| {
            (0..100).filter(|n| attempts.wrong(peer(&format!("{network}::{n:x}")), now).is_ok()).count()
        };
        assert_eq!((tries("2001:db8:0:1"), tries("2001:db8:0:2")), (20, 20));
    }

    #[test]
    fn the_table_is_bounded_and_the_busiest_stay_in_it() {
        let (attempts, mut now) = (Attempts::default(), Timestamp::from_secs(1000));
        let busy = peer("192.0.2.1");
        while attempts.wrong(busy, now).is_ok() {}
        for n in 0..100_000_u32 {
            now = now + Duration::from_micros(10);
            let _ = attempts.wrong(Peer::ip(IpAddr::from((0x0a00_0000 + n).to_be_bytes())), now);
            if n % 100 == 0 {
                assert!(attempts.wrong(busy, now).is_err(), "it is not forgotten by a flood of others");
            }
            assert!(attempts.inner.lock().peers.len() <= CAPACITY);
        }
    }

    #[test]
    fn the_log_hears_some_refusals_and_how_many_it_did_not() {
        let (attempts, now) = (Attempts::default(), Timestamp::from_secs(1000));
        let one = peer("192.0.2.1");
        let told: Vec<u64> = (0..50).filter_map(|_| attempts.tell(one, now)).collect();
        assert_eq!(told, [0; 10]);
        assert_eq!(attempts.tell(one, now + Duration::from_secs(6)), Some(40));
        let of_many = (0..1000_u32)
            .filter(|n| attempts.tell(Peer::ip(IpAddr::from((0x0a00_0000 + n).to_be_bytes())), now).is_some())
            .count();
        assert!(of_many <= 200, "{of_many}");
    }
}
