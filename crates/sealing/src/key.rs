use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, Encoding, HEXLOWER_PERMISSIVE};
use rand::TryCryptoRng;
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// So many bytes are a key.
const LENGTH: usize = 32;
/// 32 random bytes have fewer different ones than this once in 10^16 keys; what people make up has fewer every time.
const DIFFERENT: usize = 16;
/// What the id is a hash of, besides the key: nothing else hashes keys like this.
const ID_DOMAIN: &[u8] = b"waybill sealing key id\0";

/// The operating system has no random bytes.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the operating system gives no random bytes: {0}")]
pub struct NoEntropy(String);

/// Fills `bytes` from `rng`.
pub(crate) fn fill<R: TryCryptoRng>(rng: &mut R, bytes: &mut [u8]) -> Result<(), NoEntropy> {
    rng.try_fill_bytes(bytes).map_err(|error| NoEntropy(error.to_string()))
}

/// 32 bytes that nobody can guess. `Debug` shows the id, the memory is cleared when it is dropped.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; LENGTH]>);

/// What a text lacks to be a key. The text itself is never part of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// Neither of the two spellings.
    #[error("a key is 32 bytes in base64 or in hex, and this is neither: make one by `openssl rand -base64 32`")]
    Encoding,
    /// Of another length.
    #[error("a key has 32 bytes and this has {0}: make one by `openssl rand -base64 32`")]
    Length(usize),
    /// Zeros, a word again and again, a passphrase: what somebody would try.
    #[error("this is no random key: it has too few different bytes. Make one by `openssl rand -base64 32`")]
    Guessable,
}

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// When the operating system has no random bytes.
    pub fn random() -> Result<Self, NoEntropy> {
        Key::from_rng(&mut OsRng)
    }

    /// A new one out of a generator that is fit for keys.
    ///
    /// # Errors
    /// When the generator gives nothing.
    pub fn from_rng<R: TryCryptoRng>(rng: &mut R) -> Result<Self, NoEntropy> {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        fill(rng, &mut bytes[..])?;
        Ok(Key(bytes))
    }

    /// From its bytes.
    ///
    /// # Errors
    /// When they are not 32, or plainly not random.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: &[u8; LENGTH] = bytes.try_into().map_err(|_| KeyError::Length(bytes.len()))?;
        let mut seen = [false; 256];
        bytes.iter().for_each(|byte| seen[usize::from(*byte)] = true);
        match seen.iter().filter(|seen| **seen).count() {
            0..DIFFERENT => Err(KeyError::Guessable),
            _ => Ok(Key(Zeroizing::new(*bytes))),
        }
    }

    /// From its text: base64 (either alphabet, padded or not) or 64 hex digits; white space around it is nothing.
    ///
    /// # Errors
    /// When it is not that.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim().as_bytes();
        let decode = |encoding: &Encoding| encoding.decode(text).ok().map(Zeroizing::new);
        // 64 hex digits are base64 of 48 bytes as well, which no key has.
        let hex = if text.len() == 2 * LENGTH { decode(&HEXLOWER_PERMISSIVE) } else { None };
        let base64 = || [&BASE64, &BASE64_NOPAD, &BASE64URL, &BASE64URL_NOPAD].into_iter().find_map(decode);
        let bytes = hex.or_else(base64).ok_or(KeyError::Encoding)?;
        Key::from_bytes(&bytes)
    }

    /// Its text, as [`Key::parse`] reads it. Named so that a reader notices where a secret leaves its keeping.
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64.encode(&self.0[..]))
    }

    /// What tells it from others, and proves nothing.
    pub fn id(&self) -> KeyId {
        let digest: [u8; 32] = Sha256::new().chain_update(ID_DOMAIN).chain_update(&self.0[..]).finalize().into();
        KeyId(digest.first_chunk::<8>().copied().unwrap_or_default())
    }

    pub(crate) fn bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id())
    }
}

/// What tells a key from others: a part of its hash, 16 hex digits as text. No secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// From its bytes.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        KeyId(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER_PERMISSIVE.encode(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| KeyError::Encoding)?;
        bytes.try_into().map(KeyId).map_err(|bytes: Vec<u8>| KeyError::Length(bytes.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: &[u8; 32] = b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\xfd\xfe\xff";

    #[test]
    fn every_spelling_of_a_key_is_the_same_key() {
        let spellings = [
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxz9/v8=",
            " AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxz9/v8\r\n",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxz9_v8",
            "000102030405060708090A0B0C0D0E0F101112131415161718191a1b1cfdfeff",
        ];
        for text in spellings {
            assert_eq!(Key::parse(text).unwrap().bytes(), BYTES, "{text}");
        }
        let key = Key::from_bytes(BYTES).unwrap();
        assert_eq!(key.reveal().as_str(), spellings[0]);
        // printf 'waybill sealing key id\0' + the bytes | sha256sum
        assert_eq!(key.id().to_string(), ID);
        assert_eq!(ID.parse(), Ok(key.id()));
        assert_eq!(format!("{key:?} {:?}", key.id()), format!("Key({ID}) KeyId({ID})"));
    }
    const ID: &str = "bed742354b20464c";

    #[test]
    fn what_is_no_key_is_told_what_one_looks_like() {
        let cases = [
            ("correct horse battery staple", KeyError::Encoding),
            ("", KeyError::Length(0)),
            ("c2hvcnQ=", KeyError::Length(5)),
            ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", KeyError::Guessable),
            ("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", KeyError::Guessable),
        ];
        for (text, error) in cases {
            let got = Key::parse(text).unwrap_err();
            assert_eq!(got, error, "{text}");
            assert!(got.to_string().contains("openssl rand -base64 32"), "{got}");
            assert!(text.is_empty() || !got.to_string().contains(text), "{got}");
        }
    }

    #[test]
    fn random_keys_differ_and_pass_as_random() {
        let keys: Vec<Key> = (0..200).map(|_| Key::random().unwrap()).collect();
        let ids: std::collections::HashSet<KeyId> = keys.iter().map(Key::id).collect();
        assert_eq!(ids.len(), keys.len());
        for key in &keys {
            assert_eq!(Key::parse(&key.reveal()).unwrap().id(), key.id());
        }
    }
}
