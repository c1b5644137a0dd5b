//! What arrives at endpoints that mean well.

mod harness;

use futures::future::join_all;
use harness::{Receiver, endpoint, open, plain, read_request, request, sender};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use serde_json::{Value, json};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use waybill_dns::{SharedResolver, Zones};
use waybill_runtime::{Supervisor, SystemClock};
use waybill_types::Timestamp;
use waybill_webhook::{Guard, Sender};
use waybill_webhook_core::{AddressPolicy, Blocked, Limits, Outcome, Stage, Trouble};
use waybill_webhook_sign::verify::{self, Received, TOLERANCE};
use waybill_webhook_sign::{KlevKey, Secret};

type Seen = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A receiver that keeps what it sees, and answers by it.
async fn keeping(answer: impl Fn(&str) -> String + Send + Sync + Clone + 'static) -> (Receiver, Seen) {
    let seen = Seen::default();
    let keep = Arc::clone(&seen);
    let receiver = Receiver::with(move |mut stream| {
        let (keep, answer) = (Arc::clone(&keep), answer.clone());
        async move {
            while let Some((head, body)) = read_request(&mut stream).await {
                let text = answer(&head);
                keep.lock().push((head, body));
                if stream.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (receiver, seen)
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let mut found = head.lines().filter_map(|line| line.split_once(": ")).filter(|(known, _)| *known == name);
    let (_, value) = found.next().unwrap_or_else(|| panic!("no {name} in {head}"));
    assert!(found.next().is_none(), "{name} twice");
    value
}

#[tokio::test]
async fn a_connection_is_kept_and_used_again() {
    let (receiver, seen) = keeping(|_| OK.to_owned()).await;
    let sender = plain();
    let endpoint = endpoint(&sender, json!({"url": receiver.url(), "headers": {"X-Team": "mail"}}));
    for _ in 0..3 {
        let attempt = sender.send(&endpoint, request()).await;
        assert_eq!((attempt.status(), attempt.outcome), (Some(200), Outcome::Delivered));
        assert_eq!(&attempt.response.unwrap().body[..], b"ok");
    }
    assert_eq!(receiver.connections(), 1);
    let (head, body) = seen.lock()[0].clone();
    assert!(head.starts_with("post /hook http/1.1\r\n"), "{head}");
    assert_eq!(body, br#"{"a":1}"#);
    assert_eq!((header(&head, "x-team"), header(&head, "accept-encoding")), ("mail", "identity"));
    assert_eq!((header(&head, "webhook-id"), header(&head, "x-waybill-hops")), ("evt_1", "1"));
    assert_eq!(header(&head, "host"), format!("127.0.0.1:{}", receiver.port));
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_replaced() {
    let receiver = Receiver::with(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(OK.as_bytes()).await;
    })
    .await;
    let sender = plain();
    let endpoint = endpoint(&sender, json!({"url": receiver.url()}));
    for count in 1..=3 {
        assert_eq!(sender.send(&endpoint, request()).await.status(), Some(200));
        assert_eq!(receiver.connections(), count);
        // The end of the connection has reached us.
        while endpoint.connections() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// A receiver at an address that answers until it is told to say nothing any more, and keeps its connections.
struct Mute {
    silent: watch::Sender<bool>,
    connections: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
}

impl Mute {
    async fn at(ip: &str, port: u16) -> (Mute, u16) {
        let listener = TcpListener::bind((ip, port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mute = Mute { silent: watch::channel(false).0, connections: Arc::default(), answered: Arc::default() };
        let (silent, connections, answered) =
            (mute.silent.subscribe(), mute.connections.clone(), mute.answered.clone());
        let supervisor = Supervisor::current();
        supervisor.clone().spawn("receiver", async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (mut silent, answered) = (silent.clone(), answered.clone());
                supervisor.spawn("connection", async move {
                    while read_request(&mut stream).await.is_some() {
                        if *silent.borrow_and_update() {
                            // For ever: its other end lives as long as the test.
                            let _ = silent.wait_for(|silent| !*silent).await;
                        }
                        answered.fetch_add(1, Ordering::SeqCst);
                        if stream.write_all(OK.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        (mute, port)
    }

    fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }
}

fn at(ip: &str) -> Zones {
    Zones::parse([format!("moving.example. A {ip}").as_str()]).unwrap()
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_is_followed_once_the_old_address_does_not_answer() {
    let (old, port) = Mute::at("127.0.0.1", 0).await;
    let (new, _) = Mute::at("127.0.0.2", port).await;
    let names = SharedResolver::new(at("127.0.0.1"));
    let sender = sender(open(), names.clone());
    let config = json!({"url": format!("http://moving.example:{port}/"), "timeout": "1s"});
    let endpoint = endpoint(&sender, config);
    for attempt in join_all((0..5).map(|_| sender.send(&endpoint, request()))).await {
        assert_eq!(attempt.status(), Some(200), "{attempt}");
    }
    let kept = endpoint.connections();
    assert!(kept > 1, "{kept} connections are kept");

    names.set(Arc::new(at("127.0.0.2")));
    let attempt = sender.send(&endpoint, request()).await;
    assert_eq!((attempt.status(), new.answered()), (Some(200), 0), "the old one answers: it is good enough");
    old.silent.send_replace(true);
    let attempt = sender.send(&endpoint, request()).await;
    let timed_out = Some(Trouble::TimedOut { stage: Stage::Answer, limit: Duration::from_secs(1) });
    assert_eq!(attempt.trouble, timed_out, "{attempt}");
    // The others that were kept would be waited for in vain, one by one.
    let attempt = sender.send(&endpoint, request()).await;
    assert_eq!((attempt.status(), new.answered(), old.connections.load(Ordering::SeqCst)), (Some(200), 1, kept));
    assert_eq!(attempt.address, Some(format!("127.0.0.2:{port}").parse().unwrap()));
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed_after_a_while_and_with_its_endpoint() {
    let (ended, mut ends) = mpsc::channel(1);
    let receiver = Receiver::with(move |mut stream| {
        let ended = ended.clone();
        async move {
            while read_request(&mut stream).await.is_some() {
                stream.write_all(OK.as_bytes()).await.unwrap();
            }
            ended.send(()).await.unwrap();
        }
    })
    .await;
    let limits = Limits { idle: Duration::from_millis(20), ..Limits::default() };
    let hasty = Sender::new(limits, open(), Zones::default(), SystemClock, Supervisor::current());
    let idle = endpoint(&hasty, json!({"url": receiver.url()}));
    for _ in 0..2 {
        assert_eq!(hasty.send(&idle, request()).await.status(), Some(200));
        ends.recv().await.unwrap();
        assert_eq!(idle.connections(), 0);
    }
    let sender = plain();
    let dropped = endpoint(&sender, json!({"url": receiver.url()}));
    assert_eq!(sender.send(&dropped, request()).await.status(), Some(200));
    assert_eq!(dropped.connections(), 1);
    drop(dropped);
    ends.recv().await.unwrap();
}

#[tokio::test]
async fn statuses_and_retry_after_become_outcomes() {
    let later = |secs| Outcome::Transient { retry_after: Some(Duration::from_secs(secs)) };
    for (answer, outcome) in [
        ("429 Slow\r\nRetry-After: 120", later(120)),
        ("503 Down\r\nRetry-After: 5", later(5)),
        ("500 Oops\r\nX: y", Outcome::Transient { retry_after: None }),
        ("410 Gone\r\nX: y", Outcome::Disabled),
        ("422 No\r\nRetry-After: 5", Outcome::Permanent),
    ] {
        let receiver = Receiver::answering(format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n")).await;
        let sender = plain();
        let attempt = sender.send(&endpoint(&sender, json!({"url": receiver.url()})), request()).await;
        assert_eq!(attempt.outcome, outcome, "{answer}");
    }
}

#[tokio::test]
async fn nobody_listening_and_no_such_name_are_transient_and_say_why() {
    // At an address that nobody else takes a port of.
    let free = tokio::net::TcpListener::bind("127.0.0.4:0").await.unwrap().local_addr().unwrap();
    let sender = plain();
    let refused = sender.send(&endpoint(&sender, json!({"url": format!("http://{free}/")})), request()).await;
    assert!(matches!(&refused.trouble, Some(Trouble::Connect(why)) if why.contains(&free.to_string())), "{refused}");
    let unknown = sender.send(&endpoint(&sender, json!({"url": "http://nowhere.example/"})), request()).await;
    assert!(matches!(&unknown.trouble, Some(Trouble::Resolve { name, .. }) if name == "nowhere.example"), "{unknown}");
}

#[tokio::test]
async fn every_signature_that_was_asked_for_is_there_and_covers_the_bytes_that_were_sent() {
    let (receiver, seen) = keeping(|_| OK.to_owned()).await;
    let sender = plain();
    let endpoint = endpoint(
        &sender,
        json!({"url": receiver.url(), "compression": "gzip", "sign": {
            "standard": [{"secret": "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"}],
            "kong": {"secret": "hunter2"},
            "klev": [{"secret": "ewhsec_4WWS5n4YcVrX8FhtxTKG3ctFHud3amGsr"}],
            "custom": [{"header": "X-Acme", "secret": "c", "value": "v={signature}"}]
        }}),
    );
    assert_eq!(sender.send(&endpoint, request()).await.status(), Some(200));
    let (head, body) = seen.lock()[0].clone();
    assert_eq!(header(&head, "content-encoding"), "gzip");
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
    assert_eq!(plain, br#"{"a":1}"#);
    let now = Timestamp::from_secs(header(&head, "webhook-timestamp").parse().unwrap());
    let klev = header(&head, "x-klev-signature");
    let headers: &[(&str, &[u8])] = &[("x-klev-signature", klev.as_bytes())];
    let key = KlevKey::new(Secret::new("ewhsec_4WWS5n4YcVrX8FhtxTKG3ctFHud3amGsr"));
    assert_eq!(verify::klev(&[key], &Received { headers, body: &body }, now, TOLERANCE), Ok(()));
    assert!(header(&head, "x-kong-signature").starts_with("sha256="));
    assert!(header(&head, "x-acme").starts_with("v=") && header(&head, "webhook-signature").starts_with("v1,"));
}

#[tokio::test]
async fn basic_and_bearer_credentials_are_sent() {
    let (receiver, seen) = keeping(|_| OK.to_owned()).await;
    let sender = plain();
    for auth in [json!({"basic": {"username": "a", "password": "b"}}), json!({"bearer": {"token": "t0k"}})] {
        sender.send(&endpoint(&sender, json!({"url": receiver.url(), "auth": auth})), request()).await;
    }
    let seen = seen.lock();
    // printf a:b | base64, in lower case as the harness reads heads
    assert_eq!(header(&seen[0].0, "authorization"), "basic ytpi");
    assert_eq!(header(&seen[1].0, "authorization"), "bearer t0k");
}

#[tokio::test]
async fn a_token_is_fetched_once_kept_and_renewed_once_after_401() {
    let number = Arc::new(Mutex::new(0));
    let (tokens, asked) = keeping(move |_| {
        *number.lock() += 1;
        let body = json!({"access_token": format!("t{}", number.lock()), "token_type": "Bearer", "expires_in": 3600});
        let body = body.to_string();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    })
    .await;
    // The first token is taken back after two uses.
    let uses = Arc::new(Mutex::new(0));
    let (receiver, seen) = keeping(move |head| {
        let mut uses = uses.lock();
        *uses += 1;
        let stale = head.contains("bearer t1") && *uses > 2;
        if stale { "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n".to_owned() } else { OK.to_owned() }
    })
    .await;
    let sender = plain();
    let endpoint = endpoint(
        &sender,
        json!({"url": receiver.url(), "auth": {"oauth2": {"token_url": format!("http://127.0.0.1:{}/t", tokens.port),
            "client_id": "me", "client_secret": "s", "scope": "mail"}}}),
    );
    for _ in 0..4 {
        assert_eq!(sender.send(&endpoint, request()).await.status(), Some(200));
    }
    let used: Vec<String> = seen.lock().iter().map(|(head, _)| header(head, "authorization").to_owned()).collect();
    assert_eq!(used, ["bearer t1", "bearer t1", "bearer t1", "bearer t2", "bearer t2"]);
    let asked = asked.lock();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].1, b"grant_type=client_credentials&scope=mail");
}

#[tokio::test]
async fn a_server_of_tokens_is_guarded_as_endpoints_are() {
    let (receiver, seen) = keeping(|_| OK.to_owned()).await;
    let guard = Guard { targets: AddressPolicy::allowing(["127.0.0.1"]).unwrap(), ..Guard::default() };
    let sender = sender(guard, Zones::default());
    let auth = json!({"oauth2": {"token_url": "http://169.254.169.254/t", "client_id": "me", "client_secret": "s"}});
    let attempt = sender.send(&endpoint(&sender, json!({"url": receiver.url(), "auth": auth})), request()).await;
    assert!(matches!(attempt.outcome, Outcome::Blocked(Blocked::TokenServer(_))), "{attempt}");
    assert!(seen.lock().is_empty());
}

#[tokio::test]
async fn through_a_proxy_the_checked_address_is_asked_for_and_a_private_target_is_still_refused() {
    let (target, _) = keeping(|_| OK.to_owned()).await;
    let asked = Seen::default();
    let keep = Arc::clone(&asked);
    let proxy = Receiver::with(move |mut stream| {
        let keep = Arc::clone(&keep);
        async move {
            let Some((head, body)) = read_request(&mut stream).await else { return };
            let authority = head.split(' ').nth(1).unwrap().to_owned();
            keep.lock().push((head, body));
            let Ok(mut behind) = TcpStream::connect(authority).await else { return };
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            let _ = copy_bidirectional(&mut stream, &mut behind).await;
        }
    })
    .await;
    let zones = Zones::parse(["good.example. A 127.0.0.1\nbad.example. A 10.0.0.1"]).unwrap();
    let sender = sender(open(), zones);
    let through = json!({"url": format!("http://127.0.0.1:{}", proxy.port), "username": "u", "password": "p"});
    let with = |host: &str| json!({"url": format!("http://{host}:{}/", target.port), "proxy": through});
    let attempt = sender.send(&endpoint(&sender, with("good.example")), request()).await;
    assert_eq!(attempt.status(), Some(200), "{attempt}");
    assert_eq!(attempt.proxy.unwrap().port(), proxy.port);
    let head = asked.lock()[0].0.clone();
    assert!(head.starts_with(&format!("connect 127.0.0.1:{} http/1.1", target.port)), "{head}");
    assert!(header(&head, "proxy-authorization").starts_with("basic "));
    let refused = sender.send(&endpoint(&sender, with("bad.example")), request()).await;
    assert!(matches!(refused.outcome, Outcome::Blocked(Blocked::Target(_))), "{refused}");
    assert_eq!(proxy.connections(), 1);
    // What opens targets does not open proxies.
    sender.set_guard(Guard { targets: open().targets, ..Guard::default() });
    let refused = sender.send(&endpoint(&sender, with("good.example")), request()).await;
    assert!(matches!(refused.outcome, Outcome::Blocked(Blocked::Proxy(_))), "{refused}");
}

/// An authority, a server that speaks HTTP/2 and HTTP/1.1 over TLS, and who showed which certificate.
struct Tls {
    ca: String,
    client: (String, String),
    receiver: Receiver,
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

async fn tls(want_client: bool) -> Tls {
    let ca = authority();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["hooks.example".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let client_key = KeyPair::generate().unwrap();
    let mut client = CertificateParams::new(vec!["waybill".to_owned()]).unwrap();
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let client = client.signed_by(&client_key, &ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = if want_client {
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let der = key.serialize_der().try_into().unwrap();
    let mut config = builder.with_single_cert(vec![certificate.der().clone()], der).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let receiver = Receiver::with(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let answer = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                let body = request.into_body().collect().await?.to_bytes();
                Ok::<_, hyper::Error>(http::Response::new(Full::new(body)))
            });
            let io = TokioIo::new(stream);
            let _ = if http2 {
                hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, answer).await
            } else {
                hyper::server::conn::http1::Builder::new().serve_connection(io, answer).await
            };
        }
    })
    .await;
    Tls { ca: ca.pem(), client: (client.pem(), client_key.serialize_pem()), receiver }
}

fn hooks_example() -> Zones {
    Zones::parse(["hooks.example. A 127.0.0.1\nother.example. A 127.0.0.1"]).unwrap()
}

async fn over_tls(server: &Tls, host: &str, more: Value) -> waybill_webhook::Attempt {
    let sender = sender(open(), hooks_example());
    let mut config = json!({"url": format!("https://{host}:{}/", server.receiver.port)});
    more.as_object().unwrap().iter().for_each(|(name, value)| config[name] = value.clone());
    sender.send(&endpoint(&sender, config), request()).await
}

#[tokio::test]
async fn over_tls_an_authority_of_ones_own_is_believed_and_a_wrong_name_or_stranger_is_not() {
    let server = tls(false).await;
    let ca = json!({"tls": {"ca": server.ca}});
    let well = over_tls(&server, "hooks.example", ca.clone()).await;
    assert_eq!(well.response.as_ref().map(|response| response.version), Some(http::Version::HTTP_2), "{well}");
    assert_eq!(&well.response.unwrap().body[..], br#"{"a":1}"#);
    let old = over_tls(&server, "hooks.example", json!({"tls": {"ca": server.ca}, "http_version": "1.1"})).await;
    assert_eq!(old.response.unwrap().version, http::Version::HTTP_11);
    for (host, more) in [
        ("other.example", ca),
        ("hooks.example", json!({"tls": {"ca": authority().pem()}})),
        ("hooks.example", json!({})),
    ] {
        let attempt = over_tls(&server, host, more).await;
        assert!(matches!(attempt.trouble, Some(Trouble::Tls(_))), "{host}: {attempt}");
    }
    let careless = over_tls(&server, "other.example", json!({"tls": {"verify": false}})).await;
    assert_eq!(careless.status(), Some(200), "{careless}");
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let server = tls(true).await;
    let (certificate, key) = &server.client;
    let known = json!({"tls": {"ca": server.ca, "client_certificate": certificate, "client_key": key}});
    let attempt = over_tls(&server, "hooks.example", known).await;
    assert_eq!(attempt.status(), Some(200), "{attempt}");
    let unknown = over_tls(&server, "hooks.example", json!({"tls": {"ca": server.ca}})).await;
    assert_eq!(unknown.outcome, Outcome::Transient { retry_after: None }, "{unknown}");
}

#[tokio::test]
async fn over_http_2_many_requests_share_one_connection() {
    let server = tls(false).await;
    let sender = sender(open(), hooks_example());
    let url = format!("https://hooks.example:{}/", server.receiver.port);
    let config = json!({"url": url, "tls": {"ca": server.ca}, "http_version": "2"});
    let endpoint = endpoint(&sender, config);
    let attempts = join_all((0..8).map(|_| sender.send(&endpoint, request()))).await;
    for attempt in attempts {
        assert_eq!(attempt.status(), Some(200), "{attempt}");
    }
    assert_eq!((server.receiver.connections(), endpoint.connections()), (1, 1));
}
