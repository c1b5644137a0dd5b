//! Mail that comes in by HTTP.

use crate::harness::{Daemon, Home, Mail, Policy, Receiver, http, wait_until};
use serde_json::{Value, json};

#[test]
fn injected_mail_is_delivered_and_told_of() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let hook = format!(
        "require('policy-extras.log_hooks'):new_json {{
           name = 'webhook', url = '{}', log_parameters = {{ headers = {{ 'Subject' }} }} }}",
        receiver.url()
    );
    let daemon = Daemon::start(&home, &Policy::new(hook));
    let (status, text) = http::ask(daemon.http(), "GET", "/api/check-liveness/v1", "").expect("an answer");
    assert_eq!((status, text.trim()), (200, "OK"));

    let body = json!({
        "envelope_sender": "api@example.com",
        "recipients": [
            { "email": "ann@example.com", "name": "Ann", "substitutions": { "n": "1" } },
            { "email": "bob@example.com", "name": "Bob", "substitutions": { "n": "2" } },
            { "email": "nodomain" },
        ],
        "content": "From: <api@example.com>\r\nSubject: mail {{n}}\r\nTo: <{{email}}>\r\n\r\nHello {{ name }}",
    });
    let (status, text) = http::ask(daemon.http(), "POST", "/api/inject/v1", &body.to_string()).expect("an answer");
    assert_eq!(status, 200, "{text}");
    let answer: Value = serde_json::from_str(&text).expect("a JSON answer");
    assert_eq!(answer["success_count"], 2, "{answer}");
    assert_eq!(answer["fail_count"], 1, "{answer}");
    assert_eq!(answer["failed_recipients"], json!(["nodomain"]));

    let records = receiver.wait_for_records(4);
    for (email, subject) in [("ann@example.com", "mail 1"), ("bob@example.com", "mail 2")] {
        for kind in ["Reception", "Delivery"] {
            let is = |record: &&Value| record["type"] == kind && record["recipient"] == email;
            let record = records.iter().find(is).unwrap_or_else(|| panic!("no {kind} of {email}"));
            assert_eq!(record["reception_protocol"], "HTTP");
            assert_eq!(record["sender"], "api@example.com");
            assert_eq!(record["headers"], json!({ "Subject": subject }));
        }
    }
    let (status, metrics) = http::ask(daemon.http(), "GET", "/metrics", "").expect("an answer");
    assert_eq!(status, 200);
    assert!(metrics.contains("total_messages_delivered"), "{metrics}");

    daemon.settled("webhook", 0);
    daemon.stop();
    assert_eq!(receiver.records().len(), 4);
    let mails = home.maildir("example.com");
    assert_eq!(mails.len(), 2);
    for name in ["Ann", "Bob"] {
        assert!(mails.iter().any(|mail| mail.contains(&format!("Hello {name}"))), "{mails:?}");
    }
}

#[test]
fn a_deferred_injection_is_taken_at_once_and_generated_by_the_queue() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(""));
    let body = json!({
        "envelope_sender": "api@example.com",
        "recipients": [{ "email": "ann@example.com", "name": "Ann" }, { "email": "bob@example.com", "name": "Bob" }],
        "content": { "text_body": "Hello {{name}}", "subject": "hi", "from": { "email": "api@example.com" } },
        "template_dialect": "Handlebars",
        "deferred_generation": true,
    });
    let (status, text) = http::ask(daemon.http(), "POST", "/api/inject/v1", &body.to_string()).expect("an answer");
    assert_eq!((status, text.contains("\"success_count\":0")), (200, true), "{text}");
    crate::harness::wait_until("both mails are there", || (home.maildir("example.com").len() == 2).then_some(()));
    daemon.stop();
    let records = home.records();
    let of_the_request: Vec<&str> = records
        .iter()
        .filter(|record| record["queue"] == "generator.kumomta.internal")
        .filter_map(|record| record["type"].as_str())
        .collect();
    assert_eq!(of_the_request, ["Reception", "Delivery"]);
    let generated = records.iter().find(|record| record["delivery_protocol"] == "HttpInjectionGenerator");
    assert_eq!(generated.expect("a Delivery")["response"]["content"], "generated 2, failed 0");
}

#[test]
fn http_brings_recipients_no_faster_than_policy_wants() {
    let home = Home::new();
    let policy = Policy::new("").init("kumo.set_httpinject_recipient_rate_limit '2/day'");
    let daemon = Daemon::start(&home, &policy);
    let recipients = ["ann", "bob", "cat"].map(|user| json!({ "email": format!("{user}@example.com") }));
    let body = json!({
        "envelope_sender": "api@example.com", "recipients": recipients, "content": "Subject: hello\r\n\r\nHello",
    });
    let address = daemon.http();
    let injection = std::thread::spawn(move || http::ask(address, "POST", "/api/inject/v1", &body.to_string()));
    let received = || home.records().iter().filter(|record| record["type"] == "Reception").count();
    wait_until("two have come", || (received() == 2).then_some(()));
    // Others do not wait.
    daemon.connect().send(&Mail::to("rcpt@example.com"));
    assert!(!injection.is_finished(), "the third waits for its turn");
    daemon.stop();
    let (status, text) = injection.join().expect("the client").expect("an answer");
    let answer: Value = serde_json::from_str(&text).expect("a JSON answer");
    assert_eq!((status, &answer["success_count"], &answer["fail_count"]), (200, &json!(2), &json!(1)), "{text}");
    assert_eq!(received(), 3);
}
