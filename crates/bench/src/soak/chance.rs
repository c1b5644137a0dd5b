//! What chance decides, by the seed: the same question has the same answer.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// The seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    pub(crate) fn seed(self) -> u64 {
        self.0
    }

    /// A number below `limit`.
    pub(crate) fn below(self, what: &str, number: u64, limit: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.0, what, number).hash(&mut hasher);
        hasher.finish() % limit
    }

    /// A time within bounds.
    pub(crate) fn between(self, what: &str, number: u64, (least, most): (Duration, Duration)) -> Duration {
        let span = u64::try_from((most - least).as_millis()).unwrap_or(u64::MAX);
        least + Duration::from_millis(self.below(what, number, span.max(1)))
    }
}

/// What becomes of a mail at the next hop, decided before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Taken.
    Taken,
    /// Refused for good.
    Refused,
    /// Put off once, then taken.
    PutOff,
    /// The first time nothing is said for a while, and the connection is closed.
    Hangs,
    /// The first time the connection breaks behind the data, without an answer.
    Breaks,
}

impl Fate {
    pub(crate) fn of(chance: Chance, mail: u64) -> Fate {
        match chance.below("fate", mail, 1000) {
            0..850 => Fate::Taken,
            850..900 => Fate::Refused,
            900..980 => Fate::PutOff,
            980..983 => Fate::Hangs,
            _ => Fate::Breaks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_the_same_twice_and_every_fate_comes() {
        let fates = |seed| (0..2000).map(|mail| Fate::of(Chance::new(seed), mail)).collect::<Vec<_>>();
        assert_eq!(fates(1), fates(1));
        assert_ne!(fates(1), fates(2));
        for fate in [Fate::Taken, Fate::Refused, Fate::PutOff, Fate::Hangs, Fate::Breaks] {
            assert!(fates(1).contains(&fate), "{fate:?}");
        }
    }
}
