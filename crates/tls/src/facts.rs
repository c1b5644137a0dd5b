use rustls::{ProtocolVersion, SupportedCipherSuite};
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Parts of a subject's name that a record shows.
const SHOWN_PARTS: usize = 32;

/// As IANA registered it, and as other programs write it: `TLS_AES_256_GCM_SHA384`.
pub fn cipher_name(suite: SupportedCipherSuite) -> String {
    let name = format!("{:?}", suite.suite());
    name.strip_prefix("TLS13_").map_or_else(|| name.clone(), |rest| format!("TLS_{rest}"))
}

/// Such as `TLSv1.3`.
pub fn version_name(version: ProtocolVersion) -> String {
    match version {
        ProtocolVersion::TLSv1_3 => "TLSv1.3".into(),
        ProtocolVersion::TLSv1_2 => "TLSv1.2".into(),
        other => format!("{other:?}"),
    }
}

/// The subject of a certificate in DER form: `C=…`, `O=…`, `CN=…`, in its own order; nothing where it is none.
pub fn subject(certificate: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let part = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
        let oid = attribute.attr_type();
        let name = oid2abbrev(oid, oid_registry()).map_or_else(|_| oid.to_id_string(), str::to_owned);
        format!("{name}={}", attribute.as_str().unwrap_or_default())
    };
    certificate.subject().iter_attributes().take(SHOWN_PARTS).map(part).collect()
}
