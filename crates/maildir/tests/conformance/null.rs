//! The `null` protocol.

use crate::support::*;
use serde_json::json;
use waybill_delivery::{BatchOutcome, DeliveryProtocol, Fate, Outcome};
use waybill_maildir::NullProtocol;
use waybill_types::Response;

#[tokio::test]
async fn everything_is_taken() {
    let batch = [message(&["a@x.example"]), message(&["b@x.example", "c@x.example"])];
    let outcome = deliver(&NullProtocol, &json!({}), &batch).await;
    let discarded = Outcome::Delivered(Response::plain(250, "discarded"));
    let expected = BatchOutcome { outcomes: vec![discarded; 2], peer_spoke: false, session: Fate::Keep };
    assert_eq!(outcome, expected);
}

#[test]
fn the_ready_queue_is_named_for_its_site() {
    assert_eq!(NullProtocol.name(), "null");
    for (queue, name) in [
        ("c1:t1@example.com", "unspecified->example.com@null"),
        ("example.com!routed.example", "unspecified->routed.example@null"),
    ] {
        assert_eq!(route(&NullProtocol, queue, &json!({})).ready_queue().as_str(), name);
    }
}

#[test]
fn a_section_with_fields_is_refused() {
    let error = complaint(&NullProtocol, &json!({"x": 1}));
    assert!(error.starts_with("protocol.null: ") && error.contains("`x`"), "{error}");
}
