use waybill_types::Timestamp;

/// The keys that sign: the current ones, and old ones for as long as a rotation lasts.
#[derive(Clone, Debug)]
pub struct Keyring<K> {
    keys: Vec<Dated<K>>,
}

#[derive(Clone, Debug)]
struct Dated<K> {
    key: K,
    /// From then on it does not sign any more.
    until: Option<Timestamp>,
}

/// These keys cannot be a keyring.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyringError {
    /// Every key has an end, and behind it messages would go unsigned.
    #[error("one key must be without an end, or nothing is signed once the others have expired")]
    AllExpire,
    /// Each key is one more entry in a header.
    #[error("at most {MOST} keys sign at once, these are {0}")]
    TooMany(usize),
}

/// Keys in one ring: the current and the old of each of two schemes, with room.
const MOST: usize = 8;

impl<K> Default for Keyring<K> {
    fn default() -> Self {
        Keyring { keys: Vec::new() }
    }
}

impl<K> Keyring<K> {
    /// Keys without an end. None at all means that nothing is signed.
    ///
    /// # Errors
    /// [`KeyringError::TooMany`].
    pub fn of(keys: impl IntoIterator<Item = K>) -> Result<Self, KeyringError> {
        Keyring::dated(keys.into_iter().map(|key| (key, None)))
    }

    /// Keys, each with the time from which on it does not sign any more.
    ///
    /// # Errors
    /// When no key would be left some day, or there are too many.
    pub fn dated(keys: impl IntoIterator<Item = (K, Option<Timestamp>)>) -> Result<Self, KeyringError> {
        let keys: Vec<_> = keys.into_iter().map(|(key, until)| Dated { key, until }).collect();
        if keys.len() > MOST {
            return Err(KeyringError::TooMany(keys.len()));
        }
        if !keys.is_empty() && keys.iter().all(|dated| dated.until.is_some()) {
            return Err(KeyringError::AllExpire);
        }
        Ok(Keyring { keys })
    }

    /// The keys that sign at this time, in their order.
    pub fn at(&self, now: Timestamp) -> impl Iterator<Item = &K> {
        self.keys.iter().filter(move |dated| dated.until.is_none_or(|until| now < until)).map(|dated| &dated.key)
    }

    /// Whether nothing is signed.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(43_200);

    fn signing(ring: &Keyring<&'static str>, now: i64) -> Vec<&'static str> {
        ring.at(Timestamp::from_secs(now)).copied().collect()
    }

    #[test]
    fn an_old_key_signs_until_its_time_and_not_at_it_whichever_way_the_clock_steps() {
        let ring = Keyring::dated([("new", None), ("old", Some(NOON))]).unwrap();
        assert_eq!(signing(&ring, 43_199), ["new", "old"]);
        assert_eq!(signing(&ring, 43_200), ["new"]);
        // A clock that is set back brings the old key's time back; one that is set forward ends it.
        assert_eq!(signing(&ring, 100), ["new", "old"]);
        assert_eq!(signing(&ring, 99_999), ["new"]);
    }

    #[test]
    fn a_ring_that_would_run_dry_is_refused() {
        assert_eq!(Keyring::dated([("old", Some(NOON))]).unwrap_err(), KeyringError::AllExpire);
        assert_eq!(Keyring::of(0..9).unwrap_err(), KeyringError::TooMany(9));
        assert!(Keyring::<u8>::of([]).unwrap().is_empty());
    }
}
