//! What becomes of a message, for each thing that the other node may say.

use crate::support::*;
use waybill_delivery::{Fate, Outcome, Peer};
use waybill_spool::transfer;
use waybill_types::EnhancedCode;

const ID: &str = "be5ce59be75811f1aba9ee449cbbeaa0";

fn taken() -> Vec<u8> {
    format!("{{\"id\":\"{ID}\"}}").into_bytes()
}

#[tokio::test]
async fn what_the_other_node_has_is_delivered_under_its_new_id() {
    let carrier = Told::new(|_| Some(Ok(reply(200, taken()))));
    let messages = [message(), message()];
    let mut session = open(carrier.clone(), 300).await;
    let outcome = session.deliver(&messages).await;
    assert_eq!((outcome.outcomes.len(), outcome.peer_spoke, outcome.session), (2, true, Fate::Keep));
    for outcome in &outcome.outcomes {
        let Outcome::Delivered(response) = outcome else { panic!("{outcome:?}") };
        assert_eq!((response.code, response.text()), (250, format!("new id is {ID}")));
    }
    assert_eq!(session.peer(), Some(Peer { name: "n2.example:8000".into(), addr: "192.0.2.7".into() }));
    session.close().await;
    let parcels = carrier.parcels();
    for (parcel, message) in parcels.iter().zip(&messages) {
        assert_eq!(parcel.url, "http://n2.example:8000/api/xfer/inject/v1");
        assert_eq!((parcel.id, parcel.limit.as_secs()), (message.id(), 300));
        assert_eq!(Some(parcel.body.clone()), transfer::pack(message, NODE));
    }
}

#[tokio::test]
async fn whatever_else_is_said_the_message_stays_and_is_tried_again() {
    for (status, body, said) in [
        (503, "shutting down", "it answered 503 shutting down"),
        (401, "not permitted", "it answered 401 not permitted"),
        (500, "", "it answered 500"),
        (302, "elsewhere", "it answered 302 elsewhere"),
        (204, "", "it answered 204"),
        (200, "<html>welcome</html>", "without the id of a message"),
        (200, "{\"id\":\"x\"}", "without the id of a message"),
    ] {
        let outcome = deliver(Told::new(move |_| Some(Ok(reply(status, body)))), &[message()]).await;
        let [Outcome::Transient(response, None)] = &outcome.outcomes[..] else { panic!("{outcome:?}") };
        assert_eq!((response.code, outcome.session), (451, Fate::Keep));
        assert_eq!(response.enhanced_code, Some(EnhancedCode { class: 4, subject: 4, detail: 0 }));
        assert!(response.content.starts_with(&format!("xfer to {TARGET}: ")), "{response}");
        assert!(response.content.contains(said), "{response}");
    }
}

#[tokio::test]
async fn after_trouble_on_the_way_nothing_more_of_the_batch_is_tried() {
    let carrier = Told::new(|_| Some(Err("connection refused".to_owned())));
    let outcome = deliver(carrier.clone(), &[message(), message(), message()]).await;
    assert_eq!((carrier.parcels().len(), outcome.outcomes.len()), (1, 3));
    assert_eq!((outcome.peer_spoke, outcome.session), (false, Fate::Close));
    for outcome in outcome.outcomes {
        let text = outcome.response().to_string();
        assert!(matches!(outcome, Outcome::Transient(..)), "{text}");
        assert!(text.ends_with("4.4.1 xfer to http://n2.example:8000: connection refused"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_never_answers_is_given_up_within_the_paths_limit() {
    let mut session = open(Told::new(|_| None), 7).await;
    let begun = tokio::time::Instant::now();
    let outcome = session.deliver(&[message()]).await;
    assert_eq!(begun.elapsed().as_secs(), 7);
    assert!(outcome.outcomes[0].response().content.ends_with("no answer within 7s"), "{outcome:?}");
    assert_eq!(outcome.session, Fate::Close);
}

#[tokio::test]
async fn a_long_refusal_is_cut_and_stays_one_line() {
    let long = format!("no\r\n{}", "x".repeat(10_000));
    let outcome = deliver(Told::new(move |_| Some(Ok(reply(400, long.clone())))), &[message()]).await;
    let text = outcome.outcomes[0].response().to_string();
    assert!(text.len() < 700 && !text.contains('\n'), "{} bytes", text.len());
}
