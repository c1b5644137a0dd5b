//! Messages whose recipients fare differently.

use crate::support::{BEGIN, Bench, Builder, Peer, Record, delivered, permanent, secs, transient};
use serde_json::json;
use waybill_delivery::Outcome;
use waybill_spool::Message;
use waybill_types::ReadyQueueName;

/// Takes a mail with three recipients.
async fn take(bench: &Bench) -> Message {
    let message = bench.mail("ann@example.com");
    let recipients = ["ann", "bob", "cat"].map(|user| format!("{user}@example.com").parse().unwrap());
    message.set_recipients(recipients.to_vec());
    bench.accept(&message).await.unwrap();
    message
}

/// Type, recipients and attempts.
fn told(records: &[Record]) -> Vec<(&str, &serde_json::Value, u64)> {
    records.iter().map(|record| (record.kind(), &record.0["recipient"], record.attempts())).collect()
}

#[tokio::test]
async fn each_has_a_record_and_only_those_who_were_put_off_are_tried_again() {
    let parts = Outcome::Divided(vec![delivered(), transient("full"), permanent("gone")]);
    let bench = Builder::new().queue_config(json!({"retry_interval": "5s"})).peer(Peer::new().at_first(parts)).start();
    let message = take(&bench).await;
    bench.sink.of(message.id(), "TransientFailure").await;
    let spooled = bench.spooled(message.id()).await.unwrap();
    let left: Vec<_> = spooled.recipients.iter().map(|recipient| recipient.as_str().to_owned()).collect();
    assert_eq!((left, spooled.attempts), (vec!["bob@example.com".to_owned()], 1));
    bench.clock.advance(secs(5));
    bench.sink.nth(message.id(), "Delivery", 2).await;
    let records = bench.sink.all();
    let (ann, bob, cat) = (json!("ann@example.com"), json!("bob@example.com"), json!("cat@example.com"));
    assert_eq!(
        told(&records)[1..],
        [("Delivery", &ann, 0), ("Bounce", &cat, 0), ("TransientFailure", &bob, 0), ("Delivery", &bob, 1)]
    );
    assert_eq!(bench.journal().await, records, "the events are in the journal, in this order");
    assert_eq!(bench.spooled(message.id()).await, None);
    assert_eq!(
        bench.manager.stats().by_ready_queue()[&ReadyQueueName::new("unspecified->example.com@lua:make.test")],
        [2, 1, 1]
    );
    assert!(bench.now() > BEGIN);
}

#[tokio::test]
async fn a_message_that_nobody_is_to_be_tried_again_for_leaves() {
    let parts = Outcome::Divided(vec![permanent("gone"), delivered(), permanent("gone")]);
    let bench = Builder::new().peer(Peer::new().at_first(parts)).start();
    let message = take(&bench).await;
    bench.sink.of(message.id(), "Delivery").await;
    let records = bench.sink.all();
    let (gone, ann) = (json!(["ann@example.com", "cat@example.com"]), json!("bob@example.com"));
    assert_eq!(told(&records)[1..], [("Bounce", &gone, 0), ("Delivery", &ann, 0)]);
    assert_eq!(bench.spooled(message.id()).await, None);
    assert_eq!(bench.journal().await, records);
}
