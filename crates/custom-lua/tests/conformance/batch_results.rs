//! A list with one result for each message: Waybill's own.

use crate::support::*;
use serde_json::{Value as Json, json};
use std::time::Duration;
use waybill_delivery::{Fate, Outcome};
use waybill_policy::{Returned, Value};
use waybill_types::Response;

/// What becomes of each message when `send_batch` returns `results`.
async fn outcomes(results: Json) -> (Vec<Outcome>, Fate) {
    let count = results.as_array().unwrap().len();
    let outcome = deliver(batches_of(100), count, move |_| table(results.clone())).await;
    assert!(outcome.peer_spoke, "{outcome:?}");
    (outcome.outcomes, outcome.session)
}

fn transient(code: u16, text: &str, retry_after: Option<u64>) -> Outcome {
    Outcome::Transient(Response::plain(code, text), retry_after.map(Duration::from_secs))
}

#[tokio::test]
async fn one_text_holds_for_every_message() {
    let outcome = deliver(batches_of(3), 3, |_| text("202 accepted")).await;
    assert_eq!((outcome.outcomes, outcome.session), (vec![delivered("202 accepted"); 3], Fate::Keep));
    let outcome = deliver(batches_of(3), 2, |_| reject(503, "4.0.0 x", None)).await;
    assert_eq!(outcome.outcomes, vec![Outcome::Permanent(Response::plain(503, "4.0.0 x")); 2]);
}

#[tokio::test]
async fn each_message_gets_its_own_result() {
    let (outcomes, fate) = outcomes(json!([
        "ok",
        7,
        {"code": 202, "text": "accepted"},
        {"code": 429, "message": "slow\ndown", "retry_after": 30},
        {"code": 451, "retry_after": "1m 30s"},
        {"code": 500, "text": "no", "retry_after": 5},
        {"code": 302, "text": "moved"},
        {"delivered": true},
        {"delivered": true, "text": "fine"},
        {"delivered": false, "code": 410, "text": "gone"},
        {"code": 404.0},
        [104, 233],
    ]))
    .await;
    assert_eq!(
        outcomes,
        [
            delivered("ok"),
            delivered("7"),
            Outcome::Delivered(Response::plain(202, "accepted")),
            transient(429, "slow down", Some(30)),
            transient(451, "", Some(90)),
            Outcome::Permanent(Response::plain(500, "no")),
            Outcome::Permanent(Response::plain(302, "moved")),
            delivered(""),
            delivered("fine"),
            transient(410, "gone", None),
            transient(404, "", None),
            delivered("h\u{fffd}"),
        ]
    );
    assert_eq!(fate, Fate::Keep);
}

#[tokio::test]
async fn a_wait_that_cannot_be_read_is_left_to_the_queue() {
    for wait in [json!("Fri, 31 Dec 1999 23:59:59 GMT"), json!(-5), json!("soon")] {
        let (outcomes, _) = outcomes(json!([{"code": 429, "retry_after": wait}])).await;
        assert_eq!(outcomes, [transient(429, "", None)]);
    }
}

#[tokio::test]
async fn one_421_ends_the_session_after_the_batch() {
    let (outcomes, fate) = outcomes(json!(["ok", {"code": 421, "text": "bye"}])).await;
    assert_eq!((outcomes, fate), (vec![delivered("ok"), transient(421, "bye", None)], Fate::Close));
}

#[tokio::test]
async fn a_list_of_values_is_as_good_as_a_table() {
    let values = vec![Value::from("ok"), Value::Int(7), Value::Json(json!({"code": 500}))];
    let outcome = deliver(batches_of(3), 3, move |_| Ok(Returned(vec![Value::List(values.clone())]))).await;
    assert_eq!(outcome.outcomes, [delivered("ok"), delivered("7"), Outcome::Permanent(Response::plain(500, ""))]);
}

#[tokio::test]
async fn a_result_that_makes_no_sense_fails_the_whole_batch_and_is_named() {
    for (results, what) in [
        (json!(["a"]), "it returned a list of 1 results for 2 messages"),
        (json!({}), "it returned a list of 0 results for 2 messages"),
        (json!(["a", "b", "c"]), "it returned a list of 3 results for 2 messages"),
        (json!({"code": 200}), "error converting Lua table to String"),
        (json!(["a", null]), "result 2 of 2: expected a string or a table with a code, got nil"),
        (json!([false, "b"]), "result 1 of 2: expected a string or a table with a code, got false"),
        (json!(["a", {}]), "result 2 of 2: it has no code"),
        (json!(["a", {"text": "x"}]), "result 2 of 2: it has no code"),
        (json!(["a", {"delivered": false}]), "result 2 of 2: it has no code"),
        (json!(["a", {"code": "429"}]), "result 2 of 2: code: expected a whole number from 100 to 999, got a string"),
        (json!(["a", {"code": 42}]), "result 2 of 2: code: expected a whole number from 100 to 999, got 42"),
        (json!(["a", {"code": 1000}]), "result 2 of 2: code: expected a whole number from 100 to 999, got 1000"),
        (json!(["a", {"code": 200.5}]), "result 2 of 2: code: expected a whole number from 100 to 999, got 200.5"),
        (json!(["a", {"code": 200, "text": true}]), "result 2 of 2: text: expected a string, got true"),
        (json!(["a", {"code": 200, "text": "x", "message": "y"}]), "result 2 of 2: it has both text and message"),
        (
            json!(["a", {"code": 429, "retry_after": {}}]),
            "result 2 of 2: retry_after: expected a duration, got a table",
        ),
        (json!(["a", {"code": 429, "delivered": true}]), "result 2 of 2: delivered is true but the code is 429"),
        (json!(["a", {"code": 200, "delivered": false}]), "result 2 of 2: delivered is false but the code is 200"),
        (
            json!(["a", {"code": 200, "txt": "x"}]),
            "result 2 of 2: unknown field txt, expected code, delivered, text, message, retry_after",
        ),
    ] {
        let outcome = deliver(batches_of(2), 2, move |_| table(results.clone())).await;
        let what = format!("sender:send_batch method failed: {what}");
        assert_script_failed(&outcome, 2, &format!("KumoMTA internal: error in deliver_message: {what}"));
    }
}
