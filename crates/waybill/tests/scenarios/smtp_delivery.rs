//! Mail that leaves by SMTP.

use crate::harness::{Daemon, Home, Mail, Peer, Policy, Receiver, Sink, wait_until};
use serde_json::{Value, json};

/// Mail for `there.example` goes to this host; `more` is further lines of its queue, `path` of its path.
fn policy(host: &str, more: &str, path: &str) -> Policy {
    Policy::new(format!(
        "kumo.on('get_egress_path_config', function(domain, source, site)
           return kumo.make_egress_path {{ prohibited_hosts = {{}}, {path} }}
         end)"
    ))
    .before(&format!(
        "kumo.on('get_queue_config', function(domain)
           if domain:match 'there%.example$' then
             return kumo.make_queue_config {{
               protocol = {{ smtp = {{ mx_list = {{ {host} }} }} }}, retry_interval = '1s', {more}
             }}
           end
         end)"
    ))
}

/// The host of a policy.
fn at(peer: &Peer) -> String {
    format!("{{ name = 'mx.there.example', addr = '{}' }}", peer.address())
}

/// With events at an endpoint.
fn told_to(policy: Policy, receiver: &Receiver) -> Policy {
    policy.before(&format!(
        "require('policy-extras.log_hooks'):new_json {{ name = 'webhook', url = '{}' }}\n",
        receiver.url()
    ))
}

/// The records about the mails to a user, once there are so many.
fn records_of(home: &Home, user: &str, count: usize) -> Vec<Value> {
    wait_until(&format!("{count} records of {user}"), || {
        let of = |record: &Value| record["recipient"].to_string().contains(&format!("{user}@"));
        let records: Vec<Value> = home.records().into_iter().filter(of).collect();
        (records.len() >= count).then_some(records)
    })
}

#[test]
fn mail_is_delivered_and_its_record_says_how() {
    let (home, peer) = (Home::new(), Peer::start(|_, _| None));
    let daemon = Daemon::start(&home, &policy(&at(&peer), "", ""));
    daemon.connect().send(&Mail::to("ann@there.example").header("Subject: Hello"));
    peer.takes(1);
    let mail = &peer.messages()[0];
    assert!(mail.contains("Subject: Hello\r\n") && mail.ends_with("\r\n\r\nbody\r\n"), "{mail}");
    let hostname = peer.lines()[0].strip_prefix("EHLO ").expect("a greeting").to_owned();
    assert!(!hostname.is_empty());
    assert_eq!(peer.lines()[1..3], ["MAIL FROM:<sender@example.com>", "RCPT TO:<ann@there.example>"]);

    let records = records_of(&home, "ann", 2);
    let record = records.iter().find(|record| record["type"] == "Delivery").expect("a Delivery");
    let site = format!("unspecified->mx_list:mx.there.example/{}@smtp_client", peer.address());
    let source = peer.clients()[0].to_string();
    for (key, value) in [
        ("site", json!(site)),
        ("queue", json!("there.example")),
        (
            "response",
            json!({"code": 250, "enhanced_code": {"class": 2, "subject": 0, "detail": 0}, "content": "OK ids=17",
                "command": ".\r\n"}),
        ),
        ("peer_address", json!({"name": "mx.there.example", "addr": "127.0.0.1"})),
        ("egress_pool", json!("unspecified")),
        ("egress_source", json!("unspecified")),
        ("source_address", json!({"address": source})),
        ("delivery_protocol", json!("ESMTP")),
        ("num_attempts", json!(0)),
    ] {
        assert_eq!(record[key], value, "{key}");
    }
    assert!(record["session_id"].is_string() && record.get("tls_cipher").is_none(), "{record}");
    daemon.stop();
}

#[test]
fn mail_that_is_put_off_once_comes_later_and_its_events_are_told_in_order() {
    let peer = Peer::start(|line, before| match (line, before) {
        (line, 0) if line.starts_with("RCPT") => Some("451 4.7.1 greylisted".into()),
        _ => None,
    });
    let (home, receiver) = (Home::new(), Receiver::start());
    // One connection to the endpoint: events then arrive one after the other.
    let daemon = Daemon::start(&home, &told_to(policy(&at(&peer), "", "connection_limit = 1"), &receiver));
    daemon.connect().send(&Mail::to("ann@there.example"));
    peer.takes(1);
    receiver.wait_for_records(3);
    daemon.settled("webhook", 0);
    daemon.stop();
    let mut records = receiver.records();
    records.sort_by_key(|record| record["event_time"].as_str().expect("a time").to_owned());
    let kinds: Vec<&str> = records.iter().map(|record| record["type"].as_str().expect("a type")).collect();
    assert_eq!(kinds, ["Reception", "TransientFailure", "Delivery"]);
    let [_, failure, delivery] = &records[..] else { panic!("{records:?}") };
    assert_eq!(failure["response"]["code"], 451);
    assert_eq!(failure["response"]["content"], "greylisted");
    assert_eq!(failure["response"]["command"], "RCPT TO:<ann@there.example>\r\n");
    assert_eq!((&failure["num_attempts"], &delivery["num_attempts"]), (&json!(0), &json!(1)));
    assert_eq!(failure["id"], delivery["id"]);
    // The first event is never told after a later one of the same message.
    let order: Vec<String> = receiver.records().iter().map(|record| record["type"].to_string()).collect();
    assert_eq!(order.first().map(String::as_str), Some("\"Reception\""), "{order:?}");
}

#[test]
fn mail_that_is_refused_for_good_bounces() {
    let peer = Peer::start(|line, _| line.starts_with("RCPT").then(|| "550 5.1.1 no such user".into()));
    let (home, receiver) = (Home::new(), Receiver::start());
    let daemon = Daemon::start(&home, &told_to(policy(&at(&peer), "", ""), &receiver));
    daemon.connect().send(&Mail::to("nobody@there.example"));
    let records = receiver.wait_for_records(2);
    let bounce = records.iter().find(|record| record["type"] == "Bounce").expect("a Bounce");
    assert_eq!(bounce["response"]["code"], 550);
    assert_eq!(bounce["response"]["enhanced_code"], json!({"class": 5, "subject": 1, "detail": 1}));
    assert_eq!(bounce["peer_address"]["name"], "mx.there.example");
    daemon.settled("webhook", 0);
    daemon.stop();
    assert_eq!(receiver.records().len(), 2, "nothing is tried again");
}

#[test]
fn mail_goes_over_tls_where_the_next_hop_offers_it() {
    let (home, peer) = (Home::new(), Peer::with_tls());
    let daemon = Daemon::start(&home, &policy(&at(&peer), "", "enable_tls = 'OpportunisticInsecure'"));
    daemon.connect().send(&Mail::to("ann@there.example"));
    peer.takes(1);
    assert_eq!(peer.lines().iter().filter(|line| *line == "STARTTLS").count(), 1);
    let records = records_of(&home, "ann", 2);
    let record = records.iter().find(|record| record["type"] == "Delivery").expect("a Delivery");
    assert_eq!(record["tls_protocol_version"], "TLSv1.3");
    assert!(record["tls_cipher"].as_str().is_some_and(|cipher| cipher.starts_with("TLS_")), "{record}");
    assert!(record["tls_peer_subject_name"].is_array(), "{record}");
    daemon.stop();
}

#[test]
fn a_certificate_that_nobody_vouches_for_keeps_mail_back_unless_a_policy_says_otherwise() {
    let (home, peer) = (Home::new(), Peer::with_tls());
    let daemon = Daemon::start(&home, &policy(&at(&peer), "", ""));
    daemon.connect().send(&Mail::to("ann@there.example"));
    let records = records_of(&home, "ann", 2);
    let failure = records.iter().find(|record| record["type"] == "TransientFailure").expect("a failure");
    let text = failure["response"]["content"].as_str().expect("a text");
    assert!(text.starts_with("KumoMTA internal: failed to connect to any candidate hosts: mx.there.example"), "{text}");
    assert!(text.contains("the TLS handshake: "), "{text}");
    assert_eq!((&failure["peer_address"], &failure["response"]["code"]), (&Value::Null, &json!(400)));
    assert_eq!(failure["delivery_protocol"], "ESMTP");
    assert!(peer.messages().is_empty());
    daemon.stop();
}

#[test]
fn sources_of_a_pool_send_from_their_own_addresses() {
    let (home, peer) = (Home::new(), Peer::start(|_, _| None));
    let policy = policy(&at(&peer), "egress_pool = 'pool'", "max_deliveries_per_connection = 1").before(
        "kumo.on('get_egress_pool', function(name)
           return kumo.make_egress_pool { name = name, entries = { { name = 'a', weight = 1 }, { name = 'b', weight = 1 } } }
         end)
         kumo.on('get_egress_source', function(name)
           local addresses = { a = '127.0.0.11', b = '127.0.0.12' }
           return kumo.make_egress_source {
             name = name, source_address = addresses[name], ehlo_domain = name .. '.us.example',
           }
         end)
        ",
    );
    let daemon = Daemon::start(&home, &policy);
    let mut smtp = daemon.connect();
    for user in ["ann", "bob", "cat", "dan"] {
        smtp.send(&Mail::to(&format!("{user}@there.example")));
    }
    peer.takes(4);
    let mut from: Vec<String> = peer.clients().iter().map(|client| client.ip().to_string()).collect();
    from.sort();
    from.dedup();
    assert_eq!(from, ["127.0.0.11", "127.0.0.12"]);
    for name in ["EHLO a.us.example", "EHLO b.us.example"] {
        assert!(peer.lines().iter().any(|line| line == name), "{name}");
    }
    let record = records_of(&home, "ann", 2).into_iter().find(|record| record["type"] == "Delivery");
    let record = record.expect("a Delivery");
    assert_eq!(record["egress_pool"], "pool");
    let source = record["egress_source"].as_str().expect("a source").to_owned();
    assert!(record["site"].as_str().is_some_and(|site| site.starts_with(&format!("{source}->mx_list:"))), "{record}");
    daemon.stop();
}

#[test]
fn each_recipient_of_a_mail_has_its_own_record_where_they_fare_differently() {
    let peer = Peer::start(|line, before| match line {
        "RCPT TO:<bob@there.example>" if before < 3 => Some("450 4.2.1 full".into()),
        "RCPT TO:<cat@there.example>" => Some("550 5.1.1 gone".into()),
        _ => None,
    });
    let home = Home::new();
    let policy = policy(&at(&peer), "", "").listener("batch_handling = 'BatchByDomain',");
    let daemon = Daemon::start(&home, &policy);
    daemon.connect().send(&Mail::to_all(["ann", "bob", "cat"].map(|user| format!("{user}@there.example"))));
    peer.takes(2);
    let of = |kind: &str, user: &str| {
        wait_until(&format!("a {kind} of {user}"), || {
            let is = |record: &Value| record["type"] == kind && record["recipient"] == format!("{user}@there.example");
            home.records().into_iter().find(is)
        })
    };
    assert_eq!(of("Delivery", "ann")["num_attempts"], 0);
    assert_eq!(of("Bounce", "cat")["response"]["content"], "gone");
    assert_eq!(of("TransientFailure", "bob")["response"]["content"], "full");
    assert_eq!(of("Delivery", "bob")["num_attempts"], 1);
    daemon.stop();
    let again: Vec<String> = peer.lines().into_iter().filter(|line| line.starts_with("RCPT")).skip(3).collect();
    assert_eq!(again, ["RCPT TO:<bob@there.example>"], "nobody gets it twice");
    assert_eq!(peer.messages().len(), 2);
}

#[test]
fn a_queue_without_a_protocol_means_smtp() {
    let (home, peer) = (Home::new(), Peer::start(|_, _| None));
    let port = peer.address().port();
    let policy = policy(&at(&peer), "", &format!("smtp_port = {port}"));
    let daemon = Daemon::start(&home, &policy);
    daemon.connect().send(&Mail::to("ann@[127.0.0.1]"));
    peer.takes(1);
    let records = records_of(&home, "ann", 2);
    let record = records.iter().find(|record| record["type"] == "Delivery").expect("a Delivery");
    assert_eq!(record["site"], "unspecified->[127.0.0.1]@smtp_client");
    daemon.stop();
}

#[test]
fn this_machine_is_no_destination_by_default() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(""));
    daemon.connect().send(&Mail::to("ann@[127.0.0.1]"));
    let records = records_of(&home, "ann", 2);
    let bounce = records.iter().find(|record| record["type"] == "Bounce").expect("a Bounce");
    assert_eq!(bounce["response"]["content"], "KumoMTA internal: [127.0.0.1] is 127.0.0.1, a prohibited host");
    assert_eq!(bounce["response"]["code"], 550);
    daemon.stop();
}

#[test]
fn a_dead_destination_fails_mail_for_now_and_too_many_failures_empty_the_ready_queue() {
    let home = Home::new();
    // Nobody listens on port 1.
    let host = "{ name = 'mx.there.example', addr = '127.0.0.1:1' }";
    let path = "connection_limit = 1, consecutive_connection_failures_before_delay = 1";
    let daemon = Daemon::start(&home, &policy(host, "max_retry_interval = '1h', max_age = '1h'", path));
    let users = ["ann", "bob", "cat", "dan"];
    daemon.connect().send(&Mail::to_all(users.map(|user| format!("{user}@there.example"))));
    for user in users {
        let records = records_of(&home, user, 2);
        let failure = records.iter().find(|record| record["type"] == "TransientFailure").expect("a failure");
        let text = failure["response"]["content"].as_str().expect("a text");
        assert!(text.starts_with("KumoMTA internal: failed to connect to any candidate hosts: mx.there"), "{text}");
        assert_eq!(failure["egress_source"], "unspecified");
        assert_eq!(failure["site"], "unspecified->mx_list:mx.there.example/127.0.0.1:1@smtp_client");
    }
    daemon.stop();
}

#[test]
fn mail_is_delivered_to_postfix() {
    let home = Home::new();
    let Some(sink) = Sink::start("delivery to smtp-sink", &home, &[]) else { return };
    let host = format!("{{ name = 'sink.there.example', addr = '{}' }}", sink.address());
    let daemon = Daemon::start(&home, &policy(&host, "", ""));
    let mut smtp = daemon.connect();
    const COUNT: usize = 50;
    for n in 0..COUNT {
        smtp.send(&Mail::to(&format!("user{n}@there.example")).body(format!("number {n}\r\n.\r\n..dots")));
    }
    let delivered = wait_until("all mails were delivered", || {
        let records = home.records();
        let delivered = records.iter().filter(|record| record["type"] == "Delivery").count();
        (delivered == COUNT).then_some(delivered)
    });
    assert_eq!(delivered, COUNT);
    let mails = wait_until("the sink has written all", || {
        let mails = sink.mails();
        (mails.len() == COUNT).then_some(mails)
    });
    for n in 0..COUNT {
        assert_eq!(mails.iter().filter(|mail| mail.contains(&format!("number {n}\n"))).count(), 1, "mail {n}");
    }
    daemon.stop();
}
