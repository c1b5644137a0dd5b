//! Which servers are believed: those with a certificate that the system's roots vouch for.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;

/// The system's root certificates, read when the first TLS connection needs them and then shared.
///
/// Scripts build a client for each connection object. Without this, each of them would read and
/// parse the system's whole bundle, and on a machine without one plain HTTP would fail too.
/// Put one into the app data of every Lua state (`lua.set_app_data(trust.clone())`) before
/// [`register`](crate::register) to share it between states; make a new one to read the roots again.
#[derive(Clone, Debug)]
pub struct Trust(Arc<LazyVerifier>);

impl Default for Trust {
    fn default() -> Self {
        Self(Arc::new(LazyVerifier { provider: Arc::new(ring::default_provider()), verifier: OnceLock::new() }))
    }
}

impl Trust {
    /// A TLS configuration that relies on these roots and speaks HTTP/1.1.
    pub(crate) fn tls_config(&self) -> Result<ClientConfig, Error> {
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.0.provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&self.0) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// Makes *ring* the process's cryptography unless another part of it has chosen already.
///
/// reqwest panics without a provider when it builds its own TLS configuration, which it does for
/// `accept_invalid_certs`.
pub(crate) fn install_crypto_provider() {
    if CryptoProvider::get_default().is_none() {
        // Losing a race to another caller is as good as winning it.
        let _ = ring::default_provider().install_default();
    }
}

#[derive(Debug)]
struct LazyVerifier {
    provider: Arc<CryptoProvider>,
    verifier: OnceLock<Result<Verifier, Error>>,
}

impl ServerCertVerifier for LazyVerifier {
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
