use crate::Timestamp;
use crate::hex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};

/// 100-nanosecond ticks between the UUID epoch (1582-10-15) and the Unix epoch (RFC 9562 section 5.1).
const UUID_EPOCH_TICKS: i64 = 0x01B2_1DD2_1381_4000;

/// The text is not 32 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id is 32 hexadecimal digits, got {0:?}")]
pub struct ParseIdError(String);

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// From its 16 bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Its 16 bytes, in UUID field order.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// The moment it was minted, exact to 100 ns (RFC 9562 section 5.1).
            pub fn created(&self) -> Timestamp {
                created(&self.0)
            }
        }

        impl $name {
            /// The 32 digits that it is written with, in ASCII.
            pub fn digits(&self) -> [u8; 32] {
                hex::encode16(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let digits = self.digits();
                f.write_str(std::str::from_utf8(&digits).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                hex::decode16(text).map(Self).ok_or_else(|| ParseIdError(text.to_owned()))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id_type! {
    /// The id of a message in the spool: a version 1 UUID, written as 32 hex digits.
    MessageId
}

id_type! {
    /// The id of a journal entry, minted when it is encoded and stored in it: the same after every crash.
    EntryId
}

impl MessageId {
    /// A new id for a copy of this message on another node: as old, and else by chance. Its age goes on counting, so
    /// that mail which nodes pass on to each other expires all the same.
    pub fn renewed(&self) -> MessageId {
        let mut bytes = self.0;
        bytes[8..].copy_from_slice(&rand::random::<[u8; 8]>());
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        bytes[10] |= 1;
        MessageId(bytes)
    }
}

impl EntryId {
    /// The id of the hook message that `hook` sees for this entry: a function of both and of nothing else, so it
    /// is equal on every retry, replay and restart. The time of the entry stays readable from it.
    pub fn hook_message_id(&self, hook: &str) -> MessageId {
        // FNV-1a, twice with different offsets: 64 bits for the clock sequence and node fields. It only has to tell
        // apart the hooks of one entry.
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in self.0.iter().chain(hook.as_bytes()) {
            hash ^= u64::from(*byte);
            hash = hash.wrapping_mul(0x0000_0100_0000_01b3);
        }
        let mut bytes = self.0;
        bytes[8..].copy_from_slice(&hash.to_be_bytes());
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        bytes[10] |= 1; // the multicast bit: a node that is no network card (RFC 9562 section 6.10)
        MessageId(bytes)
    }
}

fn created(bytes: &[u8; 16]) -> Timestamp {
    let low = u64::from(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    let mid = u64::from(u16::from_be_bytes([bytes[4], bytes[5]]));
    let high = u64::from(u16::from_be_bytes([bytes[6], bytes[7]]) & 0x0fff);
    let ticks = i64::try_from((high << 48) | (mid << 32) | low).unwrap_or(i64::MAX);
    Timestamp::from_nanos((ticks - UUID_EPOCH_TICKS).saturating_mul(100))
}

/// Mints ids that are unique within one process life and, by a random node, across processes.
///
/// Time is an argument. Two ids minted for the same tick, or after the clock stepped back, still differ: the tick
/// is pushed forward.
#[derive(Debug)]
pub struct IdMint {
    last_tick: AtomicI64,
    tail: [u8; 8],
}

impl IdMint {
    /// A mint whose ids end in `tail` (clock sequence and node); the variant and multicast bits are set here.
    pub fn new(mut tail: [u8; 8]) -> Self {
        tail[0] = (tail[0] & 0x3f) | 0x80;
        tail[2] |= 1;
        IdMint { last_tick: AtomicI64::new(0), tail }
    }

    /// A mint with a random tail.
    pub fn random() -> Self {
        IdMint::new(rand::random())
    }

    /// A new message id for the moment `now`.
    pub fn message(&self, now: Timestamp) -> MessageId {
        MessageId(self.next(now))
    }

    /// A new journal entry id for the moment `now`.
    pub fn entry(&self, now: Timestamp) -> EntryId {
        EntryId(self.next(now))
    }

    fn next(&self, now: Timestamp) -> [u8; 16] {
        let wanted = now.nanos() / 100 + UUID_EPOCH_TICKS;
        let mut last = self.last_tick.load(Ordering::Relaxed);
        let tick = loop {
            let next = wanted.max(last + 1);
            match self.last_tick.compare_exchange_weak(last, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break next,
                Err(seen) => last = seen,
            }
        };
        let tick = tick.cast_unsigned();
        let mut bytes = [0u8; 16];
        bytes[..4].copy_from_slice(&tick.to_be_bytes()[4..]);
        bytes[4..6].copy_from_slice(&tick.to_be_bytes()[2..4]);
        let high = u16::from_be_bytes([tick.to_be_bytes()[0], tick.to_be_bytes()[1]]);
        bytes[6..8].copy_from_slice(&((high & 0x0fff) | 0x1000).to_be_bytes());
        bytes[8..].copy_from_slice(&self.tail);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_when_it_was_minted() {
        let now = Timestamp::parse_rfc3339("2026-11-23T16:12:56.210249600Z").unwrap();
        let id = IdMint::random().message(now);
        assert_eq!(id.created(), now);
        assert_eq!(id.to_string().len(), 32);
        assert_eq!(id.to_string().as_bytes(), id.digits());
        assert_eq!(id.to_string().parse::<MessageId>().unwrap(), id);
        assert_eq!(&id.to_string()[12..13], "1");
    }

    #[test]
    fn a_sample_id_of_a_live_daemon_gives_its_created_time() {
        let id: MessageId = "be5ce59be75811f1aba9ee449cbbeaa0".parse().unwrap();
        assert_eq!(id.created().to_rfc3339(), "2026-11-23T16:12:56.209346700Z");
    }

    #[test]
    fn a_renewed_id_is_another_one_of_the_same_age() {
        let id = IdMint::random().message(Timestamp::from_secs(1_700_000_000));
        let renewed = id.renewed();
        assert_ne!(renewed, id);
        assert_eq!(renewed.created(), id.created());
        assert_eq!(&renewed.to_string()[12..13], "1");
    }

    #[test]
    fn ids_of_one_tick_or_of_a_clock_that_stepped_back_differ() {
        let mint = IdMint::random();
        let now = Timestamp::from_secs(1_700_000_000);
        let a = mint.message(now);
        let b = mint.message(now);
        let c = mint.message(Timestamp::from_secs(1_600_000_000));
        assert!(a != b && b != c && a < b);
    }

    #[test]
    fn the_hook_message_id_depends_on_entry_and_hook_only() {
        let mint = IdMint::random();
        let entry = mint.entry(Timestamp::from_secs(1_700_000_000));
        assert_eq!(entry.hook_message_id("a"), entry.hook_message_id("a"));
        assert_ne!(entry.hook_message_id("a"), entry.hook_message_id("b"));
        assert_eq!(entry.hook_message_id("a").created(), entry.created());
        let other = mint.entry(Timestamp::from_secs(1_700_000_000));
        assert_ne!(entry.hook_message_id("a"), other.hook_message_id("a"));
    }

    #[test]
    fn nonsense_is_no_id() {
        for text in ["", "xyz", "be5ce59be75811f1aba9ee449cbbeaa", "ge5ce59be75811f1aba9ee449cbbeaa0"] {
            assert!(text.parse::<MessageId>().is_err(), "{text}");
        }
    }
}
