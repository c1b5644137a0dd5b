//! What listeners to a delivery session hear of it.

use crate::common::*;
use crate::server::{Do, Server, reply, say};
use serde_json::{Value, json};
use waybill_trace::{ClientConn, ClientFilter, Watch};

/// Everything that was heard so far.
fn heard(watch: &mut Watch<ClientConn>) -> Vec<Value> {
    std::iter::from_fn(|| watch.try_next()).map(|frame| serde_json::from_str(&frame).unwrap()).collect()
}

fn filter(filter: Value) -> ClientFilter {
    serde_json::from_value(filter).unwrap()
}

#[tokio::test]
async fn a_delivery_is_heard_in_its_order_and_without_the_password() {
    let server = Server::scripted(|step| match step.line.as_str() {
        line if line.starts_with("EHLO") => Do::Say(reply(250, "mx.test\nAUTH PLAIN")),
        line if line.starts_with("AUTH") => say("235 2.7.0 fine"),
        _ => Do::Usual,
    })
    .await;
    let way = Way::to(&server).path(json!({
        "smtp_auth_plain_username": "user", "smtp_auth_plain_password": {"key_data": "s3cret"},
        "allow_smtp_auth_plain_without_tls": true}));
    let mut watch = way.traces.watch(ClientFilter::default()).unwrap();
    let mut terse = way.traces.watch(filter(json!({"terse": true, "mx_host": ["mx.test"]}))).unwrap();
    let mut others = way.traces.watch(filter(json!({"domain": ["elsewhere.example"]}))).unwrap();
    way.send(&message(&["rcpt@there.example"])).await;
    let frames = heard(&mut watch);
    let text = serde_json::to_string(&frames).unwrap();
    // \0user\0s3cret
    assert!(!text.contains("AHVzZXIA") && !text.contains("s3cret"), "{text}");
    let payloads: Vec<&Value> = frames.iter().map(|frame| &frame["payload"]).collect();
    assert_eq!(payloads[..2], [&json!("BeginSession"), &json!("Connected")]);
    let at = |wanted: &Value| {
        payloads.iter().position(|payload| *payload == wanted).unwrap_or_else(|| panic!("no {wanted} in {text}"))
    };
    let order = [
        at(&json!({"Write": "EHLO us.example\r\n"})),
        at(&json!({"Read": "250-mx.test\r\n250 AUTH PLAIN\r\n"})),
        at(&json!({"Write": "AUTH PLAIN (hidden)\r\n"})),
        at(&json!({"Read": "235 2.7.0 fine\r\n"})),
        at(&json!({"Write": "MAIL FROM:<sender@here.example>\r\n"})),
        at(&json!({"Write": "RCPT TO:<rcpt@there.example>\r\n"})),
        at(&json!({"Write": "DATA\r\n"})),
    ];
    assert!(order.is_sorted(), "{order:?} {text}");
    let carried = frames.iter().find(|frame| frame["payload"].get("MessageObtained").is_some()).expect("a message");
    assert_eq!(carried["conn_meta"]["rcpt_to"], json!(["rcpt@there.example"]));
    assert_eq!(carried["conn_meta"]["domain"], "there.example");
    assert_eq!(carried["conn_meta"]["mx_addr"], json!(server.address.ip().to_string()));
    assert!(frames[0]["conn_meta"]["mail_from"].is_null(), "there is no message yet");

    let terse = serde_json::to_string(&heard(&mut terse)).unwrap();
    assert!(terse.contains("AbbreviatedWrite") && !terse.contains("BeginSession"), "{terse}");
    assert!(heard(&mut others).is_empty());
}

#[tokio::test]
async fn a_session_that_does_not_come_about_is_heard_with_its_reason() {
    let server = Server::scripted(|step| if step.line.is_empty() { say("554 5.7.1 no") } else { Do::Usual }).await;
    let way = Way::to(&server);
    let mut watch = way.traces.watch(ClientFilter::default()).unwrap();
    way.refused().await;
    let frames = heard(&mut watch);
    let text = serde_json::to_string(&frames).unwrap();
    assert!(text.contains("no connection: the banner: 554 5.7.1 no"), "{text}");
    assert!(frames.iter().any(|frame| frame["payload"] == "Closed"), "{text}");
}
