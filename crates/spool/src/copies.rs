use bytes::{Bytes, BytesMut};

/// Copies bytes side by side where they are few: then an allocation for each costs more than its bytes. Whoever keeps one
/// copy keeps those beside it.
#[derive(Debug, Default)]
pub struct Copies {
    room: BytesMut,
    chunk: usize,
}

impl Copies {
    /// Longer ones get an allocation of their own.
    const SMALL: usize = 512;
    /// Bytes side by side: the first time, and at the most.
    const CHUNK: (usize, usize) = (Self::SMALL, 16 << 10);

    /// A copy.
    pub fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if bytes.len() > Self::SMALL {
            return Bytes::copy_from_slice(bytes);
        }
        if self.room.capacity() < bytes.len() {
            self.chunk = (2 * self.chunk).clamp(Self::CHUNK.0, Self::CHUNK.1);
            self.room = BytesMut::with_capacity(self.chunk);
        }
        self.room.extend_from_slice(bytes);
        self.room.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_copy_is_what_was_copied_however_long() {
        let mut copies = Copies::default();
        let originals: Vec<Vec<u8>> =
            (0..1200).map(|length| vec![u8::try_from(length % 251).unwrap(); length]).collect();
        let copied: Vec<Bytes> = originals.iter().map(|one| copies.copy(one)).collect();
        assert_eq!(copied, originals);
    }
}
