//! What a message is made of, and what a server must offer for it.

use crate::common::*;
use crate::server::{Do, Server, reply};
use serde_json::json;

/// A server that offers this.
async fn offering(offers: &'static str) -> Server {
    Server::scripted(move |step| match step.is("EHLO") {
        true => Do::Say(reply(250, &format!("mx.test\n{offers}"))),
        false => Do::Usual,
    })
    .await
}

#[tokio::test]
async fn dots_and_line_ends_arrive_as_they_were_meant() {
    let server = Server::start().await;
    Way::to(&server).send(&mail("s@here.example", &["r@there.example"], "a\r\n.\r\n..b\nc")).await;
    assert_eq!(server.messages(), ["a\r\n..\r\n...b\r\nc\r\n"]);
}

#[tokio::test]
async fn a_large_message_arrives_whole() {
    let server = Server::start().await;
    let body = format!("Subject: big\r\n\r\n{}", "0123456789\r\n".repeat(300_000));
    let got = Way::to(&server).send(&mail("s@here.example", &["r@there.example"], body.clone())).await;
    assert_eq!(shown(&got.outcomes[0]), "delivered 250 2.0.0 OK id=1 [.]");
    assert!(server.messages() == [body], "it differs");
}

#[tokio::test]
async fn eight_bit_data_is_announced_where_that_is_offered() {
    let eight = || mail("s@here.example", &["r@there.example"], "Subject: x\r\n\r\nbödy\r\n");
    let server = offering("8BITMIME").await;
    Way::to(&server).send(&eight()).await;
    assert_eq!(server.lines()[1], "MAIL FROM:<s@here.example> BODY=8BITMIME");

    let server = offering("SIZE 100").await;
    let got = Way::to(&server).send(&eight()).await;
    let text = shown(&got.outcomes[0]);
    assert!(text.starts_with("permanent 554 5.6.3 KumoMTA internal: the message has 8-bit data and mx.test"), "{text}");
    assert_eq!(server.lines(), ["EHLO us.example", "QUIT"]);

    let server = offering("SIZE 100").await;
    let got = Way::to(&server).path(json!({"ignore_8bit_checks": true})).send(&eight()).await;
    assert_eq!(shown(&got.outcomes[0]), "delivered 250 2.0.0 OK id=1 [.]");
    assert_eq!(server.lines()[1], "MAIL FROM:<s@here.example>");
}

#[tokio::test]
async fn international_addresses_need_smtputf8() {
    let both = || mail("josé@here.example", &["r@there.example"], BODY);
    let server = offering("SMTPUTF8\n8BITMIME").await;
    Way::to(&server).send(&both()).await;
    assert_eq!(server.lines()[1], "MAIL FROM:<josé@here.example> SMTPUTF8");

    let server = offering("8BITMIME").await;
    let text = shown(&Way::to(&server).send(&both()).await.outcomes[0]);
    assert!(text.starts_with("permanent 553 5.6.7 KumoMTA internal: josé@here.example needs SMTPUTF8"), "{text}");

    // A domain has an ASCII form, a local part has none.
    let server = offering("8BITMIME").await;
    let message = mail("s@here.example", &["r@bücher.example", "jürgen@there.example"], BODY);
    let text = shown(&Way::to(&server).send(&message).await.outcomes[0]);
    assert!(text.starts_with("delivered 250 2.0.0 OK id=1 [.] | permanent 553 5.6.7 "), "{text}");
    assert_eq!(server.lines()[2], "RCPT TO:<r@xn--bcher-kva.example>");
}

#[tokio::test]
async fn an_address_cannot_smuggle_in_a_command() {
    let server = Server::start().await;
    let sneaky = "\"\\\r\nRSET\r\n\"@there.example";
    let Ok(recipient) = sneaky.parse::<waybill_types::EnvelopeAddress>() else { return };
    let message = message(&["r@there.example"]);
    message.set_recipients(vec![recipient]);
    let got = Way::to(&server).send(&message).await;
    let text = shown(&got.outcomes[0]);
    assert!(text.starts_with("permanent 553 5.1.3 "), "{text}");
    assert_eq!(server.lines(), ["EHLO us.example", "QUIT"]);
}

#[tokio::test]
async fn a_message_for_nobody_goes_nowhere() {
    let server = Server::start().await;
    let got = Way::to(&server).send(&mail("s@here.example", &[""], BODY)).await;
    assert!(shown(&got.outcomes[0]).starts_with("permanent 550 5.1.3 "), "{:?}", got.outcomes);
}
