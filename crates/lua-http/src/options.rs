//! What `build_client` can be told.

use std::fmt;
use std::time::Duration;

use mlua::{Error, Value};
use serde::de::{self, Deserializer, Unexpected, Visitor};

use crate::DEFAULT_MAX_RESPONSE_SIZE;
use crate::sign::plain;

/// How long a whole request may take, from connecting to the last byte of the response.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// The options, all optional. Keys that are not among them are ignored, unlike anywhere else in the
/// Lua surface: existing scripts pass some.
#[derive(Debug, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Options {
    #[serde(deserialize_with = "some_plain")]
    pub(crate) user_agent: Option<String>,
    #[serde(deserialize_with = "some_time")]
    pub(crate) timeout: Duration,
    #[serde(deserialize_with = "some_duration")]
    pub(crate) pool_idle_timeout: Option<Duration>,
    pub(crate) connection_verbose: bool,
    pub(crate) accept_invalid_certs: bool,
    /// Ours: whether a 3xx answer is followed.
    #[serde(deserialize_with = "redirect")]
    pub(crate) redirect: Redirect,
    /// Ours: the most bytes a response body may have.
    pub(crate) max_response_size: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user_agent: None,
            timeout: DEFAULT_TIMEOUT,
            pool_idle_timeout: None,
            connection_verbose: false,
            accept_invalid_certs: false,
            redirect: Redirect::Follow,
            max_response_size: DEFAULT_MAX_RESPONSE_SIZE,
        }
    }
}

/// What happens on a redirection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// The script gets the 3xx response itself.
    None,
    /// The new place is asked, ten times at most.
    Follow,
}

impl Options {
    pub(crate) fn from_lua(value: Value) -> mlua::Result<Self> {
        if value.is_nil() {
            return Ok(Self::default());
        }
        if !value.is_table() {
            let text = format!("expected a table of options, got {}", value.type_name());
            return Err(Error::DeserializeError(text));
        }
        serde_path_to_error::deserialize(mlua::serde::Deserializer::new(value.clone())).map_err(|error| {
            let field = error.path().to_string();
            match error.into_inner() {
                Error::DeserializeError(text) => {
                    let named = if field == "." { text } else { format!("field `{field}`: {text}") };
                    let value = serde_json::to_string(&value).unwrap_or_else(|_| value.type_name().to_owned());
                    Error::DeserializeError(format!("{named}, while processing {value}"))
                }
                other => other,
            }
        })
    }
}

fn some_plain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    plain(deserializer).map(Some)
}

fn redirect<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Redirect, D::Error> {
    match <String as de::Deserialize>::deserialize(deserializer)?.as_str() {
        "none" => Ok(Redirect::None),
        "follow" => Ok(Redirect::Follow),
        other => Err(de::Error::unknown_variant(other, &["none", "follow"])),
    }
}

/// A duration in which something can happen.
fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let time = duration(deserializer)?;
    if time.is_zero() {
        return Err(de::Error::custom("expected a duration longer than zero"));
    }
    Ok(time)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_any(DurationVisitor)
}

fn some_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a duration")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        humantime::parse_duration(text).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Duration, E> {
        match u64::try_from(seconds) {
            Ok(seconds) => Ok(Duration::from_secs(seconds)),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(seconds), &self)),
        }
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Duration, E> {
        Duration::try_from_secs_f64(seconds).map_err(|_| E::invalid_value(Unexpected::Float(seconds), &self))
    }
}
