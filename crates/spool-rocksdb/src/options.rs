use serde::de::{self, Deserialize, Deserializer};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// What happens when the disk says that it did not keep what it was asked to keep.
pub type SyncFailure = Arc<dyn Fn(&str) + Send + Sync>;

/// Where the spool is and how it behaves.
#[derive(Clone)]
pub struct Options {
    /// The directory of the database: the `meta` spool of a policy. It is created.
    pub path: PathBuf,
    /// The `data` spool of a policy. Bodies are in the database, so it is created and watched for room, no more.
    pub data_path: Option<PathBuf>,
    /// Whether every commit is synced, whatever it asks for.
    pub flush: bool,
    /// Room to keep free on the disks of both paths.
    pub min_free_space: MinFree,
    /// Inodes to keep free on the disks of both paths.
    pub min_free_inodes: MinFree,
    /// The policy's `rocks_params`; null or an empty table for none.
    pub params: serde_json::Value,
    /// Called when an fsync failed. Nobody knows then what is on the disk, and trying again would only hide it: the
    /// default says so on stderr and ends the process. Where a handler returns, the store is closed.
    pub on_sync_failure: SyncFailure,
}

impl Options {
    /// A spool at `path`, with defaults for all else.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Options {
            path: path.into(),
            data_path: None,
            flush: false,
            min_free_space: MinFree::DEFAULT,
            min_free_inodes: MinFree::DEFAULT,
            params: serde_json::Value::Null,
            on_sync_failure: Arc::new(end_the_process),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("path", &self.path)
            .field("data_path", &self.data_path)
            .field("flush", &self.flush)
            .field("min_free_space", &self.min_free_space)
            .field("min_free_inodes", &self.min_free_inodes)
            .field("params", &self.params)
            .finish_non_exhaustive()
    }
}

fn end_the_process(why: &str) {
    eprintln!("waybill: {why}; what was acknowledged since the last sync may be lost, so the process ends here");
    std::process::abort();
}

/// How much of a disk stays free: `"10%"`, or a number of bytes or inodes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum MinFree {
    /// A share of the whole, from 0 to 100.
    Percent(f64),
    /// An amount.
    Amount(u64),
}

/// The text is no amount that could stay free.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a share such as \"10%\" or a number, got {0:?}")]
pub struct MinFreeError(String);

impl MinFree {
    /// What is kept free where the policy does not say.
    pub const DEFAULT: MinFree = MinFree::Percent(10.0);

    /// Whether `free` of `total` is too little.
    pub(crate) fn is_missed(self, free: u64, total: u64) -> bool {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "a percentage of a disk needs no 64 bits")]
            MinFree::Percent(percent) => free as f64 * 100.0 < total as f64 * percent,
            MinFree::Amount(amount) => free < amount,
        }
    }
}

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

impl fmt::Display for MinFree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MinFree::Percent(percent) => write!(f, "{percent}%"),
            MinFree::Amount(amount) => amount.fmt(f),
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
                let positive = u64::try_from(amount).map(MinFree::Amount);
                positive.map_err(|_| E::invalid_value(de::Unexpected::Signed(amount), &self))
            }
            fn visit_f64<E: de::Error>(self, amount: f64) -> Result<MinFree, E> {
                // Lua has one kind of number for both.
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole")]
                if amount >= 0.0 && amount.fract() == 0.0 {
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
            ("5000.0", MinFree::Amount(5000)),
        ] {
            assert_eq!(serde_json::from_str::<MinFree>(json).unwrap(), expected, "{json}");
        }
        for json in ["\"\"", "\"101%\"", "\"-1%\"", "\"NaN%\"", "-1", "1.5", "\"10 percent\"", "{}"] {
            assert!(serde_json::from_str::<MinFree>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn too_little_is_less_than_what_was_asked_for() {
        assert!(!MinFree::Percent(10.0).is_missed(10, 100));
        assert!(MinFree::Percent(10.0).is_missed(9, 100));
        assert!(!MinFree::Amount(10).is_missed(10, 100));
        assert!(MinFree::Amount(10).is_missed(9, 100));
        assert!(!MinFree::Percent(0.0).is_missed(0, 100));
    }
}
