use crate::key::fill;
use crate::sealed::{NONCE, VERSION};
use crate::{Key, KeyError, KeyId, Malformed, NoEntropy, Place, Sealed};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use rand::TryCryptoRng;
use rand::rngs::OsRng;
use std::fmt;
use zeroize::Zeroizing;

/// More keys than this are a mistake: what was sealed by the old ones was never sealed again.
pub const MAX_KEYS: usize = 32;
/// The longest secret in bytes: far more than a private key with its certificates.
pub const MAX_SECRET: usize = 1024 * 1024;

/// What a text lacks to be a ring of keys. Lines count from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RingError {
    /// Nothing but space and comments.
    #[error("there is no key in it: put in one line that `openssl rand -base64 32` prints")]
    Empty,
    /// Bytes that are no text.
    #[error("it is not text: a key is a line of base64 or hex, as `openssl rand -base64 32` prints it")]
    NotText,
    /// A line that is no key.
    #[error("line {line}: {error}")]
    Line {
        /// Which.
        line: usize,
        /// What it lacks.
        error: KeyError,
    },
    /// The same key again.
    #[error("line {line} is the key {key} for the second time: remove it")]
    Twice {
        /// Which.
        line: usize,
        /// The key.
        key: KeyId,
    },
    /// More than [`MAX_KEYS`].
    #[error("it has more than {MAX_KEYS} keys: remove those that nothing is sealed by any more")]
    TooMany,
}

/// Why a secret cannot be sealed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealError {
    /// No random bytes, no nonce.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// No secret is that long.
    #[error("a secret has at most {MAX_SECRET} bytes, and this has {0}")]
    TooLong(usize),
}

/// Why a value stays shut.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// The ring does not hold the key that it was sealed by: whoever has that can help.
    #[error(
        "this value was sealed by the key {0}, which is not among the keys given: add that key below the first one"
    )]
    UnknownKey(KeyId),
    /// Altered, or brought here from another place: nobody can help but whoever knows the secret.
    #[error("this sealed value was altered, or copied here from another row: set the secret again")]
    Refused,
    /// No sealed value.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// A secret taken out of its sealing. Its `Debug` shows nothing, its memory is cleared when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened(Zeroizing<Vec<u8>>);

impl Opened {
    /// The secret. Named so that a reader notices where a secret leaves its keeping.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }

    /// The same as text, if it is.
    pub fn reveal_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened")
    }
}

/// Keys: the first seals, each opens what it has sealed. `Debug` shows their ids.
#[derive(Clone, Debug)]
pub struct Keyring {
    first: Key,
    others: Vec<Key>,
}

impl Keyring {
    /// A ring of one key.
    pub fn of(first: Key) -> Self {
        Keyring { first, others: Vec::new() }
    }

    /// The keys of a file or a variable: one a line, the first seals. Empty lines and lines that begin with `#` are nothing.
    ///
    /// # Errors
    /// When a line is no key, one comes twice, or there is none; names the line and shows nothing of it.
    pub fn parse(text: &[u8]) -> Result<Self, RingError> {
        let text = std::str::from_utf8(text).map_err(|_| RingError::NotText)?;
        let lines = text.lines().zip(1..).map(|(text, line)| (text.trim(), line));
        let mut ring: Option<Keyring> = None;
        for (text, line) in lines.filter(|(text, _)| !text.is_empty() && !text.starts_with('#')) {
            let key = Key::parse(text).map_err(|error| RingError::Line { line, error })?;
            match &mut ring {
                None => ring = Some(Keyring::of(key)),
                Some(ring) if ring.find(key.id()).is_some() => return Err(RingError::Twice { line, key: key.id() }),
                Some(ring) if ring.others.len() + 1 == MAX_KEYS => return Err(RingError::TooMany),
                Some(ring) => ring.others.push(key),
            }
        }
        ring.ok_or(RingError::Empty)
    }

    /// The key that seals, then the others.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys().map(Key::id)
    }

    /// Whether it holds that key.
    pub fn holds(&self, key: KeyId) -> bool {
        self.find(key).is_some()
    }

    /// Whether a value was sealed by the key that seals now: if not, it wants to be sealed again before that key goes away.
    pub fn is_current(&self, sealed: &Sealed) -> bool {
        sealed.key() == self.first.id()
    }

    /// Seals a secret for the place where it will be stored. Two sealings of one secret differ.
    ///
    /// # Errors
    /// When the operating system has no random bytes, or the secret is longer than [`MAX_SECRET`].
    pub fn seal(&self, place: &Place, secret: &[u8]) -> Result<Sealed, SealError> {
        self.seal_with(&mut OsRng, place, secret)
    }

    /// [`Keyring::seal`] with a generator of the caller's. One that repeats itself gives secrets away.
    ///
    /// # Errors
    /// When the generator gives nothing, or the secret is longer than [`MAX_SECRET`].
    pub fn seal_with<R: TryCryptoRng>(&self, rng: &mut R, place: &Place, secret: &[u8]) -> Result<Sealed, SealError> {
        if secret.len() > MAX_SECRET {
            return Err(SealError::TooLong(secret.len()));
        }
        let mut nonce = [0; NONCE];
        fill(rng, &mut nonce)?;
        let id = self.first.id();
        let mut head = vec![VERSION];
        head.extend_from_slice(id.as_bytes());
        let payload = Payload { msg: secret, aad: &associated(&head, place) };
        let encrypted = cipher(&self.first).encrypt(&XNonce::from(nonce), payload);
        // The cipher knows one failure: a length.
        let encrypted = encrypted.map_err(|_| SealError::TooLong(secret.len()))?;
        Ok(Sealed::assemble(id, &nonce, &encrypted))
    }

    /// The secret of a value that was sealed for this place.
    ///
    /// # Errors
    /// When the ring does not hold its key, or it is not what was sealed for this place.
    pub fn open(&self, place: &Place, sealed: &Sealed) -> Result<Opened, OpenError> {
        let key = self.find(sealed.key()).ok_or(OpenError::UnknownKey(sealed.key()))?;
        let (head, nonce, encrypted) = sealed.pieces().ok_or(Malformed::Form)?;
        let payload = Payload { msg: encrypted, aad: &associated(head, place) };
        let secret = cipher(key).decrypt(&XNonce::from(*nonce), payload).map_err(|_| OpenError::Refused)?;
        Ok(Opened(Zeroizing::new(secret)))
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.first).chain(&self.others)
    }

    fn find(&self, id: KeyId) -> Option<&Key> {
        self.keys().find(|key| key.id() == id)
    }
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.bytes().into())
}

/// What is not encrypted and may not change either.
fn associated(head: &[u8], place: &Place) -> Vec<u8> {
    [head, place.bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "6Kd0pQ7V0sYh3n1jZJpT4R2mXw9uFbL8cAeGiKoSqUw=";
    const B: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1cfdfeff";

    fn ring(text: &str) -> Keyring {
        Keyring::parse(text.as_bytes()).unwrap()
    }

    fn place() -> Place {
        Place::new("egress-keys").part("1")
    }

    #[test]
    fn the_first_key_seals_and_all_open_so_that_keys_can_be_rotated() {
        let (old, both, new) = (ring(A), ring(&format!("# new\n{B}\n\n# old\n{A}\n")), ring(B));
        let sealed = old.seal(&place(), b"secret").unwrap();
        assert!(old.is_current(&sealed) && !both.is_current(&sealed));
        assert_eq!(both.open(&place(), &sealed).unwrap().reveal_text(), Some("secret"));
        assert_eq!(new.open(&place(), &sealed).unwrap_err(), OpenError::UnknownKey(sealed.key()));

        let again = both.seal(&place(), both.open(&place(), &sealed).unwrap().reveal()).unwrap();
        assert!(both.is_current(&again) && new.is_current(&again));
        assert_eq!(new.open(&place(), &again).unwrap().reveal(), b"secret");
        assert!(both.holds(sealed.key()) && !new.holds(sealed.key()));
    }

    #[test]
    fn a_ring_that_is_none_names_the_line_and_shows_no_key() {
        let many =
            (0..=MAX_KEYS).map(|_| format!("{}\n", Key::random().unwrap().reveal().as_str())).collect::<String>();
        let twice = Keyring::parse(format!("{A}\n{B}\n{A}\n").as_bytes()).unwrap_err();
        assert_eq!(twice, RingError::Twice { line: 3, key: ring(A).first.id() });
        assert!(!twice.to_string().contains(A));
        assert_eq!(Keyring::parse(b"\n # nothing\n").unwrap_err(), RingError::Empty);
        assert_eq!(Keyring::parse(b"\xff\xfe").unwrap_err(), RingError::NotText);
        assert_eq!(Keyring::parse(many.as_bytes()).unwrap_err(), RingError::TooMany);
        let line = Keyring::parse(format!("{A}\nhunter2hunter2\n").as_bytes()).unwrap_err();
        assert!(matches!(line, RingError::Line { line: 2, .. }) && !line.to_string().contains("hunter2"), "{line}");
    }

    #[test]
    fn what_is_too_long_for_a_secret_is_refused_before_it_is_encrypted() {
        let long = vec![b'x'; MAX_SECRET + 1];
        assert_eq!(ring(A).seal(&place(), &long).unwrap_err(), SealError::TooLong(long.len()));
        assert!(ring(A).seal(&place(), &long[1..]).is_ok());
    }

    #[test]
    fn debug_shows_neither_keys_nor_secrets() {
        let ring = ring(A);
        let sealed = ring.seal(&place(), b"hunter2").unwrap();
        let opened = ring.open(&place(), &sealed).unwrap();
        let id = ring.first.id();
        let shown = format!("{ring:?} {sealed:?} {opened:?}");
        assert_eq!(shown, format!("Keyring {{ first: Key({id}), others: [] }} Sealed({id}) Opened"));
    }
}
