use crate::Secret;
use crate::mac::{self, Algorithm};
use data_encoding::HEXLOWER;

/// The hash of Kong's signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum KongAlgorithm {
    /// What receivers older than Kong 3.14 check.
    Sha1,
    /// Kong from 3.14 on.
    #[default]
    Sha256,
}

/// Kong's event hooks: `x-kong-signature: ALGORITHM=HEX` over the body.
#[derive(Clone, Debug)]
pub struct KongKey {
    /// The key, as it was typed.
    pub secret: Secret,
    /// The hash.
    pub algorithm: KongAlgorithm,
}

impl KongKey {
    /// The value of `x-kong-signature`.
    pub fn sign(&self, body: &[u8]) -> String {
        let algorithm = match self.algorithm {
            KongAlgorithm::Sha1 => Algorithm::Sha1,
            KongAlgorithm::Sha256 => Algorithm::Sha256,
        };
        let digest = mac::mac(algorithm, self.secret.reveal().as_bytes(), &[body]);
        format!("{}={}", algorithm.name(), HEXLOWER.encode(&digest))
    }
}
