//! TLS as an endpoint describes it.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use waybill_tls::{Check, Trust};
use waybill_webhook_core::{ConfigError, HttpVersion, Tls};

/// What connections to the endpoint need. `system` is shared by all endpoints that name no authority of their own.
pub(crate) fn config(system: &Trust, tls: &Tls, version: HttpVersion) -> Result<Arc<ClientConfig>, ConfigError> {
    let wrong = |field: &str, why: String| ConfigError::new(format!("tls.{field}"), why);
    let check = if tls.verify { Check::Certificate } else { Check::Nothing };
    let builder = match &tls.ca {
        Some(ca) if tls.verify => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(ca).map_err(|why| wrong("ca", why))? {
                roots.add(certificate).map_err(|error| wrong("ca", error.to_string()))?;
            }
            Trust::roots(roots).client(check)
        }
        _ => system.client(check),
    };
    let builder = builder.map_err(|error| ConfigError::new("tls", error.to_string()))?;
    let mut config = match (&tls.client_certificate, &tls.client_key) {
        (Some(chain), Some(key)) => {
            let chain = certificates(chain).map_err(|why| wrong("client_certificate", why))?;
            let key = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes())
                .map_err(|_| wrong("client_key", "it holds no private key in PEM".to_owned()))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| wrong("client_certificate", error.to_string()))?
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

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if found.is_empty() => Err("it holds no certificate in PEM".to_owned()),
        Ok(found) => Ok(found),
        Err(error) => Err(format!("it is no PEM: {error}")),
    }
}
