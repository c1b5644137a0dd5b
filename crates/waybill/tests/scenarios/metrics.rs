//! What an operator's monitoring sees.

use crate::harness::{Answer, Daemon, Home, Mail, Policy, Receiver, http, wait_until};

const HOOK: &str = "unspecified->webhook.log_hook@lua:make.webhook.log_hook";

/// The value of a metric, labels and all; zero where it is not shown.
fn value(daemon: &Daemon, series: &str) -> f64 {
    let (status, text) = http::ask(daemon.http(), "GET", "/metrics", "").expect("an answer");
    assert_eq!(status, 200, "{text}");
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().expect("a number"))
}

#[test]
fn mail_hooks_policy_and_disks_are_counted() {
    let (home, receiver) = (Home::new(), Receiver::start());
    receiver.answer(|_, before| if before == 0 { Answer::status(503) } else { Answer::ok() });
    let hook = format!(
        "require('policy-extras.log_hooks'):new_json {{ name = 'webhook', url = '{}', queue_config = {{ retry_interval = '1s' }} }}",
        receiver.url()
    );
    let daemon = Daemon::start(&home, &Policy::new(hook));
    daemon.connect().send(&Mail::to("rcpt@example.com"));
    daemon.settled("webhook", 0);
    for (series, wanted) in [
        (format!("total_messages_delivered{{service=\"lua:{HOOK}\"}}"), 2.0),
        (format!("total_messages_transfail{{service=\"lua:{HOOK}\"}}"), 1.0),
        ("total_messages_delivered{service=\"lua\"}".to_owned(), 2.0),
        ("total_messages_delivered{service=\"maildir\"}".to_owned(), 1.0),
        ("total_messages_received{service=\"esmtp_listener\"}".to_owned(), 1.0),
        ("waybill_hook_responses_total{class=\"2xx\",hook=\"webhook\"}".to_owned(), 2.0),
        ("waybill_hook_responses_total{class=\"5xx\",hook=\"webhook\"}".to_owned(), 1.0),
        ("waybill_hook_attempts_total{hook=\"webhook\"}".to_owned(), 3.0),
        ("waybill_hook_latency_seconds_count{hook=\"webhook\"}".to_owned(), 2.0),
        ("waybill_hook_latency_seconds_bucket{hook=\"webhook\",le=\"+Inf\"}".to_owned(), 2.0),
    ] {
        wait_until(&format!("{series} is {wanted}"), || {
            ((value(&daemon, &series) - wanted).abs() < f64::EPSILON).then_some(())
        });
    }
    // The first one waited for its second try.
    assert!(value(&daemon, "waybill_hook_latency_seconds_sum{hook=\"webhook\"}") >= 1.0);
    let status = daemon.client(&["hooks", "status", "webhook"]).expect("the hook's status");
    assert!(status.contains("of 2 events half within "), "{status}");
    for series in [
        "lua_load_count",
        "lua_event_started{event=\"make.webhook.log_hook\"}",
        "lua_event_latency_count{event=\"should_enqueue_log_record\"}",
        "disk_free_bytes{name=\"meta spool\"}",
        "disk_free_inodes_percent{name=\"data spool\"}",
        &format!("disk_free_percent{{name=\"log dir {}\"}}", home.file("logs").display()),
    ] {
        assert!(value(&daemon, series) > 0.0, "{series}");
    }
    daemon.stop();
}
