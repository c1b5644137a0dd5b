//! `new_json` and endpoints that are down, busy, gone or silent.

use crate::harness::wait::{is_long, pause};
use crate::harness::{Answer, Daemon, Home, Mail, Policy, Receiver, Request, wait_until};
use serde_json::Value;
use std::time::Duration;

const POLICY: &str = r#"
local log_hooks = require 'policy-extras.log_hooks'
log_hooks:new_json {
  name = 'webhook',
  url = '@URL@',
  timeout = '@TIMEOUT@',
  log_parameters = { per_record = { Reception = { enable = true }, Any = { enable = false } } },
  queue_config = { retry_interval = '1s', max_retry_interval = '1s' },
}
"#;

struct Stage {
    // First, as it must end before its folder goes.
    daemon: Daemon,
    home: Home,
    receiver: Receiver,
}

impl Stage {
    fn set(receiver: Receiver, timeout: &str) -> Stage {
        let home = Home::new();
        let policy = POLICY.replace("@URL@", &receiver.url()).replace("@TIMEOUT@", timeout);
        let daemon = Daemon::start(&home, &Policy::new(policy));
        Stage { home, receiver, daemon }
    }

    /// One that answers the first so many requests like this, and all others with 200.
    fn first(count: usize, answer: Answer) -> Stage {
        let receiver = Receiver::start();
        receiver.answer(move |_, before| if before < count { answer.clone() } else { Answer::ok() });
        Stage::set(receiver, "30s")
    }

    fn mail(&self) {
        self.daemon.connect().send(&Mail::to("rcpt@example.com"));
    }

    fn records(&self, count: usize) -> Vec<Value> {
        wait_until(&format!("{count} records about the event are in the log files"), || {
            let records = self.home.hook_records();
            (records.len() >= count).then_some(records)
        })
    }
}

/// Every try of an event carries the same id and the same body.
fn assert_one_id(requests: &[Request]) {
    for request in requests {
        assert_eq!(request.webhook_id(), requests[0].webhook_id());
        assert_eq!(request.text(), requests[0].text());
    }
}

/// Tried again until it goes through; returns the gap between the two tries.
fn is_tried_again(answer: Answer, code: u64, text: &str) -> Duration {
    let stage = Stage::first(1, answer);
    stage.mail();
    let requests = stage.receiver.wait_for(2);
    assert_one_id(&requests);
    let records = stage.records(2);
    assert_eq!(records[0]["type"], "TransientFailure", "{}", records[0]);
    assert_eq!(records[0]["response"]["code"], code, "{}", records[0]);
    assert_eq!(records[0]["response"]["content"], text, "{}", records[0]);
    assert_eq!(records[0]["id"], requests[0].webhook_id());
    assert_eq!(records[1]["type"], "Delivery", "{}", records[1]);
    stage.daemon.settled("webhook", 0);
    stage.daemon.stop();
    assert_eq!(stage.receiver.requests().len(), 2);
    requests[1].at - requests[0].at
}

fn is_given_up(answer: Answer, text: &str) {
    let stage = Stage::first(1, answer);
    stage.mail();
    let records = stage.records(1);
    assert_eq!(records[0]["type"], "Bounce", "{}", records[0]);
    assert_eq!(records[0]["response"]["code"], 550, "{}", records[0]);
    assert_eq!(records[0]["response"]["content"], text, "{}", records[0]);
    let hook = stage.daemon.wait_for_hook("webhook", "keeps it as a dead letter", |hook| hook["dead_letters"] == 1);
    assert!(hook["last_response"].as_str().is_some_and(|last| last.contains(text)), "{hook}");
    // Others are not held up.
    stage.mail();
    stage.receiver.wait_for(2);
    stage.daemon.settled("webhook", 1);
    stage.daemon.stop();
    assert_eq!(stage.receiver.requests().len(), 2, "what was given up was not tried again");
}

#[test]
fn events_wait_for_an_endpoint_that_is_down() {
    const MAILS: usize = 5;
    let mut stage = Stage::set(Receiver::start_down(), "30s");
    for _ in 0..MAILS {
        stage.mail();
    }
    let records = stage.records(MAILS);
    assert_eq!(records[0]["type"], "TransientFailure", "{}", records[0]);
    assert_eq!(records[0]["response"]["code"], 400, "{}", records[0]);
    let hook = stage.daemon.wait_for_hook("webhook", "is behind", |hook| hook["lag_events"] == MAILS);
    assert_eq!(hook["dead_letters"], 0, "{hook}");
    if is_long() {
        pause(Duration::from_secs(60));
    }
    stage.receiver.up();
    stage.receiver.wait_for(MAILS);
    stage.daemon.settled("webhook", 0);
    stage.daemon.stop();
    let mut ids: Vec<_> = stage.receiver.requests().iter().map(|request| request.webhook_id().to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), stage.receiver.requests().len()), (MAILS, MAILS), "each came once");
}

#[test]
fn a_busy_endpoint_is_asked_again_no_earlier_than_it_said() {
    let answer = Answer::status(503).header("Retry-After", "3").body("busy");
    let gap = is_tried_again(answer, 451, "503 Service Unavailable: busy");
    assert!(gap >= Duration::from_secs(3), "asked again after {gap:?}");
}

#[test]
fn a_429_is_tried_again() {
    is_tried_again(Answer::status(429).body("slow down"), 429, "429 Too Many Requests: slow down");
}

#[test]
fn a_500_is_tried_again() {
    is_tried_again(Answer::status(500).body("oops"), 451, "500 Internal Server Error: oops");
}

#[test]
fn the_webhook_id_is_the_same_on_every_one_of_many_tries() {
    let stage = Stage::first(4, Answer::status(503));
    stage.mail();
    assert_one_id(&stage.receiver.wait_for(5));
    let attempts: Vec<_> = stage.records(5).iter().map(|record| record["num_attempts"].clone()).collect();
    assert_eq!(attempts, [0, 1, 2, 3, 4]);
    stage.daemon.settled("webhook", 0);
    stage.daemon.stop();
}

#[test]
fn a_404_is_given_up_and_kept_as_a_dead_letter() {
    is_given_up(Answer::status(404).body("nothing here"), "404 Not Found: nothing here");
}

#[test]
fn a_410_is_given_up_and_kept_as_a_dead_letter() {
    is_given_up(Answer::status(410).body("gone"), "410 Gone: gone");
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Receiver::start();
    is_given_up(
        Answer::status(307).header("Location", &elsewhere.url()).body("there"),
        "307 Temporary Redirect: there",
    );
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn an_endpoint_that_hangs_is_given_up_on_after_the_timeout_and_asked_again() {
    let receiver = Receiver::start();
    receiver.answer(|_, before| if before == 0 { Answer::hang() } else { Answer::ok() });
    let stage = Stage::set(receiver, "1s");
    stage.mail();
    stage.receiver.wait_for(2);
    stage.daemon.settled("webhook", 0);
    let (daemon, home, receiver) = (stage.daemon, stage.home, stage.receiver);
    daemon.stop();
    assert_one_id(&receiver.requests());
    let records = home.hook_records();
    let [failures @ .., delivery] = &records[..] else { panic!("no records") };
    assert_eq!(delivery["type"], "Delivery", "{delivery}");
    // More than one where our own answers take longer than the second.
    assert!(!failures.is_empty());
    for failure in failures {
        assert_eq!(
            (&failure["type"], &failure["response"]["code"]),
            (&"TransientFailure".into(), &400.into()),
            "{failure}"
        );
    }
}

#[test]
fn a_long_backlog_of_an_endpoint_that_is_down_stays_on_disk() {
    const MAILS: usize = 4_000;
    let mut stage = Stage::set(Receiver::start_down(), "30s");
    stage.mail();
    stage.records(1);
    let before = stage.daemon.peak_memory();
    // Bodies that would be noticed if they, or the records, were kept in memory for each event.
    let mut smtp = stage.daemon.connect();
    for _ in 0..MAILS / 100 {
        let mail = Mail::to_all((0..100).map(|number| format!("rcpt{number}@example.com")));
        smtp.send(
            &mail
                .header(&format!("X-Long: {}", "long ".repeat(100)))
                .body(format!("{}\r\n", "x".repeat(900)).repeat(80)),
        );
    }
    stage.daemon.wait_for_hook("webhook", "is far behind", |hook| hook["lag_events"].as_u64() > Some(MAILS as u64));
    let grown = stage.daemon.peak_memory() - before;
    // What every one of them would take: body alone some 72 kB, 290 MB together. How much of the mail is in memory on a
    // busy machine, up to its bound of 64 MiB, and of the store, is not what this is about.
    println!("{MAILS} events behind cost {} MiB", grown >> 20);
    assert!(grown < 180 << 20, "{MAILS} events behind cost {} MiB", grown >> 20);
    stage.receiver.up();
    stage.receiver.wait_for(MAILS + 1);
    stage.daemon.settled("webhook", 0);
    stage.daemon.stop();
}
