use super::Association;
use super::suites;
use super::trust::{Check, Trust, provider};
use crate::KeySource;
use crate::pem::{chain, private_key};
use parking_lot::Mutex;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, ProtocolVersion};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a certificate is shown before its file is read again, so that a renewed one is taken up by itself.
const FRESH: Duration = Duration::from_secs(60);
/// Combinations that are kept; policy may invent ever new ones.
const CAPACITY: usize = 256;

/// How a client speaks TLS.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct ClientParams {
    /// What is asked of the server's certificate.
    pub check: Check,
    /// What the TLSA records of the host say, which then counts instead (DANE); `None` where there are none.
    pub dane: Option<Arc<[Association]>>,
    /// The chain of certificates that is shown to servers that ask for one (`tls_certificate`).
    pub certificate: Option<KeySource>,
    /// The key that belongs to the first of them (`tls_private_key`).
    pub private_key: Option<KeySource>,
    /// The only cipher suites that are offered, by name; all that are sound when there is none.
    pub cipher_suites: Arc<[String]>,
}

impl ClientParams {
    /// Refuses what cannot be meant. No file is read.
    ///
    /// # Errors
    /// A sentence naming the option, which for the suites is `suites_option`.
    pub fn check(&self, suites_option: &str) -> Result<(), String> {
        match (&self.certificate, &self.private_key) {
            (Some(_), None) => return Err("`tls_certificate` needs `tls_private_key`".into()),
            (None, Some(_)) => return Err("`tls_private_key` needs `tls_certificate`".into()),
            _ => {}
        }
        suites::by_name(&self.cipher_suites).map(|_| ()).map_err(|why| format!("`{suites_option}`: {why}"))
    }

    /// Reads what it names. Blocks.
    fn build(&self, trust: &Trust) -> Result<ClientConfig, String> {
        let suites = suites::by_name(&self.cipher_suites)?;
        // A version without a suite of its own cannot be spoken.
        let spoken = |version: ProtocolVersion| suites.iter().any(|suite| suite.version().version == version);
        let versions: Vec<_> = rustls::ALL_VERSIONS.iter().copied().filter(|known| spoken(known.version)).collect();
        let provider = Arc::new(CryptoProvider { cipher_suites: suites, ..(*provider()).clone() });
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|error| format!("TLS cannot be set up: {error}"))?
            .dangerous()
            .with_custom_certificate_verifier(trust.asking(self.check, self.dane.clone()));
        let (Some(certificate), Some(key)) = (&self.certificate, &self.private_key) else {
            return Ok(builder.with_no_client_auth());
        };
        let pair = (chain("tls_certificate", certificate)?, private_key("tls_private_key", key)?);
        builder
            .with_client_auth_cert(pair.0, pair.1)
            .map_err(|error| format!("`tls_certificate` {certificate} and `tls_private_key` {key}: {error}"))
    }

    fn reads_files(&self) -> bool {
        [&self.certificate, &self.private_key].into_iter().any(|source| matches!(source, Some(KeySource::File(_))))
    }
}

/// What connections need, kept between them: with it the sessions that servers let us resume.
pub struct Connectors {
    trust: Trust,
    known: Mutex<HashMap<ClientParams, Known>>,
}

#[derive(Clone)]
struct Known {
    config: Arc<ClientConfig>,
    read: Instant,
}

impl Connectors {
    /// For clients that believe these servers.
    pub fn new(trust: Trust) -> Self {
        Connectors { trust, known: Mutex::default() }
    }

    /// For connections of this kind.
    ///
    /// # Errors
    /// When there is none yet and a file cannot be used: a sentence naming option and file. One that worked before goes on
    /// working.
    pub async fn get(&self, params: &ClientParams) -> Result<Arc<ClientConfig>, String> {
        let known = self.known.lock().get(params).cloned();
        if let Some(known) = known.as_ref().filter(|known| known.read.elapsed() < FRESH || !params.reads_files()) {
            return Ok(known.config.clone());
        }
        let (asked, trust) = (params.clone(), self.trust.clone());
        let built = tokio::task::spawn_blocking(move || asked.build(&trust)).await;
        let config = match (built.unwrap_or_else(|error| Err(error.to_string())), known) {
            (Ok(config), _) => Arc::new(config),
            (Err(error), None) => return Err(error),
            (Err(error), Some(known)) => {
                tracing::error!(error, "the client's certificate cannot be read again, the one before stays in use");
                known.config
            }
        };
        let mut kept = self.known.lock();
        if kept.len() >= CAPACITY {
            kept.clear();
        }
        kept.insert(params.clone(), Known { config: config.clone(), read: Instant::now() });
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Option<KeySource> {
        Some(KeySource::Data(text.into()))
    }

    #[test]
    fn half_an_identity_and_unknown_suites_are_named() {
        let suites = "rustls_cipher_suites";
        for (params, why) in [
            (ClientParams { certificate: source("x"), ..Default::default() }, "`tls_certificate` needs"),
            (ClientParams { private_key: source("x"), ..Default::default() }, "`tls_private_key` needs"),
            (
                ClientParams { cipher_suites: ["RC4".to_owned()].into(), ..Default::default() },
                "`rustls_cipher_suites`: there is no cipher suite \"RC4\"",
            ),
        ] {
            let error = params.check(suites).unwrap_err();
            assert!(error.starts_with(why), "{error}");
        }
        assert_eq!(ClientParams::default().check(suites), Ok(()));
    }

    #[tokio::test]
    async fn a_certificate_that_cannot_be_read_is_named_with_its_file() {
        let connectors = Connectors::new(Trust::system());
        let file = |name: &str| Some(KeySource::File(name.into()));
        let params =
            ClientParams { certificate: file("/no/c.pem"), private_key: file("/no/k.pem"), ..Default::default() };
        let error = connectors.get(&params).await.err().unwrap();
        assert!(error.starts_with("`tls_certificate`: cannot read /no/c.pem: "), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewed_certificate_is_taken_up_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        let write = || {
            let made = rcgen::generate_simple_self_signed(["client.example".to_owned()]).unwrap();
            std::fs::write(&certificate, made.cert.pem()).unwrap();
            std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        };
        write();
        let params = ClientParams {
            certificate: Some(KeySource::File(certificate.clone())),
            private_key: Some(KeySource::File(key.clone())),
            ..Default::default()
        };
        let connectors = Connectors::new(Trust::system());
        let first = connectors.get(&params).await.unwrap();
        write();
        assert!(Arc::ptr_eq(&first, &connectors.get(&params).await.unwrap()), "within the minute nothing is read");
        tokio::time::advance(Duration::from_secs(61)).await;
        let second = connectors.get(&params).await.unwrap();
        assert!(!Arc::ptr_eq(&first, &second), "and after it the new one is there");
        std::fs::write(&key, "no key").unwrap();
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(Arc::ptr_eq(&second, &connectors.get(&params).await.unwrap()), "one that is broken changes nothing");
    }

    #[test]
    fn one_suite_is_enough_and_its_version_the_only_one() {
        for suite in ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"] {
            let params = ClientParams { cipher_suites: [suite.to_owned()].into(), ..Default::default() };
            let config = params.build(&Trust::system()).unwrap();
            assert_eq!(config.crypto_provider().cipher_suites.len(), 1);
        }
    }
}
