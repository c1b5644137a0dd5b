use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

/// A place in a stream: increasing, never reused, with gaps after an unclean stop.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub u64);

impl Offset {
    /// The first place of any stream.
    pub const ZERO: Offset = Offset(0);

    /// The place behind this one.
    #[must_use]
    pub fn next(self) -> Offset {
        Offset(self.0.saturating_add(1))
    }
}

/// What is known of places in a stream. Every event is looked up half a dozen times, and nobody outside chooses its offset:
/// the hash need not withstand anybody.
pub type OffsetMap<V> = NumberMap<Offset, V>;

/// The same for whatever else we number ourselves.
pub type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<OffsetHasher>>;

/// Spreads numbers that follow each other.
#[derive(Clone, Default, Debug)]
pub struct OffsetHasher(u64);

impl Hasher for OffsetHasher {
    fn finish(&self) -> u64 {
        // The map takes the lower bits for the place and the upper ones to tell neighbours apart.
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        // 2^64 divided by the golden ratio (Knuth, The Art of Computer Programming, section 6.4).
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    #[test]
    fn offsets_in_a_row_fall_into_places_of_their_own() {
        let hasher = BuildHasherDefault::<OffsetHasher>::default();
        let hashes: Vec<u64> = (1_000_000..1_001_024).map(|offset| hasher.hash_one(Offset(offset))).collect();
        let places: HashSet<u64> = hashes.iter().map(|hash| hash % 2048).collect();
        let tags: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        assert!(places.len() > 512, "{} places of 2048", places.len());
        assert_eq!(tags.len(), 128);
    }
}
