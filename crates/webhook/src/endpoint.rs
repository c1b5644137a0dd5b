use crate::oauth2::Tokens;
use crate::opening::Opening;
use crate::pool::Pool;
use crate::tls;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Mutex, Semaphore};
use waybill_tls::Trust;
use waybill_webhook_core::{Auth, ConfigError, EndpointConfig, Host, HttpVersion, Scheme, Target, checked};
use waybill_webhook_sign::{Secret, Signer};

/// An endpoint that can be called: its description, ready, and its open connections. Cheap to clone; clones share the
/// connections. When the last is dropped they are closed.
#[derive(Clone)]
pub struct Endpoint(pub(crate) Arc<Ready>);

pub(crate) struct Ready {
    pub(crate) config: EndpointConfig,
    pub(crate) signer: Signer,
    /// The endpoint's own headers, and what we always send.
    pub(crate) opening: Opening,
    pub(crate) authorisation: Authorisation,
    pub(crate) road: Road,
}

/// How to get to a server, and the connections that lead there.
pub(crate) struct Road {
    pub(crate) target: Target,
    pub(crate) proxy: Option<waybill_webhook_core::Proxy>,
    pub(crate) version: HttpVersion,
    pub(crate) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    pub(crate) pool: Pool,
    /// As many attempts are under way as there are permits, so that there are never more connections.
    pub(crate) places: Semaphore,
    /// Whether the server was seen to speak HTTP/2: then one connection is enough, and only one is opened at a time.
    many: AtomicBool,
    pub(crate) opening: Mutex<()>,
}

/// What `Authorization` carries.
pub(crate) enum Authorisation {
    None,
    /// Always the same.
    Fixed(HeaderValue),
    /// What a server of tokens gave last.
    Tokens(Box<Tokens>),
}

impl Endpoint {
    /// `pool` makes what keeps its connections.
    pub(crate) fn new(config: EndpointConfig, trust: &Trust, pool: impl Fn() -> Pool) -> Result<Self, ConfigError> {
        config.check()?;
        let road = Road::new(&config, config.url.clone(), trust, pool())?;
        let authorisation = match &config.auth {
            None => Authorisation::None,
            Some(Auth::Basic(basic)) => Authorisation::Fixed(basic_header(&basic.username, &basic.password)?),
            Some(Auth::Bearer(token)) => Authorisation::Fixed(bearer_header(&token.token)?),
            Some(Auth::Oauth2(oauth2)) => {
                let road = Road::new(&config, oauth2.token_url.clone(), trust, pool())?;
                Authorisation::Tokens(Box::new(Tokens::new(oauth2.clone(), road)))
            }
        };
        let mut headers = base_headers();
        let own = config.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let own = checked(own).map_err(|error| ConfigError::new("headers", error.to_string()))?;
        own.into_iter().for_each(|(name, value)| {
            headers.insert(name, value);
        });
        let opening = Opening::new(config.method.clone(), &config.url, headers);
        let opening = opening.map_err(|why| ConfigError::new("url", why))?;
        let signer = config.sign.signer()?;
        Ok(Endpoint(Arc::new(Ready { config, signer, opening, authorisation, road })))
    }

    /// Its description.
    pub fn config(&self) -> &EndpointConfig {
        &self.0.config
    }

    /// How many connections to it are open and not in use, or shared.
    pub fn connections(&self) -> usize {
        self.0.road.pool.len()
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Endpoint").field(&self.0.config).finish()
    }
}

impl Road {
    fn new(config: &EndpointConfig, target: Target, trust: &Trust, pool: Pool) -> Result<Self, ConfigError> {
        let tls = match target.scheme() {
            Scheme::Http => None,
            Scheme::Https => {
                let name = match target.host() {
                    Host::Address(ip) => ServerName::from(*ip),
                    Host::Name(name) => ServerName::try_from(name.clone())
                        .map_err(|_| ConfigError::new("url", format!("{name:?} can be no name of a certificate")))?,
                };
                Some((tls::config(trust, &config.tls, config.http_version)?, name))
            }
        };
        // Both the description and tokio's semaphore have a bound, and the former's is far below.
        let places = Semaphore::new(usize::try_from(config.max_connections).unwrap_or(1));
        Ok(Road {
            target,
            proxy: config.proxy.clone(),
            version: config.http_version,
            tls,
            pool,
            places,
            many: AtomicBool::new(config.http_version == HttpVersion::Http2),
            opening: Mutex::new(()),
        })
    }

    /// Whether one connection is enough.
    pub(crate) fn is_shared(&self) -> bool {
        self.many.load(Ordering::Relaxed)
    }

    pub(crate) fn saw(&self, http2: bool) {
        self.many.store(http2, Ordering::Relaxed);
    }
}

/// What every request carries.
pub(crate) fn base_headers() -> HeaderMap {
    let agent = HeaderValue::from_static(concat!("Waybill/", env!("CARGO_PKG_VERSION")));
    HeaderMap::from_iter([
        (header::USER_AGENT, agent),
        (header::ACCEPT, HeaderValue::from_static("*/*")),
        // Nothing that comes is ever decoded.
        (header::ACCEPT_ENCODING, HeaderValue::from_static("identity")),
    ])
}

/// How many webhooks the event has come through.
pub(crate) const HOPS: HeaderName = HeaderName::from_static(waybill_webhook_core::HOPS);

pub(crate) fn basic_header(user: &str, password: &Secret) -> Result<HeaderValue, ConfigError> {
    let pair = Secret::new(format!("{user}:{}", password.reveal()));
    secret_header("Basic", &data_encoding::BASE64.encode(pair.reveal().as_bytes()))
}

pub(crate) fn bearer_header(token: &Secret) -> Result<HeaderValue, ConfigError> {
    secret_header("Bearer", token.reveal())
}

fn secret_header(scheme: &str, text: &str) -> Result<HeaderValue, ConfigError> {
    let value = HeaderValue::from_str(&format!("{scheme} {text}"));
    let mut value = value.map_err(|_| ConfigError::new("auth", "it cannot be sent in a header"))?;
    // `Debug` of the header shows nothing, and HTTP/2 keeps it out of its tables.
    value.set_sensitive(true);
    Ok(value)
}
