use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// How many connections are allowed: a number, or `"local:10"` for a limit that is never shared between machines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitSpec {
    /// The limit, at least 1.
    pub limit: u32,
    /// True when the limit was written with the `local:` prefix.
    pub force_local: bool,
}

/// The text is no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a limit such as 10 or \"local:10\", got {0}")]
pub struct LimitSpecError(String);

impl LimitSpec {
    /// A shared limit; 0 becomes 1, so that a queue can always make progress.
    pub const fn new(limit: u32) -> Self {
        LimitSpec { limit: if limit == 0 { 1 } else { limit }, force_local: false }
    }
}

impl FromStr for LimitSpec {
    type Err = LimitSpecError;
    fn from_str(text: &str) -> Result<Self, LimitSpecError> {
        let (number, force_local) = match text.strip_prefix("local:") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        match number.trim().replace(['_', ','], "").parse::<u32>() {
            Ok(limit) if limit > 0 => Ok(LimitSpec { limit, force_local }),
            _ => Err(LimitSpecError(text.to_owned())),
        }
    }
}

impl fmt::Display for LimitSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.force_local { "local:" } else { "" }, self.limit)
    }
}

impl Serialize for LimitSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut out = serializer.serialize_struct("LimitSpec", 2)?;
        out.serialize_field("limit", &self.limit)?;
        out.serialize_field("force_local", &self.force_local)?;
        out.end()
    }
}

impl<'de> Deserialize<'de> for LimitSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = LimitSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a limit such as 10 or \"local:10\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<LimitSpec, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, limit: u64) -> Result<LimitSpec, E> {
                match u32::try_from(limit) {
                    Ok(limit) if limit > 0 => Ok(LimitSpec::new(limit)),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(limit), &self)),
                }
            }
            fn visit_i64<E: de::Error>(self, limit: i64) -> Result<LimitSpec, E> {
                match u64::try_from(limit) {
                    Ok(limit) => self.visit_u64(limit),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Signed(limit), &self)),
                }
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<LimitSpec, A::Error> {
                let mut spec = LimitSpec::new(1);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "limit" => spec.limit = map.next_value()?,
                        "force_local" => spec.force_local = map.next_value()?,
                        other => return Err(de::Error::unknown_field(other, &["limit", "force_local"])),
                    }
                }
                if spec.limit == 0 {
                    return Err(de::Error::custom("limit: invalid value: integer `0`, expected a number above zero"));
                }
                Ok(spec)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_local_texts_are_limits() {
        assert_eq!("local:10".parse(), Ok(LimitSpec { limit: 10, force_local: true }));
        assert_eq!(serde_json::from_str::<LimitSpec>("32").unwrap(), LimitSpec::new(32));
        assert_eq!(serde_json::from_str::<LimitSpec>("\"7\"").unwrap(), LimitSpec::new(7));
        for text in ["0", "-1", "\"local:\"", "\"many\"", "1.5", r#"{"limit": 0}"#] {
            assert!(serde_json::from_str::<LimitSpec>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_table_with_a_limit_of_none_is_refused_by_name() {
        let error = serde_json::from_str::<LimitSpec>(r#"{"limit": 0, "force_local": true}"#).unwrap_err().to_string();
        assert!(error.starts_with("limit: invalid value: integer `0`, expected a number above zero"), "{error}");
        let limit = serde_json::from_str(r#"{"limit": 3, "force_local": true}"#).ok();
        assert_eq!(limit, Some(LimitSpec { limit: 3, force_local: true }));
    }
}
