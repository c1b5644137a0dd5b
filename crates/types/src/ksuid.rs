use crate::{Timestamp, base62};
use std::fmt;
use std::str::FromStr;

/// KSUIDs count seconds from here: 2014-05-13.
const EPOCH: i64 = 1_400_000_000;

/// A KSUID (<https://github.com/segmentio/ksuid>): four bytes of seconds, sixteen random ones; written as 27 characters of
/// base 62, which sort by age.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ksuid([u8; 20]);

/// A text is no KSUID.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KsuidError {
    /// Too short or too long.
    #[error("a KSUID has 27 characters")]
    Length,
    /// Not base 62, or more than twenty bytes hold.
    #[error("this is no KSUID")]
    Digits,
}

impl Ksuid {
    /// Characters of its text.
    pub const LENGTH: usize = 27;

    /// Of this second and these random bytes. A clock far off gives the first or the last second that there is.
    pub fn new(seconds: i64, random: [u8; 16]) -> Self {
        let since = u32::try_from(seconds.saturating_sub(EPOCH).max(0)).unwrap_or(u32::MAX);
        let mut bytes = [0; 20];
        let (head, tail) = bytes.split_at_mut(4);
        head.copy_from_slice(&since.to_be_bytes());
        tail.copy_from_slice(&random);
        Ksuid(bytes)
    }

    /// The second of its making.
    pub fn created(self) -> Timestamp {
        let since = self.0.first_chunk().map_or(0, |head| u32::from_be_bytes(*head));
        Timestamp::from_secs(EPOCH + i64::from(since))
    }
}

impl FromStr for Ksuid {
    type Err = KsuidError;

    fn from_str(text: &str) -> Result<Self, KsuidError> {
        if text.chars().count() != Ksuid::LENGTH {
            return Err(KsuidError::Length);
        }
        base62::decode(text).map(Ksuid).ok_or(KsuidError::Digits)
    }
}

impl fmt::Display for Ksuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base62::encode(&self.0, Ksuid::LENGTH))
    }
}

impl fmt::Debug for Ksuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_is_written_and_read() {
        let random = [0xB5, 0xA1, 0xCD, 0x34, 0xB5, 0xF9, 0x9D, 0x11, 0x54, 0xFB, 0x68, 0x53, 0x34, 0x5C, 0x97, 0x35];
        let ksuid = Ksuid::new(1_507_608_047, random);
        assert_eq!(ksuid.to_string(), "0ujtsYcgvSTl8PAuAdqWYSMnLOv");
        assert_eq!("0ujtsYcgvSTl8PAuAdqWYSMnLOv".parse(), Ok(ksuid));
        assert_eq!(ksuid.created(), Timestamp::from_secs(1_507_608_047));
        assert_eq!("0ujtsYcgvSTl8PAuAdqWYSMnLO".parse::<Ksuid>(), Err(KsuidError::Length));
        assert_eq!("zzzzzzzzzzzzzzzzzzzzzzzzzzz".parse::<Ksuid>(), Err(KsuidError::Digits), "more than twenty bytes");
    }
}
