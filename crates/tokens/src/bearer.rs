use rand::TryRngCore;
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What a bearer of ours begins with, so that scanners for lost secrets can tell one.
const PREFIX: &str = "wbt_";
/// So many base 62 characters: 238 bits.
const LENGTH: usize = 40;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Bytes from here on would make some characters likelier than others.
const FAIR: u8 = 248;

/// The operating system has no random bytes.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the operating system gives no random bytes: {0}")]
pub struct NoEntropy(String);

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    OsRng.try_fill_bytes(&mut bytes).map_err(|error| NoEntropy(error.to_string()))?;
    Ok(bytes)
}

/// What a client shows to prove that it has a token. Its `Debug` shows nothing, its memory is cleared when it is dropped.
#[derive(Clone)]
pub struct Bearer(Zeroizing<String>);

impl Bearer {
    /// A new one.
    ///
    /// # Errors
    /// When the operating system has no random bytes.
    pub fn random() -> Result<Self, NoEntropy> {
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + LENGTH));
        text.push_str(PREFIX);
        while text.len() < PREFIX.len() + LENGTH {
            let bytes = Zeroizing::new(random::<LENGTH>()?);
            let fair = bytes.iter().filter(|byte| **byte < FAIR);
            let room = PREFIX.len() + LENGTH - text.len();
            text.extend(fair.take(room).map(|byte| char::from(BASE62[usize::from(byte % 62)])));
        }
        Ok(Bearer(text))
    }

    /// What a client has shown, whatever it is.
    pub fn presented(text: &str) -> Self {
        Bearer(Zeroizing::new(text.to_owned()))
    }

    /// The text itself. Named so that a reader notices where a secret leaves its keeping.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn hash(&self) -> BearerHash {
        BearerHash(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer")
    }
}

/// SHA-256 of a bearer. Compared in constant time; a slow hash would only protect what can be guessed.
#[derive(Clone, Copy)]
pub struct BearerHash([u8; 32]);

impl BearerHash {
    /// From its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        BearerHash(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Where to look for it in a table: a part that proves nothing, for the rest is compared in constant time.
    pub fn selector(&self) -> u64 {
        self.0.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }
}

impl PartialEq for BearerHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for BearerHash {}

impl fmt::Debug for BearerHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_bearer_is_long_random_and_of_plain_characters() {
        let mut seen = HashSet::new();
        let mut characters = HashSet::new();
        for _ in 0..500 {
            let bearer = Bearer::random().unwrap();
            let secret = bearer.reveal().strip_prefix("wbt_").unwrap().to_owned();
            assert!(secret.len() == 40 && secret.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{secret}");
            characters.extend(secret.chars());
            assert!(seen.insert(secret));
        }
        assert_eq!(characters.len(), 62, "every character comes up");
    }

    #[test]
    fn the_hash_is_sha256_and_debug_shows_neither_it_nor_the_secret() {
        let bearer = Bearer::presented("abc");
        let hash = bearer.hash();
        // FIPS 180-2, appendix B.1.
        assert_eq!(hash.as_bytes()[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(hash.selector(), 0xba78_16bf_8f01_cfea);
        assert_eq!(format!("{bearer:?} {hash:?}"), "Bearer BearerHash");
        assert_eq!(hash, Bearer::presented("abc").hash());
        assert_ne!(hash, Bearer::presented("abd").hash());
    }
}
