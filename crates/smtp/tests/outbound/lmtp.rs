//! LMTP (RFC 2033): another greeting, and an answer for each recipient.

use crate::common::*;
use crate::server::{Do, Server, reply};
use serde_json::json;
use waybill_delivery::Fate;

#[tokio::test]
async fn each_recipient_has_an_answer_of_its_own() {
    let server = Server::scripted(|step| match step.line.as_str() {
        "." => Do::Raw(b"250 2.0.0 a has it\r\n452 4.2.2 b is full\r\n".to_vec()),
        line if line.starts_with("LHLO") => Do::Say(reply(250, "mx.test\nPIPELINING")),
        _ => Do::Usual,
    })
    .await;
    let way = Way::to(&server).path(json!({"use_lmtp": true}));
    let got = way.send(&message(&["a@there.example", "b@there.example"])).await;
    assert_eq!(shown(&got.outcomes[0]), "delivered 250 2.0.0 a has it [.] | transient 452 4.2.2 b is full [.]");
    assert_eq!((server.lines()[0].as_str(), got.session), ("LHLO us.example", Fate::Keep));
}

#[tokio::test]
async fn those_who_were_answered_keep_their_answer_when_the_rest_never_comes() {
    let server = Server::scripted(|step| match step.is(".") {
        true => Do::SayAndClose("250 2.0.0 a has it".into()),
        false => Do::Usual,
    })
    .await;
    let way = Way::to(&server).path(json!({"use_lmtp": true}));
    let got = way.send(&message(&["a@there.example", "b@there.example"])).await;
    let text = shown(&got.outcomes[0]);
    assert!(text.starts_with("delivered 250 2.0.0 a has it [.] | transient 400 KumoMTA internal: failed"), "{text}");
}
