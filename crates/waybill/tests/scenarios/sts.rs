//! MTA-STS, with servers of policies that speak HTTPS at their own port, and next hops that keep the policies or do not.

use crate::harness::daemon::serve;
use crate::harness::skip::skip;
use crate::harness::{Daemon, Home, Mail, Peer, Policy, wait_until};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Where the policies are: port 443 of an address that nobody else uses.
const FILES: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 77, 0, 2)), 443);
/// Domains, and what their servers of policies answer.
const DOMAINS: [(&str, &str); 4] = [
    ("good.example", "200 OK\r\nContent-Type: text/plain\r\n\r\nmode: enforce\nmx: mx.good.example"),
    ("bare.example", "200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nmode: enforce\nmx: mx.bare.example"),
    ("elsewhere.example", "200 OK\r\nContent-Type: text/plain\r\n\r\nmode: enforce\nmx: *.good.example"),
    ("moved.example", "301 Moved\r\nLocation: https://mta-sts.bare.example/.well-known/mta-sts.txt\r\n\r\n"),
];

/// One certificate for all of them, which the daemon is told to believe.
fn identity(home: &Home) -> (Arc<ServerConfig>, PathBuf) {
    let names = DOMAINS.iter().flat_map(|(domain, _)| [format!("mta-sts.{domain}"), format!("mx.{domain}")]);
    let key = KeyPair::generate().expect("make a key");
    let params = CertificateParams::new(names.collect::<Vec<_>>()).expect("names of a certificate");
    let certificate = params.self_signed(&key).expect("make a certificate");
    let file = home.file("believed.pem");
    std::fs::write(&file, certificate.pem()).expect("write the certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("use the certificate");
    (Arc::new(config), file)
}

/// Answers with the policies; gives who was asked for what. Each connection ends without a goodbye (`close_notify`).
fn files(listener: TcpListener, tls: Arc<ServerConfig>) -> Arc<Mutex<Vec<String>>> {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = ServerConnection::new(tls.clone()).expect("a connection");
            let mut stream = BufReader::new(StreamOwned::new(connection, stream));
            let mut head = Vec::new();
            while !head.last().is_some_and(|line: &String| line.is_empty()) {
                let mut line = String::new();
                match stream.read_line(&mut line) {
                    Ok(length) if length > 0 => head.push(line.trim_end().to_owned()),
                    _ => break,
                }
            }
            let host = head.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("host: ").map(str::to_owned));
            let host = host.unwrap_or_default();
            heard.lock().expect("no panic").push(format!("{host} {}", head.first().cloned().unwrap_or_default()));
            let answer = DOMAINS.iter().find(|(domain, _)| host == format!("mta-sts.{domain}"));
            let (head, body) = answer.map_or(("404 x", ""), |(_, answer)| answer.split_once("\r\n\r\n").expect("two"));
            let body = format!("version: STSv1\n{body}\nmax_age: 86400\n");
            let answer = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let _ = stream.get_mut().write_all(answer.as_bytes()).and_then(|()| stream.get_mut().flush());
        }
    });
    asked
}

#[test]
fn policies_of_domains_are_fetched_and_kept() {
    let home = Home::new();
    let listener = match TcpListener::bind(FILES) {
        Ok(listener) => listener,
        Err(error) => return skip(&format!("MTA-STS over HTTPS (port 443: {error})"), "run the tests as root"),
    };
    let (tls, believed) = identity(&home);
    let asked = files(listener, tls.clone());
    let secure = Peer::secure_at(([127, 0, 0, 1], 0).into(), tls);
    let port = secure.address().port();
    let bare = Peer::at(([127, 0, 0, 2], port).into());
    let mut zone = String::from("mx.good.example. A 127.0.0.1\n");
    for (domain, _) in DOMAINS {
        zone += &format!(
            "{domain}. MX 10 mx.{domain}.\n_mta-sts.{domain}. TXT \"v=STSv1; id=1;\"\nmta-sts.{domain}. A {}\n",
            FILES.ip()
        );
        if domain != "good.example" {
            zone += &format!("mx.{domain}. A 127.0.0.2\n");
        }
    }
    let policy = Policy::new(format!(
        "kumo.on('get_egress_path_config', function()
           return kumo.make_egress_path {{ prohibited_hosts = {{}}, smtp_port = {port} }}
         end)"
    ))
    .init(&format!(
        "kumo.dns.configure_test_resolver {{ [[{zone}]] }}
         kumo.configure_webhooks {{ allow_targets = {{ '{}' }} }}\n",
        FILES.ip()
    ));
    home.write_policy(&policy.text(&home));
    let daemon = Daemon::start_as(serve(&home).env("SSL_CERT_FILE", &believed));
    let mut smtp = daemon.connect();
    for (domain, _) in DOMAINS {
        smtp.send(&Mail::to(&format!("ann@{domain}")));
    }
    let record = |domain: &str, kind: &str| {
        wait_until(&format!("a {kind} of {domain}"), || {
            let is = |record: &Value| record["type"] == kind && record["recipient"] == format!("ann@{domain}");
            home.records().into_iter().find(is)
        })
    };
    let good = record("good.example", "Delivery");
    assert_eq!(good["tls_protocol_version"], "TLSv1.3", "{good}");
    for (domain, why) in [
        ("bare.example", "the MTA-STS policy of bare.example asks for TLS, and the server does not offer STARTTLS"),
        (
            "elsewhere.example",
            "mx.elsewhere.example is not listed by the MTA-STS policy of elsewhere.example (mode enforce)",
        ),
    ] {
        let failure = record(domain, "TransientFailure");
        let text = failure["response"]["content"].as_str().expect("a text");
        assert!(text.starts_with("KumoMTA internal: ") && text.ends_with(why), "{text}");
    }
    let moved = record("moved.example", "Delivery");
    assert!(moved.get("tls_cipher").is_none(), "a policy that is elsewhere is none: {moved}");
    daemon.says("fetching it failed: status 301; it counts as none");
    assert_eq!((secure.messages().len(), bare.messages().len()), (1, 1));
    daemon.stop();
    let mut asked = asked.lock().expect("no panic").clone();
    asked.sort();
    let expected: Vec<String> = ["bare", "elsewhere", "good", "moved"]
        .map(|domain| format!("mta-sts.{domain}.example GET /.well-known/mta-sts.txt HTTP/1.1"))
        .into();
    assert_eq!(asked, expected, "each once");
}
