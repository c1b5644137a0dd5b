//! How messages stand in the store: one in a row, or several that were published together.

use crate::Message;
use bytes::Bytes;

/// The layouts of a row. They stand on disk: a new one gets another number.
const ONE: u8 = 1;
const SEVERAL: u8 = 2;
const HAS_KEY: u8 = 1;
const HAS_VALUE: u8 = 2;
/// The upper half of the flags: hops, which nothing but zero was before there were any.
const HOPS_AT: u32 = 4;
const MOST_STORED_HOPS: u8 = u8::MAX >> HOPS_AT;
/// Time, flags, length of the key.
const FACTS: usize = 8 + 1 + 4;
/// Bytes of a length.
const LENGTH: usize = 4;
/// The bytes of a row with one message beside its key and value.
pub(crate) const HEAD: usize = 1 + FACTS;

/// A row takes more messages until it has so many bytes.
const FULL: usize = 32 << 10;
/// A message of so many bytes has a row of its own: sharing spares it nothing.
const LARGE: usize = 16 << 10;

/// A message in the bytes of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageRef<'a> {
    /// Microseconds since the epoch.
    pub time: i64,
    /// What it is about.
    pub key: Option<&'a [u8]>,
    /// What it says.
    pub value: Option<&'a [u8]>,
    /// How many webhooks of Waybill it came through.
    pub hops: u8,
    /// Whether it is the last of its row: the row goes when it goes.
    pub ends_row: bool,
}

impl MessageRef<'_> {
    /// Bytes of key and value.
    pub fn weight(&self) -> usize {
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len)
    }
}

/// A row that cannot be read: torn, damaged, or written by a later version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the row holds no messages in a known layout")]
pub struct Torn;

/// The messages of a row with their offsets, one after another. Ends behind the first that cannot be read.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    offset: u64,
    left: u32,
    layout: u8,
    rest: &'a [u8],
}

impl<'a> Row<'a> {
    /// Of a row whose last message has this offset.
    ///
    /// # Errors
    /// For a layout that nobody knows.
    pub fn read(last: u64, bytes: &'a [u8]) -> Result<Self, Torn> {
        match bytes.split_first().ok_or(Torn)? {
            (&ONE, rest) => Ok(Row { offset: last, left: 1, layout: ONE, rest }),
            (&SEVERAL, rest) => {
                let (count, rest) = rest.split_first_chunk::<LENGTH>().ok_or(Torn)?;
                let left = u32::from_le_bytes(*count);
                let before = u64::from(left).checked_sub(1).ok_or(Torn)?;
                Ok(Row { offset: last.checked_sub(before).ok_or(Torn)?, left, layout: SEVERAL, rest })
            }
            _ => Err(Torn),
        }
    }

    /// How many there are, the ones that were read not counted; not above what a row can hold.
    pub fn count(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX)
    }

    fn message(&mut self) -> Result<MessageRef<'a>, Torn> {
        let (facts, rest) = self.rest.split_first_chunk::<FACTS>().ok_or(Torn)?;
        let (time, facts) = facts.split_first_chunk::<8>().ok_or(Torn)?;
        let [flags, key_length @ ..] = facts else { return Err(Torn) };
        let (value_length, rest) = if self.layout == SEVERAL {
            let (length, rest) = rest.split_first_chunk::<LENGTH>().ok_or(Torn)?;
            (Some(*length), rest)
        } else {
            (None, rest)
        };
        let (key, rest) = part(rest, key_length.try_into().map_err(|_| Torn)?)?;
        let (value, rest) = value_length.map_or(Ok((rest, &[][..])), |length| part(rest, length))?;
        if self.left == 1 && !rest.is_empty() {
            return Err(Torn);
        }
        self.rest = rest;
        Ok(MessageRef {
            time: i64::from_le_bytes(*time),
            key: (flags & HAS_KEY != 0).then_some(key),
            value: (flags & HAS_VALUE != 0).then_some(value),
            hops: flags >> HOPS_AT,
            ends_row: self.left == 1,
        })
    }
}

fn part(bytes: &[u8], length: [u8; LENGTH]) -> Result<(&[u8], &[u8]), Torn> {
    let length = usize::try_from(u32::from_le_bytes(length)).map_err(|_| Torn)?;
    bytes.split_at_checked(length).ok_or(Torn)
}

impl<'a> Iterator for Row<'a> {
    type Item = Result<(u64, MessageRef<'a>), Torn>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let found = self.message().map(|message| (self.offset, message));
        self.left = if found.is_ok() { self.left - 1 } else { 0 };
        // Behind the very last offset there is nothing left to count for.
        self.offset = self.offset.wrapping_add(1);
        Some(found)
    }
}

/// Puts messages with offsets one after another into rows.
///
/// A row is stored under the offset of its last message: whoever looks for a message finds its row at or behind it. Only
/// messages may share one that nothing but a trim from the front removes.
#[derive(Debug, Default)]
pub struct Rows {
    count: u32,
    bytes: Vec<u8>,
}

impl Rows {
    /// Whether this message may stand beside others.
    pub fn takes(message: &Message) -> bool {
        message.value.is_some() && message.weight() < LARGE
    }

    /// Adds a message to the row that is open. Gives the row when it is full; that message is its last.
    #[must_use]
    pub fn add(&mut self, message: &Message) -> Option<Bytes> {
        if self.count == 0 {
            self.bytes.push(SEVERAL);
            self.bytes.extend_from_slice(&[0; LENGTH]);
        }
        self.count += 1;
        push(&mut self.bytes, message, true);
        if self.bytes.len() >= FULL { self.end() } else { None }
    }

    /// Closes the row that is open, if there is one; the message that was added last is its last.
    #[must_use]
    pub fn end(&mut self) -> Option<Bytes> {
        let count = std::mem::take(&mut self.count);
        let mut bytes = std::mem::take(&mut self.bytes);
        match count {
            0 => return None,
            1 => {
                bytes.drain(1 + LENGTH + FACTS..1 + LENGTH + FACTS + LENGTH);
                bytes.drain(1..=LENGTH);
                bytes[0] = ONE;
            }
            _ => bytes[1..=LENGTH].copy_from_slice(&count.to_le_bytes()),
        }
        Some(bytes.into())
    }
}

/// A message in a row of its own.
pub(crate) fn alone(message: &Message) -> Bytes {
    let mut out = Vec::with_capacity(HEAD + message.weight());
    out.push(ONE);
    push(&mut out, message, false);
    out.into()
}

/// Time (little endian), flags, length of the key, length of the value where others follow, key, value.
fn push(out: &mut Vec<u8>, message: &Message, with_length: bool) {
    let (key, value) = (message.key.as_deref().unwrap_or_default(), message.value.as_deref().unwrap_or_default());
    let parts = message.key.as_ref().map_or(0, |_| HAS_KEY) | message.value.as_ref().map_or(0, |_| HAS_VALUE);
    // Both are limited far below.
    let length = |part: &[u8]| u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes();
    out.extend_from_slice(&message.time.to_le_bytes());
    out.push(parts | message.hops.min(MOST_STORED_HOPS) << HOPS_AT);
    out.extend_from_slice(&length(key));
    if with_length {
        out.extend_from_slice(&length(value));
    }
    out.extend_from_slice(key);
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: usize) -> Message {
        let bytes = |text: String| Some(Bytes::from(text));
        let key = if number.is_multiple_of(3) { None } else { bytes(format!("key {number}")) };
        Message { time: -7, key, value: bytes("v".repeat(number % 5)), hops: 2 }
    }

    /// What is read, up to what cannot be.
    fn read(last: u64, row: &[u8]) -> Result<Vec<(u64, Message)>, Torn> {
        let owned = |found: Result<(u64, MessageRef<'_>), Torn>| {
            let (offset, MessageRef { time, key, value, hops, .. }) = found?;
            let bytes = |part: Option<&[u8]>| part.map(Bytes::copy_from_slice);
            Ok((offset, Message { time, key: bytes(key), value: bytes(value), hops }))
        };
        Row::read(last, row)?.map(owned).collect()
    }

    #[test]
    fn messages_come_back_from_their_rows_with_their_offsets() {
        for count in [1, 2, 3, 1_000, 5_000] {
            let originals: Vec<_> = (0..count).map(message).collect();
            let (mut rows, mut found, mut stored) = (Rows::default(), Vec::new(), 0);
            for (offset, original) in originals.iter().enumerate() {
                let full = rows.add(original);
                let row = if offset + 1 == count { full.or_else(|| rows.end()) } else { full };
                if let Some(row) = row {
                    stored += 1;
                    found.extend(read(offset as u64, &row).unwrap());
                }
            }
            assert_eq!(rows.end(), None);
            assert_eq!(found, (0..).zip(originals).collect::<Vec<_>>());
            assert_eq!(stored > 1, count > 1_000, "{stored} rows of {count} messages");
        }
    }

    #[test]
    fn a_row_with_one_message_is_what_it_was_before_there_were_others() {
        let mut rows = Rows::default();
        for number in 0..6 {
            assert_eq!(rows.add(&message(number)), None);
            assert_eq!(rows.end(), Some(message(number).encode()));
        }
    }

    #[test]
    fn only_the_last_of_a_row_ends_it() {
        let mut rows = Rows::default();
        let added: Vec<_> = (0..3).map(|number| rows.add(&message(number))).collect();
        assert_eq!(added, [None, None, None]);
        let row = rows.end().unwrap();
        let ends: Vec<_> = Row::read(9, &row).unwrap().map(|found| found.map(|(at, one)| (at, one.ends_row))).collect();
        assert_eq!(ends, [Ok((7, false)), Ok((8, false)), Ok((9, true))]);
    }

    #[test]
    fn what_is_removed_for_itself_or_is_large_stands_alone() {
        let valued = |length| Message { time: 0, key: None, value: Some(vec![0; length].into()), hops: 0 };
        assert!(Rows::takes(&valued(0)) && Rows::takes(&valued(LARGE - 1)) && !Rows::takes(&valued(LARGE)));
        assert!(!Rows::takes(&Message { value: None, ..valued(0) }));
    }

    #[test]
    fn a_torn_row_is_refused_and_not_misread() {
        let mut rows = Rows::default();
        assert_eq!((rows.add(&message(1)), rows.add(&message(2))), (None, None));
        let whole = rows.end().unwrap();
        for end in 0..whole.len() {
            assert_eq!(read(5, &whole[..end]), Err(Torn), "{end}");
        }
        assert_eq!(read(5, &[&whole[..], b"x"].concat()), Err(Torn));
        assert_eq!(read(0, &whole), Err(Torn), "two messages, and the last has the first offset");
        let mut none = whole.to_vec();
        none[1..5].copy_from_slice(&[0; 4]);
        assert_eq!(read(5, &none), Err(Torn));
        let mut foreign = whole.to_vec();
        foreign[0] = 9;
        assert_eq!(read(5, &foreign), Err(Torn));
    }
}
