//! Signatures of webhooks: [`Signer`] makes those of what we send, [`verify`] checks those of what we receive.
//!
//! Pure: the time is an argument, and nothing here reads a key from anywhere. It refuses to be lenient about what a
//! signature covers: an id with a dot, a timestamp with a sign or a header that came twice is no signature at all.
//! Digests are compared in constant time.
//!
//! ```
//! use waybill_types::Timestamp;
//! use waybill_webhook_sign::{EventId, Keyring, Signer, StandardKey};
//! let key = StandardKey::parse("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX").unwrap();
//! let signer = Signer { standard: Keyring::of([key]).unwrap(), ..Signer::default() };
//! let id = EventId::new("msg_e").unwrap();
//! let headers = signer.headers(&id, Timestamp::from_secs(1_700_000_000), b"");
//! let signature = &headers.iter().find(|(name, _)| name == "webhook-signature").unwrap().1;
//! assert_eq!(signature, "v1,XYu6YzYUZ00ZCyNa0Zen3RUF/FIzM/srbtKgU4a+Qjw=");
//! ```

mod custom;
mod event_id;
mod keyring;
mod klev;
mod kong;
mod mac;
mod secret;
mod signer;
mod standard;
pub mod verify;

pub use custom::{CustomSignature, Encoding, TemplateError};
pub use event_id::{EventId, EventIdError};
pub use keyring::{Keyring, KeyringError};
pub use klev::KlevKey;
pub use kong::{KongAlgorithm, KongKey};
pub use mac::Algorithm;
pub use secret::Secret;
pub use signer::Signer;
pub use standard::{KeyError, StandardKey, StandardVerifier};
