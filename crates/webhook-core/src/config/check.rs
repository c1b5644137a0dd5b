//! What serde cannot see: fields that do not go together.

use super::{Auth, EndpointConfig};
use crate::target::Scheme;
use crate::{checked, headers};
use std::fmt;
use std::time::Duration;
use waybill_webhook_sign::Secret;

/// A description that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// The field, `auth.oauth2.token_url`; empty where it is the whole.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => write!(f, "{}", self.why),
            field => write!(f, "{field}: {}", self.why),
        }
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    /// `why` is wrong with `field`.
    pub fn new(field: impl Into<String>, why: impl Into<String>) -> Self {
        ConfigError { field: field.into(), why: why.into() }
    }

    pub(super) fn from_path(error: serde_path_to_error::Error<serde_json::Error>) -> Self {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { path };
        // The place in the text is of no use to somebody who is told the field.
        let why = error.into_inner().to_string();
        let why = why.split_once(" at line ").map_or(why.as_str(), |(why, _)| why);
        ConfigError::new(field, why)
    }
}

/// The longest that one attempt may take.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(300);
/// The most connections to one endpoint.
const MOST_CONNECTIONS: u32 = 1000;

impl EndpointConfig {
    /// Checks what the fields' own types cannot.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |field: &str, why: &str| Err(ConfigError::new(field, why));
        checked(self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())))
            .map_err(|error| ConfigError::new("headers", error.to_string()))?;
        if self.timeout.is_zero() || self.timeout > LONGEST_TIMEOUT {
            return wrong("timeout", "it must be longer than nothing and at most 300 s");
        }
        if !(1..=MOST_CONNECTIONS).contains(&self.max_connections) {
            return wrong("max_connections", "it must be between 1 and 1000");
        }
        if self.tls.client_certificate.is_some() != self.tls.client_key.is_some() {
            return wrong("tls", "client_certificate and client_key go together");
        }
        self.sign.signer()?;
        self.check_auth()?;
        self.check_proxy()
    }

    fn check_auth(&self) -> Result<(), ConfigError> {
        let Some(auth) = &self.auth else { return Ok(()) };
        let wrong = |field: &str, why: &str| Err(ConfigError::new(field, why));
        if self.headers.keys().any(|name| name.eq_ignore_ascii_case("authorization")) {
            return wrong("auth", "headers hold an Authorization already");
        }
        match auth {
            Auth::Basic(basic) if basic.username.contains(':') => {
                wrong("auth.basic.username", "a user's name holds no colon (RFC 7617)")
            }
            Auth::Basic(basic) if !fits(&basic.password) || basic.username.len() > headers::LONGEST_VALUE / 4 => {
                wrong("auth.basic", "user or password are too long for a header")
            }
            Auth::Bearer(bearer) if !is_token(&bearer.token) => {
                wrong("auth.bearer.token", "a token is visible ASCII, 1 to 4096 characters (RFC 6750)")
            }
            Auth::Oauth2(oauth2)
                if !fits(&oauth2.client_secret) || oauth2.client_id.len() > headers::LONGEST_VALUE / 4 =>
            {
                wrong("auth.oauth2", "client_id or client_secret are too long for a header")
            }
            Auth::Basic(_) | Auth::Bearer(_) | Auth::Oauth2(_) => Ok(()),
        }
    }

    fn check_proxy(&self) -> Result<(), ConfigError> {
        let Some(proxy) = &self.proxy else { return Ok(()) };
        let wrong = |field: &str, why: &str| Err(ConfigError::new(field, why));
        if proxy.url.scheme() != Scheme::Http || proxy.url.path() != "/" {
            return wrong("proxy.url", "a proxy is http://host:port, without a path");
        }
        if proxy.username.is_some() != proxy.password.is_some() {
            return wrong("proxy", "username and password go together");
        }
        if proxy.username.as_ref().is_some_and(|name| name.contains(':') || name.len() > headers::LONGEST_VALUE / 4)
            || proxy.password.as_ref().is_some_and(|password| !fits(password))
        {
            return wrong(
                "proxy.username",
                "a user's name holds no colon and fits into a header, as does the password",
            );
        }
        Ok(())
    }
}

/// Base64 makes four of three.
fn fits(secret: &Secret) -> bool {
    secret.reveal().len() <= headers::LONGEST_VALUE / 3
}

fn is_token(secret: &Secret) -> bool {
    let text = secret.reveal();
    (1..=4096).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
