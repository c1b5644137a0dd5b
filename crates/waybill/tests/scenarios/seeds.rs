//! The policy scripts of KumoMTA's guide run word for word, but for host and port.

use crate::harness::record::Members;
use crate::harness::{Daemon, Home, Mail, Policy, Receiver, Request};
use serde_json::{Value, json};
use std::collections::HashSet;

const NEW_JSON: &str = include_str!("seeds/new_json.lua");
const NEW: &str = include_str!("seeds/new.lua");
const BATCHED: &str = include_str!("seeds/batched.lua");
const LOW_LEVEL: &str = include_str!("seeds/low_level.lua");

/// What an endpoint got from a live KumoMTA (contract/samples/hook-bodies.jsonl).
const RECEPTION: &str = r#"{"type":"Reception","id":"be5ce59be75811f1aba9ee449cbbeaa0","sender":"sender@example.com","recipient":"rcpt@example.com","queue":"c1:t1@example.com","site":"","size":297,"response":{"code":250,"enhanced_code":null,"content":"","command":null},"peer_address":{"name":"client.example","addr":"127.0.0.1"},"timestamp":1795450376,"event_time":"2026-11-23T16:12:56.210249664Z","created":1795450376,"created_time":"2026-11-23T16:12:56.209346700Z","num_attempts":0,"bounce_classification":"Uncategorized","egress_pool":null,"egress_source":null,"source_address":null,"feedback_report":null,"meta":{"campaign":"c1","x_num":42,"tenant":"t1"},"headers":{"Subject":"Hello","X-KumoRef":"eyJfQF8iOiJcXF8vIiwicmVjaXBpZW50IjoicmNwdEBleGFtcGxlLmNvbSJ9","X-Customer-ID":"7"},"delivery_protocol":null,"reception_protocol":"ESMTP","nodeid":"1c9695c6-71e7-4e48-b54f-5531e6875160","session_id":"0317f0e5-2ee0-4167-a5a7-7f1cd9a9347e"}"#;
const DELIVERY: &str = r#"{"type":"Delivery","id":"be5ce59be75811f1aba9ee449cbbeaa0","sender":"sender@example.com","recipient":"rcpt@example.com","queue":"c1:t1@example.com","site":"","size":297,"response":{"code":200,"enhanced_code":null,"content":"rcpt@example.com: wrote to maildir with id=1795450376.#0M216538202P15265V65024I10035249.mta.example,S=297","command":null},"peer_address":null,"timestamp":1795450376,"event_time":"2026-11-23T16:12:56.217103537Z","created":1795450376,"created_time":"2026-11-23T16:12:56.209346700Z","num_attempts":0,"bounce_classification":"Uncategorized","egress_pool":null,"egress_source":null,"source_address":null,"feedback_report":null,"meta":{"tenant":"t1","campaign":"c1","x_num":42},"headers":{"X-Customer-ID":"7","Subject":"Hello","X-KumoRef":"eyJfQF8iOiJcXF8vIiwicmVjaXBpZW50IjoicmNwdEBleGFtcGxlLmNvbSJ9"},"delivery_protocol":"Maildir","reception_protocol":"ESMTP","nodeid":"1c9695c6-71e7-4e48-b54f-5531e6875160","session_id":"66c9884e-4f33-47c3-8ef6-68e7ac212487"}"#;

/// The seed with the receiver for its host and port.
fn pointed(seed: &str, receiver: &Receiver) -> String {
    const PLACE: &str = "http://10.0.0.1:4242/log";
    assert_eq!(seed.matches(PLACE).count(), 1, "the seed names its endpoint once");
    seed.replace(PLACE, &receiver.url())
}

fn hello() -> Mail {
    Mail::to("rcpt@example.com").header("Subject: Hello").header("X-Customer-ID: 7")
}

/// Sends one mail, then another: once the events of the second are there, and the hook has nothing left to do, whatever
/// the first could have caused is there as well. Returns the ids of both and all requests, after a clean stop.
fn one_mail_and_another(daemon: Daemon, receiver: &Receiver, hook: &str) -> ([String; 2], Vec<Request>) {
    let mut smtp = daemon.connect();
    let first = smtp.send(&hello()).remove(0);
    receiver.wait_for_records(2);
    let second = smtp.send(&hello()).remove(0);
    receiver.wait_for_records(4);
    daemon.settled(hook, 0);
    daemon.stop();
    ([first, second], receiver.requests())
}

/// Exactly one Reception and one Delivery for each mail: no loop, no event about the event.
fn assert_one_of_each(ids: &[String], records: &[Value]) {
    let mut came: Vec<_> = records.iter().map(|record| (record["id"].clone(), record["type"].clone())).collect();
    let mut expected: Vec<_> =
        ids.iter().flat_map(|id| ["Delivery", "Reception"].map(|kind| (json!(id), json!(kind)))).collect();
    let order = |pair: &(Value, Value)| pair.0.to_string() + &pair.1.to_string();
    came.sort_by_key(order);
    expected.sort_by_key(order);
    assert_eq!(came, expected);
}

fn find<'a>(requests: &'a [Request], id: &str, kind: &str) -> &'a Request {
    let found = requests.iter().find(|request| {
        let record = request.json();
        record["id"] == id && record["type"] == kind
    });
    found.unwrap_or_else(|| panic!("no {kind} of {id}"))
}

fn assert_like_the_sample(request: &Request, sample: &str) {
    assert_eq!(Members::of(&request.body).shape(), Members::of(sample.as_bytes()).shape());
    assert!(request.text().ends_with("}\n"), "the body ends with a newline: {:?}", request.text());
    let record = request.json();
    assert_eq!(record["headers"], json!({ "Subject": "Hello", "X-Customer-ID": "7" }), "{record}");
    assert_eq!(record["meta"], json!({}));
    assert_eq!(record["sender"], "sender@example.com");
    assert_eq!(record["recipient"], "rcpt@example.com");
    assert_eq!(record["queue"], "example.com");
    let sample: Value = serde_json::from_str(sample).expect("the sample is JSON");
    for fixed in ["site", "num_attempts", "bounce_classification", "delivery_protocol", "reception_protocol"] {
        assert_eq!(record[fixed], sample[fixed], "{fixed} in {record}");
    }
    assert_eq!(record["response"]["code"], sample["response"]["code"], "{record}");
    assert_eq!(record["peer_address"], sample["peer_address"], "{record}");
}

fn assert_json_post(request: &Request) {
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/log"));
    assert_eq!(request.header("content-type"), Some("application/json"));
}

#[test]
fn new_json_posts_one_reception_and_one_delivery_for_a_mail() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let daemon = Daemon::start(&home, &Policy::new(pointed(NEW_JSON, &receiver)));
    let (ids, requests) = one_mail_and_another(daemon, &receiver, "webhook");

    assert_one_of_each(&ids, &receiver.records());
    requests.iter().for_each(assert_json_post);
    let webhook_ids: HashSet<_> = requests.iter().map(Request::webhook_id).collect();
    assert_eq!(webhook_ids.len(), requests.len(), "each event has an id of its own");
    assert_like_the_sample(find(&requests, &ids[0], "Reception"), RECEPTION);
    assert_like_the_sample(find(&requests, &ids[0], "Delivery"), DELIVERY);
    assert_eq!(home.maildir("example.com").len(), 2);

    // Log files, too, know what became of the events; nobody received them.
    let about_events = home.hook_records();
    assert_eq!(about_events.len(), 4, "{about_events:#?}");
    for record in about_events {
        assert_eq!(record["type"], "Delivery");
        assert_eq!(record["queue"], "webhook.log_hook");
        assert_eq!(record["site"], "unspecified->webhook.log_hook@lua:make.webhook.log_hook");
        assert_eq!(record["response"]["content"], "200 OK: thanks");
        assert_eq!(record["peer_address"]["name"], "Lua via make.webhook.log_hook");
        assert!(webhook_ids.contains(record["id"].as_str().expect("an id")), "{record}");
    }
}

#[test]
fn the_hand_written_connection_of_new_does_the_same() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let daemon = Daemon::start(&home, &Policy::new(pointed(NEW, &receiver)));
    let (ids, requests) = one_mail_and_another(daemon, &receiver, "webhook");

    assert_one_of_each(&ids, &receiver.records());
    requests.iter().for_each(assert_json_post);
    assert_like_the_sample(find(&requests, &ids[0], "Reception"), RECEPTION);
    assert_like_the_sample(find(&requests, &ids[0], "Delivery"), DELIVERY);
}

#[test]
fn send_batch_posts_lists_of_records() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let daemon = Daemon::start(&home, &Policy::new(pointed(BATCHED, &receiver)));
    let (ids, requests) = one_mail_and_another(daemon, &receiver, "webhookbatch");

    assert_one_of_each(&ids, &receiver.records());
    for request in &requests {
        assert_json_post(request);
        for record in request.json().as_array().expect("a list, also of one") {
            assert_eq!(record["recipient"], "rcpt@example.com");
            assert!(record["timestamp"].is_u64() && record["event_time"].is_string(), "{record}");
            // Nulls are absent in a Lua table.
            assert!(!record.as_object().expect("a record").contains_key("feedback_report"), "{record}");
        }
    }
}

#[test]
fn the_low_level_events_do_it_without_the_helper() {
    let (home, receiver) = (Home::new(), Receiver::start());
    // The script's host is a fixed text, its port a global.
    const HOST: &str = "127.0.0.1:%d";
    assert_eq!(LOW_LEVEL.matches(HOST).count(), 1);
    let script = LOW_LEVEL.replace(HOST, &format!("{}:%d", receiver.address().ip()));
    let policy = Policy::new(script)
        .before(&format!("WEBHOOK_PORT = {}\n", receiver.address().port()))
        .init("kumo.configure_log_hook { name = 'webhook', headers = { 'Subject', 'X-Customer-ID' } }");
    let daemon = Daemon::start(&home, &policy);
    let (ids, requests) = one_mail_and_another(daemon, &receiver, "webhook");

    assert_one_of_each(&ids, &receiver.records());
    requests.iter().for_each(assert_json_post);
    assert_like_the_sample(find(&requests, &ids[0], "Reception"), RECEPTION);
    assert_like_the_sample(find(&requests, &ids[0], "Delivery"), DELIVERY);
    for record in home.hook_records() {
        assert_eq!(record["site"], "unspecified->webhook@lua:make.webhook", "{record}");
    }
}
