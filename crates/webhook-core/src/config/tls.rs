use crate::Target;
use serde::Deserialize;
use waybill_webhook_sign::Secret;

/// Whom to believe over TLS, and who we are. Certificates and keys are PEM texts, never paths: whoever may describe an
/// endpoint may not read the machine's files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Whether the endpoint must prove who it is. Without it, anybody on the way can read and change what is sent.
    pub verify: bool,
    /// The authorities to believe, in place of the system's.
    pub ca: Option<String>,
    /// Our certificate, and those that vouch for it.
    pub client_certificate: Option<String>,
    /// Its key.
    pub client_key: Option<Secret>,
}

impl Default for Tls {
    fn default() -> Self {
        Tls { verify: true, ca: None, client_certificate: None, client_key: None }
    }
}

/// Through whom to call: an HTTP proxy that opens a way (`CONNECT`). Environment variables are not looked at.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// `http://host:port`.
    pub url: Target,
    /// Who we are to it.
    #[serde(default)]
    pub username: Option<String>,
    /// And its proof.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Who looks names up.
    #[serde(default)]
    pub names: ProxyNames,
}

/// Who looks up the name of an endpoint behind a proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyNames {
    /// We do: the address is checked as always, and it is the address that the proxy is asked for.
    #[default]
    Checked,
    /// The proxy does, and so it is the proxy that must refuse what is not permitted. Addresses in URLs are still
    /// checked here.
    Proxy,
}
