//! What a message looks like once it is taken.

use crate::common::{PEER, Setup};
use serde_json::json;
use waybill_spool::Durability;

#[tokio::test]
async fn a_message_carries_trace_headers_and_the_meta_of_its_connection() {
    let setup = Setup::default().config(json!({"meta": {"site": "a"}}));
    let mut client = setup.with_recipient().await;
    let reply = client.submit("Subject: held\r\n\r\nx").await;
    let [message] = &client.intake.accepted()[..] else { panic!() };
    assert_eq!(reply, format!("250 OK ids={}\r\n", message.id));
    assert_eq!(
        message.data,
        format!(
            "X-KumoRef: eyJfQF8iOiJcXF8vIiwicmVjaXBpZW50IjoiYkBleGFtcGxlLmNvbSJ9\r\n\
             Received: from client.example (127.0.0.1)\r\n  by mta.example (Waybill 127.0.0.1) \r\n  \
             with ESMTP id {} for <b@example.com>;\r\n  Mon, 23 Nov 2026 16:12:56 +0000\r\n\
             Subject: held\r\n\r\nx\r\n",
            message.id
        )
    );
    let meta = json!({
        "ehlo_domain": "client.example", "hostname": "mta.example", "received_from": PEER,
        "received_via": "127.0.0.1:2025", "reception_protocol": "ESMTP", "site": "a",
    });
    assert_eq!(json!(message.meta), meta);
    assert_eq!((message.queue.as_str(), message.durability), ("example.com", Durability::Synced));
    assert_eq!((message.sender.as_str(), message.recipients.len()), ("a@example.com", 1));
}

#[tokio::test]
async fn trace_headers_can_be_renamed_extended_or_left_out() {
    for (trace, start) in [
        (json!({"received_header": false, "supplemental_header": false}), "Subject: x\r\n"),
        (json!({"supplemental_header": false}), "Received: from client.example"),
        (json!({"received_header": false, "header_name": "X-Ref"}), "X-Ref: eyJfQF8i"),
        // {"_@_":"\\_/","recipient":"b@example.com","site":"a"}
        (
            json!({"include_meta_names": ["site"]}),
            "X-KumoRef: eyJfQF8iOiJcXF8vIiwicmVjaXBpZW50IjoiYkBleGFtcGxlLmNvbSIsInNpdGUi\r\n\tOiJhIn0=\r\nReceived: ",
        ),
    ] {
        let setup = Setup::default().config(json!({"trace_headers": trace, "meta": {"site": "a"}}));
        let mut client = setup.with_recipient().await;
        client.submit("Subject: x\r\n").await;
        let data = client.intake.accepted()[0].data.clone();
        assert!(data.starts_with(start), "{data}");
    }
}

#[tokio::test]
async fn dots_are_unstuffed_and_bare_line_ends_are_fixed_or_kept() {
    for (mode, expected) in [("Fix", "..a\r\nb\r\nc\r\n"), ("Allow", "..a\nb\rc\r\n")] {
        let setup = Setup::default().config(json!({
            "invalid_line_endings": mode, "trace_headers": {"received_header": false, "supplemental_header": false},
        }));
        let mut client = setup.with_recipient().await;
        assert!(client.submit("...a\nb\rc").await.starts_with("250 OK"));
        assert_eq!(client.intake.accepted()[0].data, expected, "{mode}");
    }
}

#[tokio::test]
async fn a_listener_may_promise_less_for_speed() {
    for (config, durability) in [
        (json!({"deferred_spool": true}), Durability::Written),
        (json!({"deferred_spool": true, "peer": {"127.0.0.1": {"deferred_spool": false}}}), Durability::Synced),
        (json!({"peer": {"127.0.0.1": {"deferred_spool": true}}}), Durability::Written),
    ] {
        let mut client = Setup::default().config(config.clone()).with_recipient().await;
        assert!(client.submit("x").await.starts_with("250 "));
        assert_eq!(client.intake.accepted()[0].durability, durability, "{config}");
    }
}

#[tokio::test]
async fn ids_differ_even_at_one_instant() {
    let mut client = Setup::default().with_recipient().await;
    for i in 0..99 {
        assert!(client.say(&format!("RCPT TO:<r{i}@example.com>")).await.starts_with("250"));
    }
    let reply = client.submit("x").await;
    let joined = reply.replace("250-", "").replace("250 ", "").replace("\r\n", " ");
    let mut ids: Vec<&str> = joined.trim_end().strip_prefix("OK ids=").unwrap().split(' ').collect();
    assert_eq!(ids, client.intake.accepted().iter().map(|m| m.id.clone()).collect::<Vec<_>>());
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 100);
    assert_eq!(client.shared.stats.messages(), 100);
}
