//! Standard Webhooks: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.

use crate::EventId;
use crate::mac::{self, Algorithm};
use data_encoding::BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use std::fmt;
use zeroize::Zeroizing;

/// This is no key of Standard Webhooks. The text of the key is not repeated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// It begins with none of the prefixes.
    #[error("a key begins with {0}")]
    Prefix(&'static str),
    /// What follows the prefix is not padded base64.
    #[error("what follows the prefix of a key is padded base64")]
    Base64,
    /// The wrong number of bytes.
    #[error("this kind of key has {expected} bytes, this has {found}")]
    Length {
        /// How many it may have.
        expected: &'static str,
        /// How many these are.
        found: usize,
    },
    /// The two halves of an ed25519 key do not belong together, or the public half is no point of the curve.
    #[error("the public half of the key does not belong to its seed")]
    Halves,
}

const SYMMETRIC: &str = "whsec_";
const PRIVATE: &str = "whsk_";
const PUBLIC: &str = "whpk_";

/// A key that signs. `Debug` tells the scheme only.
#[derive(Clone)]
pub enum StandardKey {
    /// v1: HMAC-SHA256 with these bytes.
    Hmac(Zeroizing<Vec<u8>>),
    /// v1a: ed25519.
    Ed25519(Box<SigningKey>),
}

impl StandardKey {
    /// `whsec_` and 24 to 64 bytes in base64, or `whsk_` and the 64 bytes of seed and public key.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if let Some(rest) = text.strip_prefix(SYMMETRIC) {
            return Self::from_bytes(&decode(rest)?);
        }
        let rest = text.strip_prefix(PRIVATE).ok_or(KeyError::Prefix("whsec_ or whsk_"))?;
        let bytes = decode(rest)?;
        let pair: &[u8; 64] =
            bytes.as_slice().try_into().map_err(|_| KeyError::Length { expected: "64", found: bytes.len() })?;
        SigningKey::from_keypair_bytes(pair)
            .map(|key| StandardKey::Ed25519(Box::new(key)))
            .map_err(|_| KeyError::Halves)
    }

    /// A v1 key of these bytes, 24 to 64 of them.
    ///
    /// # Errors
    /// [`KeyError::Length`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        match bytes.len() {
            24..=64 => Ok(StandardKey::Hmac(Zeroizing::new(bytes.to_vec()))),
            found => Err(KeyError::Length { expected: "24 to 64", found }),
        }
    }

    /// One entry of `webhook-signature`: `v1,...` or `v1a,...`.
    pub fn sign(&self, id: &EventId, seconds: i64, body: &[u8]) -> String {
        let head = head(id.as_str(), seconds);
        match self {
            StandardKey::Hmac(key) => {
                format!("v1,{}", BASE64.encode(&mac::mac(Algorithm::Sha256, key, &[head.as_bytes(), body])))
            }
            StandardKey::Ed25519(key) => {
                let text = [head.as_bytes(), body].concat();
                format!("v1a,{}", BASE64.encode(&key.sign(&text).to_bytes()))
            }
        }
    }

    /// What checks the signatures of this key.
    pub fn verifier(&self) -> StandardVerifier {
        match self {
            StandardKey::Hmac(key) => StandardVerifier::Hmac(key.clone()),
            StandardKey::Ed25519(key) => StandardVerifier::Ed25519(key.verifying_key()),
        }
    }
}

impl fmt::Debug for StandardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StandardKey::Hmac(_) => "StandardKey(v1)",
            StandardKey::Ed25519(_) => "StandardKey(v1a)",
        })
    }
}

/// A key that checks signatures. `Debug` tells the scheme only.
#[derive(Clone)]
pub enum StandardVerifier {
    /// v1.
    Hmac(Zeroizing<Vec<u8>>),
    /// v1a.
    Ed25519(VerifyingKey),
}

impl StandardVerifier {
    /// `whsec_` as for [`StandardKey::parse`], or `whpk_` and the 32 bytes of the public key.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.starts_with(SYMMETRIC) {
            return StandardKey::parse(text).map(|key| key.verifier());
        }
        let rest = text.strip_prefix(PUBLIC).ok_or(KeyError::Prefix("whsec_ or whpk_"))?;
        let bytes = decode(rest)?;
        let point: &[u8; 32] =
            bytes.as_slice().try_into().map_err(|_| KeyError::Length { expected: "32", found: bytes.len() })?;
        VerifyingKey::from_bytes(point).map(StandardVerifier::Ed25519).map_err(|_| KeyError::Halves)
    }

    /// Whether one entry of the list is this key's signature. Entries of unknown versions, and what is no base64, are
    /// no signatures.
    pub(crate) fn accepts(&self, entry: &str, id: &str, seconds: i64, body: &[u8]) -> bool {
        let Some((version, signature)) = entry.split_once(',') else { return false };
        let Ok(signature) = BASE64.decode(signature.as_bytes()) else { return false };
        let head = head(id, seconds);
        match (self, version) {
            (StandardVerifier::Hmac(key), "v1") => {
                mac::matches(Algorithm::Sha256, key, &[head.as_bytes(), body], &signature)
            }
            (StandardVerifier::Ed25519(key), "v1a") => Signature::from_slice(&signature)
                .is_ok_and(|signature| key.verify_strict(&[head.as_bytes(), body].concat(), &signature).is_ok()),
            _ => false,
        }
    }
}

impl fmt::Debug for StandardVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StandardVerifier::Hmac(_) => "StandardVerifier(v1)",
            StandardVerifier::Ed25519(_) => "StandardVerifier(v1a)",
        })
    }
}

fn head(id: &str, seconds: i64) -> String {
    format!("{id}.{seconds}.")
}

fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    BASE64.decode(text.as_bytes()).map(Zeroizing::new).map_err(|_| KeyError::Base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_none_is_refused_without_repeating_it() {
        let length = |expected, found| KeyError::Length { expected, found };
        for (text, why) in [
            ("hunter2", KeyError::Prefix("whsec_ or whsk_")),
            ("whsec_%%%%", KeyError::Base64),
            ("whsec_AAEC", length("24 to 64", 3)),
            ("whsk_AAEC", length("64", 3)),
        ] {
            let error = StandardKey::parse(text).unwrap_err();
            assert_eq!(error, why);
            assert!(!error.to_string().contains("AAEC"));
        }
        // The public half of one key behind the seed of another.
        let mixed = [[7; 32], [9; 32]].concat();
        let mixed = format!("whsk_{}", BASE64.encode(&mixed));
        assert_eq!(StandardKey::parse(&mixed).unwrap_err(), KeyError::Halves);
        assert_eq!(StandardVerifier::parse("whpk_AAEC").unwrap_err(), length("32", 3));
    }

    #[test]
    fn debug_shows_no_key() {
        let key = StandardKey::from_bytes(b"012345678901234567890123").unwrap();
        assert_eq!(format!("{key:?} {:?}", key.verifier()), "StandardKey(v1) StandardVerifier(v1)");
    }
}
