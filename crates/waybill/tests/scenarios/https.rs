//! An HTTP listener that speaks TLS, and `ctl` over it.

use crate::harness::skip::program;
use crate::harness::{Daemon, Home, Policy, wait_until};
use serde_json::{Value, json};
use std::process::Command;

#[test]
fn the_api_is_reached_over_tls_by_whoever_believes_the_certificate() {
    let home = Home::new();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("make a certificate");
    let (certificate, key) = (home.file("https.pem"), home.file("https.key"));
    std::fs::write(&certificate, made.cert.pem()).expect("write the certificate");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("write the key");
    let policy = Policy::new("").init(&format!(
        "kumo.start_http_listener {{ listen = '127.0.0.1:0', use_tls = true, tls_certificate = '{}',
           tls_private_key = '{}' }}",
        certificate.display(),
        key.display()
    ));
    let daemon = Daemon::start(&home, &policy);
    let endpoint = format!("https://localhost:{}", daemon.https().port());
    let believed = certificate.to_str().expect("a path in UTF-8").to_owned();
    let answer = daemon.ctl(&["--endpoint", &endpoint, "--ca-file", &believed, "--json", "bounce-list"]);
    assert_eq!(answer.trim(), "[]");
    let refused = daemon.client(&["ctl", "--endpoint", &endpoint, "bounce-list"]).expect_err("nobody vouches for it");
    assert!(refused.contains("is not believed: invalid peer certificate"), "{refused}");
    if let Some(curl) = program("injection over HTTPS", "curl", "curl") {
        let body = json!({ "envelope_sender": "sender@example.com", "recipients": [{ "email": "ann@example.com" }],
            "content": "Subject: over TLS\n\nbody\n" });
        let ask = |more: &[&str]| {
            let mut command = Command::new(&curl);
            command.args(["--silent", "--show-error", "--max-time", "60", "--json", &body.to_string()]).args(more);
            command.arg(format!("{endpoint}/api/inject/v1")).output().expect("run curl")
        };
        let answer = ask(&["--cacert", &believed]);
        let answer: Value = serde_json::from_slice(&answer.stdout).unwrap_or_else(|_| panic!("{answer:?}"));
        assert_eq!(answer["success_count"], 1, "{answer}");
        wait_until("the mail is delivered", || (home.maildir_count("example.com") == 1).then_some(()));
        assert!(home.maildir("example.com")[0].contains("Subject: over TLS"));
        // 60: the certificate is not believed. And nothing is answered to whoever speaks no TLS.
        assert_eq!(ask(&[]).status.code(), Some(60));
        let plain = Command::new(&curl)
            .args(["--silent", "--show-error", "--max-time", "60"])
            .arg(format!("http://localhost:{}/api/check-liveness/v1", daemon.https().port()))
            .output()
            .expect("run curl");
        assert!(!plain.status.success() && plain.stdout.is_empty(), "{plain:?}");
    }
    daemon.stop();
}

#[test]
fn a_certificate_of_the_http_listener_that_cannot_be_used_is_named_where_the_policy_names_it() {
    let home = Home::new();
    let policy = Policy::new("").init(
        "kumo.start_http_listener { listen = '127.0.0.1:0', use_tls = true, tls_certificate = '/no/such.pem',
           tls_private_key = '/no/such.key' }",
    );
    Daemon::refused(&home, &policy).says(&["`tls_certificate`", "/no/such.pem", "No such file", "policy.lua:"]);
}
