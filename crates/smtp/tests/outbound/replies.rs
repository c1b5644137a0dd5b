//! What servers say at each step, and what becomes of message and session.

use crate::common::*;
use crate::server::{Do, Server, say};
use serde_json::json;
use waybill_delivery::Fate;

/// A server that says this to this verb.
async fn at(verb: &'static str, text: &'static str) -> Server {
    Server::scripted(move |step| if step.is(verb) { say(text) } else { Do::Usual }).await
}

#[tokio::test]
async fn a_refusal_is_the_outcome_with_the_command_that_it_answers() {
    for pipelining in [true, false] {
        for (verb, command) in [
            ("MAIL", "MAIL FROM:<sender@here.example>"),
            ("RCPT", "RCPT TO:<rcpt@there.example>"),
            ("DATA", "DATA"),
            (".", "."),
        ] {
            for (said, outcome, fate) in [
                ("450 4.2.0 later", "transient 450 4.2.0 later", Fate::Keep),
                ("550 5.1.1 never", "permanent 550 5.1.1 never", Fate::Keep),
                ("421 4.3.2 closing", "transient 421 4.3.2 closing", Fate::Close),
                ("554 no code", "permanent 554 no code", Fate::Keep),
            ] {
                let server = at(verb, said).await;
                let way = Way::to(&server).path(json!({"enable_pipelining": pipelining}));
                let got = way.send(&message(&["rcpt@there.example"])).await;
                let expected = format!("{outcome} [{command}]");
                assert_eq!(shown(&got.outcomes[0]), expected, "{verb} {said} pipelining {pipelining}");
                assert_eq!((got.session, got.peer_spoke), (fate, true), "{verb} {said} pipelining {pipelining}");
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_no_outcome_and_ends_the_connection() {
    for pipelining in [true, false] {
        for (verb, said) in [
            ("MAIL", "354 go on"),
            ("RCPT", "354 go on"),
            ("DATA", "250 fine"),
            (".", "354 more"),
            ("MAIL", "hello"),
            ("DATA", "777 what"),
            (".", "2"),
        ] {
            let server = at(verb, said).await;
            let way = Way::to(&server).path(json!({"enable_pipelining": pipelining}));
            let got = way.send(&message(&["rcpt@there.example"])).await;
            let text = shown(&got.outcomes[0]);
            assert!(text.starts_with("transient 400 KumoMTA internal: failed to send message to mx.test ("), "{text}");
            assert_eq!(got.session, Fate::Broken, "{verb} {said}");
        }
    }
}

#[tokio::test]
async fn a_refused_greeting_is_no_connection() {
    for (verb, said, why) in [
        ("banner", "554 5.7.1 not you", "the banner: 554 5.7.1 not you"),
        ("banner", "421 busy", "the banner: 421 busy"),
        ("banner", "250 hello", "the banner: 250 hello"),
        ("EHLO", "421 busy", "EHLO: 421 busy"),
        ("EHLO", "450 later", "EHLO: 450 later"),
    ] {
        let server = at(verb, said).await;
        let got = Way::to(&server).refused().await;
        let expected = format!(
            "400 KumoMTA internal: failed to connect to any candidate hosts: mx.test ({}): {why}",
            server.address
        );
        assert_eq!(got, expected);
    }
}

#[tokio::test]
async fn a_message_that_was_refused_leaves_the_connection_good_for_the_next() {
    for pipelining in [true, false] {
        for verb in ["MAIL", "RCPT", "DATA", "."] {
            let server = Server::scripted(move |step| match step.is(verb) && step.before == 0 {
                true => say("550 5.0.0 no"),
                false => Do::Usual,
            })
            .await;
            let way = Way::to(&server).path(json!({"enable_pipelining": pipelining, "enable_rset": false}));
            let mut session = way.session().await;
            let first = deliver(&mut *session, &message(&["rcpt@there.example"])).await;
            assert!(shown(&first.outcomes[0]).starts_with("permanent 550 5.0.0 no"), "{verb}");
            let second = deliver(&mut *session, &message(&["rcpt@there.example"])).await;
            assert_eq!(shown(&second.outcomes[0]), "delivered 250 2.0.0 OK id=1 [.]", "{verb}");
            assert_eq!(server.heard().len(), 1, "{verb}");
            let reset = server.lines().iter().any(|line| line == "RSET");
            assert_eq!(reset, verb != ".", "the server may still be in a transaction after {verb}");
        }
    }
}

#[tokio::test]
async fn a_server_that_wants_a_message_for_nobody_gets_an_empty_one() {
    let server = at("RCPT", "550 5.1.1 never").await;
    let way = Way::to(&server);
    let mut session = way.session().await;
    deliver(&mut *session, &message(&["rcpt@there.example"])).await;
    assert_eq!(server.messages(), [""]);
    let again = deliver(&mut *session, &message(&["rcpt@there.example"])).await;
    assert!(shown(&again.outcomes[0]).starts_with("permanent 550 5.1.1 never [RCPT"));
}
