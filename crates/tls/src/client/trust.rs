use super::{Association, dane};
use crate::KeySource;
use crate::pem::chain;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WantsClientCert, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// The one library of cryptography that everything here runs on.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(ring::default_provider())).clone()
}

/// What is asked of a server's certificate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Check {
    /// That it is the host's, and that the roots vouch for it.
    #[default]
    Certificate,
    /// Nothing: the handshake itself must be sound.
    Nothing,
}

/// Which servers are believed: those with a certificate that the roots vouch for.
///
/// The system's roots are read when the first connection needs them and then shared by all clones: on a machine without
/// any, everything that needs no TLS still works. A new value reads them again.
#[derive(Clone)]
pub struct Trust(Arc<Roots>);

struct Roots {
    given: Option<RootCertStore>,
    verifier: OnceLock<Result<Arc<dyn ServerCertVerifier>, Error>>,
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

    /// The certificates of a PEM file and no others: authorities, or single servers. Blocks.
    ///
    /// # Errors
    /// A sentence naming the option that gave the file, the file and what is wrong with it.
    pub fn file(option: &str, path: &Path) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in chain(option, &KeySource::File(path.to_owned()))? {
            roots.add(certificate).map_err(|error| format!("`{option}`: {}: {error}", path.display()))?;
        }
        Ok(Trust::roots(roots))
    }

    fn new(given: Option<RootCertStore>) -> Self {
        Trust(Arc::new(Roots { given, verifier: OnceLock::new() }))
    }

    /// A configuration for clients that speak one of these protocols (ALPN) and show no certificate.
    ///
    /// # Errors
    /// When TLS cannot be set up at all.
    pub fn client_config(&self, protocols: &[&[u8]]) -> Result<ClientConfig, Error> {
        let mut config = self.client(Check::Certificate)?.with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }

    /// The beginning of a configuration: what clients show of themselves, and what they speak, is still to be said.
    ///
    /// # Errors
    /// When TLS cannot be set up at all.
    pub fn client(&self, check: Check) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, Error> {
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        Ok(builder.dangerous().with_custom_certificate_verifier(self.verifier(check)))
    }

    /// What looks at the certificates of servers, for configurations that begin otherwise.
    pub fn verifier(&self, check: Check) -> Arc<dyn ServerCertVerifier> {
        self.asking(check, None)
    }

    /// The same, or what TLSA records say instead.
    pub(super) fn asking(&self, check: Check, dane: Option<Arc<[Association]>>) -> Arc<dyn ServerCertVerifier> {
        Arc::new(Asked { trust: self.clone(), check, dane })
    }
}

impl Default for Trust {
    /// The system's roots.
    fn default() -> Self {
        Trust::system()
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.given.is_some() { "Trust(given roots)" } else { "Trust(the system's roots)" })
    }
}

impl Roots {
    fn build(&self) -> Result<Arc<dyn ServerCertVerifier>, Error> {
        match &self.given {
            None => Ok(Arc::new(Verifier::new(provider())?)),
            Some(roots) => {
                let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots.clone()), provider());
                Ok(builder.build().map_err(|error| Error::General(error.to_string()))?)
            }
        }
    }
}

/// Asks of each certificate what is wanted. That the server holds its key is seen to in any case.
#[derive(Debug)]
struct Asked {
    trust: Trust,
    check: Check,
    dane: Option<Arc<[Association]>>,
}

impl ServerCertVerifier for Asked {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(associations) = &self.dane {
            dane::verify(associations, end_entity, intermediates, server_name, now)?;
            return Ok(ServerCertVerified::assertion());
        }
        if self.check == Check::Nothing {
            return Ok(ServerCertVerified::assertion());
        }
        let roots = &self.trust.0;
        let verifier = roots.verifier.get_or_init(|| roots.build()).as_ref().map_err(Clone::clone)?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
