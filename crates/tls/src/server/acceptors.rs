use super::{ServerParams, build};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

/// How long a certificate is used before its file is read again, so that a renewed one is taken up by itself.
const FRESH: Duration = Duration::from_secs(60);
/// Combinations of certificate, key and name that are kept. Policy may choose them for each connection: when it invents
/// ever new ones, the memory stays bounded and each costs a reading.
const CAPACITY: usize = 256;

/// What handshakes need, kept between connections.
#[derive(Default)]
pub struct Acceptors {
    known: Mutex<HashMap<(ServerParams, Arc<str>), Known>>,
    protocols: &'static [&'static [u8]],
}

#[derive(Clone)]
struct Known {
    acceptor: TlsAcceptor,
    read: Instant,
}

impl Acceptors {
    /// For listeners that agree with their clients on one of these protocols (ALPN, RFC 7301). A client that names others
    /// only is refused, one that names none is served.
    pub fn speaking(protocols: &'static [&'static [u8]]) -> Self {
        Acceptors { known: Mutex::default(), protocols }
    }

    /// For a listener with these options, whose name is `host`.
    ///
    /// # Errors
    /// When there is none yet and a file cannot be used. One that worked before goes on working.
    pub async fn get(&self, params: &ServerParams, host: &str) -> Result<TlsAcceptor, String> {
        // The name matters only to the certificate that we make ourselves.
        let host: Arc<str> = if params.certificate.is_none() { host.into() } else { "".into() };
        let key = (params.clone(), host);
        let known = self.known.lock().get(&key).cloned();
        if let Some(known) = known.as_ref().filter(|known| known.read.elapsed() < FRESH || is_ours_alone(params)) {
            return Ok(known.acceptor.clone());
        }
        let asked = key.clone();
        let protocols = self.protocols;
        let built = tokio::task::spawn_blocking(move || build::server_config(&asked.0, &asked.1, protocols)).await;
        let acceptor = match (built.unwrap_or_else(|error| Err(error.to_string())), known) {
            (Ok(config), _) => TlsAcceptor::from(Arc::new(config)),
            (Err(error), None) => return Err(error),
            (Err(error), Some(known)) => {
                tracing::error!(error, "the certificate cannot be read again, the one before stays in use");
                known.acceptor
            }
        };
        let mut kept = self.known.lock();
        if kept.len() >= CAPACITY {
            kept.clear();
        }
        kept.insert(key, Known { acceptor: acceptor.clone(), read: Instant::now() });
        Ok(acceptor)
    }
}

/// Nothing of it stands in a file.
fn is_ours_alone(params: &ServerParams) -> bool {
    *params == ServerParams::default()
}
