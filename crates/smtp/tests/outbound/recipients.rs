//! Messages with several recipients.

use crate::common::*;
use crate::server::{Do, Server, say};
use serde_json::json;
use waybill_delivery::{Fate, Outcome};

const ALL: [&str; 4] = ["a@there.example", "b@there.example", "c@there.example", "d@there.example"];

#[tokio::test]
async fn all_recipients_go_in_one_transaction_and_have_one_outcome() {
    let server = Server::start().await;
    let got = Way::to(&server).send(&message(&ALL)).await;
    assert_eq!(shown(&got.outcomes[0]), "delivered 250 2.0.0 OK id=1 [.]");
    assert_eq!(server.messages().len(), 1);
    assert_eq!(server.lines().iter().filter(|line| line.starts_with("RCPT")).count(), 4);
}

#[tokio::test]
async fn recipients_that_fare_differently_have_an_outcome_each() {
    for pipelining in [true, false] {
        let server = Server::scripted(|step| match step.line.as_str() {
            "RCPT TO:<b@there.example>" => say("450 4.2.1 full"),
            "RCPT TO:<d@there.example>" => say("550 5.1.1 gone"),
            _ => Do::Usual,
        })
        .await;
        let got = Way::to(&server).path(json!({"enable_pipelining": pipelining})).send(&message(&ALL)).await;
        assert_eq!(
            shown(&got.outcomes[0]),
            "delivered 250 2.0.0 OK id=1 [.] | transient 450 4.2.1 full [RCPT TO:<b@there.example>] | \
             delivered 250 2.0.0 OK id=1 [.] | permanent 550 5.1.1 gone [RCPT TO:<d@there.example>]"
        );
        assert_eq!(got.session, Fate::Keep);
    }
}

#[tokio::test]
async fn a_transaction_carries_no_more_recipients_than_the_path_allows() {
    let server = Server::start().await;
    let got = Way::to(&server).path(json!({"max_recipients_per_batch": 3})).send(&message(&ALL)).await;
    assert!(matches!(got.outcomes[0], Outcome::Delivered(_)), "{:?}", got.outcomes);
    let lines = server.lines();
    let verbs: Vec<&str> = lines.iter().map(|line| line.split([' ', ':']).next().unwrap()).collect();
    let expected = ["EHLO", "MAIL", "RCPT", "RCPT", "RCPT", "DATA", ".", "RSET", "MAIL", "RCPT", "DATA", ".", "QUIT"];
    assert_eq!(verbs, expected);
}

#[tokio::test]
async fn recipients_that_are_too_many_for_the_server_go_in_another_transaction() {
    // It takes two in each.
    let server =
        Server::scripted(|step| match step.is("RCPT") && matches!(step.before % 4, 2 | 3) && step.before < 4 {
            true => say("452 4.5.3 too many recipients"),
            false => Do::Usual,
        })
        .await;
    let got = Way::to(&server).send(&message(&ALL)).await;
    assert_eq!(shown(&got.outcomes[0]), "delivered 250 2.0.0 OK id=1 [.]");
    assert_eq!(server.messages().len(), 2);
}

#[tokio::test]
async fn a_server_that_always_has_too_many_is_believed() {
    let server = Server::scripted(|step| match step.is("RCPT") {
        true => say("452 4.2.2 full"),
        false => Do::Usual,
    })
    .await;
    let got = Way::to(&server).send(&message(&ALL)).await;
    let text = shown(&got.outcomes[0]);
    assert!(text.starts_with("transient 452 4.2.2 full [RCPT TO:<a@there.example>] | transient 452"), "{text}");
    assert_eq!(server.messages(), [""]);
}

#[tokio::test]
async fn those_who_have_it_keep_it_when_the_connection_breaks_afterwards() {
    let server = Server::scripted(|step| match step.is("MAIL") && step.before == 1 {
        true => Do::Close,
        false => Do::Usual,
    })
    .await;
    let got = Way::to(&server).path(json!({"max_recipients_per_batch": 2})).send(&message(&ALL)).await;
    let text = shown(&got.outcomes[0]);
    let delivered = "delivered 250 2.0.0 OK id=1 [.]";
    assert!(text.starts_with(&format!("{delivered} | {delivered} | transient 400 KumoMTA internal: failed")), "{text}");
    assert_eq!(server.heard().len(), 1, "what was half done is not begun anew at once");
}

#[tokio::test]
async fn a_421_to_one_recipient_is_about_all() {
    let server = Server::scripted(|step| match step.line.as_str() {
        "RCPT TO:<c@there.example>" => Do::SayAndClose("421 4.7.0 enough".into()),
        _ => Do::Usual,
    })
    .await;
    let got = Way::to(&server).send(&message(&ALL)).await;
    assert_eq!(shown(&got.outcomes[0]), "transient 421 4.7.0 enough [RCPT TO:<c@there.example>]");
    assert_eq!((got.session, server.messages().len()), (Fate::Close, 0));
}
