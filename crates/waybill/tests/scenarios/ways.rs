//! How event hooks reach their targets: with tokens that another server gives, through proxies, with certificates of their
//! own; and that nothing of it which is secret is to be seen anywhere.

use crate::harness::api::{ask, create_hook};
use crate::harness::daemon::serve;
use crate::harness::home::is_on_disk;
use crate::harness::{Answer, Daemon, Home, Mail, Policy, Receiver, Tunnel, address, http, wait_until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

const OPEN: &str = "  kumo.configure_webhooks { allow_targets = { '127.0.0.0/8' }, allow_proxies = { '127.0.0.0/8' } }";

/// A hook on deliveries that sends the recipient.
fn hook(config: &Value) -> Value {
    let mut hook = json!({
        "source": "log", "event": "Delivery", "handler": "webhook-custom",
        "config": {"method": "POST", "body": "{{ recipient }}"},
    });
    for (name, value) in config.as_object().expect("fields") {
        hook["config"][name] = value.clone();
    }
    hook
}

/// Makes an event hook; gives its path.
fn create(daemon: &Daemon, hook: &Value) -> String {
    format!("/event-hooks/{}", create_hook(daemon, hook))
}

#[test]
fn a_hook_gets_its_token_and_calls_through_its_proxy_and_nothing_shows_its_secrets() {
    let home = Home::new();
    let (target, tokens, proxy) = (Receiver::start(), Receiver::start(), Tunnel::start());
    tokens.answer(|_, before| match before {
        0 => Answer::status(401).body(r#"{"error": "invalid_client"}"#),
        _ => Answer::ok().body(r#"{"access_token": "hunter2-token", "token_type": "Bearer", "expires_in": 3600}"#),
    });
    home.write_policy(&Policy::new("").init(OPEN).text(&home));
    // Nobody listens there; and what the environment says of proxies counts in neither direction.
    let [dead] = address::free();
    let mut command = serve(&home);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env(name, format!("http://{dead}"));
    }
    let diagnostics = home.state().join("diag");
    command.env("NO_PROXY", "*").env("KUMOD_LOG", "trace").arg("--diag-log-dir").arg(&diagnostics);
    let daemon = Daemon::start_as(&mut command);
    let path = create(
        &daemon,
        &hook(&json!({
            "url": target.url(), "secret": "hunter2-sign", "compression": "gzip",
            "auth": {"oauth2": {"token_url": tokens.url(), "client_id": "me", "client_secret": "hunter2-client",
                                "scope": "events"}},
            "proxy": {"url": proxy.url(), "username": "u", "password": "hunter2-proxy"},
            "secret_headers": {"x-pass": "hunter2-header"},
            "signature_header": {"header": "x-hub-signature-256", "value": "sha256={signature}"},
        })),
    );
    daemon.connect().send(&Mail::to("joe@example.com"));
    let request = &target.wait_for(1)[0];
    assert_eq!(request.header("authorization"), Some("Bearer hunter2-token"));
    assert_eq!((request.header("x-pass"), request.header("content-encoding")), (Some("hunter2-header"), Some("gzip")));
    let signature = request.header("x-hub-signature-256").expect("a signature of our own form");
    assert!(signature.starts_with("sha256=") && signature.len() == 7 + 64, "{signature}");
    let mut body = String::new();
    flate2::read::GzDecoder::new(&request.body[..]).read_to_string(&mut body).expect("gzip");
    assert_eq!(body, "joe@example.com");
    let asked = tokens.wait_for(2);
    assert_eq!(asked[1].text(), "grant_type=client_credentials&scope=events");
    // me:hunter2-client
    assert_eq!(asked[1].header("authorization"), Some("Basic bWU6aHVudGVyMi1jbGllbnQ="));
    let ways = proxy.asked();
    for other_end in [target.address(), tokens.address()] {
        let way = ways.iter().find(|way| way.path == other_end.to_string()).expect("through the proxy");
        // u:hunter2-proxy
        let shown = (way.method.as_str(), way.header("proxy-authorization"));
        assert_eq!(shown, ("CONNECT", Some("Basic dTpodW50ZXIyLXByb3h5")));
    }

    let attempts = wait_until("both attempts are in the log", || {
        let found = ask(&daemon, "GET", &format!("{path}/attempts"), &Value::Null).1;
        found["data"].as_array().is_some_and(|all| all.len() >= 2).then_some(found)
    });
    let refused = attempts["data"][0]["error"].as_str().expect("a reason");
    assert!(refused.contains("no token") && refused.contains("status 401 (invalid_client)"), "{refused}");
    let tested = ask(&daemon, "POST", &format!("{path}/test"), &json!({"recipient": "x"})).1;
    assert_eq!(tested["result"]["status"], 200, "{tested}");
    let mut shown = vec![attempts, tested];
    for what in ["", "/status", "/dry-run", "/dead-letters"] {
        shown.push(ask(&daemon, "GET", &format!("{path}{what}"), &Value::Null).1);
    }
    shown.push(ask(&daemon, "GET", "/event-hooks", &Value::Null).1);
    shown.push(http::ask(daemon.http(), "GET", "/metrics", "").expect("metrics").1.into());
    daemon.stop();
    for secret in ["hunter2", "bWU6aHVudGVyMi1jbGllbnQ", "dTpodW50ZXIyLXByb3h5"] {
        assert!(!shown.iter().any(|shown| shown.to_string().contains(secret)), "{secret}: {shown:?}");
        for folder in [&diagnostics, &home.file("spool"), &home.file("logs")] {
            assert!(!is_on_disk(folder, secret), "{secret} is in {}", folder.display());
        }
    }
    assert!(is_on_disk(&diagnostics, "event hook changed"), "what there is to see was looked at");
}

#[test]
fn what_a_hook_is_to_be_reached_by_is_refused_with_its_field_and_the_setting_that_opens_it() {
    let home = Home::new();
    let open = "  kumo.configure_webhooks { allow_targets = { '127.0.0.0/8' } }";
    let daemon = Daemon::start(&home, &Policy::new("").init(open));
    let auth = |url: &str| json!({"oauth2": {"token_url": url, "client_id": "me", "client_secret": "hunter2"}});
    for (more, field, why) in [
        (json!({"proxy": {"url": "http://127.0.0.1:3128"}}), "/proxy/url", "allow_proxies = { '127.0.0.1' }"),
        (json!({"auth": auth("http://169.254.169.254/t")}), "/auth/oauth2/token_url", "allow_targets"),
        (json!({"tls": {"ca": "hunter2"}}), "/tls/ca", "no certificate in PEM"),
        (
            json!({"tls": {"client_certificate": "hunter2", "client_key": "hunter2"}}),
            "/tls/client_certificate",
            "no certificate in PEM",
        ),
    ] {
        let mut config = more.clone();
        config["url"] = "https://127.0.0.1:8443/".into();
        let (status, refused) = ask(&daemon, "POST", "/event-hooks", &hook(&config));
        let told = refused["fields"]["config"].pointer(field).and_then(Value::as_str);
        assert!(status == 400 && told.is_some_and(|told| told.contains(why)), "{more}: {refused}");
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }
    daemon.stop();
}

/// A server over TLS that wants to see a certificate, and keeps the bodies that came.
struct Strict {
    address: SocketAddr,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Strict {
    fn start(config: ServerConfig, listener: TcpListener) -> Strict {
        let (address, config) = (listener.local_addr().expect("its port"), Arc::new(config));
        let bodies: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = bodies.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, seen) = (config.clone(), seen.clone());
                std::thread::spawn(move || serve_tls(stream, config, &seen));
            }
        });
        Strict { address, bodies }
    }

    fn bodies(&self) -> Vec<String> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve_tls(stream: TcpStream, config: Arc<ServerConfig>, seen: &Mutex<Vec<String>>) {
    let connection = ServerConnection::new(config).expect("a good configuration");
    let mut tls = BufReader::new(StreamOwned::new(connection, stream));
    while let Ok(Some(request)) = http::read_request(&mut tls) {
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(request.text());
        if tls.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
            return;
        }
    }
}

#[test]
fn a_hook_shows_its_certificate_to_a_target_that_only_its_own_authority_vouches_for() {
    let home = Home::new();
    let listener = TcpListener::bind((address::own(), 0)).expect("open a port");
    let host = listener.local_addr().expect("its port").ip().to_string();
    let mut params = CertificateParams::new(vec![]).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec![host]).expect("a name").signed_by(&key, &ca).expect("a certificate");
    let client_key = KeyPair::generate().expect("a key");
    let mut client = CertificateParams::new(vec!["waybill".to_owned()]).expect("a name");
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let client = client.signed_by(&client_key, &ca).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).expect("a root");
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier.expect("a verifier"))
        .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().expect("a key"))
        .expect("a certificate with its key");
    let target = Strict::start(config, listener);

    let daemon = Daemon::start(&home, &Policy::new("").init(OPEN));
    let files = [
        ("config.tls.ca", "ca.pem", ca.pem()),
        ("config.tls.client_certificate", "client.pem", client.pem()),
        ("config.tls.client_key", "client.key", client_key.serialize_pem()),
    ];
    let set = files.map(|(field, name, text)| {
        let file = home.file(name);
        std::fs::write(&file, text).expect("write a file");
        format!("{field}={}", file.display())
    });
    let url = format!("https://{}/", target.address);
    let made = |body: &str, more: &[&String]| {
        let body = format!("config.body={body} {{{{ recipient }}}}");
        let mut words = vec!["event-hooks", "create", "--source", "log", "--event", "Delivery"];
        words.extend(["--handler", "webhook-custom", "--url", &url, "--set", "config.method=POST", "--set", &body]);
        more.iter().for_each(|pair| words.extend(["--set-file", pair.as_str()]));
        let made = daemon.client(&words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
        assert!(!made.contains("PRIVATE KEY"), "{made}");
        let made: Value = serde_json::from_str(&made).expect("JSON");
        format!("/event-hooks/{}", made["id"].as_str().expect("an id"))
    };
    let stranger = made("stranger", &[]);
    let nobody = made("nobody", &[&set[0]]);
    made("friend", &set.iter().collect::<Vec<_>>());
    daemon.connect().send(&Mail::to("joe@example.com"));
    wait_until("the one with a certificate has delivered", || (!target.bodies().is_empty()).then_some(()));
    let why = |path: &str| {
        wait_until("its attempt is in the log", || {
            let found = ask(&daemon, "GET", &format!("{path}/attempts"), &Value::Null).1;
            found["data"][0]["error"].as_str().map(str::to_owned)
        })
    };
    assert!(why(&stranger).contains("invalid peer certificate"), "{}", why(&stranger));
    // What a target does without a certificate of ours differs: it says so, or just hangs up.
    why(&nobody);
    assert_eq!(target.bodies(), ["friend joe@example.com"]);
    daemon.stop();
}

#[test]
fn whatever_is_done_to_a_hook_is_a_line_for_whoever_audits() {
    let home = Home::new();
    let (daemon, target) = (Daemon::start(&home, &Policy::new("").init(OPEN)), Receiver::start());
    let path = create(&daemon, &hook(&json!({"url": target.url(), "secret": "hunter2"})));
    let line = |operation: &str| {
        let said = format!("operation=\"{operation}\"");
        wait_until(&format!("{operation} is told"), || {
            let stderr = daemon.stderr();
            let line = stderr.lines().find(|line| line.contains("waybill::audit") && line.contains(&said))?;
            Some(line.to_owned())
        })
    };
    assert!(line("create").contains("handler=\"webhook-custom\"") && line("create").contains("peer=127.0.0.1"));
    daemon.connect().send(&Mail::to("joe@example.com"));
    target.wait_for(1);
    assert_eq!(ask(&daemon, "PATCH", &path, &json!({"snooze": 0})).0, 200);
    line("update");
    assert_eq!(ask(&daemon, "POST", &format!("{path}/replay"), &json!({"since": "1h"})).0, 200);
    line("replay");
    assert_eq!(ask(&daemon, "POST", &format!("{path}/redrive"), &json!({})).0, 200);
    line("redrive");
    target.answer(|_, _| Answer::status(410));
    daemon.connect().send(&Mail::to("joe@example.com"));
    let disabled = line("disable");
    assert!(disabled.contains("by=its target") && disabled.contains(&target.address().to_string()), "{disabled}");
    assert_eq!(ask(&daemon, "DELETE", &path, &Value::Null).0, 204);
    line("delete");
    assert!(!daemon.stderr().contains("hunter2"), "{}", daemon.stderr());
    daemon.stop();
}
