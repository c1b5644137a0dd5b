use bytes::{BufMut, Bytes, BytesMut};
use waybill_streams_core::Stats;

/// What is known of a log without looking at its messages. It changes in the batch that changes them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Head {
    /// The offset of the next message.
    pub(crate) next: u64,
    /// No message exists below this; perhaps none at it either.
    pub(crate) first: u64,
    /// What is there.
    pub(crate) stats: Stats,
}

impl Head {
    pub(crate) fn encode(self) -> Bytes {
        let mut out = BytesMut::with_capacity(32);
        [self.next, self.first, self.stats.count, self.stats.size]
            .into_iter()
            .for_each(|number| out.put_u64_le(number));
        out.freeze()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (chunks, []) = bytes.as_chunks::<8>() else { return None };
        let [next, first, count, size] = chunks else { return None };
        let number = |chunk: &[u8; 8]| u64::from_le_bytes(*chunk);
        Some(Head {
            next: number(next),
            first: number(first),
            stats: Stats { size: number(size), count: number(count) },
        })
    }

    /// One message of this size less.
    pub(crate) fn remove(&mut self, size: u64) {
        self.stats.count = self.stats.count.saturating_sub(1);
        self.stats.size = self.stats.size.saturating_sub(size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_comes_back_and_a_torn_one_is_none() {
        let head = Head { next: 9, first: 3, stats: Stats { size: 1 << 40, count: 5 } };
        assert_eq!(Head::decode(&head.encode()), Some(head));
        assert_eq!(Head::decode(&head.encode()[..31]), None);
    }
}
