//! Servers that break off, fall silent or talk without end, at each step.

use crate::common::*;
use crate::server::{Do, Server, Step};
use serde_json::json;
use waybill_delivery::Fate;

const GREETING: [&str; 2] = ["banner", "EHLO"];
const MESSAGE: [&str; 4] = ["MAIL", "RCPT", "DATA", "."];

/// A server that does this at this verb.
async fn at(verb: &'static str, what: Do) -> Server {
    Server::scripted(move |step| if step.is(verb) { what.clone() } else { Do::Usual }).await
}

/// How each step's time limit is called.
fn limit_of(verb: &str) -> &'static str {
    match verb {
        "banner" => "banner_timeout",
        "EHLO" => "ehlo_timeout",
        "MAIL" => "mail_from_timeout",
        "RCPT" => "rcpt_to_timeout",
        "DATA" => "data_timeout",
        "RSET" => "rset_timeout",
        _ => "data_dot_timeout",
    }
}

async fn is_tried_again(way: &Way, why: &str) {
    let got = way.send(&message(&["rcpt@there.example"])).await;
    let text = shown(&got.outcomes[0]);
    assert!(text.starts_with("transient 400 KumoMTA internal: failed to send message to mx.test ("), "{text}");
    assert!(text.contains(why), "{text}");
    assert_eq!(got.session, Fate::Broken);
}

#[tokio::test]
async fn a_connection_that_is_closed_before_the_final_reply_leaves_the_message_with_us() {
    for pipelining in [true, false] {
        for verb in MESSAGE {
            let server = at(verb, Do::Close).await;
            let way = Way::to(&server).path(json!({"enable_pipelining": pipelining}));
            let got = way.send(&message(&["rcpt@there.example"])).await;
            let text = shown(&got.outcomes[0]);
            assert!(text.starts_with("transient 400 KumoMTA internal: failed to send message"), "{verb}: {text}");
            assert_eq!((got.session, server.heard().len()), (Fate::Broken, 1), "{verb}");
        }
    }
    for verb in GREETING {
        let text = Way::to(&at(verb, Do::Close).await).refused().await;
        assert!(text.starts_with("400 KumoMTA internal: failed to connect to any candidate hosts: mx.test"), "{text}");
    }
}

#[tokio::test]
async fn silence_ends_with_the_limit_of_its_step() {
    for verb in MESSAGE {
        let server = at(verb, Do::Nothing).await;
        let way = Way::to(&server).path(json!({"enable_pipelining": false, limit_of(verb): "50ms"}));
        is_tried_again(&way, "no answer within 50ms").await;
    }
    for verb in GREETING {
        let server = at(verb, Do::Nothing).await;
        let text = Way::to(&server).path(json!({limit_of(verb): "50ms"})).refused().await;
        assert!(text.ends_with("no answer within 50ms"), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_talks_without_end_is_cut_off() {
    let endless_line = Do::Raw(vec![b'2'; 3 << 20]);
    let endless_reply = Do::Raw(b"250-more and more\r\n".repeat(100_000));
    let garbage = Do::Raw((0..=255).cycle().take(1 << 20).collect());
    for what in [endless_line, endless_reply, garbage] {
        for verb in MESSAGE {
            let server = at(verb, what.clone()).await;
            let got = Way::to(&server).send(&message(&["rcpt@there.example"])).await;
            let text = shown(&got.outcomes[0]);
            assert!(text.starts_with("transient 400 KumoMTA internal: failed to send message"), "{verb}: {text}");
            assert!(text.len() < 1000, "{verb}: {} bytes", text.len());
            assert_eq!(got.session, Fate::Broken);
        }
        for verb in GREETING {
            let text = Way::to(&at(verb, what.clone()).await).refused().await;
            assert!(text.starts_with("400 ") && text.len() < 1000, "{text}");
        }
    }
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_a_message_counts() {
    // It says no after the first bytes and closes, without reading the rest.
    let server = Server::scripted(|step| match step.is("DATA") {
        true => Do::SayAndClose("354 go\r\n552 5.3.4 too big".into()),
        false => Do::Usual,
    })
    .await;
    let big = mail("s@here.example", &["r@there.example"], "0123456789\r\n".repeat(1_000_000));
    let got = Way::to(&server).path(json!({"enable_pipelining": false})).send(&big).await;
    let text = shown(&got.outcomes[0]);
    // The reply is lost where the system resets the connection; then it is tried again, which is safe.
    assert!(text == "permanent 552 5.3.4 too big [.]" || text.starts_with("transient 400 "), "{text}");
    assert_ne!(got.session, Fate::Keep);
}

fn breaks_once(step: &Step) -> Do {
    if step.is(".") && step.connection == 0 { Do::Close } else { Do::Usual }
}

#[tokio::test]
async fn the_session_goes_on_as_the_reconnect_strategy_says() {
    for (strategy, first, second) in [
        ("TerminateSession", Fate::Broken, None),
        ("ReconnectSameHost", Fate::Keep, Some("mx1.test")),
        ("ConnectNextHost", Fate::Keep, Some("mx2.test")),
    ] {
        let (one, two) = (Server::scripted(breaks_once).await, Server::start().await);
        let way = Way::to_all(&[&one, &two]).path(json!({"reconnect_strategy": strategy}));
        let mut session = way.session().await;
        let broken = deliver(&mut *session, &message(&["rcpt@there.example"])).await;
        assert!(shown(&broken.outcomes[0]).starts_with("transient 400 "), "{strategy}");
        assert_eq!(broken.session, first, "{strategy}");
        if let Some(host) = second {
            let next = deliver(&mut *session, &message(&["rcpt@there.example"])).await;
            assert_eq!(shown(&next.outcomes[0]), "delivered 250 2.0.0 OK id=1 [.]", "{strategy}");
            assert_eq!(session.peer().unwrap().name, host);
        }
    }
}

#[tokio::test]
async fn a_message_goes_to_the_next_host_at_once_only_where_it_cannot_come_twice() {
    for (verb, fields, delivered) in [
        ("DATA", json!({"try_next_host_on_transport_error": true}), true),
        ("DATA", json!({}), false),
        (".", json!({"try_next_host_on_transport_error": true}), false),
    ] {
        let (one, two) = (at(verb, Do::Close).await, Server::start().await);
        let mut session = Way::to_all(&[&one, &two]).path(fields.clone()).session().await;
        let got = deliver(&mut *session, &message(&["rcpt@there.example"])).await;
        let text = shown(&got.outcomes[0]);
        assert_eq!(text.starts_with("delivered"), delivered, "{verb} {fields}: {text}");
        assert_eq!(two.messages().len(), usize::from(delivered), "{verb} {fields}");
    }
}
