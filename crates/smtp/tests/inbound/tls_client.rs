//! A TLS client that trusts everybody: what is tested is the server.

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, SupportedProtocolVersion};
use std::sync::Arc;
use waybill_tls::{Check, Trust};

/// One that shows no certificate.
pub(crate) fn config() -> Arc<ClientConfig> {
    Arc::new(builder(rustls::ALL_VERSIONS).with_no_client_auth())
}

/// One that speaks this version only.
pub(crate) fn only(version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    Arc::new(builder(&[version]).with_no_client_auth())
}

/// One that shows a certificate.
pub(crate) fn showing(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Arc<ClientConfig> {
    Arc::new(builder(rustls::ALL_VERSIONS).with_client_auth_cert(chain, key).unwrap())
}

fn builder(
    versions: &[&'static SupportedProtocolVersion],
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Trust::system().verifier(Check::Nothing))
}
