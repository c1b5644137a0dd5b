use std::collections::VecDeque;
use std::time::Duration;
use waybill_streams_core::Message;
use waybill_types::Timestamp;

/// Messages that are read at once: at first, and as long as the ones before were all used in time.
const AT_ONCE: (usize, usize) = (16, 512);
/// What was read longer ago is read again: it may have been trimmed or superseded since.
const FRESH: Duration = Duration::from_millis(100);

/// Messages that were read and are not sent yet.
pub(super) struct Ahead {
    /// No message is between this offset and the first of them.
    from: u64,
    at: Timestamp,
    messages: VecDeque<(u64, Message)>,
    at_once: usize,
}

impl Default for Ahead {
    fn default() -> Self {
        Ahead { from: 0, at: Timestamp::EPOCH, messages: VecDeque::new(), at_once: AT_ONCE.0 }
    }
}

impl Ahead {
    /// Bytes of them; one message is read however large it is.
    pub(super) const BYTES: usize = 64 << 10;

    /// The first message at or behind `from`, if what was read tells which that is.
    pub(super) fn take(&mut self, from: u64, now: Timestamp) -> Option<(u64, Message)> {
        if self.from != from || now.since(self.at) > FRESH {
            self.messages.clear();
            self.at_once = AT_ONCE.0;
        }
        let (offset, message) = self.messages.pop_front()?;
        self.from = offset + 1;
        if self.messages.is_empty() {
            self.at_once = (2 * self.at_once).min(AT_ONCE.1);
        }
        Some((offset, message))
    }

    /// How many messages to read next.
    pub(super) fn at_once(&self) -> usize {
        self.at_once
    }

    /// These were read, `from` being where that began.
    pub(super) fn put(&mut self, from: u64, at: Timestamp, messages: Vec<(u64, Message)>) {
        (self.from, self.at, self.messages) = (from, at, messages.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(from: u64, offsets: &[u64]) -> Ahead {
        let message = Message { time: 0, key: None, value: None, hops: 0 };
        let mut ahead = Ahead::default();
        let messages = offsets.iter().map(|offset| (*offset, message.clone())).collect();
        ahead.put(from, Timestamp::from_secs(9), messages);
        ahead
    }

    #[test]
    fn what_was_read_ahead_is_taken_in_order_and_read_again_after_a_failure_a_move_and_a_while() {
        let now = Timestamp::from_secs(9);
        let offset = |ahead: &mut Ahead, from, now| ahead.take(from, now).map(|(offset, _)| offset);
        let mut ahead = read(3, &[3, 7, 8]);
        let taken: Vec<_> = [3, 4, 8, 9].into_iter().map(|from| offset(&mut ahead, from, now)).collect();
        assert_eq!(taken, [Some(3), Some(7), Some(8), None], "4 to 6 are gone, and behind 8 nothing was read");
        let mut failed = read(3, &[3, 4]);
        assert_eq!((offset(&mut failed, 3, now), offset(&mut failed, 3, now)), (Some(3), None));
        assert_eq!(offset(&mut failed, 4, now), None, "all of it is read again");
        assert_eq!(offset(&mut read(3, &[3, 4]), 4, now), None, "it was moved");
        assert_eq!(offset(&mut read(3, &[3]), 3, now + FRESH), Some(3));
        assert_eq!(offset(&mut read(3, &[3]), 3, now + FRESH + Duration::from_millis(1)), None);
    }

    #[test]
    fn more_is_read_at_once_while_all_of_it_is_used_in_time() {
        let now = Timestamp::from_secs(9);
        let mut ahead = Ahead::default();
        let mut read = Vec::new();
        for from in 0..8 {
            read.push(ahead.at_once());
            ahead.put(from, now, vec![(from, Message { time: 0, key: None, value: None, hops: 0 })]);
            assert!(ahead.take(from, now).is_some());
        }
        assert_eq!(read, [16, 32, 64, 128, 256, 512, 512, 512]);
        ahead.put(8, now, vec![(8, Message { time: 0, key: None, value: None, hops: 0 })]);
        assert!(ahead.take(8, now + 2 * FRESH).is_none());
        assert_eq!(ahead.at_once(), 16, "a slow endpoint's messages are not read for nothing");
    }
}
