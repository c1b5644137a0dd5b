//! HTTPS: who gets in, who is turned away, and that nobody holds up anybody.

mod support;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use support::Daemon;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use waybill_http_api::{HttpListenerConfig, Listener, run};

const ASK: &[u8] = b"GET /api/check-liveness/v1 HTTP/1.1\r\nhost: x\r\n\r\n";

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    tasks: JoinSet<()>,
}

async fn start(config: serde_json::Value) -> Running {
    let config: HttpListenerConfig = serde_json::from_value(config).unwrap();
    config.check().unwrap();
    let daemon = Daemon::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listener = Listener::from(listener).secured(config.tls().unwrap(), "mta.example");
    let (stop, stopped) = oneshot::channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(run(listener, daemon.router(), async { drop(stopped.await) }));
    Running { address, stop, tasks }
}

/// Writes a certificate for this name and its key; gives the certificate.
fn certificate(folder: &Path, name: &str) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned(), name.to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), signing_key.serialize_pem()).unwrap();
    CertificateDer::from_pem_slice(cert.pem().as_bytes()).unwrap()
}

fn files(folder: &Path) -> serde_json::Value {
    json!({"use_tls": true, "tls_certificate": folder.join("cert.pem"), "tls_private_key": folder.join("key.pem")})
}

/// A client that believes this certificate alone.
fn client(believed: &CertificateDer<'static>, protocols: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(believed.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

async fn connect(address: SocketAddr, config: Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await.unwrap();
    TlsConnector::from(config).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

async fn status(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin)) -> String {
    stream.write_all(ASK).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head[..12].to_vec()).unwrap()
}

#[tokio::test]
async fn requests_are_answered_over_tls_and_http_2_is_not_agreed_on() {
    let folder = tempfile::tempdir().unwrap();
    let believed = certificate(folder.path(), "mta.example");
    let running = start(files(folder.path())).await;
    for (offered, agreed) in [(&["h2", "http/1.1"][..], Some(&b"http/1.1"[..])), (&[], None)] {
        let mut stream = connect(running.address, client(&believed, offered)).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed);
        assert_eq!(status(&mut stream).await, "HTTP/1.1 200");
    }
    let error = connect(running.address, client(&believed, &["h2"])).await.unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
}

#[tokio::test]
async fn a_listener_without_a_certificate_makes_one_for_its_own_name() {
    let running = start(json!({"use_tls": true})).await;
    let folder = tempfile::tempdir().unwrap();
    let stranger = certificate(folder.path(), "other.example");
    let error = connect(running.address, client(&stranger, &[])).await.unwrap_err();
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
}

#[tokio::test]
async fn clients_that_say_nothing_or_speak_plain_text_keep_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let believed = certificate(folder.path(), "mta.example");
    let mut running = start(files(folder.path())).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(running.address).await.unwrap());
    }
    let mut plain = TcpStream::connect(running.address).await.unwrap();
    plain.write_all(ASK).await.unwrap();
    let mut answer = Vec::new();
    // An alert of TLS at most, and never an answer in plain text.
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    let mut stream = connect(running.address, client(&believed, &[])).await.unwrap();
    assert_eq!(status(&mut stream).await, "HTTP/1.1 200");
    drop(stream);
    // And a stop does not wait for them either.
    running.stop.send(()).unwrap();
    running.tasks.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_never_shakes_hands_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path(), "mta.example");
    let running = start(files(folder.path())).await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    // Time runs by itself from here on, whenever everybody waits.
    tokio::time::pause();
    assert_eq!(silent.read(&mut [0; 16]).await.unwrap(), 0, "it is closed");
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let old = certificate(folder.path(), "mta.example");
    let running = start(files(folder.path())).await;
    connect(running.address, client(&old, &[])).await.unwrap();
    let new = certificate(folder.path(), "mta.example");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    let mut stream = connect(running.address, client(&new, &[])).await.unwrap();
    assert_eq!(status(&mut stream).await, "HTTP/1.1 200");
    connect(running.address, client(&old, &[])).await.unwrap_err();
}
