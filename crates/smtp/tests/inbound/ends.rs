//! Who the client is, where somebody else says so: XCLIENT and the PROXY protocol.

use crate::common::{Client, PEER, Setup, fail, reject};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use waybill_policy::{Returned, Value};

/// Trusts the client of all tests, and one network that it may speak for.
fn trusting() -> Setup {
    Setup::default().config(json!({
        "relay_hosts": ["192.0.2.0/24"],
        "peer": {
            "127.0.0.1": {"allow_xclient": true},
            "192.0.2.9": {"banner": "special", "meta": {"site": "nine"}},
        },
    }))
}

/// The meta of a message that is sent now.
async fn meta(client: &mut Client) -> Json {
    assert!(client.say("EHLO c.example").await.starts_with("250-"));
    assert!(client.say("MAIL FROM:<a@example.com>").await.starts_with("250 "));
    assert!(client.say("RCPT TO:<b@example.com>").await.starts_with("250 "));
    assert!(client.submit("Subject: x\r\n").await.starts_with("250 "));
    json!(client.intake.accepted().pop().unwrap().meta)
}

#[tokio::test]
async fn a_trusted_client_speaks_in_anothers_name() {
    let mut client = trusting().connect();
    client.reply().await;
    assert!(client.say("EHLO c.example").await.ends_with("250 XCLIENT ADDR PORT DESTADDR DESTPORT\r\n"));
    client.say("MAIL FROM:<a@example.com>").await;
    assert!(client.say("RCPT TO:<b@example.com>").await.starts_with("550 5.7.1 "));
    assert!(client.say("XCLIENT ADDR=192.0.2.7").await.starts_with("503 5.5.0 "), "not within a transaction");
    client.say("RSET").await;
    assert_eq!(
        client.say("XCLIENT ADDR=192.0.2.7 PORT=99 DESTADDR=192.0.2.1 DESTPORT=25").await,
        "220 mta.example KumoMTA\r\n"
    );
    assert!(
        client.say("MAIL FROM:<a@example.com>").await.starts_with("503 5.5.1 "),
        "the client introduces itself anew"
    );
    let meta = meta(&mut client).await;
    assert_eq!(meta["received_from"], "192.0.2.7:99");
    assert_eq!(meta["received_via"], "192.0.2.1:25");
    assert_eq!(meta["orig_received_from"], PEER);
    assert_eq!(meta["orig_received_via"], "127.0.0.1:2025");
    let message = client.intake.accepted().pop().unwrap();
    assert_eq!(message.record.peer_address.unwrap().addr, "192.0.2.7");
    assert!(message.data.contains("from c.example (192.0.2.7)"), "{}", message.data);
}

#[tokio::test]
async fn the_parameters_are_those_for_whom_it_speaks_and_it_may_speak_for_several() {
    let mut client = trusting().connect();
    client.reply().await;
    assert_eq!(client.say("XCLIENT ADDR=192.0.2.9").await, "220 mta.example special\r\n");
    assert_eq!(meta(&mut client).await["site"], "nine");
    assert_eq!(client.say("XCLIENT ADDR=192.0.2.8").await, "220 mta.example KumoMTA\r\n");
    let meta = meta(&mut client).await;
    assert_eq!((&meta["received_from"], &meta["orig_received_from"]), (&json!("192.0.2.8:39780"), &json!(PEER)));
}

#[tokio::test]
async fn policy_is_asked_for_parameters_again() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noting = asked.clone();
    let setup = trusting().on("smtp_server_get_dynamic_parameters", move |args| {
        let Value::Connection(meta) = &args[1] else { panic!("{args:?}") };
        let from = meta.get("received_from").unwrap().as_str().unwrap().to_owned();
        noting.lock().push(from.clone());
        if from.starts_with("203.0.113.") { reject(554, "5.7.1 not you")(args) } else { Ok(Returned::default()) }
    });
    let mut client = setup.connect();
    client.reply().await;
    assert!(client.say("XCLIENT ADDR=192.0.2.7").await.starts_with("220 "));
    assert_eq!(client.say("XCLIENT ADDR=203.0.113.1").await, "554 5.7.1 not you\r\n");
    assert_eq!(client.rest().await, "");
    assert_eq!(*asked.lock(), [PEER, "192.0.2.7:39780", "203.0.113.1:39780"]);
}

#[tokio::test]
async fn nobody_else_may_and_nobody_is_told_of_it() {
    for setup in [Setup::default(), trusting().from("192.0.2.7:4000")] {
        let mut client = setup.connect();
        client.reply().await;
        assert!(!client.say("EHLO c.example").await.contains("XCLIENT"));
        assert!(client.say("XCLIENT ADDR=192.0.2.8").await.starts_with("550 5.7.0 "));
        client.say("MAIL FROM:<a@example.com>").await;
        client.say("RCPT TO:<b@example.com>").await;
        client.submit("x").await;
        assert!(!client.intake.accepted()[0].meta.contains_key("orig_received_from"));
    }
}

#[tokio::test]
async fn what_was_claimed_in_plain_text_does_not_count_behind_starttls() {
    let mut client = trusting().connect();
    client.reply().await;
    assert!(client.say("XCLIENT ADDR=192.0.2.9").await.contains("special"));
    client.secure().await;
    client.say("EHLO c.example").await;
    client.say("MAIL FROM:<a@example.com>").await;
    assert_eq!(
        client.say("RCPT TO:<b@example.com>").await,
        format!("550 5.7.1 relaying not permitted for {PEER}\r\n"),
        "anybody might have put the XCLIENT there"
    );
    client.say("RSET").await;
    assert!(client.say("XCLIENT ADDR=192.0.2.9").await.contains("special"));
    assert_eq!(meta(&mut client).await["tls_protocol_version"], "TLSv1.3");
}

/// Requires the header of whoever connects from here.
fn behind_a_proxy() -> Setup {
    Setup::default().config(json!({
        "relay_hosts": ["192.0.2.0/24"],
        "peer": {
            "127.0.0.1": {"require_proxy_protocol": true},
            "192.0.2.9": {"banner": "special"},
        },
    }))
}

/// Version 2, TCP over IPv4, from 192.0.2.7:256 to 192.0.2.1:25.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x01\x01\0\0\x19";

#[tokio::test]
async fn a_proxy_names_the_ends_before_anything_is_said() {
    for header in [&b"PROXY TCP4 192.0.2.7 192.0.2.1 256 25\r\n"[..], V2] {
        let mut client = behind_a_proxy().connect();
        assert!(client.hears_nothing().await, "no greeting before the header");
        let (start, end) = header.split_at(14);
        client.send(start).await;
        assert!(client.hears_nothing().await);
        client.send(end).await;
        assert_eq!(client.reply().await, "220 mta.example KumoMTA\r\n");
        let meta = meta(&mut client).await;
        assert_eq!((&meta["received_from"], &meta["received_via"]), (&json!("192.0.2.7:256"), &json!("192.0.2.1:25")));
        assert_eq!(meta["orig_received_from"], PEER);
        assert_eq!(meta["orig_received_via"], "127.0.0.1:2025");
    }
}

#[tokio::test]
async fn the_parameters_are_those_for_the_named_ends() {
    let mut client = behind_a_proxy().connect();
    client.send("PROXY TCP4 192.0.2.9 192.0.2.1 1 25\r\nEHLO c.example\r\n").await;
    assert_eq!(client.reply().await, "220 mta.example special\r\n");
    assert!(client.reply().await.starts_with("250-"), "what follows the header is the client's");
}

#[tokio::test]
async fn a_proxy_that_speaks_for_itself_is_the_client() {
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let mut client = behind_a_proxy().connect();
        client.send(header).await;
        assert!(client.reply().await.starts_with("220 "));
        client.say("EHLO c.example").await;
        client.say("MAIL FROM:<a@example.com>").await;
        let reply = client.say("RCPT TO:<b@example.com>").await;
        assert_eq!(reply, format!("550 5.7.1 relaying not permitted for {PEER}\r\n"));
    }
}

#[tokio::test]
async fn without_its_header_a_connection_is_closed_without_a_word() {
    for start in ["EHLO c.example\r\n", "PROXY TCP4 nonsense\r\n", "\r\n\r\nX"] {
        let setup = behind_a_proxy().on("smtp_server_connection_accepted", fail);
        let mut client = setup.connect();
        client.send(start).await;
        assert_eq!(client.rest().await, "", "{start:?}");
        client.ended().await;
        assert!(client.policy.calls().is_empty());
        assert_eq!(client.shared.stats.denied(), 1);
    }
    let mut client = behind_a_proxy().connect();
    client.send("PROXY TC").await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_header_that_does_not_come_is_not_waited_for() {
    let start = tokio::time::Instant::now();
    let mut client = behind_a_proxy().connect();
    client.send("PROXY TC").await;
    assert_eq!(client.rest().await, "");
    assert!((30..32).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test]
async fn whoever_does_not_come_through_the_proxy_needs_no_header_and_cannot_use_one() {
    let mut client = behind_a_proxy().from("192.0.2.8:4000").connect();
    assert!(client.reply().await.starts_with("220 "));
    assert!(client.say("PROXY TCP4 192.0.2.9 192.0.2.1 1 25").await.starts_with("502 "));
    assert_eq!(meta(&mut client).await["received_from"], "192.0.2.8:4000");
}
