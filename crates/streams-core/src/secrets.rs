use serde::{Deserialize, Serialize};
use waybill_types::{Timestamp, base62};
use waybill_webhook_core::{DatedSecret, SignConfig};
use waybill_webhook_sign::{KlevKey, Secret};

/// What a secret begins with.
const PREFIX: &str = "ewhsec_";
/// Characters behind it.
const CHARACTERS: usize = 33;
/// Secrets that sign at once, the newest included: each is one more entry in two headers.
const MOST: usize = 4;

/// A new secret of these random bytes. 33 characters of base 62 hold 196 bits; of 32 bytes the excess is far too small
/// to be seen.
pub fn secret_from(random: [u8; 32]) -> Secret {
    Secret::new(format!("{PREFIX}{}", base62::encode(&random, CHARACTERS)))
}

/// The secrets of a webhook: the current one, and old ones for as long as a rotation lasts. `Debug` shows none.
#[derive(Clone, Debug)]
pub struct Secrets {
    current: Secret,
    /// Each with the unix second from which on it does not sign, newest first.
    old: Vec<(Secret, i64)>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    current: String,
    old: Vec<(String, i64)>,
}

impl Secrets {
    /// One secret.
    pub fn new(current: Secret) -> Self {
        Secrets { current, old: Vec::new() }
    }

    /// The secret that signs from now on.
    pub fn current(&self) -> &Secret {
        &self.current
    }

    /// The secrets that count at this time, the current one first.
    pub fn at(&self, now: Timestamp) -> impl Iterator<Item = &Secret> {
        let old = self.old.iter().filter(move |(_, until)| now.secs() < *until).map(|(secret, _)| secret);
        std::iter::once(&self.current).chain(old)
    }

    /// The same as a key of Standard Webhooks.
    pub fn standard_text(&self) -> Secret {
        KlevKey::new(self.current.clone()).standard_text()
    }

    /// A new secret signs; the old one signs too for so many seconds, with zero not once more.
    #[must_use]
    pub fn rotated(&self, new: Secret, now: Timestamp, expire_seconds: u64) -> Self {
        let mut old = Vec::new();
        if expire_seconds > 0 {
            let seconds = i64::try_from(expire_seconds).unwrap_or(i64::MAX);
            old.push((self.current.clone(), now.secs().saturating_add(seconds)));
            old.extend(self.old.iter().filter(|(_, until)| now.secs() < *until).cloned());
            old.truncate(MOST - 1);
        }
        Secrets { current: new, old }
    }

    /// How requests are signed: klev's scheme and Standard Webhooks, with every secret that may still count.
    pub fn signing(&self) -> SignConfig {
        let all = || {
            let old = self.old.iter().map(|(secret, until)| (secret.clone(), Some(*until)));
            std::iter::once((self.current.clone(), None)).chain(old)
        };
        let standard = |secret| KlevKey::new(secret).standard_text();
        SignConfig {
            klev: all().map(|(secret, until)| DatedSecret { secret, until }).collect(),
            standard: all().map(|(secret, until)| DatedSecret { secret: standard(secret), until }).collect(),
            ..SignConfig::default()
        }
    }

    /// For the store.
    pub fn to_stored(&self) -> Vec<u8> {
        let old = self.old.iter().map(|(secret, until)| (secret.reveal().to_owned(), *until)).collect();
        // Texts and numbers: this cannot fail.
        serde_json::to_vec(&Stored { current: self.current.reveal().to_owned(), old }).unwrap_or_default()
    }

    /// From the store; `None` for what is no such thing.
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        let stored: Stored = serde_json::from_slice(bytes).ok()?;
        let old = stored.old.into_iter().map(|(secret, until)| (Secret::new(secret), until)).collect();
        Some(Secrets { current: Secret::new(stored.current), old })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_webhook_sign::EventId;

    fn headers(keys: &Secrets, seconds: i64) -> (String, String) {
        let signer = keys.signing().signer().unwrap();
        let headers = signer.headers(&EventId::new("x_0").unwrap(), Timestamp::from_secs(seconds), b"hello world");
        let find = |name: &str| headers.iter().find(|(known, _)| known == name).unwrap().1.clone();
        (find("x-klev-signature"), find("webhook-signature"))
    }

    #[test]
    fn a_secret_is_its_prefix_and_33_characters() {
        for random in [[0; 32], [255; 32], [7; 32]] {
            let secret = secret_from(random);
            let rest = secret.reveal().strip_prefix("ewhsec_").unwrap();
            assert!(rest.len() == 33 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{rest}");
        }
        assert_ne!(secret_from([1; 32]), secret_from([2; 32]));
    }

    #[test]
    fn one_secret_signs_once_in_both_schemes_as_the_vector_says() {
        let keys = Secrets::new(Secret::new("ewhsec_4WWS5n4YcVrX8FhtxTKG3ctFHud3amGsr"));
        let (klev, standard) = headers(&keys, 1_695_490_928);
        assert_eq!(klev, "t=1695490928;v1=629e1ea0fa6f32f8d06b0693d42687f11a9128103c8ad30cbe98291c6d206abf");
        assert_eq!(standard.split(' ').count(), 1);
    }

    #[test]
    fn an_old_secret_signs_too_until_its_second_and_with_zero_not_once_more() {
        let first = Secrets::new(secret_from([1; 32]));
        let second = first.rotated(secret_from([2; 32]), Timestamp::from_secs(100), 60);
        let count = |keys: &Secrets, at| {
            let (klev, standard) = headers(keys, at);
            (klev.matches(";v1=").count(), standard.split(' ').count())
        };
        assert_eq!((count(&second, 100), count(&second, 159), count(&second, 160)), ((2, 2), (2, 2), (1, 1)));
        assert_eq!(count(&first.rotated(secret_from([2; 32]), Timestamp::from_secs(100), 0), 100), (1, 1));
        // Once more within the overlap: the first still counts as long as it was promised.
        let third = second.rotated(secret_from([3; 32]), Timestamp::from_secs(130), 60);
        assert_eq!((count(&third, 130), count(&third, 160), count(&third, 190)), ((3, 3), (2, 2), (1, 1)));
        let now = second.rotated(secret_from([3; 32]), Timestamp::from_secs(130), 0);
        assert_eq!(count(&now, 130), (1, 1), "zero drops every old one");
    }

    #[test]
    fn no_rotation_makes_more_headers_than_can_be_sent() {
        let mut keys = Secrets::new(secret_from([0; 32]));
        for round in 1..20 {
            keys = keys.rotated(secret_from([round; 32]), Timestamp::from_secs(i64::from(round)), u64::MAX);
        }
        assert_eq!(headers(&keys, 20).0.matches(";v1=").count(), MOST);
    }

    #[test]
    fn keys_come_back_from_the_store_and_debug_shows_none() {
        let keys = Secrets::new(secret_from([1; 32])).rotated(secret_from([2; 32]), Timestamp::EPOCH, 9);
        let again = Secrets::from_stored(&keys.to_stored()).unwrap();
        assert_eq!(headers(&again, 3), headers(&keys, 3));
        assert!(!format!("{keys:?}").contains(PREFIX));
        assert!(Secrets::from_stored(b"{}").is_none());
    }
}
