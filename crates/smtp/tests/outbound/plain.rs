//! A message as it should go.

use crate::common::*;
use crate::server::{Do, Server, reply};
use serde_json::json;
use std::time::Duration;
use waybill_delivery::{BatchPolicy, Fate, Outcome, Peer};
use waybill_types::{EnhancedCode, Response};

#[tokio::test]
async fn a_message_is_delivered_and_what_was_said_is_kept() {
    let server = Server::start().await;
    let mut session = Way::to(&server).session().await;
    let outcome = deliver(&mut *session, &message(&["rcpt@there.example"])).await;
    let response = Response {
        code: 250,
        enhanced_code: Some(EnhancedCode { class: 2, subject: 0, detail: 0 }),
        content: "OK id=1".into(),
        command: Some(".\r\n".into()),
    };
    assert_eq!(outcome.outcomes, [Outcome::Delivered(response)]);
    assert_eq!((outcome.peer_spoke, outcome.session), (true, Fate::Keep));
    assert_eq!(session.peer(), Some(Peer { name: "mx.test".into(), addr: "127.0.0.1".into() }));
    let client = server.heard()[0].client.unwrap().to_string();
    assert_eq!((session.facts().source.map(|source| source.address), session.facts().tls), (Some(client), None));
    session.close().await;
    let expected =
        ["EHLO us.example", "MAIL FROM:<sender@here.example>", "RCPT TO:<rcpt@there.example>", "DATA", ".", "QUIT"];
    assert_eq!(server.lines(), expected);
    assert_eq!(server.messages(), [BODY]);
}

/// A server that answers MAIL only when it has heard RCPT as well: whoever waits for each answer waits in vain.
async fn reticent(offers: &'static str) -> Server {
    Server::scripted(move |step| match step.line.split(' ').next() {
        Some("EHLO") => Do::Say(reply(250, offers)),
        Some("MAIL") => Do::Raw(Vec::new()),
        Some("RCPT") => Do::Say("250 2.1.0 fine\r\n250 2.1.5 fine".into()),
        _ => Do::Usual,
    })
    .await
}

#[tokio::test]
async fn with_pipelining_no_answer_is_waited_for() {
    let server = reticent("mx.test\nPIPELINING").await;
    let outcome = Way::to(&server).send(&message(&["rcpt@there.example"])).await;
    assert_eq!(shown(&outcome.outcomes[0]), "delivered 250 2.0.0 OK id=1 [.]");
}

#[tokio::test]
async fn without_pipelining_each_answer_is_waited_for() {
    for (offers, enabled) in [("mx.test", true), ("mx.test\nPIPELINING", false)] {
        let server = reticent(offers).await;
        let way = Way::to(&server).path(json!({"enable_pipelining": enabled, "mail_from_timeout": "50ms"}));
        let outcome = way.send(&message(&["rcpt@there.example"])).await;
        assert!(shown(&outcome.outcomes[0]).contains("no answer within 50ms"), "{outcome:?}");
        assert!(!server.lines().iter().any(|line| line.starts_with("RCPT")), "{:?}", server.lines());
    }
}

#[tokio::test]
async fn a_server_that_knows_no_ehlo_is_greeted_with_helo() {
    let server = Server::scripted(|step| match step.is("EHLO") {
        true => Do::Say("502 what?".into()),
        false => Do::Usual,
    })
    .await;
    let outcome = Way::to(&server).send(&message(&["rcpt@there.example"])).await;
    assert!(matches!(outcome.outcomes[0], Outcome::Delivered(_)));
    assert_eq!(server.lines()[..2], ["EHLO us.example", "HELO us.example"]);
}

#[tokio::test]
async fn the_null_sender_has_no_address() {
    let server = Server::start().await;
    Way::to(&server).send(&mail("", &["rcpt@there.example"], BODY)).await;
    assert_eq!(server.lines()[1], "MAIL FROM:<>");
}

#[tokio::test]
async fn source_and_path_say_where_we_come_from_and_what_we_are_called() {
    let server = Server::start().await;
    let mut way = Way::to(&server).path(json!({"ehlo_domain": "path.example"}));
    way.source = json!({"name": "ip-1", "source_address": "127.0.0.7", "ehlo_domain": "ip-1.example"});
    assert_eq!(
        way.route().await.ready_queue().as_str(),
        format!("ip-1->mx_list:mx.test/{}@smtp_client", server.address)
    );
    way.send(&message(&["rcpt@there.example"])).await;
    assert_eq!(server.heard()[0].client.unwrap().ip().to_string(), "127.0.0.7");
    assert_eq!(server.lines()[0], "EHLO ip-1.example");
}

#[tokio::test]
async fn a_route_says_what_records_and_queues_need_to_know() {
    let way = Way::of(json!({"mx_list": ["relay.example"]}));
    let route = way.route().await;
    assert_eq!(route.ready_queue().as_str(), "unspecified->mx_list:relay.example@smtp_client");
    assert_eq!((route.protocol(), route.site()), ("ESMTP", route.ready_queue().as_str()));
    assert_eq!((route.batch(), route.shows_egress()), (BatchPolicy::single(), true));
    assert_eq!(route.watchdog(), Duration::from_secs(600));
    let quick = json!({"connect_timeout": 1, "banner_timeout": 1, "ehlo_timeout": 1, "mail_from_timeout": 1,
        "rcpt_to_timeout": 1, "data_timeout": 1, "data_dot_timeout": 1, "auth_timeout": 1});
    assert_eq!(way.path(quick).route().await.watchdog(), Duration::from_secs(60));
}
