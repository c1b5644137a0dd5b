use std::fmt::Write as _;
use std::time::Duration;

/// A hundred years: the end of such a wait can still be told, by every clock of the system.
const LONGEST: Duration = Duration::from_secs(LONGEST_DAYS * 86_400);
const LONGEST_DAYS: u64 = 36_525;

/// Why a text or number is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a duration such as \"5 mins\" or a number of seconds, got {0}")]
pub struct DurationError(String);

/// Parses `"5 mins"`, `"1m 30s"` (humantime's words), or a bare number of seconds.
///
/// # Errors
/// When the text is neither, the number is negative or not finite, or it is more than a hundred years.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    match of_any_length(text) {
        Some(duration) if duration <= LONGEST => Ok(duration),
        Some(_) => Err(DurationError(format!("{text:?}, which is longer than {LONGEST_DAYS} days"))),
        None => Err(DurationError(format!("{text:?}"))),
    }
}

fn of_any_length(text: &str) -> Option<Duration> {
    let trimmed = text.trim();
    match trimmed.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(trimmed).ok(),
    }
}

/// Writes a duration as humantime does: `7days`, `1m 30s`, `0s`.
pub fn format_duration(duration: Duration) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write!(out, "{}", humantime::format_duration(duration));
    out
}

/// Serde for a duration in a policy's table: a humantime string or a number of seconds in, a string out.
pub mod serde_duration {
    use super::{LONGEST, LONGEST_DAYS, format_duration, of_any_length};
    use serde::{Deserializer, Serializer, de};
    use std::fmt;
    use std::time::Duration;

    /// Writes the humantime form.
    ///
    /// # Errors
    /// Only the serializer's.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(*duration))
    }

    /// Reads a humantime string, or seconds as an integer or float.
    ///
    /// # Errors
    /// `expected a duration` for anything else, and for more than a hundred years.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        deserializer.deserialize_any(Seconds)
    }

    pub(super) struct Seconds;

    fn bounded<E: de::Error>(duration: Duration, given: impl fmt::Display) -> Result<Duration, E> {
        if duration <= LONGEST {
            return Ok(duration);
        }
        Err(E::custom(format_args!("expected a duration of at most {LONGEST_DAYS} days, got {given}")))
    }

    impl de::Visitor<'_> for Seconds {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            let parsed = of_any_length(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))?;
            bounded(parsed, format_args!("{text:?}"))
        }

        fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Duration, E> {
            bounded(Duration::from_secs(seconds), seconds)
        }

        fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Duration, E> {
            let whole = u64::try_from(seconds).map(Duration::from_secs);
            bounded(whole.map_err(|_| E::invalid_value(de::Unexpected::Signed(seconds), &self))?, seconds)
        }

        fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Duration, E> {
            let exact = Duration::try_from_secs_f64(seconds);
            bounded(exact.map_err(|_| E::invalid_value(de::Unexpected::Float(seconds), &self))?, seconds)
        }
    }
}

/// [`serde_duration`] for an optional field.
pub mod serde_duration_opt {
    use serde::{Deserializer, Serializer, de};
    use std::fmt;
    use std::time::Duration;

    /// Writes the humantime form or null.
    ///
    /// # Errors
    /// Only the serializer's.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serde_duration::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads a duration, or null as none.
    ///
    /// # Errors
    /// As [`super::serde_duration::deserialize`].
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        struct Optional;
        impl<'de> de::Visitor<'de> for Optional {
            type Value = Option<Duration>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration")
            }
            fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(None)
            }
            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(None)
            }
            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
                super::serde_duration::deserialize(deserializer).map(Some)
            }
        }
        deserializer.deserialize_option(Optional)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_are_durations() {
        for (text, seconds) in [("5 mins", 300.0), ("1m 30s", 90.0), ("7d", 604_800.0), ("0", 0.0), ("1.5", 1.5)] {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_secs_f64(seconds), "{text}");
        }
        for text in ["soon", "", "-1", "5 parsecs", "NaN", "inf"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_ends_after_a_hundred_years_is_refused() {
        #[derive(serde::Deserialize, Debug)]
        struct Config {
            #[serde(with = "serde_duration")]
            _wait: Duration,
        }
        let read = |wait: serde_json::Value| serde_json::from_value::<Config>(serde_json::json!({ "_wait": wait }));
        for good in [serde_json::json!("36525 days"), serde_json::json!(3_155_760_000_u64)] {
            assert!(read(good.clone()).is_ok(), "{good}");
        }
        for wrong in [
            serde_json::json!("36526 days"),
            serde_json::json!(u64::MAX),
            serde_json::json!(i64::MAX),
            serde_json::json!(1e15),
            serde_json::json!("9999999999"),
        ] {
            let error = read(wrong.clone()).unwrap_err().to_string();
            assert!(error.starts_with("expected a duration of at most 36525 days, got "), "{wrong}: {error}");
        }
        assert_eq!(parse_duration("36525d").unwrap(), LONGEST);
        let error = parse_duration("36526d").unwrap_err().to_string();
        assert!(error.ends_with("got \"36526d\", which is longer than 36525 days"), "{error}");
    }

    #[test]
    fn a_bad_config_value_reads_as_scripts_expect() {
        #[derive(serde::Deserialize, Debug)]
        #[expect(dead_code, reason = "only the error is of interest")]
        struct Section {
            #[serde(with = "serde_duration")]
            interval: Duration,
        }
        let error = serde_json::from_str::<Section>(r#"{"interval":"soon"}"#).unwrap_err().to_string();
        assert!(error.starts_with("invalid value: string \"soon\", expected a duration"), "{error}");
        let error = serde_json::from_str::<Section>(r#"{"interval":{}}"#).unwrap_err().to_string();
        assert!(error.starts_with("invalid type: map, expected a duration"), "{error}");
    }
}
