//! Certificates and keys out of PEM text. Every error names the option and the file.

use crate::KeySource;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// All certificates, at least one.
pub(crate) fn chain(option: &str, source: &KeySource) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = source.load().map_err(|why| format!("`{option}`: {why}"))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(format!("`{option}`: there is no certificate in PEM form in {source}")),
        Err(error) => Err(format!("`{option}`: {source}: {error}")),
    }
}

/// The first key.
pub(crate) fn private_key(option: &str, source: &KeySource) -> Result<PrivateKeyDer<'static>, String> {
    let pem = source.load().map_err(|why| format!("`{option}`: {why}"))?;
    PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| format!("`{option}`: there is no usable key in PEM form in {source}: {error}"))
}
