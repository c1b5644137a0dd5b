//! TLS as a client: the handshake, and what records say of it.

use super::failure::{Refusal, Step, Trouble};
use super::wire::Stream;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use std::net::IpAddr;
use std::time::Duration;
use tokio_rustls::TlsConnector;
use waybill_delivery::TlsSession;
use waybill_tls::{ClientParams, Connectors, cipher_name, subject, version_name};

/// Puts TLS over a stream.
pub(super) async fn handshake(
    connectors: &Connectors,
    params: &ClientParams,
    stream: Box<dyn Stream>,
    host: &str,
    address: IpAddr,
    limit: Duration,
) -> Result<(Box<dyn Stream>, TlsSession), Refusal> {
    // A certificate of ours that cannot be read says nothing about the server.
    let config = connectors.get(params).await.map_err(Refusal::Ours)?;
    // Names in a list of hosts may be no names for a certificate.
    let name = ServerName::try_from(host.trim_end_matches('.').to_owned());
    let name = name.unwrap_or_else(|_| ServerName::IpAddress(address.into()));
    let connecting = TlsConnector::from(config).connect(name, stream);
    match tokio::time::timeout(limit, connecting).await {
        Ok(Ok(stream)) => {
            let facts = describe(stream.get_ref().1);
            Ok((Box::new(stream), facts))
        }
        Ok(Err(error)) => Err(Trouble::new(Step::Handshake, error).into()),
        Err(_) => Err(Trouble::silent(Step::Handshake, limit).into()),
    }
}

fn describe(connection: &ClientConnection) -> TlsSession {
    let certificate = connection.peer_certificates().and_then(<[_]>::first);
    TlsSession {
        cipher: connection.negotiated_cipher_suite().map(cipher_name).unwrap_or_default(),
        protocol_version: connection.protocol_version().map(version_name).unwrap_or_default(),
        peer_subject_name: certificate.map(|certificate| subject(certificate)).unwrap_or_default(),
    }
}
