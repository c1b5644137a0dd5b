//! The order of an egress webhook, through failures of its endpoint and kill -9 of the daemon. `WAYBILL_LONG=1` sends a
//! hundred thousand messages, as `order.rs` of `waybill-streams` always does within one process.

use crate::harness::policy::OPEN;
use crate::harness::wait::{is_long, wait_for_count};
use crate::harness::{Answer, Daemon, Home, Policy, Receiver, http};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const KEYS: u64 = 6;
/// Messages of one publish.
const BATCH: u64 = 1000;

/// Whether a request is refused, by how many came before it.
fn fails(count: usize) -> bool {
    count % 41 == 17
}

/// Messages, and kills while they are on their way.
fn scale() -> (u64, usize) {
    if is_long() { (100_000, 20) } else { (600, 3) }
}

fn ask(daemon: &Daemon, method: &str, path: &str, body: &Value) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, text) = http::ask(daemon.http(), method, path, &body).expect("an answer");
    assert_eq!(status, 200, "{method} {path}: {text}");
    serde_json::from_str(&text).expect("JSON")
}

fn through_failures_and_kills(mode: &str, in_flight: usize) {
    let (messages, kills) = scale();
    let home = Home::new();
    let receiver = Receiver::start();
    receiver.keep_none();
    // Offsets that were taken, in their order.
    let arrived = Arc::new(Mutex::new(Vec::<u64>::new()));
    let taken = arrived.clone();
    receiver.answer(move |request, count| {
        if fails(count) {
            return Answer::status(503);
        }
        let offset = request.json()["offset"].as_u64().expect("an offset");
        taken.lock().expect("no panic while it is held").push(offset);
        Answer::ok()
    });
    let mut daemon = Daemon::start(&home, &Policy::new("").init(OPEN));
    let log = ask(&daemon, "POST", "/logs", &json!({}))["log_id"].as_str().expect("an id").to_owned();
    let egress = json!({"log_id": log, "destination": receiver.url(), "mode": mode});
    let webhook = ask(&daemon, "POST", "/egress_webhooks", &egress)["webhook_id"].as_str().expect("an id").to_owned();
    for from in (0..messages).step_by(BATCH as usize) {
        let message = |offset: u64| json!({"key": (offset % KEYS).to_string(), "value": "x"});
        let batch: Vec<Value> = (from..messages.min(from + BATCH)).map(message).collect();
        ask(&daemon, "POST", &format!("/messages/{log}"), &json!({ "messages": batch }));
    }
    let path = format!("/egress_webhook/{webhook}");
    let count = || arrived.lock().expect("no panic while it is held").len();
    let seen = AtomicUsize::new(0);
    // Where nothing comes any more all wait for a retry. Woken by hand, nobody does.
    let woken = |daemon: &Daemon| {
        let now = count();
        if seen.swap(now, Ordering::Relaxed) == now {
            ask(daemon, "PATCH", &path, &json!({"active": true}));
        }
        now
    };
    for round in 1..=kills {
        let wanted = usize::try_from(messages).expect("a number") * round / (kills + 2);
        wait_for_count("more has arrived", wanted, || woken(&daemon));
        daemon.kill9();
        daemon = Daemon::start_again(&home);
    }
    let done = |status: &Value| status["next_offset"] == messages && status["parked"].as_u64().unwrap_or(0) == 0;
    let end = usize::MAX;
    wait_for_count("everything has arrived", end, || {
        let status = ask(&daemon, "GET", &format!("{path}/status"), &Value::Null);
        if done(&status) { end } else { woken(&daemon) }
    });
    let arrived = arrived.lock().expect("no panic while it is held").clone();
    // Of each key, and strictly of all: every message, in order. What came again did so directly.
    let lane = |offset: u64| if mode == "strict" { 0 } else { offset % KEYS };
    let mut lanes: HashMap<u64, Vec<u64>> = HashMap::new();
    arrived.iter().for_each(|offset| lanes.entry(lane(*offset)).or_default().push(*offset));
    for (key, mut offsets) in lanes {
        offsets.dedup();
        let wanted = (0..messages).filter(|offset| lane(*offset) == key);
        assert!(offsets.iter().copied().eq(wanted), "{mode}, key {key}: {offsets:?}");
    }
    let repeated = arrived.len() - usize::try_from(messages).expect("a number");
    assert!(repeated <= kills * in_flight, "{repeated} came again after {kills} kills");
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
