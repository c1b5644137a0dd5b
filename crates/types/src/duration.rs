use std::fmt::Write as _;
use std::time::Duration;

/// Why a text or number is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a duration such as \"5 mins\" or a number of seconds, got {0}")]
pub struct DurationError(String);

/// Parses `"5 mins"`, `"1m 30s"` (humantime's words), or a bare number of seconds.
///
/// # Errors
/// When the text is neither, or the number is negative or not finite.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let trimmed = text.trim();
    if let Ok(seconds) = trimmed.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| DurationError(format!("{text:?}")));
    }
    humantime::parse_duration(trimmed).map_err(|_| DurationError(format!("{text:?}")))
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
    use super::{format_duration, parse_duration};
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
    /// `expected a duration` for anything else.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        deserializer.deserialize_any(Seconds)
    }

    pub(super) struct Seconds;

    impl de::Visitor<'_> for Seconds {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            parse_duration(text).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
        }

        fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Duration, E> {
            Ok(Duration::from_secs(seconds))
        }

        fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Duration, E> {
            u64::try_from(seconds)
                .map(Duration::from_secs)
                .map_err(|_| E::invalid_value(de::Unexpected::Signed(seconds), &self))
        }

        fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Duration, E> {
            Duration::try_from_secs_f64(seconds).map_err(|_| E::invalid_value(de::Unexpected::Float(seconds), &self))
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
