//! TLS as a client: whom it believes, and what records say of it.

use super::failure::{Step, Trouble};
use super::wire::Stream;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio_rustls::TlsConnector;
use waybill_delivery::TlsSession;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Which servers are believed: those with a certificate that the roots vouch for. Read when the first connection needs
/// them, then shared by all.
#[derive(Clone)]
pub struct Trust(Arc<Inner>);

struct Inner {
    provider: Arc<CryptoProvider>,
    roots: Option<RootCertStore>,
    checked: OnceLock<Result<Arc<ClientConfig>, String>>,
    unchecked: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Trust {
    /// The system's roots.
    pub fn system() -> Self {
        Trust::new(None)
    }

    /// These roots and no others.
    pub fn roots(roots: RootCertStore) -> Self {
        Trust::new(Some(roots))
    }

    fn new(roots: Option<RootCertStore>) -> Self {
        let provider = Arc::new(ring::default_provider());
        Trust(Arc::new(Inner { provider, roots, checked: OnceLock::new(), unchecked: OnceLock::new() }))
    }

    fn config(&self, check: Check) -> Result<Arc<ClientConfig>, String> {
        let inner = &self.0;
        match check {
            Check::Certificate => {
                inner.checked.get_or_init(|| inner.checked_config().map_err(|e| e.to_string())).clone()
            }
            Check::Nothing => {
                inner.unchecked.get_or_init(|| inner.unchecked_config().map_err(|e| e.to_string())).clone()
            }
        }
    }
}

impl Inner {
    fn checked_config(&self) -> Result<Arc<ClientConfig>, Error> {
        let builder =
            ClientConfig::builder_with_provider(self.provider.clone()).with_safe_default_protocol_versions()?;
        Ok(Arc::new(match &self.roots {
            Some(roots) => builder.with_root_certificates(roots.clone()).with_no_client_auth(),
            None => {
                let verifier = Verifier::new(self.provider.clone())?;
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
            }
        }))
    }

    fn unchecked_config(&self) -> Result<Arc<ClientConfig>, Error> {
        let builder =
            ClientConfig::builder_with_provider(self.provider.clone()).with_safe_default_protocol_versions()?;
        let verifier = Arc::new(AnyCertificate(self.provider.clone()));
        Ok(Arc::new(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
    }
}

/// What is asked of a server's certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Check {
    /// That it is the host's, and that the roots vouch for it.
    Certificate,
    /// Nothing.
    Nothing,
}

/// Puts TLS over a stream.
pub(super) async fn handshake(
    trust: &Trust,
    stream: Box<dyn Stream>,
    host: &str,
    address: IpAddr,
    check: Check,
    limit: Duration,
) -> Result<(Box<dyn Stream>, TlsSession), Trouble> {
    let trouble = |what: String| Trouble::new(Step::Handshake, what);
    let config = trust.config(check).map_err(trouble)?;
    // Names in a list of hosts may be no names for a certificate.
    let name = ServerName::try_from(host.trim_end_matches('.').to_owned());
    let name = name.unwrap_or_else(|_| ServerName::IpAddress(address.into()));
    let connecting = TlsConnector::from(config).connect(name, stream);
    match tokio::time::timeout(limit, connecting).await {
        Ok(Ok(stream)) => {
            let facts = describe(stream.get_ref().1);
            Ok((Box::new(stream), facts))
        }
        Ok(Err(error)) => Err(trouble(error.to_string())),
        Err(_) => Err(Trouble::silent(Step::Handshake, limit)),
    }
}

fn describe(connection: &ClientConnection) -> TlsSession {
    let cipher = connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
    let version = connection.protocol_version().map(|version| format!("{version:?}"));
    let certificate = connection.peer_certificates().and_then(<[_]>::first);
    TlsSession {
        // The library's own word for TLS 1.3 ciphers is not the registry's.
        cipher: cipher.unwrap_or_default().replacen("TLS13_", "TLS_", 1),
        protocol_version: version.unwrap_or_default().replacen("TLSv1_", "TLSv1.", 1),
        peer_subject_name: certificate.map(|certificate| subject(certificate)).unwrap_or_default(),
    }
}

/// The parts of the subject, `CN=mx.example.com`.
fn subject(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let parts = certificate.subject().iter_attributes().map(|part| {
        let name = oid2abbrev(part.attr_type(), oid_registry());
        let name = name.map_or_else(|_| part.attr_type().to_id_string(), str::to_owned);
        format!("{name}={}", part.as_str().unwrap_or("?"))
    });
    parts.collect()
}

/// Believes everybody, as `OpportunisticInsecure` and `RequiredInsecure` ask for; the handshake itself must be sound.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
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
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
