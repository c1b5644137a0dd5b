//! Policy and the message itself.

use crate::common::{Setup, fail, reject, returns};
use crate::stage::Hangs;
use bytes::Bytes;
use serde_json::json;
use std::sync::Arc;
use waybill_policy::{Args, Returned, Value};
use waybill_spool::Message;

fn message(args: &Args) -> Message {
    match &args[0] {
        Value::Message(message) => message.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_policy_changes_in_the_whole_is_in_every_part() {
    let setup = Setup::default().on("smtp_server_data", |args| {
        let message = message(&args);
        assert_eq!(message.data().unwrap(), Bytes::from_static(b"Subject: x\r\n\r\n"));
        message.set_data(Bytes::from_static(b"Subject: y\r\n\r\n"));
        message.set_meta("tenant", json!("t1"));
        message.set_sender("other@example.com".parse().unwrap());
        message.set_recipients(vec!["x@one.example".parse().unwrap(), "y@two.example".parse().unwrap()]);
        Ok(Returned::default())
    });
    let mut client = setup.with_recipient().await;
    let reply = client.submit("Subject: x\r\n").await;
    let accepted = client.intake.accepted();
    assert_eq!(accepted.iter().map(|m| m.queue.as_str()).collect::<Vec<_>>(), ["t1@one.example", "t1@two.example"]);
    assert_eq!(reply, format!("250 OK ids={} {}\r\n", accepted[0].id, accepted[1].id));
    for message in accepted {
        assert_eq!(message.sender, "other@example.com");
        assert!(message.data.ends_with("\r\nSubject: y\r\n\r\n"), "{}", message.data);
        assert!(message.data.contains(&format!("for <{}>", message.recipients[0])));
    }
}

#[tokio::test]
async fn the_reception_event_sees_received_but_not_the_supplemental_header() {
    let setup = Setup::default().on("smtp_server_message_received", |args| {
        let message = message(&args);
        let data = String::from_utf8(message.data().unwrap().to_vec()).unwrap();
        assert!(data.starts_with("Received: from client.example (127.0.0.1)\r\n"), "{data}");
        message.set_meta("queue", json!("null"));
        message.set_recipients(vec!["new@example.com".parse().unwrap()]);
        Ok(Returned::default())
    });
    let mut client = setup.with_recipient().await;
    client.submit("Subject: x\r\n").await;
    let accepted = &client.intake.accepted()[0];
    assert_eq!(accepted.queue, "null", "counting and forgetting it is the intake's business");
    // {"_@_":"\\_/","recipient":"new@example.com"}
    assert!(
        accepted
            .data
            .starts_with("X-KumoRef: eyJfQF8iOiJcXF8vIiwicmVjaXBpZW50IjoibmV3QGV4YW1wbGUuY29tIn0=\r\nReceived: ")
    );
}

#[tokio::test]
async fn one_reject_refuses_the_whole_transaction() {
    let setup = Setup::default().on("smtp_server_message_received", |args| {
        let to = message(&args).recipients()[0].to_string();
        if to == "b@example.com" { Ok(Returned::default()) } else { reject(554, "5.6.0 no")(args) }
    });
    let mut client = setup.with_recipient().await;
    client.say("RCPT TO:<c@example.com>").await;
    assert_eq!(client.submit("x").await, "554 5.6.0 no\r\n");
    assert_eq!(client.intake.accepted().len(), 0);
}

#[tokio::test]
async fn a_queue_that_is_no_text_is_our_trouble() {
    for name in ["queue", "tenant", "campaign", "routing_domain"] {
        let setup = Setup::default().on("smtp_server_message_received", move |args| {
            message(&args).set_meta(name, json!(5));
            Ok(Returned::default())
        });
        let mut client = setup.with_recipient().await;
        assert_eq!(client.submit("x").await, "421 4.3.0 mta.example technical difficulties\r\n", "{name}");
        assert_eq!(client.rest().await, "");
        assert_eq!(client.intake.accepted().len(), 0);
    }
}

#[tokio::test]
async fn a_script_that_leaves_no_recipient_has_failed() {
    let setup = Setup::default().on("smtp_server_data", |args| {
        message(&args).set_recipients(Vec::new());
        Ok(Returned::default())
    });
    assert!(setup.with_recipient().await.submit("x").await.starts_with("421 4.3.0"));
}

#[tokio::test]
async fn recipients_are_grouped_as_the_listener_or_policy_says() {
    let event = "smtp_server_split_transaction";
    let split = |lists: serde_json::Value| Setup::default().on(event, returns(Value::Json(lists)));
    let (b, c, d) = ("b@example.com", "c@example.com", "d@other.example");
    for (setup, expected) in [
        (Setup::default(), vec![vec![b], vec![c], vec![d]]),
        (Setup::default().config(json!({"batch_handling": "BatchByDomain"})), vec![vec![b, c], vec![d]]),
        (split(json!([[d, b, c]])), vec![vec![d, b, c]]),
        (split(json!(null)), vec![]),
        (Setup::default().on(event, returns(Value::Nil)), vec![vec![b], vec![c], vec![d]]),
        (split(json!([[b, c]])), vec![]),
        (Setup::default().on(event, fail), vec![]),
    ] {
        let mut client = setup.with_recipient().await;
        client.say("RCPT TO:<c@example.com>").await;
        client.say("RCPT TO:<d@other.example>").await;
        let reply = client.submit("x").await;
        let accepted = client.intake.accepted();
        assert_eq!(accepted.iter().map(|m| m.recipients.clone()).collect::<Vec<_>>(), expected);
        assert_eq!(reply.starts_with("250 OK ids="), !expected.is_empty(), "{reply}");
        for message in accepted {
            assert_eq!(message.data.contains(" for <"), message.recipients.len() == 1, "{}", message.data);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn policy_that_takes_too_long_over_a_message_is_stopped() {
    let setup = Setup { host: Some(Arc::new(Hangs("smtp_server_message_received".into()))), ..Setup::default() };
    let mut client = setup.with_recipient().await;
    assert!(client.submit("x").await.starts_with("451 4.4.5 "));
    assert_eq!(client.say("NOOP").await, "250 OK\r\n");
    assert_eq!(client.intake.accepted().len(), 0);
}
