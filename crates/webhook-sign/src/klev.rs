use crate::mac::{self, Algorithm};
use crate::{KeyError, Secret, StandardKey};
use data_encoding::{BASE64, HEXLOWER};

/// klev's egress secret: the whole text, `ewhsec_` included, is the key.
#[derive(Clone, Debug)]
pub struct KlevKey(Secret);

impl KlevKey {
    /// Takes a secret.
    pub fn new(secret: Secret) -> Self {
        KlevKey(secret)
    }

    /// The hex digits behind `v1=`: HMAC-SHA256 over `SECONDS.BODY`.
    pub fn sign(&self, seconds: i64, body: &[u8]) -> String {
        let head = format!("{seconds}.");
        HEXLOWER.encode(&mac::mac(Algorithm::Sha256, self.bytes(), &[head.as_bytes(), body]))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.reveal().as_bytes()
    }

    /// The same secret as a key of Standard Webhooks, so that its libraries check what we send to klev's receivers.
    ///
    /// # Errors
    /// When the text has fewer than 24 or more than 64 bytes.
    pub fn as_standard(&self) -> Result<StandardKey, KeyError> {
        StandardKey::from_bytes(self.bytes())
    }

    /// That key as it is shown to people: `whsec_...`.
    pub fn standard_text(&self) -> Secret {
        Secret::new(format!("whsec_{}", BASE64.encode(self.bytes())))
    }
}
