use super::reach;
use crate::hook::{Replaced, Section, SigningKey};
use http::Method;
use std::collections::BTreeSet;
use std::time::Duration;
use waybill_webhook_core::{Compression, DatedSecret, EndpointConfig, KongSign, Tls, checked};
use waybill_webhook_sign::{Secret, StandardKey};

/// The handler `webhook`: `config` of it, and what `webhook-custom` has in common with it.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Whom to call and how, but for the signatures.
    endpoint: EndpointConfig,
    secret: Option<Secret>,
    signatures: Signatures,
    algorithm: &'static str,
    /// Names of headers that are shown to nobody, in lower case.
    secret_headers: BTreeSet<String>,
}

/// Secrets that sign by other schemes, beside the secret.
#[derive(Clone, Debug, Default)]
pub(super) struct Signatures {
    pub(super) standard: Option<Secret>,
    pub(super) klev: Option<Secret>,
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
    let signatures = reach::signatures(config);
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
    let webhook =
        Webhook { endpoint, secret, signatures, algorithm: algorithm.unwrap_or("sha256"), secret_headers: kept };
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
    /// One of the secrets that sign.
    pub fn secret(&self, key: SigningKey) -> Option<&Secret> {
        match key {
            SigningKey::Secret => self.secret.as_ref(),
            SigningKey::Standard => self.signatures.standard.as_ref(),
            SigningKey::Klev => self.signatures.klev.as_ref(),
        }
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

    /// The endpoint, ready to be called. `before` are secrets that were replaced and still sign.
    ///
    /// Kong's header holds one signature, that of the secret as it is now. A secret of Standard Webhooks (`whsec_...`,
    /// `whsk_...`) signs by that standard as well, whose header has room for several, those before included; so has klev's.
    pub fn endpoint(&self, before: &[Replaced]) -> EndpointConfig {
        let mut endpoint = self.endpoint.clone();
        let sign = &mut endpoint.sign;
        sign.kong = self.secret.clone().map(|secret| KongSign { secret, algorithm: self.algorithm.to_owned() });
        let own = self.secret.iter().filter(|secret| is_standard(secret));
        let (of_klev, others): (Vec<_>, Vec<_>) = before.iter().partition(|old| old.key == SigningKey::Klev);
        let others = others.into_iter().filter(|old| is_standard(&old.secret));
        sign.standard = ring(own.chain(&self.signatures.standard), others);
        sign.klev = ring(&self.signatures.klev, of_klev);
        endpoint
    }
}

/// Those in use, and those before; without one in use nothing is signed. Each once.
fn ring<'a>(
    now: impl IntoIterator<Item = &'a Secret>,
    before: impl IntoIterator<Item = &'a Replaced>,
) -> Vec<DatedSecret> {
    let mut ring: Vec<DatedSecret> = Vec::new();
    for secret in now {
        if ring.iter().all(|known| known.secret != *secret) {
            ring.push(DatedSecret { secret: secret.clone(), until: None });
        }
    }
    let before = if ring.is_empty() { None } else { Some(before) };
    for Replaced { secret, until, .. } in before.into_iter().flatten() {
        if ring.iter().all(|known| known.secret != *secret) {
            ring.push(DatedSecret { secret: secret.clone(), until: Some(until.secs()) });
        }
    }
    ring
}

fn is_standard(secret: &Secret) -> bool {
    StandardKey::parse(secret.reveal()).is_ok()
}
