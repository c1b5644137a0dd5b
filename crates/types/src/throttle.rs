use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A rate: `[local:]LIMIT/[N]PERIOD[,max_burst=B]`, such as `100/s`, `1_000/5m` or `local:10/h,max_burst=2`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ThrottleSpec {
    /// How many in each period, at least 1.
    pub limit: u64,
    /// The period, at least one second.
    pub period: Duration,
    /// How many may come at once; unset means the limit.
    pub max_burst: Option<u64>,
    /// True when written with `local:`.
    pub force_local: bool,
}

/// A hundred years: what a [`Timestamp`](crate::Timestamp) can still add to the present.
const LONGEST_DAYS: u64 = 36_525;

/// The text is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ThrottleSpecError {
    /// There is no `/`, or nothing that makes sense on one side of it.
    #[error("expected 'limit/period', got {0}")]
    Form(String),
    /// The limit is zero or no number.
    #[error("invalid limit '{0}', it has to be a whole number above zero")]
    Limit(String),
    /// The period is not one of s, m, h, d or their longer names.
    #[error("unknown period quantity '{0}', expected one of s, sec, second, m, min, minute, h, hr, hour, d, day")]
    Period(String),
    /// The period is so long that moments at its end cannot be told.
    #[error("the period '{0}' is too long, expected at most {LONGEST_DAYS}d")]
    TooLong(String),
    /// What follows the comma is not `max_burst=N`.
    #[error("expected 'max_burst=N' after the comma, got '{0}'")]
    Burst(String),
}

impl ThrottleSpec {
    /// The time between two admissions at the steady rate.
    pub fn interval(&self) -> Duration {
        let nanos = self.period.as_nanos() / u128::from(self.limit.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX).max(1))
    }

    /// How many may pass at once when nothing passed for a while: `min(max_burst or limit, limit - 1) + 1`.
    pub fn burst(&self) -> u64 {
        self.max_burst.unwrap_or(self.limit).min(self.limit - 1) + 1
    }
}

fn whole(text: &str) -> Option<u64> {
    text.trim().replace(['_', ','], "").parse().ok()
}

impl FromStr for ThrottleSpec {
    type Err = ThrottleSpecError;
    fn from_str(text: &str) -> Result<Self, ThrottleSpecError> {
        let (rest, force_local) = match text.strip_prefix("local:") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        // The limit may itself hold commas (1,000/s), so the options are split off behind the slash.
        let (limit, behind) = rest.split_once('/').ok_or_else(|| ThrottleSpecError::Form(text.to_owned()))?;
        let (period, options) = match behind.split_once(',') {
            Some((period, options)) => (period, Some(options)),
            None => (behind, None),
        };
        let limit = match whole(limit) {
            Some(limit) if limit > 0 => limit,
            _ => return Err(ThrottleSpecError::Limit(limit.to_owned())),
        };
        let period = parse_period(period)?;
        let max_burst = match options {
            None => None,
            Some(option) => {
                let burst = option.trim().strip_prefix("max_burst=").and_then(whole);
                Some(burst.filter(|b| *b > 0).ok_or_else(|| ThrottleSpecError::Burst(option.to_owned()))?)
            }
        };
        Ok(ThrottleSpec { limit, period, max_burst, force_local })
    }
}

fn parse_period(text: &str) -> Result<Duration, ThrottleSpecError> {
    let error = || ThrottleSpecError::Period(text.to_owned());
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let count = if count.is_empty() { 1 } else { count.parse::<u64>().map_err(|_| error())? };
    let seconds: u64 = match unit.trim() {
        "s" | "sec" | "second" => 1,
        "m" | "min" | "minute" => 60,
        "h" | "hr" | "hour" => 3600,
        "d" | "day" => 86_400,
        _ => return Err(error()),
    };
    match count.checked_mul(seconds) {
        Some(0) => Err(error()),
        Some(total) if total <= LONGEST_DAYS * 86_400 => Ok(Duration::from_secs(total)),
        _ => Err(ThrottleSpecError::TooLong(text.to_owned())),
    }
}

impl fmt::Display for ThrottleSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.period.as_secs();
        let (count, unit) = match seconds {
            s if s % 86_400 == 0 => (s / 86_400, "d"),
            s if s % 3600 == 0 => (s / 3600, "h"),
            s if s % 60 == 0 => (s / 60, "m"),
            s => (s, "s"),
        };
        write!(f, "{}{}/", if self.force_local { "local:" } else { "" }, self.limit)?;
        if count != 1 {
            write!(f, "{count}")?;
        }
        f.write_str(unit)?;
        match self.max_burst {
            Some(burst) => write!(f, ",max_burst={burst}"),
            None => Ok(()),
        }
    }
}

impl Serialize for ThrottleSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ThrottleSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_round_trip() {
        for (text, limit, seconds, burst) in
            [("100/s", 100, 1, 100), ("1/m", 1, 60, 1), ("10/5m", 10, 300, 10), ("local:10/h,max_burst=2", 10, 3600, 3)]
        {
            let spec: ThrottleSpec = text.parse().unwrap();
            assert_eq!((spec.limit, spec.period.as_secs(), spec.burst()), (limit, seconds, burst), "{text}");
            assert_eq!(spec.to_string(), text);
        }
        assert_eq!("1_000/sec".parse::<ThrottleSpec>().unwrap().limit, 1000);
        assert_eq!("1,000/day".parse::<ThrottleSpec>().unwrap().limit, 1000);
    }

    #[test]
    fn nonsense_says_what_is_wrong() {
        assert_eq!("lots".parse::<ThrottleSpec>().unwrap_err().to_string(), "expected 'limit/period', got lots");
        let error = "10/4467440737095m".parse::<ThrottleSpec>().unwrap_err();
        assert_eq!(error.to_string(), "the period '4467440737095m' is too long, expected at most 36525d");
        assert!(
            "10/36525d".parse::<ThrottleSpec>().is_ok() && "10/18446744073709551615d".parse::<ThrottleSpec>().is_err()
        );
        for text in ["0/s", "x/s", "5/fortnight", "5/0s", "5/s,burst=2", "5/s,max_burst=0", "/", ""] {
            assert!(text.parse::<ThrottleSpec>().is_err(), "{text}");
        }
    }
}
