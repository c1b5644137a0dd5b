//! What a sweep removes, decided from facts of an index: offset, time, size.

use crate::{Cleanup, Stats};

/// What is known of a message without its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Front {
    /// Its time, in microseconds since the epoch.
    pub time: i64,
    /// Its bytes as it is stored.
    pub size: u64,
}

/// Walks over a log from its front, and tells of each message whether it goes. The first that stays ends the walk: what
/// is behind it stays too, however old.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TrimScan {
    rule: Cleanup,
    now: i64,
    left: Stats,
}

impl TrimScan {
    /// Of a log that holds this much, at this time (microseconds).
    pub fn new(rule: Cleanup, now: i64, held: Stats) -> Self {
        TrimScan { rule, now, left: held }
    }

    /// Whether the front goes; then the next message is the front.
    pub fn cuts(&mut self, front: Front) -> bool {
        let Cleanup { trim_seconds, trim_size, trim_count, .. } = self.rule;
        let cut = older(front.time, trim_seconds, self.now)
            || (trim_size > 0 && self.left.size > trim_size)
            || (trim_count > 0 && self.left.count > trim_count);
        if cut {
            self.left.size = self.left.size.saturating_sub(front.size);
            self.left.count = self.left.count.saturating_sub(1);
        }
        cut
    }
}

/// Whether a message that something later has made needless goes now: it is older than `seconds`. Zero keeps it.
/// Used for superseded keys (`compact_seconds`) and for messages without a value (`expire_seconds`).
pub fn drops(time: i64, seconds: u64, now: i64) -> bool {
    older(time, seconds, now)
}

/// Whether a time lies more than so many seconds back. Zero seconds: never.
fn older(time: i64, seconds: u64, now: i64) -> bool {
    let micros = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    seconds > 0 && now.saturating_sub(time) > micros
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(rule: Cleanup, times: &[i64]) -> usize {
        let held = Stats { size: 10 * times.len() as u64, count: times.len() as u64 };
        let mut scan = TrimScan::new(rule, 100_000_000, held);
        times.iter().take_while(|time| scan.cuts(Front { time: **time * 1_000_000, size: 10 })).count()
    }

    #[test]
    fn trimming_by_age_size_and_count_cuts_from_the_front() {
        let none = Cleanup::default();
        assert_eq!(cut(none, &[0, 1, 2]), 0);
        assert_eq!(cut(Cleanup { trim_seconds: 10, ..none }, &[80, 89, 90, 91]), 2, "exactly as old stays");
        assert_eq!(cut(Cleanup { trim_size: 20, ..none }, &[1, 2, 3, 4]), 2);
        assert_eq!(cut(Cleanup { trim_size: 5, ..none }, &[1]), 1, "larger alone than what may stay");
        assert_eq!(cut(Cleanup { trim_count: 1, ..none }, &[1, 2, 3]), 2);
        assert_eq!(cut(Cleanup { trim_count: 3, trim_size: 15, ..none }, &[1, 2, 3]), 2, "the stricter wins");
    }

    #[test]
    fn an_old_message_behind_a_young_one_stays() {
        assert_eq!(cut(Cleanup { trim_seconds: 10, ..Cleanup::default() }, &[1, 99, 1]), 1);
    }

    #[test]
    fn times_far_off_do_not_overflow() {
        assert!(drops(i64::MIN, 1, i64::MAX) && !drops(i64::MAX, 1, i64::MIN) && !drops(0, u64::MAX, i64::MAX));
        assert!(!drops(0, 0, i64::MAX), "zero keeps");
        assert!(drops(0, 5, 5_000_001) && !drops(0, 5, 5_000_000));
    }
}
