//! Private keys.

use std::fmt;

use mail_auth::common::crypto::{Ed25519Key, RsaKey, Sha256, SigningKey};
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::rand_core::OsRng;
use rsa::sha2::Digest;
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

/// How a signature is computed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Algorithm {
    /// RFC 6376, section 3.3.2.
    RsaSha256,
    /// RFC 8463.
    Ed25519Sha256,
}

impl Algorithm {
    /// As the tag `a` has it.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::RsaSha256 => "rsa-sha256",
            Algorithm::Ed25519Sha256 => "ed25519-sha256",
        }
    }
}

/// Why bytes are no key. It never tells what they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// Neither of the forms that private keys come in.
    #[error("this is no private key in PEM or DER; expected what `openssl genrsa` or `openssl genpkey` writes")]
    NoKey,
    /// A key of another kind.
    #[error("this is no RSA key (PKCS#1 or PKCS#8), which rsa_sha256_signer needs")]
    NotRsa,
    /// A key of another kind.
    #[error("this is no Ed25519 key (PKCS#8), which ed25519_signer needs")]
    NotEd25519,
    /// Nobody accepts signatures of it: RFC 8301, section 3.2.
    #[error("this RSA key has {0} bits; verifiers accept from 1024 on, and 2048 is what to make")]
    TooShort(usize),
}

/// A private key. Printing it tells its kind and nothing else.
pub struct Key(Kind);

enum Kind {
    Rsa(Box<RsaKey<Sha256>>),
    /// ring signs with 2048 bits and more. Keys of 1024 bits are still published by many; they are signed with, with blinding.
    ShortRsa(Box<RsaPrivateKey>),
    Ed25519(Ed25519Key),
}

/// Below, signatures are worth nothing.
const SHORTEST_RSA: usize = 1024;
/// From here on ring computes.
const RSA_OF_RING: usize = 2048;

impl Key {
    /// Reads a key: PEM or DER, PKCS#8 or, for RSA, PKCS#1.
    ///
    /// # Errors
    /// Other bytes, and keys of another algorithm.
    pub fn parse(algorithm: Algorithm, bytes: &[u8]) -> Result<Key, KeyError> {
        let der = match bytes.windows(11).any(|word| word == b"-----BEGIN ") {
            true => PrivateKeyDer::from_pem_slice(bytes).map_err(|_| KeyError::NoKey)?,
            false => PrivateKeyDer::try_from(bytes).map_err(|_| KeyError::NoKey)?,
        };
        match algorithm {
            Algorithm::RsaSha256 => Key::rsa(der),
            Algorithm::Ed25519Sha256 => Key::ed25519(&der),
        }
    }

    fn rsa(der: PrivateKeyDer<'_>) -> Result<Key, KeyError> {
        let key = match &der {
            PrivateKeyDer::Pkcs1(der) => RsaPrivateKey::from_pkcs1_der(der.secret_pkcs1_der()).ok(),
            PrivateKeyDer::Pkcs8(der) => RsaPrivateKey::from_pkcs8_der(der.secret_pkcs8_der()).ok(),
            _ => None,
        };
        let key = key.ok_or(KeyError::NotRsa)?;
        match key.n().bits() {
            bits if bits < SHORTEST_RSA => Err(KeyError::TooShort(bits)),
            bits if bits < RSA_OF_RING => Ok(Key(Kind::ShortRsa(Box::new(key)))),
            _ => RsaKey::from_key_der(der).map(|key| Key(Kind::Rsa(Box::new(key)))).map_err(|_| KeyError::NotRsa),
        }
    }

    fn ed25519(der: &PrivateKeyDer<'_>) -> Result<Key, KeyError> {
        let PrivateKeyDer::Pkcs8(der) = der else { return Err(KeyError::NotEd25519) };
        // Version 1 of PKCS#8 has no public key to check against, and is what openssl writes.
        let key = Ed25519Key::from_pkcs8_maybe_unchecked_der(der.secret_pkcs8_der());
        key.map(|key| Key(Kind::Ed25519(key))).map_err(|_| KeyError::NotEd25519)
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Kind::Rsa(_) | Kind::ShortRsa(_) => Algorithm::RsaSha256,
            Kind::Ed25519(_) => Algorithm::Ed25519Sha256,
        }
    }

    /// The signature of bytes; `None` when the key cannot make one.
    pub(crate) fn sign(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        match &self.0 {
            Kind::Rsa(key) => key.sign(bytes).ok(),
            Kind::Ed25519(key) => key.sign(bytes).ok(),
            Kind::ShortRsa(key) => {
                let hash = rsa::sha2::Sha256::digest(bytes);
                key.sign_with_rng(&mut OsRng, Pkcs1v15Sign::new::<rsa::sha2::Sha256>(), &hash).ok()
            }
        }
    }
}

// Written by hand: a key must not reach a log through `{:?}`.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.algorithm().name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSA: &str = include_str!("../tests/keys/rsa2048.pem");
    const RFC_RSA: &str = include_str!("../tests/keys/rfc8463-rsa.pem");
    const RFC_ED25519: &str = include_str!("../tests/keys/rfc8463-ed25519.pem");

    #[test]
    fn keys_come_as_pem_and_der_and_of_the_kind_that_is_wanted() {
        for (pem, algorithm) in
            [(RSA, Algorithm::RsaSha256), (RFC_RSA, Algorithm::RsaSha256), (RFC_ED25519, Algorithm::Ed25519Sha256)]
        {
            let key = Key::parse(algorithm, pem.as_bytes()).unwrap();
            assert_eq!(format!("{key:?}"), format!("Key({})", algorithm.name()));
            let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
            assert_eq!(Key::parse(algorithm, der.secret_der()).unwrap().sign(b"x"), key.sign(b"x"));
        }
        assert_eq!(Key::parse(Algorithm::RsaSha256, RFC_ED25519.as_bytes()).unwrap_err(), KeyError::NotRsa);
        assert_eq!(Key::parse(Algorithm::Ed25519Sha256, RSA.as_bytes()).unwrap_err(), KeyError::NotEd25519);
        assert_eq!(Key::parse(Algorithm::Ed25519Sha256, RFC_RSA.as_bytes()).unwrap_err(), KeyError::NotEd25519);
        assert_eq!(Key::parse(Algorithm::RsaSha256, b"").unwrap_err(), KeyError::NoKey);
        assert_eq!(Key::parse(Algorithm::RsaSha256, b"secret").unwrap_err(), KeyError::NoKey);
        let nonsense = b"-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n";
        assert_eq!(Key::parse(Algorithm::RsaSha256, nonsense).unwrap_err(), KeyError::NotRsa);
    }

    #[test]
    fn a_key_of_512_bits_is_refused() {
        let short = include_bytes!("../tests/keys/rsa512.pem");
        assert_eq!(Key::parse(Algorithm::RsaSha256, short).unwrap_err(), KeyError::TooShort(512));
    }
}
