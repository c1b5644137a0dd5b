//! What listeners to a conversation hear of it.

use crate::common::Setup;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use waybill_policy::{Returned, Value as Argument};
use waybill_trace::{ServerConn, ServerFilter, Watch};

/// Everything that was heard so far.
fn heard(watch: &mut Watch<ServerConn>) -> Vec<Value> {
    std::iter::from_fn(|| watch.try_next()).map(|frame| serde_json::from_str(&frame).unwrap()).collect()
}

fn payloads(frames: &[Value]) -> Vec<Value> {
    frames.iter().map(|frame| frame["payload"].clone()).collect()
}

#[tokio::test]
async fn a_conversation_is_heard_in_its_order_with_its_connection() {
    let setup = Setup::default();
    let mut watch = setup.traces.watch(ServerFilter::default()).unwrap();
    let mut client = setup.with_recipient().await;
    client.say("DATA").await;
    let reply = client.say("Subject: x\r\n\r\n..dot\r\n.").await;
    assert!(reply.starts_with("250 OK ids="), "{reply}");
    client.say("QUIT").await;
    client.ended().await;
    let frames = heard(&mut watch);
    let payloads = payloads(&frames);
    let said: Vec<&Value> = payloads.iter().filter(|payload| payload.get("MessageDisposition").is_none()).collect();
    assert_eq!(said[0], "Connected");
    assert!(said[1]["Write"].as_str().unwrap().starts_with("220 mta.example "), "{}", said[1]);
    assert_eq!(said[2]["Read"], "EHLO client.example\r\n");
    let from = said.len() - 9;
    assert_eq!(said[from]["Read"], "RCPT TO:<b@example.com>\r\n");
    assert_eq!(said[from + 2]["Read"], "DATA\r\n");
    assert_eq!(said[from + 3]["Write"].as_str().unwrap().get(..4), Some("354 "));
    assert_eq!(said[from + 4]["Read"], "Subject: x\r\n\r\n..dot\r\n.\r\n", "as it came over the wire");
    assert_eq!(said[from + 5]["Write"], json!(reply));
    assert_eq!(said[from + 6]["Read"], "QUIT\r\n");
    assert_eq!(said[from + 8], "Closed");
    let disposition = payloads.iter().find_map(|payload| payload.get("MessageDisposition")).unwrap();
    assert_eq!(disposition["sender"], "a@example.com");
    assert_eq!(disposition["recipient"], json!(["b@example.com"]));
    assert_eq!(disposition["queue"], "example.com");
    let meta = &frames[0]["conn_meta"];
    assert_eq!(meta["received_from"], crate::common::PEER);
    assert!(frames.iter().all(|frame| frame["conn_meta"]["session_id"] == meta["session_id"]));
}

#[tokio::test]
async fn passwords_are_never_heard_however_they_come() {
    let knows = |_| Ok(Returned(vec![Argument::Bool(false)]));
    let secret = STANDARD.encode("\0tim\0hush-hush");
    let setup = Setup::default().on("smtp_server_auth_plain", knows);
    let mut watch = setup.traces.watch(ServerFilter::default()).unwrap();
    let mut client = setup.secured().await;
    client.say(&format!("AUTH PLAIN {secret}")).await;
    assert!(client.say("AUTH PLAIN").await.starts_with("334"));
    client.say(&secret).await;
    // A mechanism that is not there, and a client that sends the password all the same.
    assert!(client.say("AUTH LOGIN").await.starts_with("504"));
    client.say(&secret).await;
    let frames = heard(&mut watch);
    let text = serde_json::to_string(&frames).unwrap();
    assert!(!text.contains(&secret) && !text.contains("hush-hush"), "{text}");
    let payloads = payloads(&frames);
    assert!(payloads.contains(&json!({"Read": "AUTH PLAIN (hidden)\r\n"})), "{text}");
    assert_eq!(payloads.iter().filter(|payload| **payload == json!({"Read": "(hidden)\r\n"})).count(), 2, "{text}");
    let call = json!({"Callback": {"name": "smtp_server_auth_plain", "result": false, "error": null}});
    assert!(payloads.contains(&call), "{text}");
    assert!(text.contains("TLS: TLSv1.3"), "{text}");
}

#[tokio::test]
async fn only_the_clients_that_were_asked_for_are_heard() {
    let filter = |networks| serde_json::from_value(json!({"source_addr": networks})).unwrap();
    let setup = Setup::default().from("192.0.2.7:4000");
    let mut this = setup.traces.watch(filter(["192.0.2.0/24"])).unwrap();
    let mut others = setup.traces.watch(filter(["198.51.100.0/24"])).unwrap();
    setup.greeted().await;
    assert!(!heard(&mut this).is_empty());
    assert!(heard(&mut others).is_empty());
}

#[tokio::test]
async fn a_private_key_that_policy_chooses_is_not_heard() {
    let key = json!({"tls_private_key": {"key_data": "hush-hush"}});
    let chooses = move |_| Ok(Returned(vec![Argument::Json(key.clone())]));
    let setup = Setup::default().on("smtp_server_get_dynamic_parameters", chooses);
    let mut watch = setup.traces.watch(ServerFilter::default()).unwrap();
    setup.greeted().await;
    let text = serde_json::to_string(&heard(&mut watch)).unwrap();
    assert!(text.contains("smtp_server_get_dynamic_parameters") && !text.contains("hush-hush"), "{text}");
}
