//! An operator's orders about the queues of hooks: `waybill ctl` against a live daemon with two of them.

use crate::harness::daemon::program;
use crate::harness::{Answer, Daemon, Home, Mail, Policy, Receiver, http, wait_until};
use serde_json::{Value, json};
use std::collections::HashSet;

const POLICY: &str = r"
local log_hooks = require 'policy-extras.log_hooks'
log_hooks:new_json { name = 'webhook', url = '@URL@', queue_config = { retry_interval = '1h' } }
log_hooks:new_json { name = 'other', url = '@OTHER@' }
";
const QUEUE: &str = "webhook.log_hook";
const READY_QUEUE: &str = "unspecified->webhook.log_hook@lua:make.webhook.log_hook";

struct Stage {
    // First, as it must end before its folder goes.
    daemon: Daemon,
    home: Home,
    webhook: Receiver,
    other: Receiver,
}

impl Stage {
    fn set() -> Stage {
        let (home, webhook, other) = (Home::new(), Receiver::start(), Receiver::start());
        let policy = POLICY.replace("@URL@", &webhook.url()).replace("@OTHER@", &other.url());
        let daemon = Daemon::start(&home, &Policy::new(policy));
        Stage { daemon, home, webhook, other }
    }

    /// So many mails: two events each. They and the other hook wait for nobody.
    fn mail(&self, count: usize) {
        let (mails, events) = (self.home.maildir("example.com").len(), self.other.requests().len());
        let mut client = self.daemon.connect();
        for _ in 0..count {
            client.send(&Mail::to("rcpt@example.com"));
        }
        self.other.wait_for(events + 2 * count);
        assert_eq!(self.home.maildir("example.com").len(), mails + count);
    }

    fn order(&self, args: &[&str]) -> String {
        let answer = self.daemon.ctl(&[args, &["--reason", "so ordered", "--duration", "1h"]].concat());
        json_of(&answer)["id"].as_str().expect("an id").to_owned()
    }

    /// Waits until what a command shows is as it should be. What comes to a hook is not yet in its queue.
    fn shows(&self, what: &str, args: &[&str], is: impl Fn(&Value) -> bool) -> Value {
        wait_until(&format!("{args:?} shows {what}"), || {
            let output = self.daemon.try_ctl(program().arg("ctl"), args);
            let shown = output.status.success().then(|| json_of(&String::from_utf8_lossy(&output.stdout)))?;
            is(&shown).then_some(shown)
        })
    }
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_suspended_queue_of_a_hook_waits_until_the_order_is_cancelled_and_nobody_else_does() {
    let stage = Stage::set();
    let id = stage.order(&["suspend", "--domain", QUEUE]);
    stage.mail(3);
    stage.daemon.wait_for_hook("webhook", "has six events before it", |hook| hook["lag_events"] == 6);
    let waits = |shown: &Value| shown["num_scheduled"].as_u64() >= Some(1);
    let shown = stage.shows("what waits", &["inspect-sched-q", QUEUE], waits);
    assert_eq!((&shown["queue_name"], &shown["queue_config"]["retry_interval"]), (&json!(QUEUE), &json!("1h")));
    assert!(stage.webhook.requests().is_empty());
    stage.daemon.ctl(&["suspend-cancel", "--id", &id]);
    stage.webhook.wait_for(6);
    stage.daemon.settled("webhook", 0);
    stage.daemon.stop();
}

#[test]
fn messages_and_sessions_of_a_hook_are_shown_like_those_of_mail_and_a_session_is_cut_off() {
    let mut stage = Stage::set();
    // Nothing is answered: events are with sessions for as long as nobody cuts them off.
    stage.webhook.answer(|_, _| Answer::hang());
    stage.mail(3);
    stage.webhook.wait_for(1);
    // Others may be about to begin.
    let busy = |shown: &Value| {
        let mut sessions = shown["dispatchers"].as_array().into_iter().flatten();
        sessions.find(|session| session["phase"] == "deliver_message").cloned()
    };
    let shown = stage.shows("a session at work", &["inspect-ready-q", READY_QUEUE], |shown| busy(shown).is_some());
    let dispatcher = busy(&shown).expect("a session");
    assert_eq!(dispatcher["messages_delivered"], 0);
    let session = dispatcher["session_id"].as_str().expect("an id");
    // What was tried comes to be on disk, the rest stays unread.
    stage.webhook.answer(|_, _| Answer::status(503));
    assert_eq!(stage.daemon.ctl(&["abort-ready-q-conn", READY_QUEUE, session]), format!("aborted {session}\n"));
    stage.webhook.down();
    stage.webhook.up();
    stage.daemon.wait_for_hook("webhook", "has none with a session", |hook| {
        hook["parked"].as_u64() >= Some(1) && hook["lag_events"] == 6 && hook["in_flight"] == 0
    });
    let requests = stage.webhook.requests();
    // What has just failed is in no place to be looked at until it is stored.
    wait_until("all that were tried are listed", || {
        let listed = json_of(&stage.daemon.ctl(&["inspect-sched-q", QUEUE, "--no-limit"]));
        let listed: HashSet<&str> =
            listed["messages"].as_array()?.iter().filter_map(|message| message["id"].as_str()).collect();
        requests.iter().all(|request| listed.contains(request.webhook_id())).then_some(())
    });
    for request in &requests {
        let shown = json_of(&stage.daemon.ctl(&["inspect-message", request.webhook_id(), "--want-body"]));
        let message = &shown["message"];
        assert_eq!((&shown["id"], &message["data"]), (&json!(request.webhook_id()), &json!(request.text())));
        assert_eq!(message["recipient"], "rcpt@example.com");
        assert_eq!(message["meta"]["log_record"]["id"], request.json()["id"], "{shown:#}");
    }
    stage.daemon.stop();
}

#[test]
fn a_suspended_ready_queue_of_a_hook_opens_again_when_the_order_is_cancelled() {
    let stage = Stage::set();
    stage.mail(1);
    stage.webhook.wait_for(2);
    let id = stage.order(&["suspend-ready-q", "--name", READY_QUEUE]);
    stage.mail(2);
    let is_held = |shown: &Value| shown["state"]["suspended"] == "so ordered";
    let shown = stage.shows("the order", &["inspect-ready-q", READY_QUEUE, "--sched-q"], is_held);
    assert_eq!(shown["scheduled_queue_names"], json!([QUEUE]));
    assert_eq!(stage.webhook.requests().len(), 2);
    stage.daemon.ctl(&["suspend-ready-q-cancel", "--id", &id]);
    stage.webhook.wait_for(6);
    stage.daemon.settled("webhook", 0);
    stage.daemon.stop();
}

#[test]
fn the_backlog_of_a_dead_endpoint_is_bounced_and_can_be_redriven() {
    let stage = Stage::set();
    stage.webhook.answer(|_, _| Answer::status(503));
    stage.mail(5);
    stage.daemon.wait_for_hook("webhook", "has ten events before it", |hook| hook["lag_events"] == 10);
    let metric = format!("scheduled_count{{queue=\"{QUEUE}\"}} ");
    wait_until("the queue is counted", || {
        let (_, metrics) = http::ask(stage.daemon.http(), "GET", "/metrics", "").expect("the metrics");
        metrics.lines().any(|line| line.starts_with(&metric) && !line.ends_with(" 0")).then_some(())
    });
    let id = stage.order(&["bounce", "--domain", QUEUE]);
    stage.daemon.settled("webhook", 10);
    let counts = |count: u64| {
        let is = |listed: &Value| listed[0]["total_bounced"] == count && listed[0]["bounced"] == json!({QUEUE: count});
        stage.shows(&format!("{count} that were bounced"), &["bounce-list", "--json"], is);
    };
    counts(10);
    let tried = stage.webhook.requests().len();
    // What comes while the order is in force follows.
    stage.mail(1);
    stage.daemon.settled("webhook", 12);
    counts(12);
    assert_eq!(stage.webhook.requests().len(), tried);

    stage.daemon.ctl(&["bounce-cancel", "--id", &id]);
    stage.webhook.answer(|_, _| Answer::ok());
    let letters = stage.daemon.client(&["hooks", "dead-letters", "webhook"]).expect("the letters");
    assert_eq!(letters.matches("so ordered").count(), 12, "{letters}");
    let redriven = stage.daemon.client(&["hooks", "redrive", "webhook"]).expect("a redrive");
    assert!(redriven.contains("0 dead letters of webhook are left"), "{redriven}");
    stage.daemon.settled("webhook", 0);
    let Stage { daemon, home, webhook, .. } = stage;
    assert_eq!(webhook.requests().len(), tried + 12);
    daemon.stop();
    let bounces: Vec<Value> = home.records().into_iter().filter(|record| record["type"] == "AdminBounce").collect();
    assert_eq!(bounces.len(), 12);
    for bounce in bounces {
        assert_eq!((&bounce["queue"], &bounce["reception_protocol"]), (&json!(QUEUE), &json!("LogRecord")));
        assert_eq!(bounce["response"]["content"], "Administrator bounced with reason: so ordered", "{bounce:#}");
    }
}
