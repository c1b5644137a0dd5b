//! How an endpoint is described: JSON in, values that cannot hold nonsense out. Errors name the field.

mod auth;
mod check;
mod sign;
mod tls;

pub use auth::{Auth, Basic, Oauth2, Oauth2Style, Token};
pub use check::ConfigError;
pub use sign::{CustomHeader, DatedSecret, KongSign, SignConfig};
pub use tls::{Proxy, ProxyNames, Tls};

use crate::Target;
use serde::{Deserialize, Deserializer, de};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use waybill_types::{Objects, ThrottleSpec, serde_duration};

/// An endpoint. Only `url` is required. `Debug` shows no secret: no path, and of headers only the names.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointConfig {
    /// Whom to call.
    pub url: Target,
    /// How: `GET`, `POST` (the default), `PUT`, `PATCH` or `DELETE`.
    #[serde(default = "post", deserialize_with = "method")]
    pub method: http::Method,
    /// Headers that every request carries.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The time limit of a whole attempt: connecting, TLS, sending, waiting, reading. 20 s.
    #[serde(default = "twenty_seconds", with = "serde_duration")]
    pub timeout: Duration,
    /// How many attempts may be under way, and so the most connections. 10.
    #[serde(default = "ten")]
    pub max_connections: u32,
    /// How many attempts may begin in a period, `100/s`; unset means as many as go well.
    #[serde(default, deserialize_with = "rate")]
    pub max_rate: Option<ThrottleSpec>,
    /// How the body is compressed. What is signed are the bytes that are sent.
    #[serde(default)]
    pub compression: Compression,
    /// Which HTTP is spoken.
    #[serde(default)]
    pub http_version: HttpVersion,
    /// Whom to believe over TLS, and who we are.
    #[serde(default)]
    pub tls: Tls,
    /// Through whom to call.
    #[serde(default)]
    pub proxy: Option<Proxy>,
    /// Who we are to the application.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// How requests are signed.
    #[serde(default)]
    pub sign: SignConfig,
}

/// How a request's body is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// `Content-Encoding: gzip`.
    Gzip,
    /// `Content-Encoding: zstd`.
    Zstd,
}

/// Which HTTP is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
pub enum HttpVersion {
    /// Over TLS what the endpoint prefers; without, HTTP/1.1.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// HTTP/1.1.
    #[serde(rename = "1.1")]
    Http1,
    /// HTTP/2, without TLS too (prior knowledge, RFC 9113, section 3.3).
    #[serde(rename = "2")]
    Http2,
}

impl EndpointConfig {
    /// Reads a description.
    ///
    /// # Errors
    /// What is wrong, and in which field.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let config: Self =
            serde_path_to_error::deserialize(Objects::new(&mut reader)).map_err(ConfigError::from_path)?;
        reader.end().map_err(|error| ConfigError::new("", error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// An endpoint with this URL and all else by default.
    pub fn of(url: Target) -> Self {
        EndpointConfig {
            url,
            method: post(),
            headers: BTreeMap::new(),
            timeout: twenty_seconds(),
            max_connections: ten(),
            max_rate: None,
            compression: Compression::default(),
            http_version: HttpVersion::default(),
            tls: Tls::default(),
            proxy: None,
            auth: None,
            sign: SignConfig::default(),
        }
    }
}

impl fmt::Debug for EndpointConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.headers.keys().collect();
        f.debug_struct("EndpointConfig")
            .field("url", &self.url)
            .field("method", &self.method)
            .field("headers", &names)
            .field("timeout", &self.timeout)
            .field("max_connections", &self.max_connections)
            .field("max_rate", &self.max_rate)
            .field("compression", &self.compression)
            .field("http_version", &self.http_version)
            .field("tls", &self.tls)
            .field("proxy", &self.proxy)
            .field("auth", &self.auth)
            .field("sign", &self.sign)
            .finish()
    }
}

fn post() -> http::Method {
    http::Method::POST
}

fn twenty_seconds() -> Duration {
    Duration::from_secs(20)
}

fn ten() -> u32 {
    10
}

fn method<'de, D: Deserializer<'de>>(deserializer: D) -> Result<http::Method, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "GET" => Ok(http::Method::GET),
        "POST" => Ok(http::Method::POST),
        "PUT" => Ok(http::Method::PUT),
        "PATCH" => Ok(http::Method::PATCH),
        "DELETE" => Ok(http::Method::DELETE),
        _ => Err(de::Error::custom(format!("unknown method {text:?}, expected GET, POST, PUT, PATCH or DELETE"))),
    }
}

fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ThrottleSpec>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(de::Error::custom)).transpose()
}
