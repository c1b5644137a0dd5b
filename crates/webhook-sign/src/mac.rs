//! HMAC with the hashes that the schemes name.

use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

/// The hash below an HMAC.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Algorithm {
    /// SHA-1: only for receivers that know nothing newer.
    Sha1,
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// `sha1`, `sha256`, `sha512`.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha1 => "sha1",
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }

    /// The algorithm of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512].into_iter().find(|known| known.name() == name)
    }
}

/// The HMAC of the parts, one behind the other.
pub(crate) fn mac(algorithm: Algorithm, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    match algorithm {
        Algorithm::Sha1 => made::<Hmac<Sha1>>(key, parts),
        Algorithm::Sha256 => made::<Hmac<Sha256>>(key, parts),
        Algorithm::Sha512 => made::<Hmac<Sha512>>(key, parts),
    }
}

/// Whether this is the HMAC of the parts. Constant time for a digest of the right length; the length is no secret.
pub(crate) fn matches(algorithm: Algorithm, key: &[u8], parts: &[&[u8]], digest: &[u8]) -> bool {
    match algorithm {
        Algorithm::Sha1 => checked::<Hmac<Sha1>>(key, parts, digest),
        Algorithm::Sha256 => checked::<Hmac<Sha256>>(key, parts, digest),
        Algorithm::Sha512 => checked::<Hmac<Sha512>>(key, parts, digest),
    }
}

fn fed<M: Mac + hmac::digest::KeyInit>(key: &[u8], parts: &[&[u8]]) -> Option<M> {
    // HMAC takes keys of any length, so that this never fails.
    let mut mac = <M as Mac>::new_from_slice(key).ok()?;
    parts.iter().for_each(|part| mac.update(part));
    Some(mac)
}

fn made<M: Mac + hmac::digest::KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    fed::<M>(key, parts).map(|mac| mac.finalize().into_bytes().to_vec()).unwrap_or_default()
}

fn checked<M: Mac + hmac::digest::KeyInit>(key: &[u8], parts: &[&[u8]], digest: &[u8]) -> bool {
    fed::<M>(key, parts).is_some_and(|mac| mac.verify_slice(digest).is_ok())
}
