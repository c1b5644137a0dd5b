//! Secrets encrypted at rest. A [`Keyring`] turns a secret into a [`Sealed`] value that only it can open again, and only for
//! the [`Place`] that it was sealed for: copied into another row, or altered by one bit, it stays shut.
//!
//! The first key of a ring seals, all of them open: to rotate, put a new key in front, seal what [`Keyring::is_current`] calls
//! old again, take the old key away. Each value tells which key it needs, so that a missing one is an error with a name
//! ([`OpenError::UnknownKey`]) and not a guess.
//!
//! Pure: where a key comes from (a file, the environment) is its owner's business; here is said what one must look like. It
//! refuses passphrases, for those can be tried out: a key is 32 random bytes. Of what it protects against: whoever reads the
//! disk, a backup or a copy of the database. Not against whoever reads the key or the memory of the daemon.
//!
//! ```
//! use waybill_sealing::{Key, Keyring, OpenError, Place};
//! let ring = Keyring::parse(b"# openssl rand -base64 32\n6Kd0pQ7V0sYh3n1jZJpT4R2mXw9uFbL8cAeGiKoSqUw=\n").unwrap();
//! let place = Place::new("event-hooks").part("3f1c").part("config.secret");
//! let sealed = ring.seal(&place, b"hunter2").unwrap();
//! assert_eq!(ring.open(&place, &sealed).unwrap().reveal(), b"hunter2");
//!
//! let elsewhere = Place::new("event-hooks").part("77aa").part("config.secret");
//! assert_eq!(ring.open(&elsewhere, &sealed).unwrap_err(), OpenError::Refused);
//! let stranger = Keyring::of(Key::random().unwrap());
//! assert_eq!(stranger.open(&place, &sealed).unwrap_err(), OpenError::UnknownKey(sealed.key()));
//! ```
//!
//! Form of a sealed value: version (1 byte, 1), key id (8), nonce (24), then the secret encrypted by XChaCha20-Poly1305 with
//! its tag (16). Version, key id and place are its associated data. As text it is `sealed:` and base64url.

mod key;
mod place;
mod ring;
mod sealed;

pub use key::{Key, KeyError, KeyId, NoEntropy};
pub use place::Place;
pub use ring::{Keyring, MAX_KEYS, MAX_SECRET, OpenError, Opened, RingError, SealError};
pub use sealed::{Malformed, Sealed, TEXT_PREFIX};
