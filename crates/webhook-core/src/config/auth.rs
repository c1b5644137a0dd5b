use crate::Target;
use serde::Deserialize;
use waybill_webhook_sign::Secret;

/// Who we are to the application: `{"basic": {...}}`, `{"bearer": {...}}` or `{"oauth2": {...}}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Auth {
    /// A user and a password (RFC 7617).
    Basic(Basic),
    /// A token (RFC 6750).
    Bearer(Token),
    /// A token that another server gives for a while (RFC 6749, section 4.4: client credentials).
    Oauth2(Oauth2),
}

/// A user and a password.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// The user, without a colon.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// A token.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// As it stands behind `Bearer`.
    pub token: Secret,
}

/// How to get a token. The server that gives it is called like any endpoint: checked, limited, not redirected.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oauth2 {
    /// Who gives it.
    pub token_url: Target,
    /// Who we are there.
    pub client_id: String,
    /// And its proof.
    pub client_secret: Secret,
    /// What the token is to be good for.
    #[serde(default)]
    pub scope: Option<String>,
    /// For whom; some servers want to know it.
    #[serde(default)]
    pub audience: Option<String>,
    /// Where the credentials stand.
    #[serde(default)]
    pub style: Oauth2Style,
}

/// Where client credentials stand in a request for a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Oauth2Style {
    /// In `Authorization: Basic`, which every server must take (RFC 6749, section 2.3.1).
    #[default]
    Basic,
    /// In the body.
    Body,
}
