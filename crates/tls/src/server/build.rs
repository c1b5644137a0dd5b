//! From a listener's options to what a handshake needs. Blocks: it reads files and may make a key.

use super::ServerParams;
use crate::client::provider;
use crate::pem::{chain, private_key};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::sync::Arc;

/// Reads what the listener names; without a certificate it makes one for `host`.
///
/// # Errors
/// A sentence naming the key, the file and what is wrong with it.
pub(super) fn server_config(params: &ServerParams, host: &str, protocols: &[&[u8]]) -> Result<ServerConfig, String> {
    let provider = provider();
    let (certificates, key) = match (&params.certificate, &params.private_key) {
        (Some(certificate), Some(key)) => {
            (chain("tls_certificate", certificate)?, private_key("tls_private_key", key)?)
        }
        (None, None) => self_signed(host)?,
        (Some(_), None) => return Err("`tls_certificate` needs `tls_private_key`".into()),
        (None, Some(_)) => return Err("`tls_private_key` needs `tls_certificate`".into()),
    };
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let builder = match &params.required_client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let named = |why: String| format!("`tls_required_client_ca`: {ca}: {why}");
            let mut roots = RootCertStore::empty();
            for certificate in chain("tls_required_client_ca", ca)? {
                roots.add(certificate).map_err(|error| named(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| named(error.to_string()))?)
        }
    };
    let config = builder.with_single_cert(certificates, key);
    let mut config = config.map_err(|error| match (&params.certificate, &params.private_key) {
        (Some(certificate), Some(key)) => {
            format!("`tls_certificate` {certificate} and `tls_private_key` {key}: {error}")
        }
        _ => format!("the certificate that we made for {host}: {error}"),
    })?;
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

fn self_signed(host: &str) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    // A host name that no certificate can carry is no reason to go without encryption.
    let made = rcgen::generate_simple_self_signed([host.to_owned()])
        .or_else(|_| rcgen::generate_simple_self_signed(["localhost".to_owned()]));
    let made = made.map_err(|error| format!("cannot make a certificate for {host}: {error}"))?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    Ok((vec![made.cert.der().clone()], key.into()))
}
