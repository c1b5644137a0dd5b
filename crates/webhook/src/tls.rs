//! Whom to believe over TLS, and who we are.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;
use std::sync::{Arc, OnceLock};
use waybill_webhook_core::{ConfigError, HttpVersion, Tls};

/// The system's root certificates, read when the first connection needs them and then shared by all endpoints: a
/// machine without any can still call whoever has an authority of its own.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    provider: Arc<CryptoProvider>,
    system: Arc<System>,
}

impl Trust {
    pub(crate) fn new() -> Self {
        let provider = Arc::new(ring::default_provider());
        let system = Arc::new(System { provider: Arc::clone(&provider), verifier: OnceLock::new() });
        Trust { provider, system }
    }

    /// TLS as an endpoint describes it.
    pub(crate) fn config(&self, tls: &Tls, version: HttpVersion) -> Result<Arc<ClientConfig>, ConfigError> {
        let wrong = |field: &str, why: String| ConfigError::new(format!("tls.{field}"), why);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| ConfigError::new("tls", error.to_string()))?;
        let builder = match (&tls.ca, tls.verify) {
            (_, false) => {
                let nobody = Arc::new(Anybody { provider: Arc::clone(&self.provider) });
                builder.dangerous().with_custom_certificate_verifier(nobody)
            }
            (Some(ca), true) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(ca).map_err(|why| wrong("ca", why))? {
                    roots.add(certificate).map_err(|error| wrong("ca", error.to_string()))?;
                }
                builder.with_root_certificates(roots)
            }
            (None, true) => {
                let system = Arc::clone(&self.system) as Arc<dyn ServerCertVerifier>;
                builder.dangerous().with_custom_certificate_verifier(system)
            }
        };
        let mut config = match (&tls.client_certificate, &tls.client_key) {
            (Some(chain), Some(key)) => {
                let chain = certificates(chain).map_err(|why| wrong("client_certificate", why))?;
                let key = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes())
                    .map_err(|_| wrong("client_key", "it holds no private key in PEM".to_owned()))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| wrong("client_certificate", error.to_string()))?
            }
            _ => builder.with_no_client_auth(),
        };
        config.alpn_protocols = match version {
            HttpVersion::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            HttpVersion::Http1 => vec![b"http/1.1".to_vec()],
            HttpVersion::Http2 => vec![b"h2".to_vec()],
        };
        Ok(Arc::new(config))
    }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if found.is_empty() => Err("it holds no certificate in PEM".to_owned()),
        Ok(found) => Ok(found),
        Err(error) => Err(format!("it is no PEM: {error}")),
    }
}

#[derive(Debug)]
struct System {
    provider: Arc<CryptoProvider>,
    verifier: OnceLock<Result<Verifier, Error>>,
}

impl ServerCertVerifier for System {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verifier = self.verifier.get_or_init(|| Verifier::new(Arc::clone(&self.provider)));
        let verifier = verifier.as_ref().map_err(Clone::clone)?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Believes anybody, for endpoints whose owner said `verify: false`.
#[derive(Debug)]
struct Anybody {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
