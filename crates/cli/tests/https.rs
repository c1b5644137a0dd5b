//! `ctl` over HTTPS.

use clap::Parser;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use waybill_cli::{ClientCommand, Named, run};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: ClientCommand,
}

/// A daemon that has no bounces in force, behind a certificate for `localhost` that stands in `cert.pem`.
async fn daemon(folder: &Path) -> (u16, JoinSet<()>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            assert!(head.starts_with(b"GET /api/admin/bounce/v1 HTTP/1.1\r\n"));
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]").await.unwrap();
        }
    });
    (port, tasks)
}

async fn ctl(words: &[&str]) -> Result<(), String> {
    let words = ["waybill", "ctl"].iter().chain(words).copied().chain(["bounce-list"]);
    let command = Cli::parse_from(words).command;
    run(command, Path::new("/no/admin.sock"), Named::No).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_certificate_that_was_named_is_believed_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (port, _tasks) = daemon(folder.path()).await;
    let endpoint = format!("https://localhost:{port}");
    let believed = folder.path().join("cert.pem");
    let believed = believed.to_str().unwrap();
    ctl(&["--endpoint", &endpoint, "--ca-file", believed]).await.unwrap();

    let error = ctl(&["--endpoint", &endpoint]).await.unwrap_err();
    assert!(error.starts_with(&format!("{endpoint} is not believed: ")), "{error}");
    assert!(error.ends_with("--ca-file or WAYBILL_CA_FILE"), "{error}");

    // The name counts too.
    let other = format!("https://127.0.0.1:{port}");
    let error = ctl(&["--endpoint", &other, "--ca-file", believed]).await.unwrap_err();
    assert!(error.starts_with(&format!("{other} is not believed: ")), "{error}");

    let error = ctl(&["--endpoint", &endpoint, "--ca-file", "/no/ca.pem"]).await.unwrap_err();
    assert!(error.starts_with("`--ca-file`: cannot read /no/ca.pem: "), "{error}");
}

#[tokio::test]
async fn a_listener_that_speaks_no_tls_says_so_and_does_not_hang() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let error = ctl(&["--endpoint", &format!("https://localhost:{port}")]).await.unwrap_err();
    assert!(error.starts_with(&format!("no connection to https://localhost:{port}: ")), "{error}");
}
