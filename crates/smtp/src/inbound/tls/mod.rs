//! TLS of a listener's connections.

mod stream;

pub(super) use stream::Stream;

use rustls::{CommonState, SupportedCipherSuite};
use waybill_log_record::TlsFacts;
use waybill_tls::{cipher_name, subject, version_name};

/// What records and meta show of a connection.
fn facts(state: &CommonState, suite: Option<SupportedCipherSuite>) -> TlsFacts {
    let subject = state.peer_certificates().and_then(|chain| chain.first()).map(|certificate| subject(certificate));
    TlsFacts {
        cipher: suite.map(cipher_name),
        protocol_version: state.protocol_version().map(version_name),
        peer_subject_name: subject,
    }
}
