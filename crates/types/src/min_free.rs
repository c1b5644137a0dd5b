use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Up to here every whole number is a double as well: 2^53.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// How much of a disk stays free: `"10%"`, or a number of bytes or inodes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum MinFree {
    /// A share of the whole, from 0 to 100.
    Percent(f64),
    /// An amount.
    Amount(u64),
}

impl MinFree {
    /// What is kept free where the policy does not say.
    pub const DEFAULT: MinFree = MinFree::Percent(10.0);

    /// Whether `free` of `total` is too little. A file system that does not count (inodes on btrfs) has enough.
    pub fn is_missed(self, free: u64, total: u64) -> bool {
        match self {
            _ if total == 0 => false,
            #[expect(clippy::cast_precision_loss, reason = "a percentage of a disk needs no 64 bits")]
            MinFree::Percent(percent) => free as f64 * 100.0 < total as f64 * percent,
            MinFree::Amount(amount) => free < amount,
        }
    }
}

impl Default for MinFree {
    fn default() -> Self {
        MinFree::DEFAULT
    }
}

impl fmt::Display for MinFree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MinFree::Percent(percent) => write!(f, "{percent}%"),
            MinFree::Amount(amount) => amount.fmt(f),
        }
    }
}

/// The text is no amount that could stay free.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a share such as \"10%\" or a number, got {0:?}")]
pub struct MinFreeError(String);

impl FromStr for MinFree {
    type Err = MinFreeError;
    fn from_str(text: &str) -> Result<Self, MinFreeError> {
        let wrong = || MinFreeError(text.to_owned());
        let trimmed = text.trim();
        match trimmed.strip_suffix('%') {
            Some(share) => {
                let percent = share.trim().parse::<f64>().map_err(|_| wrong())?;
                if (0.0..=100.0).contains(&percent) { Ok(MinFree::Percent(percent)) } else { Err(wrong()) }
            }
            None => trimmed.parse().map(MinFree::Amount).map_err(|_| wrong()),
        }
    }
}

impl Serialize for MinFree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            MinFree::Percent(_) => serializer.collect_str(self),
            MinFree::Amount(amount) => serializer.serialize_u64(*amount),
        }
    }
}

impl<'de> Deserialize<'de> for MinFree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = MinFree;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a share such as \"10%\" or a number")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<MinFree, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
            fn visit_u64<E: de::Error>(self, amount: u64) -> Result<MinFree, E> {
                Ok(MinFree::Amount(amount))
            }
            fn visit_i64<E: de::Error>(self, amount: i64) -> Result<MinFree, E> {
                let amount_or = u64::try_from(amount).map(MinFree::Amount);
                amount_or.map_err(|_| E::invalid_value(de::Unexpected::Signed(amount), &self))
            }
            fn visit_f64<E: de::Error>(self, amount: f64) -> Result<MinFree, E> {
                // Lua has one kind of number for both.
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole")]
                if (0.0..WHOLE).contains(&amount) && amount.fract() == 0.0 {
                    return Ok(MinFree::Amount(amount as u64));
                }
                Err(E::invalid_value(de::Unexpected::Float(amount), &self))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_numbers_are_amounts_to_keep_free() {
        for (json, expected) in [
            ("\"10%\"", MinFree::Percent(10.0)),
            ("\" 2.5 %\"", MinFree::Percent(2.5)),
            ("\"1048576\"", MinFree::Amount(1_048_576)),
            ("5000", MinFree::Amount(5000)),
            ("5e3", MinFree::Amount(5000)),
        ] {
            assert_eq!(serde_json::from_str::<MinFree>(json).unwrap(), expected, "{json}");
        }
        for json in ["\"\"", "\"101%\"", "\"-1%\"", "\"NaN%\"", "-1", "1.5", "1e300", "\"10 percent\"", "{}"] {
            assert!(serde_json::from_str::<MinFree>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_file_system_that_does_not_count_has_enough() {
        assert!(MinFree::Percent(10.0).is_missed(9, 100));
        assert!(!MinFree::Percent(10.0).is_missed(10, 100));
        assert!(MinFree::Amount(10).is_missed(9, 100));
        assert!(!MinFree::Amount(10).is_missed(0, 0));
    }
}
