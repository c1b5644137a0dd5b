//! One ordered index over everything that is due at some time, with one next wake-up.

use std::collections::BTreeMap;
use waybill_types::Timestamp;

/// A place in a [`DueIndex`]: unique, ordered by time, then by the order of insertion.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DueKey {
    due: Timestamp,
    seq: u64,
}

impl DueKey {
    /// When it is due.
    pub fn due(&self) -> Timestamp {
        self.due
    }
}

/// Values by the time at which they are due. Insertion and removal are O(log n); an entry of a `u32` takes about
/// 40 bytes.
#[derive(Debug)]
pub struct DueIndex<V> {
    entries: BTreeMap<DueKey, V>,
    next_seq: u64,
}

impl<V> Default for DueIndex<V> {
    fn default() -> Self {
        DueIndex { entries: BTreeMap::new(), next_seq: 0 }
    }
}

impl<V> DueIndex<V> {
    /// An index of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value. The key takes it out again.
    pub fn insert(&mut self, due: Timestamp, value: V) -> DueKey {
        let key = DueKey { due, seq: self.next_seq };
        self.next_seq += 1;
        self.entries.insert(key, value);
        key
    }

    /// Takes a value out, unless it has been popped already.
    pub fn remove(&mut self, key: DueKey) -> Option<V> {
        self.entries.remove(&key)
    }

    /// The earliest time in the index.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.entries.first_key_value().map(|(key, _)| key.due)
    }

    /// Takes out the earliest value if it is due.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<(DueKey, V)> {
        if self.next_due()? > now {
            return None;
        }
        self.entries.pop_first()
    }

    /// How many values wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn values_come_out_by_time_and_then_in_the_order_they_came_in() {
        let mut index = DueIndex::new();
        for (due, value) in [(3, "c"), (1, "a"), (3, "d"), (2, "b"), (9, "z")] {
            index.insert(at(due), value);
        }
        assert_eq!(index.next_due(), Some(at(1)));
        let mut out = Vec::new();
        while let Some((_, value)) = index.pop_due(at(3)) {
            out.push(value);
        }
        assert_eq!(out, ["a", "b", "c", "d"]);
        assert_eq!((index.len(), index.next_due()), (1, Some(at(9))));
    }

    #[test]
    fn nothing_comes_out_before_its_time() {
        let mut index = DueIndex::new();
        index.insert(at(5), ());
        assert_eq!(index.pop_due(at(4)), None);
        assert!(index.pop_due(at(5)).is_some());
        assert!(index.is_empty());
    }

    #[test]
    fn a_removed_value_does_not_come_out_and_is_removed_once() {
        let mut index = DueIndex::new();
        let key = index.insert(at(1), 7);
        assert_eq!(key.due(), at(1));
        assert_eq!((index.remove(key), index.remove(key)), (Some(7), None));
        assert_eq!(index.pop_due(at(9)), None);
    }

    #[test]
    fn it_agrees_with_a_sorted_list_over_many_random_steps() {
        let mut random = StdRng::seed_from_u64(7);
        let mut index = DueIndex::new();
        let mut naive: Vec<(DueKey, u32)> = Vec::new();
        for step in 0..20_000u32 {
            match random.random_range(0..3) {
                0 => naive.push((index.insert(at(random.random_range(0..500)), step), step)),
                1 if !naive.is_empty() => {
                    let (key, value) = naive.swap_remove(random.random_range(0..naive.len()));
                    assert_eq!(index.remove(key), Some(value));
                }
                _ => {
                    naive.sort_unstable();
                    let now = at(random.random_range(0..100));
                    let expected = naive.first().filter(|(key, _)| key.due() <= now).copied();
                    assert_eq!(index.pop_due(now), expected);
                    if expected.is_some() {
                        naive.remove(0);
                    }
                }
            }
            assert_eq!(index.len(), naive.len());
        }
    }
}
