use crate::KeyId;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// What the text of a sealed value begins with.
pub const TEXT_PREFIX: &str = "sealed:";
/// The one form that there is so far.
pub(crate) const VERSION: u8 = 1;
pub(crate) const NONCE: usize = 24;
const TAG: usize = 16;
/// Version and key id.
pub(crate) const HEAD: usize = 9;

/// These bytes are no sealed value, or one of a later version of Waybill.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    /// Another form than the ones known.
    #[error(
        "this value was sealed in form {0}, which this version of Waybill does not know: run the version that wrote it"
    )]
    Version(u8),
    /// Cut off, or something else.
    #[error(
        "this is no sealed value: it was cut off or overwritten. Restore it from a backup, or set the secret again"
    )]
    Form,
}

/// A secret that only a [`Keyring`](crate::Keyring) can read. It may be stored, copied and shown.
///
/// Through serde it is its text, `sealed:…`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    pub(crate) fn assemble(key: KeyId, nonce: &[u8; NONCE], encrypted: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(HEAD + NONCE + encrypted.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(key.as_bytes());
        bytes.extend_from_slice(nonce);
        bytes.extend_from_slice(encrypted);
        Sealed(bytes)
    }

    /// From its bytes. Whether it opens is another matter.
    ///
    /// # Errors
    /// When they have no form that is known here.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        match bytes.first() {
            Some(&VERSION) if bytes.len() >= HEAD + NONCE + TAG => Ok(Sealed(bytes.to_owned())),
            Some(&VERSION) | None => Err(Malformed::Form),
            Some(&version) => Err(Malformed::Version(version)),
        }
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key that opens it.
    pub fn key(&self) -> KeyId {
        KeyId::from_bytes(self.0.get(1..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default())
    }

    /// What stands in front of the nonce; the nonce; what is encrypted.
    pub(crate) fn pieces(&self) -> Option<(&[u8], &[u8; NONCE], &[u8])> {
        let (head, rest) = self.0.split_at_checked(HEAD)?;
        let (nonce, encrypted) = rest.split_first_chunk::<NONCE>()?;
        Some((head, nonce, encrypted))
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({})", self.key())
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TEXT_PREFIX}{}", BASE64URL_NOPAD.encode(&self.0))
    }
}

impl FromStr for Sealed {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let encoded = text.strip_prefix(TEXT_PREFIX).ok_or(Malformed::Form)?;
        Sealed::from_bytes(&BASE64URL_NOPAD.decode(encoded.as_bytes()).map_err(|_| Malformed::Form)?)
    }
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's own words would repeat what may be a secret that was never sealed.
        let text = String::deserialize(deserializer).map_err(|_| de::Error::custom(Malformed::Form))?;
        text.parse().map_err(de::Error::custom)
    }
}
