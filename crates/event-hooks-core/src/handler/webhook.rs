use super::reach;
use crate::hook::Section;
use http::Method;
use std::collections::BTreeSet;
use std::time::Duration;
use waybill_types::Timestamp;
use waybill_webhook_core::{Compression, DatedSecret, EndpointConfig, KongSign, Tls, checked};
use waybill_webhook_sign::{Secret, StandardKey};

/// The handler `webhook`: `config` of it, and what `webhook-custom` has in common with it.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Whom to call and how, but for the signatures.
    endpoint: EndpointConfig,
    secret: Option<Secret>,
    algorithm: &'static str,
    /// Names of headers that are shown to nobody, in lower case.
    secret_headers: BTreeSet<String>,
}

const COMPRESSIONS: &[(&str, Compression)] =
    &[("none", Compression::None), ("gzip", Compression::Gzip), ("zstd", Compression::Zstd)];

/// The longest that one attempt may take.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn read(config: &mut Section<'_>) -> Option<Webhook> {
    let headers = config.texts("headers").unwrap_or_default();
    read_target(config, Method::POST, headers)
}

/// Url, headers, secret and the rest that both handlers have.
pub(super) fn read_target(config: &mut Section<'_>, method: Method, headers: Vec<(String, String)>) -> Option<Webhook> {
    let url = config.required("url", |config| config.target("url"));
    let secret = config.secret("secret");
    let algorithm = config.one_of("signature_algorithm", &[("sha256", "sha256"), ("sha1", "sha1")]);
    let verify = config.boolean("ssl_verify").unwrap_or(true);
    let timeout = config.duration("timeout", LONGEST_TIMEOUT);
    let compression = config.one_of("compression", COMPRESSIONS).unwrap_or_default();
    let (auth, proxy, tls) = (reach::auth(config), reach::proxy(config), reach::tls(config));
    let header = reach::signature_header(config, secret.as_ref());
    let secret_headers = config.texts("secret_headers").unwrap_or_default();
    let kept = secret_headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let headers: Vec<_> = headers.into_iter().chain(secret_headers).collect();
    if let Err(error) = checked(headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))) {
        config.wrong("headers", error.to_string());
    }
    let mut endpoint = EndpointConfig::of(url?);
    endpoint.method = method;
    endpoint.tls = Tls { verify, ..tls };
    endpoint.compression = compression;
    (endpoint.auth, endpoint.proxy) = (auth, proxy);
    endpoint.sign.custom.extend(header);
    endpoint.timeout = timeout.unwrap_or(endpoint.timeout);
    endpoint.headers = headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    let webhook = Webhook { endpoint, secret, algorithm: algorithm.unwrap_or("sha256"), secret_headers: kept };
    // What is wrong with a header was told.
    if let Err(error) = webhook.endpoint(&[]).check()
        && error.field != "headers"
    {
        config.wrong(within(&error.field), error.why);
    }
    Some(webhook)
}

/// Where in a hook's `config` a field of an endpoint's description stands.
fn within(field: &str) -> &str {
    const SAME: &[(&str, &str)] = &[
        ("tls.verify", "ssl_verify"),
        ("sign.custom[0].header", "signature_header.header"),
        ("sign.custom[0].value", "signature_header.value"),
        ("sign.custom[0].signed", "signature_header.signed"),
        ("sign.custom[0].algorithm", "signature_header.algorithm"),
        ("sign.custom[0].encoding", "signature_header.encoding"),
    ];
    match SAME.iter().find(|(known, _)| *known == field) {
        Some((_, own)) => own,
        None if field.starts_with("sign") => "secret",
        None => field,
    }
}

/// The field of a hook in which a field of its endpoint's description stands; the whole `config` where it is empty.
pub fn field_of(field: &str) -> String {
    let joint = if field.is_empty() { "" } else { "." };
    format!("config{joint}{}", within(field))
}

impl Webhook {
    /// Its key.
    pub fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }

    /// Whether a header, by its name in lower case, was given as one that is shown to nobody.
    pub(crate) fn keeps_secret(&self, header: &str) -> bool {
        self.secret_headers.contains(header)
    }

    /// A header that every request carries.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.endpoint.headers.get(name).map(String::as_str)
    }

    pub(crate) fn method(&self) -> &Method {
        &self.endpoint.method
    }

    /// The endpoint, ready to be called. `before` are secrets that were replaced, and until when they sign too.
    ///
    /// Kong's header holds one signature, that of the secret as it is now. A secret of Standard Webhooks (`whsec_...`,
    /// `whsk_...`) signs by that standard as well, whose header has room for those before.
    pub fn endpoint(&self, before: &[(Secret, Timestamp)]) -> EndpointConfig {
        let mut endpoint = self.endpoint.clone();
        let Some(secret) = &self.secret else { return endpoint };
        endpoint.sign.kong = Some(KongSign { secret: secret.clone(), algorithm: self.algorithm.to_owned() });
        if is_standard(secret) {
            endpoint.sign.standard.push(DatedSecret { secret: secret.clone(), until: None });
            for (old, until) in before.iter().filter(|(old, _)| is_standard(old) && old != secret) {
                endpoint.sign.standard.push(DatedSecret { secret: old.clone(), until: Some(until.secs()) });
            }
        }
        endpoint
    }
}

fn is_standard(secret: &Secret) -> bool {
    StandardKey::parse(secret.reveal()).is_ok()
}
