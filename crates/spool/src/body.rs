use crate::captured::header_section;
use bytes::{Bytes, BytesMut};

/// A body below this is put together at once: to copy it costs less than to keep it in two pieces.
const APART: usize = 64 << 10;

/// Headers and body of a message, in two pieces: what was put in front of it, and what came. Clones share the bytes of
/// both, and messages that one transaction became share what came.
#[derive(Clone, Default, Debug)]
pub struct Body {
    front: Bytes,
    rest: Bytes,
}

impl Body {
    /// The same with more in front of it. A large rest is not copied.
    #[must_use]
    pub fn behind(self, front: &[u8]) -> Self {
        let Body { front: old, rest } = self;
        if rest.len() < APART {
            return Body { front: Bytes::new(), rest: join(&[front, &old, &rest]) };
        }
        Body { front: join(&[front, &old]), rest }
    }

    /// Bytes of both pieces.
    pub fn len(&self) -> usize {
        self.front.len() + self.rest.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What stands in front of a rest that is shared, perhaps.
    pub fn front(&self) -> &Bytes {
        &self.front
    }

    /// What came.
    pub fn rest(&self) -> &Bytes {
        &self.rest
    }

    /// Everything in one piece: a copy, where there are two.
    pub fn whole(&self) -> Bytes {
        if self.front.is_empty() { self.rest.clone() } else { join(&[&self.front, &self.rest]) }
    }

    /// The headers, without the body where that would be copied.
    pub(crate) fn headers(&self) -> Bytes {
        match self.front.is_empty() {
            true => self.rest.clone(),
            false => join(&[&self.front, header_section(&self.rest)]),
        }
    }

    /// In one piece from now on, where nobody else shares it.
    pub(crate) fn settle(&mut self) {
        if !self.front.is_empty() && self.rest.is_unique() {
            *self = Body::from(self.whole());
        }
    }
}

impl From<Bytes> for Body {
    fn from(rest: Bytes) -> Self {
        Body { front: Bytes::new(), rest }
    }
}

fn join(pieces: &[&[u8]]) -> Bytes {
    let mut all = BytesMut::with_capacity(pieces.iter().map(|piece| piece.len()).sum());
    pieces.iter().for_each(|piece| all.extend_from_slice(piece));
    all.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRONT: &[u8] = b"Received: here\r\n";

    #[test]
    fn a_large_body_is_shared_behind_fronts_of_its_own() {
        let came = Bytes::from([b"Subject: s\r\n\r\n".as_slice(), &[b'x'; APART]].concat());
        let [one, other] =
            [b"X-A: 1\r\n".as_slice(), b"X-B: 2\r\n"].map(|more| Body::from(came.clone()).behind(FRONT).behind(more));
        assert_eq!((one.rest().as_ptr(), other.rest().as_ptr()), (came.as_ptr(), came.as_ptr()));
        assert_eq!(one.whole(), [b"X-A: 1\r\n".as_slice(), FRONT, &came].concat());
        assert_eq!((one.len(), one.is_empty()), (one.whole().len(), false));
        assert!(one.headers().ends_with(b"Subject: s\r\n\r\n"), "{:?}", one.headers());
        assert!(other.headers().starts_with(b"X-B: 2\r\nReceived: here\r\nSubject: s"), "{:?}", other.headers());
    }

    #[test]
    fn a_small_body_is_put_together_at_once() {
        let body = Body::from(Bytes::from_static(b"Subject: s\r\n\r\n")).behind(FRONT);
        assert_eq!((body.front().len(), body.rest().as_ref()), (0, b"Received: here\r\nSubject: s\r\n\r\n".as_slice()));
    }

    #[test]
    fn a_body_that_nobody_shares_is_put_together_when_it_is_needed_so() {
        let shared = Bytes::from(vec![b'x'; APART]);
        let mut body = Body::from(shared.clone()).behind(FRONT);
        body.settle();
        assert_eq!(body.front().len(), FRONT.len());
        drop(shared);
        body.settle();
        assert_eq!((body.front().len(), body.rest().len()), (0, FRONT.len() + APART));
    }
}
