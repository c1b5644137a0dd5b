//! What receivers of others make of our signatures.

use crate::harness::api::done;
use crate::harness::skip::python_of_pip;
use crate::harness::{Daemon, Home, Mail, Policy, Receiver, Request};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::Stdio;
use waybill_webhook_sign::verify::{self, Received, TOLERANCE};
use waybill_webhook_sign::{KlevKey, Secret, StandardVerifier};

const VERIFY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/python/standard_webhooks.py");
/// Keys of contract/signatures.md.
const FIRST: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SECOND: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
const PRIVATE: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
const PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
/// Another pair: of the seed 00..1f.
const LATER_PRIVATE: &str =
    "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuA==";
const LATER_PUBLIC: &str = "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

fn line(request: &Request, secrets: &[&str], public: &[&str]) -> String {
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: serde_json::Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), request.header(name).expect(name).into())).collect();
    json!({ "headers": headers, "body": request.text(), "secrets": secrets, "public": public }).to_string()
}

#[test]
fn the_package_standardwebhooks_verifies_what_we_send_during_a_rotation_too() {
    let part = "webhooks verified by the Python package standardwebhooks";
    let Some(mut python) = python_of_pip(part, "standardwebhooks, cryptography") else { return };
    let (home, receiver) = (Home::new(), Receiver::start());
    let open = "  kumo.configure_webhooks { allow_targets = { '127.0.0.0/8' } }";
    let daemon = Daemon::start(&home, &Policy::new("").init(open));
    let config = json!({"url": receiver.url(), "secret": FIRST});
    let hook = json!({"source": "log", "event": "Reception", "handler": "webhook", "config": config});
    let made = done(&daemon, "POST", "/event-hooks", &hook);
    let path = format!("/event-hooks/{}", made["id"].as_str().expect("an id"));
    // What comes first is the ping.
    receiver.wait_for(1);
    daemon.connect().send(&Mail::to("one@example.com"));
    receiver.wait_for(2);
    let replaced = [(SECOND, "two@example.com"), (PRIVATE, "three@example.com"), (LATER_PRIVATE, "four@example.com")];
    for (secret, recipient) in replaced {
        done(&daemon, "PATCH", &path, &json!({"config": {"secret": secret}}));
        daemon.connect().send(&Mail::to(recipient));
        receiver.wait(&format!("mail to {recipient} is told of"), |requests| {
            requests.iter().any(|request| request.text().contains(recipient)).then_some(())
        });
    }
    daemon.stop();
    let about = |what: &str| {
        let requests = receiver.requests();
        requests.into_iter().find(|request| request.text().contains(what)).unwrap_or_else(|| panic!("none of {what}"))
    };
    let lines = [
        line(&about("ping"), &[FIRST], &[]),
        line(&about("one@example.com"), &[FIRST], &[]),
        // Whoever has not changed its secret yet believes it as well.
        line(&about("two@example.com"), &[SECOND, FIRST], &[]),
        line(&about("three@example.com"), &[SECOND, FIRST], &[PUBLIC]),
        // The same for public keys: by the one before and by the one that took its place.
        line(&about("four@example.com"), &[SECOND, FIRST], &[LATER_PUBLIC, PUBLIC]),
    ];
    let mut child = python.arg(VERIFY).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start Python");
    child.stdin.take().expect("its input").write_all(lines.join("\n").as_bytes()).expect("hand it the requests");
    let output = child.wait_with_output().expect("run Python");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "11 signatures verified\n");
}

#[test]
fn a_hook_signs_by_every_scheme_at_once_and_during_a_rotation_with_old_and_new() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let open = "  kumo.configure_webhooks { allow_targets = { '127.0.0.0/8' } }";
    let daemon = Daemon::start(&home, &Policy::new("").init(open));
    let config = json!({
        "url": receiver.url(), "method": "POST", "body": "{{ recipient }}", "secret": FIRST,
        "signatures": {"standard": PRIVATE, "klev": "ewhsec_one"}, "signature_header": {"header": "x-own"},
    });
    let hook = json!({"source": "log", "event": "Reception", "handler": "webhook-custom", "config": config});
    let made = done(&daemon, "POST", "/event-hooks", &hook);
    assert_eq!(made["config"]["signatures"], json!({"standard": null, "klev": null}), "{made}");
    let path = format!("/event-hooks/{}", made["id"].as_str().expect("an id"));
    done(&daemon, "PATCH", &path, &json!({"config": {"secret": SECOND, "signatures": {"klev": "ewhsec_two"}}}));
    daemon.connect().send(&Mail::to("one@example.com"));
    let request = receiver.wait_for(1).remove(0);
    daemon.stop();
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature", "x-klev-signature"];
    let headers: Vec<(&str, &[u8])> =
        names.iter().map(|name| (*name, request.header(name).expect(name).as_bytes())).collect();
    let received = Received { headers: &headers, body: &request.body };
    let now = waybill_runtime::Clock::now(&waybill_runtime::SystemClock);
    for key in [FIRST, SECOND, PUBLIC] {
        let key = StandardVerifier::parse(key).expect("a key");
        verify::standard(&[key], &received, now, TOLERANCE).expect("Standard Webhooks, v1 and v1a");
    }
    for secret in ["ewhsec_one", "ewhsec_two"] {
        verify::klev(&[KlevKey::new(Secret::new(secret))], &received, now, TOLERANCE).expect("klev's");
    }
    verify::klev(&[KlevKey::new(Secret::new(FIRST))], &received, now, TOLERANCE).expect_err("not by another");
    let (kong, own) = (request.header("x-kong-signature"), request.header("x-own"));
    assert_eq!(kong.expect("Kong's").strip_prefix("sha256="), own, "both of the body, by the secret");
}
