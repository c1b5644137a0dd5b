//! Several messages over one connection.

use crate::common::*;
use crate::server::{Do, Server, say};
use serde_json::json;
use waybill_delivery::Fate;

#[tokio::test]
async fn messages_share_a_connection_with_a_reset_between_them() {
    for (enable_rset, between) in [(true, vec!["RSET"]), (false, vec![])] {
        let server = Server::start().await;
        let mut session = Way::to(&server).path(json!({"enable_rset": enable_rset})).session().await;
        for _ in 0..2 {
            let got = deliver(&mut *session, &message(&["rcpt@there.example"])).await;
            assert_eq!(shown(&got.outcomes[0]), "delivered 250 2.0.0 OK id=1 [.]");
        }
        session.close().await;
        let transaction = ["MAIL FROM:<sender@here.example>", "RCPT TO:<rcpt@there.example>", "DATA", "."];
        let mut expected = vec!["EHLO us.example"];
        expected.extend(transaction);
        expected.extend(between);
        expected.extend(transaction);
        expected.push("QUIT");
        assert_eq!(server.lines(), expected);
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_harms_no_message() {
    // It closes whatever comes second, in the first connection only.
    for what in [Do::Close, Do::SayAndClose("421 4.4.2 idle for too long".into()), say("500 what?")] {
        for (verb, enable_rset) in [("RSET", true), ("MAIL", false)] {
            if verb == "MAIL" && !matches!(what, Do::Close) {
                // What is said to the message itself is about it.
                continue;
            }
            let what = what.clone();
            let server = Server::scripted(move |step| {
                let second = step.is(verb) && step.connection == 0 && step.before == usize::from(verb == "MAIL");
                if second { what.clone() } else { Do::Usual }
            })
            .await;
            let mut session = Way::to(&server).path(json!({"enable_rset": enable_rset})).session().await;
            for _ in 0..3 {
                let got = deliver(&mut *session, &message(&["rcpt@there.example"])).await;
                assert_eq!(shown(&got.outcomes[0]), "delivered 250 2.0.0 OK id=1 [.]", "{verb}");
                assert_eq!(got.session, Fate::Keep);
            }
            assert_eq!(server.heard().len(), 2, "{verb}");
            assert_eq!(server.messages().len(), 3);
        }
    }
}

#[tokio::test]
async fn a_server_that_closes_again_and_again_is_not_asked_for_ever() {
    let server = Server::scripted(|step| match step.is("MAIL") && !(step.connection == 0 && step.before == 0) {
        true => Do::Close,
        false => Do::Usual,
    })
    .await;
    let mut session = Way::to(&server).session().await;
    deliver(&mut *session, &message(&["rcpt@there.example"])).await;
    let got = deliver(&mut *session, &message(&["rcpt@there.example"])).await;
    assert!(shown(&got.outcomes[0]).starts_with("transient 400 "), "{:?}", got.outcomes);
    assert_eq!((got.session, server.heard().len()), (Fate::Broken, 2));
}

#[tokio::test]
async fn a_server_that_is_gone_when_the_session_ends_keeps_nobody_waiting() {
    let server = Server::scripted(|step| if step.is("QUIT") { Do::Close } else { Do::Usual }).await;
    Way::to(&server).session().await.close().await;
    server.hears("QUIT").await;
}
