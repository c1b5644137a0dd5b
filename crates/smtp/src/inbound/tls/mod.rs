//! TLS of a listener: where its certificate comes from, and what is known of a connection that has it.

mod acceptors;
mod build;
mod source;
mod stream;

pub(crate) use acceptors::Acceptors;
pub use source::KeySource;
pub(super) use stream::Stream;

use rustls::{CommonState, ProtocolVersion, SupportedCipherSuite};
use waybill_log_record::TlsFacts;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Parts of a subject's name that a record shows.
const SHOWN_PARTS: usize = 32;

/// The keys of a listener that are about TLS.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct TlsParams {
    /// The chain of certificates; one of our own making when there is none.
    pub certificate: Option<KeySource>,
    /// The key that belongs to the first certificate of the chain.
    pub private_key: Option<KeySource>,
    /// Who must have signed the certificate that the client shows; when there is none, it is not asked for one.
    pub required_client_ca: Option<KeySource>,
}

impl TlsParams {
    /// Reads and tries everything, so that a mistake is found where it was written.
    ///
    /// # Errors
    /// A sentence naming the key, the file and what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        build::server_config(self, "localhost").map(|_| ())
    }
}

/// What records and meta show of a connection.
fn facts(state: &CommonState, suite: Option<SupportedCipherSuite>) -> TlsFacts {
    let subject = state.peer_certificates().and_then(|chain| chain.first()).map(|certificate| subject(certificate));
    TlsFacts {
        cipher: suite.map(cipher_name),
        protocol_version: state.protocol_version().map(version_name),
        peer_subject_name: subject,
    }
}

/// As IANA registered it, and as other programs write it: `TLS_AES_256_GCM_SHA384`.
fn cipher_name(suite: SupportedCipherSuite) -> String {
    let name = format!("{:?}", suite.suite());
    name.strip_prefix("TLS13_").map_or_else(|| name.clone(), |rest| format!("TLS_{rest}"))
}

fn version_name(version: ProtocolVersion) -> String {
    match version {
        ProtocolVersion::TLSv1_3 => "TLSv1.3".into(),
        ProtocolVersion::TLSv1_2 => "TLSv1.2".into(),
        other => format!("{other:?}"),
    }
}

/// The subject of a certificate: `C=…`, `O=…`, `CN=…`, in its own order. It was verified before.
fn subject(certificate: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let part = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
        let oid = attribute.attr_type();
        let name = oid2abbrev(oid, oid_registry()).map_or_else(|_| oid.to_id_string(), str::to_owned);
        format!("{name}={}", attribute.as_str().unwrap_or_default())
    };
    certificate.subject().iter_attributes().take(SHOWN_PARTS).map(part).collect()
}
