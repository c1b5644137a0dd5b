//! Signing a request for AWS, when it is sent: the signature covers what the script adds after it asked for it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use mlua::{Lua, Value};
use reqwest::Request;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use waybill_aws_sign::{Credentials, Request as Signable, Scope, sign};

use crate::raise;

/// Says what time it is, in place of the system's clock.
///
/// Set it with `lua.set_app_data(Now(..))`, so that a whole daemon can run on a clock that a test moves by hand.
pub struct Now(pub Arc<dyn Fn() -> SystemTime + Send + Sync>);

/// What a script gives to `aws_sign_v4`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signing {
    access_key: Key,
    secret_key: Key,
    #[serde(deserialize_with = "plain")]
    region: String,
    #[serde(deserialize_with = "plain")]
    service: String,
    #[serde(default)]
    session_token: Option<Key>,
    /// Seconds since 1970, for those who want a signature of another moment than now.
    #[serde(default)]
    timestamp: Option<u32>,
}

// Written by hand: a key must not reach a log.
impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signing").field("region", &self.region).field("service", &self.service).finish_non_exhaustive()
    }
}

/// A key: `{ key_data = '...' }`, a file that has it, or the key itself.
#[derive(serde::Deserialize)]
#[serde(untagged, expecting = "expected a text without control characters, or { key_data = '...' }")]
enum Key {
    Text(#[serde(deserialize_with = "plain")] String),
    Data(KeyData),
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyData {
    #[serde(deserialize_with = "plain")]
    key_data: String,
}

/// A text that may stand in a header. The error does not show it: it may be a key.
pub(crate) fn plain<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = <String as serde::Deserialize>::deserialize(deserializer)?;
    if text.is_empty() || text.contains(char::is_control) {
        return Err(serde::de::Error::custom("expected a text without control characters"));
    }
    Ok(text)
}

impl Key {
    fn load(self) -> mlua::Result<String> {
        match self {
            Key::Data(KeyData { key_data }) => Ok(key_data),
            // No key of AWS is the name of a file by accident.
            Key::Text(path) if path.starts_with('/') && Path::new(&path).is_file() => {
                let text = std::fs::read_to_string(&path).map_err(|error| raise(format!("reading {path}: {error}")))?;
                Ok(text.trim_end().to_owned())
            }
            Key::Text(text) => Ok(text),
        }
    }
}

impl Signing {
    /// Reads the options. The error does not repeat them: it would show the key.
    pub(crate) fn from_lua(options: Value) -> mlua::Result<Self> {
        if !options.is_table() {
            return Err(raise(format!("aws_sign_v4: expected a table of options, got {}", options.type_name())));
        }
        serde_path_to_error::deserialize(mlua::serde::Deserializer::new(options)).map_err(|error| {
            let field = error.path().to_string();
            let why = match error.into_inner() {
                mlua::Error::DeserializeError(text) => text,
                other => other.to_string(),
            };
            let named = field == "." || why.contains(&format!("`{field}`"));
            raise(format!("aws_sign_v4: {}{why}", if named { String::new() } else { format!("{field}: ") }))
        })
    }

    /// Signs the request.
    pub(crate) fn apply(self, request: &mut Request, now: i64) -> mlua::Result<()> {
        let body = match request.body() {
            None => &[],
            Some(body) => body.as_bytes().ok_or_else(|| raise("aws_sign_v4: a multipart body cannot be signed"))?,
        };
        let body = body.to_vec();
        let url = request.url().clone();
        let host = url.host_str().ok_or_else(|| raise("aws_sign_v4: the URL has no host"))?;
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let token = self.session_token.map(Key::load).transpose()?;
        let (access_key, secret_key) = (self.access_key.load()?, self.secret_key.load()?);
        if self.service == "s3" {
            let signed = Signable { method: "", path: "", query: &[], headers: &[], payload: &body };
            let nobody = Credentials { access_key: "", secret_key: "", session_token: None };
            let hash = sign(&nobody, Scope { region: "", service: "" }, &signed, 0).payload_hash;
            set(request, "x-amz-content-sha256", &hash)?;
        }
        let mut headers = vec![("host".to_owned(), host)];
        for (name, value) in request.headers() {
            if *name == CONTENT_TYPE || name.as_str().starts_with("x-amz-") {
                let value = value.to_str().map_err(mlua::Error::external)?;
                headers.push((name.as_str().to_owned(), value.to_owned()));
            }
        }
        let credentials =
            Credentials { access_key: &access_key, secret_key: &secret_key, session_token: token.as_deref() };
        let scope = Scope { region: &self.region, service: &self.service };
        let method = request.method().as_str().to_owned();
        let signable = Signable { method: &method, path: url.path(), query: &query, headers: &headers, payload: &body };
        let signed = sign(&credentials, scope, &signable, self.timestamp.map_or(now, i64::from));
        if !query.is_empty() {
            // As it was signed: a space may be written in two ways.
            request.url_mut().set_query(Some(&signed.query));
        }
        set(request, "x-amz-date", &signed.date)?;
        if let Some(token) = &token {
            set(request, "x-amz-security-token", token)?;
        }
        let mut authorization = HeaderValue::from_str(&signed.authorization).map_err(mlua::Error::external)?;
        authorization.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, authorization);
        Ok(())
    }
}

fn set(request: &mut Request, name: &'static str, value: &str) -> mlua::Result<()> {
    let value = HeaderValue::from_str(value).map_err(mlua::Error::external)?;
    request.headers_mut().insert(HeaderName::from_static(name), value);
    Ok(())
}

/// Seconds since 1970.
pub(crate) fn now(lua: &Lua) -> i64 {
    let hook = lua.app_data_ref::<Now>().map(|hook| Arc::clone(&hook.0));
    let now = match hook {
        Some(hook) => hook(),
        #[expect(clippy::disallowed_methods, reason = "a state that nobody gave a clock has the system's")]
        None => SystemTime::now(),
    };
    now.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
