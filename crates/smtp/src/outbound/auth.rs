//! AUTH PLAIN (RFC 4616), only where the password is safe.

use super::connection::Security;
use super::failure::{Refusal, Step};
use super::greeting::Capabilities;
use super::secret::Secret;
use super::settings::Settings;
use super::wire::Wire;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::fmt;

/// Who we are to the server. The password is shown nowhere.
#[derive(Clone)]
pub(super) struct Credentials {
    user: String,
    password: Secret,
}

impl Credentials {
    /// From `smtp_auth_plain_username` and `smtp_auth_plain_password`: a path, or `{key_data=..}`.
    pub(super) fn new(user: &str, password: &Value) -> Result<Self, String> {
        let password = Secret::new(password)?;
        Ok(Credentials { user: user.to_owned(), password })
    }

    async fn password(&self) -> Result<String, Refusal> {
        let password = self.password.load().await;
        password.map_err(|why| Refusal::Ours(format!("smtp_auth_plain_password: {why}")))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.user)
    }
}

/// Says who we are, where the path has a name for us.
pub(super) async fn authenticate(
    wire: &mut Wire,
    settings: &Settings,
    offered: Capabilities,
    security: Security,
) -> Result<(), Refusal> {
    let Some(credentials) = &settings.credentials else { return Ok(()) };
    let path = &settings.path;
    match security {
        Security::Plain if !path.allow_smtp_auth_plain_without_tls => {
            return Err(Refusal::Ours(
                "AUTH PLAIN needs TLS here; allow_smtp_auth_plain_without_tls would do without it".into(),
            ));
        }
        Security::Unverified if !path.allow_smtp_auth_plain_without_valid_certificate => {
            return Err(Refusal::Ours(
                "AUTH PLAIN needs a server whose certificate was checked; \
                 allow_smtp_auth_plain_without_valid_certificate would do without it"
                    .into(),
            ));
        }
        _ => {}
    }
    if !offered.auth_plain {
        return Err(Refusal::Ours("the server does not offer AUTH PLAIN".into()));
    }
    let secret = format!("\0{}\0{}", credentials.user, credentials.password().await?);
    let line = format!("AUTH PLAIN {}\r\n", STANDARD.encode(secret));
    wire.send(line.as_bytes(), Step::Auth, path.auth_timeout).await?;
    let reply = wire.reply(Step::Auth, path.auth_timeout).await?;
    if reply.is_positive() { Ok(()) } else { Err(Refusal::Said { step: Step::Auth, reply }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_password_is_shown_nowhere() {
        let credentials = Credentials::new("u", &json!({"key_data": "s3cret"})).unwrap();
        assert_eq!(format!("{credentials:?}"), "Credentials(u)");
    }
}
