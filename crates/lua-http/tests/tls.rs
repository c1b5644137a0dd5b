//! Which servers a script's client believes.

#![expect(clippy::disallowed_methods, reason = "a test server has no supervisor; its tasks end with the test")]

#[expect(dead_code, reason = "shared with the other tests, which use all of it")]
mod support;

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use rcgen::CertifiedKey;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// An HTTPS server whose certificate only those believe who were given it. Returns that certificate.
async fn start() -> (SocketAddr, String) {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let chain = vec![CertificateDer::from(cert.der().to_vec())];
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    support::serve(stream).await;
                }
            });
        }
    });
    (address, cert.pem())
}

#[tokio::test]
async fn an_unknown_certificate_is_refused_unless_the_script_accepts_any() {
    let (address, _) = start().await;
    let url = format!("https://localhost:{}/", address.port());
    let refused = support::ask(&url, "return kumo.http.build_client{}:get(url):send():status_code()").await;
    assert_eq!(refused, format!("!! error sending request for url ({url})"));
    let code = "return kumo.http.build_client { accept_invalid_certs = true }:get(url):send():status_code()";
    assert_eq!(support::ask(&url, code).await, "200");
}

#[tokio::test]
async fn the_system_roots_are_believed() {
    // A child process, because the roots come from an environment variable that is set before it starts.
    let (address, certificate) = start().await;
    let dir = tempfile::tempdir().unwrap();
    let roots = dir.path().join("roots.pem");
    std::fs::write(&roots, certificate).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "asks_the_server_named_in_the_environment"])
        .env("SSL_CERT_FILE", &roots)
        .env_remove("SSL_CERT_DIR")
        .env("WAYBILL_TEST_URL", format!("https://localhost:{}/", address.port()));
    let output = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// The half of the test above that runs in the child; on its own it has nothing to ask.
#[tokio::test]
async fn asks_the_server_named_in_the_environment() {
    let Ok(url) = std::env::var("WAYBILL_TEST_URL") else { return };
    assert_eq!(support::ask(&url, "return kumo.http.build_client{}:get(url):send():status_code()").await, "200");
}
