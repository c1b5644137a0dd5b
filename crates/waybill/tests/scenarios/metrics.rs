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
        wait_until(series, || (value(&daemon, series) > 0.0).then_some(()));
    }
    daemon.stop();
}

#[test]
fn egress_webhooks_are_counted_by_what_came_back_beside_what_waits_for_them() {
    let (home, takes, is_gone) = (Home::new(), Receiver::start(), Receiver::start());
    is_gone.answer(|_, _| Answer::status(410));
    let open = "  kumo.configure_webhooks { allow_targets = { '127.0.0.0/8' } }";
    let daemon = Daemon::start(&home, &Policy::new("").init(open));
    let made = |words: &[&str], field: &str| {
        let text = daemon.client(words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
        let made: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        made[field].as_str().expect("an id").to_owned()
    };
    let log = made(&["logs", "create"], "log_id");
    let webhook = |receiver: &Receiver| {
        let words = ["egress-webhooks", "create", "--log-id", &log, "--destination", &receiver.url()];
        made(&words, "webhook_id")
    };
    let (one, other) = (webhook(&takes), webhook(&is_gone));
    daemon.client(&["publish", &log, "--value", "x"]).expect("publish");
    let series = |name: &str, id: &str| format!("waybill_egress_webhook_{name}webhook=\"{id}\"}}");
    wait_for_values(
        &daemon,
        &[
            (&series("responses_total{class=\"2xx\",", &one), 1.0),
            (&series("attempts_total{", &one), 1.0),
            (&series("lag_messages{", &one), 0.0),
            (&series("responses_total{class=\"4xx\",", &other), 1.0),
            (&series("lag_messages{", &other), 1.0),
            (&series("parked{", &other), 0.0),
        ],
    );
    // What is deleted has no series any more.
    daemon.client(&["egress-webhooks", "delete", &other]).expect("delete it");
    let (_, text) = http::ask(daemon.http(), "GET", "/metrics", "").expect("an answer");
    assert!(text.contains(&one) && !text.contains(&other), "{text}");
    daemon.stop();
}

/// Waits until these series have these values.
fn wait_for_values(daemon: &Daemon, wanted: &[(&str, f64)]) {
    for (series, wanted) in wanted {
        wait_until(&format!("{series} is {wanted}"), || {
            ((value(daemon, series) - wanted).abs() < f64::EPSILON).then_some(())
        });
    }
}

#[test]
fn waiting_mail_is_counted_by_why_and_whose_it_is_and_the_series_of_a_queue_vanish_with_it() {
    const QUEUE: &str = "c1:t1@later.example.com";
    let home = Home::new();
    let policy = Policy::new(
        "kumo.on('smtp_server_message_received', function(msg)
           if msg:recipient().domain == 'later.example.com' then
             msg:set_meta('tenant', 't1')
             msg:set_meta('campaign', 'c1')
           end
         end)
         kumo.on('throttle_insert_ready_queue', function(msg)
           if msg:recipient().domain == 'later.example.com' then
             msg:set_due(os.date('!%Y-%m-%dT%H:%M:%SZ', os.time() + 3600))
           end
         end)",
    )
    .before(
        "kumo.on('get_queue_config', function(domain)
           if domain == 'later.example.com' then
             return kumo.make_queue_config {
               protocol = { maildir_path = dir .. '/maildir/later' }, provider_name = 'big', reap_interval = '1s',
             }
           end
         end)",
    );
    let daemon = Daemon::start(&home, &policy);
    let mut client = daemon.connect();
    for user in ["a", "b", "c"] {
        client.send(&Mail::to(&format!("{user}@later.example.com")));
    }
    client.send(&Mail::to("now@example.com"));
    let delayed = format!("delayed_due_to_throttle_insert_ready{{queue=\"{QUEUE}\"}}");
    let scheduled = format!("scheduled_count{{queue=\"{QUEUE}\"}}");
    wait_for_values(
        &daemon,
        &[
            (&delayed, 3.0),
            (&scheduled, 3.0),
            ("scheduled_count_total", 3.0),
            ("scheduled_queue_count", 2.0),
            ("scheduled_by_domain{domain=\"later.example.com\"}", 3.0),
            ("scheduled_by_tenant{tenant=\"t1\"}", 3.0),
            ("scheduled_by_tenant_campaign{campaign=\"c1\",tenant=\"t1\"}", 3.0),
            ("queued_count_by_provider_and_pool{pool=\"unspecified\",provider=\"big\"}", 3.0),
            ("message_meta_resident_count", 3.0),
            ("message_data_resident_count", 3.0),
            ("queue_resolve_latency_count", 4.0),
            ("queue_insert_latency_count", 4.0),
            ("message_save_latency_count", 4.0),
            ("message_save_latency_bucket{le=\"+Inf\"}", 4.0),
            ("deliver_message_latency_rollup_count{service=\"maildir\"}", 1.0),
        ],
    );
    let order = daemon.ctl(&["bounce", "--domain", "later.example.com", "--reason", "gone"]);
    let order: serde_json::Value = serde_json::from_str(&order).expect("JSON");
    let bounced = || home.records().iter().filter(|record| record["type"] == "AdminBounce").count();
    wait_until("all three are bounced", || (bounced() >= 3).then_some(()));
    // It would keep the queue in memory.
    daemon.ctl(&["bounce-cancel", "--id", order["id"].as_str().expect("an id")]);
    wait_until("no series tells of the queue", || {
        let (_, text) = http::ask(daemon.http(), "GET", "/metrics", "").expect("an answer");
        let labels = ["queue=\"c1:t1@later.example.com\"", "domain=\"later.example.com\"", "tenant=\"t1\"", "=\"big\""];
        (!labels.iter().any(|label| text.contains(label))).then_some(())
    });
    daemon.stop();
    assert_eq!(bounced(), 3);
}

#[test]
fn sessions_that_the_watchdog_ends_are_counted() {
    let (home, receiver) = (Home::new(), Receiver::start());
    receiver.answer(|_, _| Answer::hang());
    let policy = Policy::new(format!(
        "kumo.on('get_egress_path_config', function()
           return kumo.make_egress_path {{ dispatcher_progress_watchdog_timeout = '1s' }}
         end)
         require('policy-extras.log_hooks'):new_json {{
           name = 'webhook', url = '{}', timeout = '30m',
           log_parameters = {{ per_record = {{ Reception = {{ enable = true }}, Any = {{ enable = false }} }} }},
         }}",
        receiver.url()
    ));
    let daemon = Daemon::start(&home, &policy);
    daemon.connect().send(&Mail::to("rcpt@example.com"));
    receiver.wait_for(1);
    let series = format!("dispatcher_watchdog_aborted_total{{service=\"lua:{HOOK}\"}}");
    wait_until(&series, || (value(&daemon, &series) >= 1.0).then_some(()));
    for series in ["count", "sum"].map(|part| format!("deliver_message_latency_rollup_{part}{{service=\"lua\"}}")) {
        wait_until(&series, || (value(&daemon, &series) >= 1.0).then_some(()));
    }
    daemon.stop();
}

#[test]
fn connections_are_counted_by_provider_and_what_a_policy_measures_is_shown() {
    let (home, receiver) = (Home::new(), Receiver::start());
    receiver.answer(|_, _| Answer::hang());
    let policy = Policy::new(format!(
        "kumo.on('get_egress_path_config', function(domain)
           return kumo.make_egress_path {{ provider_name = domain == 'slow.test' and 'big' or nil }}
         end)
         kumo.on('make.slow', function()
           local connection = {{}}
           function connection:send() return kumo.http.build_client {{}}:get('{}'):send():text() end
           return connection
         end)
         kumo.on('smtp_server_message_received', function(msg)
           local timer <close> = kumo.time.start_timer 'reception'
           assert(kumo.prometheus_metrics():find('\\nlua_load_count ', 1, true))
           local ok, why = pcall(kumo.set_diagnostic_log_filter, 'a=b=c')
           assert(not ok and tostring(why):find('kumo.set_diagnostic_log_filter: ', 1, true), why)
           kumo.set_diagnostic_log_filter 'lua=debug'
           kumo.log_debug 'seen since the filter is another'
         end)",
        receiver.url()
    ))
    .before(
        "kumo.on('get_queue_config', function(domain)
           if domain == 'slow.test' then
             return kumo.make_queue_config { protocol = { custom_lua = { constructor = 'make.slow' } } }
           end
         end)",
    );
    let daemon = Daemon::start(&home, &policy);
    daemon.connect().send(&Mail::to("a@slow.test"));
    wait_for_values(
        &daemon,
        &[
            ("connection_count_by_provider{provider=\"big\"}", 1.0),
            ("connection_count_by_provider_and_source{provider=\"big\",source=\"unspecified\"}", 1.0),
            ("user_lua_latency_count{label=\"reception\"}", 1.0),
        ],
    );
    wait_until("the new filter shows what the old one hid", || {
        daemon.stderr().contains("seen since the filter is another").then_some(())
    });
    daemon.kill9();
}

#[test]
fn a_daemon_beyond_its_soft_limit_of_memory_takes_no_mail_and_says_so() {
    let home = Home::new();
    // Less than any process has.
    let daemon = Daemon::start(&home, &Policy::new("").init("  kumo.set_memory_soft_limit(4096)"));
    let (status, text) = http::ask(daemon.http(), "GET", "/api/check-liveness/v1", "").expect("an answer");
    assert_eq!((status, text.as_str()), (503, "load shedding"));
    let injection =
        r#"{"envelope_sender": "a@example.com", "recipients": [{"email": "b@example.com"}], "content": "x"}"#;
    assert_eq!(http::ask(daemon.http(), "POST", "/api/inject/v1", injection).expect("an answer").0, 503);
    wait_for_values(&daemon, &[("memory_limit", 4096.0), ("memory_low_thresh", 3276.0)]);
    daemon.stop();

    let mut command = crate::harness::daemon::serve(&home);
    home.write_policy(&Policy::new("").text(&home));
    let daemon = Daemon::start_as(command.env("KUMOD_MEMORY_SOFT_LIMIT", "1000000000000"));
    wait_for_values(&daemon, &[("memory_limit", 1e12), ("memory_low_thresh", 8e11)]);
    daemon.connect().send(&Mail::to("b@example.com"));
    daemon.stop();
}

#[test]
fn three_quarters_of_the_hard_limit_of_memory_are_the_soft_one() {
    let home = Home::new();
    home.write_policy(&Policy::new("").text(&home));
    let hard = |bytes: &str| {
        let mut command = crate::harness::daemon::serve(&home);
        Daemon::start_as(command.env("KUMOD_MEMORY_HARD_LIMIT", bytes))
    };
    let daemon = hard("4096");
    wait_for_values(&daemon, &[("memory_limit", 3072.0), ("memory_low_thresh", 2456.0)]);
    let (status, text) = http::ask(daemon.http(), "GET", "/api/check-liveness/v1", "").expect("an answer");
    assert_eq!((status, text.as_str()), (503, "load shedding"));
    daemon.stop();
    let daemon = hard("2000000000000");
    wait_for_values(&daemon, &[("memory_limit", 1.5e12)]);
    daemon.connect().send(&Mail::to("b@example.com"));
    daemon.stop();
    let mut command = crate::harness::daemon::serve(&home);
    Daemon::refuses(command.env("KUMOD_MEMORY_HARD_LIMIT", "much")).says(&["KUMOD_MEMORY_HARD_LIMIT has to be"]);
}
