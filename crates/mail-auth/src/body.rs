//! Hashes of bodies.

use mail_auth::common::crypto::{HashContext, HashImpl, Sha256};
use mail_auth::common::headers::{Writable, Writer};
use mail_auth::dkim::Canonicalization;

/// The hash of a body, and its length in canonical form.
pub(crate) struct BodyHash {
    pub(crate) hash: Vec<u8>,
    pub(crate) len: u64,
}

/// Hashes a body; at most as many bytes of its canonical form as `limit` says (the tag `l`).
pub(crate) fn hash(body: &[u8], form: Canonicalization, limit: Option<u64>) -> BodyHash {
    let mut limited = Limited { hash: Sha256::hasher(), left: limit.unwrap_or(u64::MAX), len: 0 };
    form.canonical_body(body, 0).write(&mut limited);
    BodyHash { hash: limited.hash.complete().as_ref().to_vec(), len: limited.len }
}

struct Limited {
    hash: <Sha256 as HashImpl>::Context,
    left: u64,
    len: u64,
}

impl Writer for Limited {
    fn write(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        let taken = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        self.left -= taken as u64;
        self.hash.write(&bytes[..taken]);
    }
}

/// Hashes of one body, each computed once.
pub(crate) struct BodyHashes<'a> {
    body: &'a [u8],
    known: Vec<(Canonicalization, Option<u64>, BodyHash)>,
}

impl<'a> BodyHashes<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        BodyHashes { body, known: Vec::new() }
    }

    pub(crate) fn of(&mut self, form: Canonicalization, limit: Option<u64>) -> &BodyHash {
        let is_it = |(known, of, _): &(Canonicalization, Option<u64>, BodyHash)| *known == form && *of == limit;
        let index = self.known.iter().position(is_it).unwrap_or_else(|| {
            self.known.push((form, limit, hash(self.body, form, limit)));
            self.known.len() - 1
        });
        &self.known[index].2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    /// RFC 6376, sections 3.4.3 and 3.4.4: the hash of nothing, and of one line end.
    #[test]
    fn empty_bodies_hash_as_the_standard_says() {
        let of = |form, body: &[u8]| STANDARD.encode(hash(body, form, None).hash);
        assert_eq!(of(Canonicalization::Simple, b""), "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=");
        assert_eq!(of(Canonicalization::Relaxed, b""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    #[test]
    fn a_length_counts_the_canonical_form() {
        let whole = hash(b"a  b \r\nc\r\n\r\n", Canonicalization::Relaxed, None);
        assert_eq!(whole.len, 8);
        let begun = hash(b"a  b \r\nmore\r\n", Canonicalization::Relaxed, Some(5));
        assert_eq!(begun.hash, hash(b"a b\r\n", Canonicalization::Relaxed, None).hash);
    }
}
