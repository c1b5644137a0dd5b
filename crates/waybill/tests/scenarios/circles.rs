//! What goes round: messages of two nodes whose webhooks send each other what they get, and mail whose hooks inject mail.

use crate::harness::api::create_hook;
use crate::harness::client::{json_of, made};
use crate::harness::policy::OPEN;
use crate::harness::{Daemon, Home, Mail, Policy, address, wait_until};
use serde_json::json;

/// An injection that is the same each time.
const AGAIN: &str = r#"{"envelope_sender": "hook@example.com", "recipients": [{"email": "round@example.com"}],
    "content": "Subject: again\r\n\r\nround"}"#;

/// A node, and a log of it.
struct Node {
    home: Home,
    daemon: Daemon,
    log: String,
}

impl Node {
    fn new() -> Node {
        let home = Home::new();
        let daemon = Daemon::start(&home, &Policy::new("").init(OPEN));
        let log = made(&daemon, &["logs", "create"], "log_id");
        Node { home, daemon, log }
    }

    /// Sends what comes into the log into that of another node; gives the id of the webhook that does.
    fn sends_to(&self, other: &Node) -> String {
        let secret = other.home.file("secret");
        let file = secret.to_str().expect("a path");
        std::fs::write(&secret, "for now").expect("a file");
        let words =
            ["ingress-webhooks", "create", "--log-id", &other.log, "--type", "klev-message", "--secret-file", file];
        let ingress = made(&other.daemon, &words, "webhook_id");
        let url = format!("http://{}/ingress_webhook/{ingress}", other.daemon.http());
        let egress =
            json_of(&self.daemon, &["egress-webhooks", "create", "--log-id", &self.log, "--destination", &url]);
        std::fs::write(&secret, egress["secret"].as_str().expect("a secret")).expect("a file");
        json_of(&other.daemon, &["ingress-webhooks", "update", &ingress, "--secret-file", file]);
        egress["webhook_id"].as_str().expect("an id").to_owned()
    }

    fn values(&self) -> Vec<String> {
        let found = json_of(&self.daemon, &["consume", &self.log, "--size", "1000"]);
        let messages = found["messages"].as_array().expect("messages");
        messages.iter().map(|message| message["value"].as_str().expect("a value").to_owned()).collect()
    }
}

#[test]
fn a_message_that_two_nodes_send_to_each_other_ends_with_a_refusal_that_names_the_circle() {
    let (one, other) = (Node::new(), Node::new());
    let there = one.sends_to(&other);
    let back = other.sends_to(&one);
    one.daemon.client(&["publish", &one.log, "--value", "round"]).expect("an answer");
    let status = wait_until("the circle is noticed", || {
        let status = json_of(&other.daemon, &["egress-webhooks", "status", &back]);
        (status["attempts"].as_u64() > Some(0)).then_some(status)
    });
    let answer = status["deliver_resp"].as_str().expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("ingress-webhook-hops-limited"), "{status}");
    assert!(answer.contains("it goes in a circle"), "{status}");
    // Published, and then seven webhooks; the eighth was refused.
    assert_eq!((one.values(), other.values()), (vec!["round".to_owned(); 4], vec!["round".to_owned(); 4]));
    let status = json_of(&one.daemon, &["egress-webhooks", "status", &there]);
    assert_eq!((&status["next_offset"], &status["attempts"]), (&4.into(), &0.into()), "{status}");
    // Asked again it says the same, and nothing has moved.
    json_of(&other.daemon, &["egress-webhooks", "update", &back, "--active", "true"]);
    wait_until("it was tried again", || {
        let status = json_of(&other.daemon, &["egress-webhooks", "status", &back]);
        (status["attempts"].as_u64() > Some(1)).then_some(())
    });
    assert_eq!(one.values().len(), 4);
    one.daemon.stop();
    other.daemon.stop();
}

#[test]
fn a_hook_that_injects_mail_which_it_is_told_of_ends_and_its_attempts_say_why() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new("").init(OPEN));
    let config = json!({
        "url": format!("http://{}/api/inject/v1", daemon.http()), "method": "POST", "body": AGAIN, "body_format": false,
        "headers": {"content-type": "application/json"},
    });
    let hook = json!({"source": "log", "event": "Reception", "handler": "webhook-custom", "config": config});
    let id = &create_hook(&daemon, &hook);
    daemon.connect().send(&Mail::to("first@example.com"));
    let status = wait_until("the circle is noticed", || {
        let status = json_of(&daemon, &["event-hooks", "status", id]);
        (status["dead_letters"] == 1).then_some(status)
    });
    assert_eq!((&status["since_start"]["delivered"], &status["lag_events"]), (&json!(7), &json!(0)), "{status}");
    let last = wait_until("all attempts are written down", || {
        let attempts = json_of(&daemon, &["event-hooks", "attempts", id, "--json"]);
        let attempts = attempts["data"].as_array().expect("attempts");
        attempts.iter().find(|attempt| attempt["outcome"] == "permanent").cloned()
    });
    let answer = last["body"].as_str().expect("an answer");
    assert_eq!(last["status"], 400, "{last}");
    assert!(answer.contains("it has come through 8 webhooks") && answer.contains("have its filter leave"), "{last}");
    // What came by SMTP, and what seven requests injected; the eighth was refused.
    wait_until("all mail is delivered", || (home.maildir_count("example.com") == 8).then_some(()));
    daemon.stop();
}

#[test]
fn so_does_a_log_hook() {
    let home = Home::new();
    let listener = address::local();
    // Its records become injections.
    let hook = format!(
        "require('policy-extras.log_hooks'):new_json {{
           name = 'round', url = 'http://{listener}/api/inject/v1',
           log_parameters = {{ per_record = {{ Reception = {{ template = [[{AGAIN}]] }}, Any = {{ enable = false }} }} }},
         }}"
    );
    let policy = Policy::new(hook).init(&format!("  kumo.start_http_listener {{ listen = '{listener}' }}"));
    let daemon = Daemon::start(&home, &policy);
    daemon.connect().send(&Mail::to("first@example.com"));
    let hook = daemon.wait_for_hook("round", "ends the circle", |hook| hook["dead_letters"] == 1);
    assert!(hook["last_response"].as_str().is_some_and(|last| last.contains("it goes in a circle")), "{hook}");
    wait_until("all mail is delivered", || (home.maildir_count("example.com") == 8).then_some(()));
    daemon.stop();
}

#[test]
fn so_does_a_function() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new("").init(OPEN));
    let function = format!(
        "return function(data)
           local answer, why = http.request {{
             url = 'http://{}/api/inject/v1', headers = {{ ['content-type'] = 'application/json' }}, body = [[{AGAIN}]],
           }}
           if not answer or answer.status ~= 200 then return nil, why or answer.body end
           return data
         end",
        daemon.http()
    );
    let config = json!({"functions": [function]});
    let id =
        create_hook(&daemon, &json!({"source": "log", "event": "Reception", "handler": "lambda", "config": config}));
    daemon.connect().send(&Mail::to("first@example.com"));
    let status = wait_until("the circle is noticed", || {
        let status = json_of(&daemon, &["event-hooks", "status", &id]);
        (status["since_start"]["failed"].as_u64() > Some(0)).then_some(status)
    });
    assert!(status["last_response"].as_str().is_some_and(|last| last.contains("it goes in a circle")), "{status}");
    assert_eq!(status["since_start"]["delivered"], 7, "{status}");
    wait_until("all mail is delivered", || (home.maildir_count("example.com") == 8).then_some(()));
    daemon.stop();
}
