//! Filters from log to log, and webhooks of others received into one: over real sockets, through kill -9.

use crate::harness::client::{json_of, made};
use crate::harness::policy::OPEN;
use crate::harness::{Daemon, Home, Mail, Peer, Policy, Receiver, http, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeSet;

use waybill_webhook_sign::{EventId, StandardKey};

/// What is in a log.
fn values(daemon: &Daemon, log: &str) -> Vec<String> {
    let found = json_of(daemon, &["consume", log, "--size", "1000"]);
    let messages = found["messages"].as_array().expect("messages");
    messages.iter().map(|message| message["value"].as_str().expect("a value").to_owned()).collect()
}

#[test]
fn bounces_of_one_tenant_are_filtered_into_a_log_with_a_webhook_of_its_own() {
    let home = Home::new();
    let peer = Peer::start(|line, _| line.contains("gone@").then(|| "550 5.1.1 no such user".into()));
    let policy = Policy::new(
        "kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {} } end)
         kumo.on('smtp_server_message_received', function(msg)
           msg:set_meta('tenant', msg:from_header().user)
         end)",
    )
    .before(&format!(
        "kumo.on('get_queue_config', function(domain)
           if domain == 'there.example' then
             return kumo.make_queue_config {{
               protocol = {{ smtp = {{ mx_list = {{ {{ name = 'mx.there.example', addr = '{}' }} }} }} }} }}
           end
         end)",
        peer.address()
    ))
    .init(&format!("  kumo.define_journal {{ meta = {{ 'tenant' }} }}\n{OPEN}"));
    let daemon = Daemon::start(&home, &policy);
    let events = json_of(&daemon, &["logs", "list"])["logs"][0]["log_id"].as_str().expect("an id").to_owned();
    let bounces = made(&daemon, &["logs", "create", "--metadata", "bounces of tenant 7"], "log_id");
    let expression = r#"toJson(value).type == "Bounce" && toJson(value).meta.tenant == "t7""#;
    let words = ["filters", "create", "--source-id", &events, "--target-id", &bounces, "--expression", expression];
    let filter = made(&daemon, &words, "filter_id");
    let receiver = Receiver::start();
    let url = receiver.url();
    json_of(&daemon, &["egress-webhooks", "create", "--log-id", &bounces, "--destination", &url, "--payload", "value"]);

    let send = |daemon: &Daemon, tenant: &str, user: &str| {
        let mail = Mail::to(&format!("{user}@there.example")).header(&format!("From: {tenant}@example.com"));
        daemon.connect().send(&mail).remove(0)
    };
    let mut wanted = BTreeSet::from([send(&daemon, "t7", "gone")]);
    send(&daemon, "t8", "gone");
    send(&daemon, "t7", "ann");
    wanted.insert(send(&daemon, "t7", "gone"));
    receiver.wait_for(2);
    daemon.kill9();

    let daemon = Daemon::start_again(&home);
    send(&daemon, "t9", "gone");
    wanted.insert(send(&daemon, "t7", "gone"));
    let id_of =
        |text: &str| serde_json::from_str::<Value>(text).expect("a record")["id"].as_str().expect("an id").to_owned();
    receiver.wait("every bounce came", |requests| {
        (requests.iter().map(|request| id_of(&request.text())).collect::<BTreeSet<_>>() == wanted).then_some(())
    });
    let found = values(&daemon, &bounces);
    assert_eq!(found.len(), 3, "each once, whatever was killed");
    for record in &found {
        let record: Value = serde_json::from_str(record).expect("a record");
        assert_eq!((&record["type"], &record["meta"]["tenant"]), (&"Bounce".into(), &"t7".into()));
    }
    // It notes what it copied once that is there.
    let status = wait_until("the filter has copied three", || {
        let status = json_of(&daemon, &["filters", "status", &filter]);
        (status["copied"] == 3).then_some(status)
    });
    assert_eq!(status["failed"], 0, "{status}");
    // Nothing comes back into the log of mail events, and nothing goes round.
    let back = ["filters", "create", "--source-id", &bounces, "--target-id", &events, "--expression", "true"];
    let refused = daemon.client(&back).expect_err("it must fail");
    assert!(refused.contains("filter-log-id-field-invalid"), "{refused}");
    daemon.stop();
}

#[test]
fn a_view_tells_how_each_mail_of_a_daemon_ended() {
    let home = Home::new();
    let policy = Policy::new(
        "kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {} } end)",
    )
    .before(
        "kumo.on('get_queue_config', function(domain)
           if domain == 'down.example' then
             return kumo.make_queue_config {
               retry_interval = '1h', max_retry_interval = '1h',
               protocol = { smtp = { mx_list = { { name = 'mx.down.example', addr = '127.0.0.1:1' } } } } }
           end
         end)",
    )
    .init("  kumo.define_journal {}");
    let daemon = Daemon::start(&home, &policy);
    let events = json_of(&daemon, &["logs", "list"])["logs"][0]["log_id"].as_str().expect("an id").to_owned();
    let view = made(&daemon, &["logs", "create", "--compacting", "--compact-seconds", "1"], "log_id");
    let words = ["filters", "create", "--source-id", &events, "--target-id", &view, "--mode", "last_state"];
    let filter = made(&daemon, &words, "filter_id");
    let send = |daemon: &Daemon, to: &str| daemon.connect().send(&Mail::to(to)).remove(0);
    let state = |daemon: &Daemon, mail: &str| {
        let body = json!({"key": mail}).to_string();
        let path = format!("/message/{view}/key");
        let (status, text) =
            http::ask_with(daemon.http(), "POST", &path, &[("Content-Type", "application/json")], &body)
                .expect("an answer");
        let found: Value = (status == 200).then(|| serde_json::from_str(&text).expect("JSON"))?;
        let record: Value = serde_json::from_str(found["value"].as_str()?).expect("a record");
        Some(record["type"].as_str()?.to_owned())
    };
    let becomes = |daemon: &Daemon, mail: &str, wanted: &str| {
        wait_until(&format!("{mail} is {wanted}"), || (state(daemon, mail)? == wanted).then_some(()));
    };
    let (there, down) = (send(&daemon, "ann@example.com"), send(&daemon, "bob@down.example"));
    becomes(&daemon, &there, "Delivery");
    becomes(&daemon, &down, "TransientFailure");
    daemon.kill9();

    let daemon = Daemon::start_again(&home);
    daemon.ctl(&["bounce", "--domain", "down.example", "--reason", "enough"]);
    becomes(&daemon, &down, "AdminBounce");
    becomes(&daemon, &there, "Delivery");
    let status = json_of(&daemon, &["filters", "status", &filter]);
    assert_eq!((&status["failed"], &status["active"]), (&0.into(), &true.into()), "{status}");
    daemon.stop();
}

#[test]
fn each_message_is_in_the_target_once_however_often_the_daemon_is_killed() {
    const ROUNDS: usize = 4;
    const EACH: usize = 200;
    let home = Home::new();
    let mut daemon = Daemon::start(&home, &Policy::new(""));
    let from = made(&daemon, &["logs", "create"], "log_id");
    let to = made(&daemon, &["logs", "create"], "log_id");
    let words = ["filters", "create", "--source-id", &from, "--target-id", &to, "--expression", "!key.endsWith('7')"];
    let filter = made(&daemon, &words, "filter_id");
    let publish = |daemon: &Daemon, round: usize| {
        for number in round * EACH..(round + 1) * EACH {
            let body = json!({"key": number.to_string(), "value": number.to_string()}).to_string();
            let answer = http::ask(daemon.http(), "POST", &format!("/message/{from}"), &body).expect("an answer");
            assert_eq!(answer, (200, json!({"next_offset": number + 1}).to_string()));
        }
    };
    for round in 0..ROUNDS {
        publish(&daemon, round);
        // Wherever the filter is just now.
        daemon.kill9();
        daemon = Daemon::start_again(&home);
    }
    let status = wait_until("the filter has looked at everything", || {
        let status = json_of(&daemon, &["filters", "status", &filter]);
        (status["next_offset"] == ROUNDS * EACH).then_some(status)
    });
    let wanted: Vec<String> =
        (0..ROUNDS * EACH).filter(|number| number % 10 != 7).map(|number| number.to_string()).collect();
    assert_eq!(status["copied"], wanted.len(), "{status}");
    assert_eq!(values(&daemon, &to), wanted, "each once, in order");
    daemon.stop();
}

#[test]
fn a_publish_with_a_key_is_stored_once_also_over_kill_9() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(""));
    let log = made(&daemon, &["logs", "create"], "log_id");
    let publish = |daemon: &Daemon, key: &str, value: &str| {
        daemon.client(&["publish", &log, "--value", value, "--idempotency-key", key])
    };
    let first = publish(&daemon, "order-1", "one").expect("an answer");
    daemon.kill9();
    let daemon = Daemon::start_again(&home);
    assert_eq!(publish(&daemon, "order-1", "one").expect("an answer"), first);
    let refused = publish(&daemon, "order-1", "two").expect_err("it must fail");
    assert!(refused.contains("message-idempotency-key-reused"), "{refused}");
    publish(&daemon, "order-2", "two").expect("an answer");
    assert_eq!(values(&daemon, &log), ["one", "two"]);
    daemon.stop();
}

#[test]
fn a_signed_webhook_is_received_without_a_token_and_what_is_not_signed_is_not() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(""));
    let log = made(&daemon, &["logs", "create"], "log_id");
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let file = home.file("secret");
    std::fs::write(&file, format!("{secret}\n")).expect("a file");
    let file = file.to_str().expect("a path");
    let words = ["ingress-webhooks", "create", "--log-id", &log, "--type", "standard", "--secret-file", file];
    let webhook = json_of(&daemon, &words);
    assert!(!webhook.to_string().contains("secret"), "{webhook}");
    let path = format!("/ingress_webhook/{}", webhook["webhook_id"].as_str().expect("an id"));
    let body = r#"{"test": 2432232314}"#;
    let now = wall_clock();
    let id = EventId::new("msg_p5jXN8AQM9LWM0D4loKWxJek").expect("an id");
    let signature = StandardKey::parse(secret).expect("a key").sign(&id, now, body.as_bytes());
    let (time, id) = (now.to_string(), id.to_string());
    let ask = |daemon: &Daemon, body: &str, signature: &str| {
        // A peer that no token and no loopback name speaks for.
        let headers = [
            ("webhook-id", id.as_str()),
            ("webhook-timestamp", &time),
            ("webhook-signature", signature),
            ("X-Forwarded-For", "192.0.2.1"),
        ];
        http::ask_with(daemon.http(), "POST", &path, &headers, body).expect("an answer")
    };
    assert_eq!(ask(&daemon, body, &signature), (200, r#"{"next_offset":1}"#.to_owned()));
    daemon.kill9();
    let daemon = Daemon::start_again(&home);
    assert_eq!(ask(&daemon, body, &signature), (200, r#"{"next_offset":1}"#.to_owned()), "known after kill -9");
    let (status, answer) = ask(&daemon, r#"{"test": 2432232315}"#, &signature);
    assert!(status == 401 && answer.contains("authentication-failed"), "{answer}");
    let (status, _) = http::ask(daemon.http(), "POST", &path, body).expect("an answer");
    assert_eq!(status, 401);
    // Everything else there needs a token.
    let (status, _) =
        http::ask_with(daemon.http(), "GET", &path, &[("X-Forwarded-For", "192.0.2.1")], "").expect("an answer");
    assert_eq!(status, 401);
    let found = json_of(&daemon, &["consume", &log]);
    assert_eq!(found["messages"].as_array().expect("messages").len(), 1);
    assert_eq!((&found["messages"][0]["key"], &found["messages"][0]["value"]), (&id.into(), &body.into()));
    daemon.stop();
}

fn wall_clock() -> i64 {
    waybill_runtime::Clock::now(&waybill_runtime::SystemClock).secs()
}
