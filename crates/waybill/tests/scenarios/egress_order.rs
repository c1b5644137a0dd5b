//! The order of an egress webhook, through failures of its endpoint and kill -9 of the daemon.

use crate::harness::{Answer, Daemon, Home, Policy, Receiver, http, wait_until};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Endpoints on this machine may be called.
const OPEN: &str = "  kumo.configure_webhooks { allow_targets = { '127.0.0.0/8' } }";
const MESSAGES: u64 = 600;
const KEYS: u64 = 6;
const KILLS: usize = 3;

/// Whether a request is refused, by how many came before it.
fn fails(count: usize) -> bool {
    count % 41 == 17
}

fn json_of(daemon: &Daemon, words: &[&str]) -> Value {
    let text = daemon.client(words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words:?}: {error}: {text}"))
}

fn through_failures_and_kills(mode: &str, in_flight: usize) {
    let home = Home::new();
    let receiver = Receiver::start();
    receiver.answer(|_, count| if fails(count) { Answer::status(503) } else { Answer::ok() });
    let mut daemon = Daemon::start(&home, &Policy::new("").init(OPEN));
    let log = json_of(&daemon, &["logs", "create"])["log_id"].as_str().expect("an id").to_owned();
    let url = receiver.url();
    let words = ["egress-webhooks", "create", "--log-id", &log, "--destination", &url, "--mode", mode];
    let webhook = json_of(&daemon, &words)["webhook_id"].as_str().expect("an id").to_owned();
    let messages: Vec<Value> =
        (0..MESSAGES).map(|offset| json!({"key": (offset % KEYS).to_string(), "value": "x"})).collect();
    let body = json!({ "messages": messages }).to_string();
    let (status, _) = http::ask(daemon.http(), "POST", &format!("/messages/{log}"), &body).expect("an answer");
    assert_eq!(status, 200);
    // Woken by hand, nobody waits for a retry.
    let woken = |daemon: &Daemon| json_of(daemon, &["egress-webhooks", "update", &webhook, "--active", "true"]);
    for round in 1..=KILLS {
        wait_until("more has arrived", || {
            woken(&daemon);
            (receiver.requests().len() >= round * 120).then_some(())
        });
        daemon.kill9();
        daemon = Daemon::start_again(&home);
    }
    wait_until("everything has arrived", || {
        woken(&daemon);
        let status = json_of(&daemon, &["egress-webhooks", "status", &webhook]);
        (status["next_offset"] == MESSAGES && status["parked"].as_u64().unwrap_or(0) == 0).then_some(())
    });
    let arrived: Vec<u64> = receiver
        .requests()
        .iter()
        .enumerate()
        .filter(|(count, _)| !fails(*count))
        .map(|(_, request)| request.json()["offset"].as_u64().expect("an offset"))
        .collect();
    let mut first: HashMap<u64, Vec<u64>> = HashMap::new();
    let mut seen = std::collections::HashSet::new();
    for offset in &arrived {
        if seen.insert(*offset) {
            let lane = if mode == "strict" { 0 } else { offset % KEYS };
            first.entry(lane).or_default().push(*offset);
        }
    }
    assert_eq!(seen.len() as u64, MESSAGES, "each arrives");
    for offsets in first.values() {
        assert!(offsets.is_sorted(), "first arrivals are in order: {offsets:?}");
    }
    let repeated = arrived.len() - seen.len();
    assert!(repeated <= KILLS * in_flight, "{repeated} came again after {KILLS} kills");
    daemon.stop();
}

#[test]
fn strictly_in_order_through_failures_and_kills() {
    through_failures_and_kills("strict", 1);
}

#[test]
fn in_the_order_of_each_key_through_failures_and_kills() {
    through_failures_and_kills("parallel_by_key", 16);
}
