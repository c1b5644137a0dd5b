use crate::hook::Section;
use http::Method;
use std::time::Duration;
use waybill_types::Timestamp;
use waybill_webhook_core::{DatedSecret, EndpointConfig, KongSign, Target, checked};
use waybill_webhook_sign::{Secret, StandardKey};

/// The handler `webhook`: `config` of it, and what `webhook-custom` has in common with it.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Whom to call and how, but for the signatures.
    endpoint: EndpointConfig,
    secret: Option<Secret>,
    algorithm: &'static str,
}

/// The longest that one attempt may take.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn read(config: &mut Section<'_>) -> Option<Webhook> {
    let headers = config.texts("headers").unwrap_or_default();
    read_target(config, Method::POST, headers)
}

/// Url, headers, secret and the rest that both handlers have.
pub(super) fn read_target(config: &mut Section<'_>, method: Method, headers: Vec<(String, String)>) -> Option<Webhook> {
    let url = config.required("url", |config| {
        let url = config.string("url")?;
        match Target::parse(&url) {
            Ok(target) => Some(target),
            Err(error) => {
                config.wrong("url", error.to_string());
                None
            }
        }
    });
    let secret = config.secret("secret");
    let algorithm = config.one_of("signature_algorithm", &[("sha256", "sha256"), ("sha1", "sha1")]);
    let verify = config.boolean("ssl_verify").unwrap_or(true);
    let timeout = config.duration("timeout", LONGEST_TIMEOUT);
    if let Err(error) = checked(headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))) {
        config.wrong("headers", error.to_string());
    }
    let mut endpoint = EndpointConfig::of(url?);
    endpoint.method = method;
    endpoint.tls.verify = verify;
    endpoint.timeout = timeout.unwrap_or(endpoint.timeout);
    endpoint.headers = headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    Some(Webhook { endpoint, secret, algorithm: algorithm.unwrap_or("sha256") })
}

impl Webhook {
    /// Its key.
    pub fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
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
