use super::{admin, empty, held, request};
use crate::support::{Builder, Peer, secs, transient};
use serde_json::json;
use waybill_types::QueueName;

#[tokio::test]
async fn a_bounce_takes_what_waits_with_a_record_like_the_sample() {
    let bench = Builder::new().peer(Peer::new().answering(|_, _| transient("later"))).start();
    let waits = bench.take("u@temp.example").await;
    let other = bench.take("u@other.example").await;
    bench.sink.of(waits.id(), "TransientFailure").await;
    bench.sink.of(other.id(), "TransientFailure").await;
    let admin = admin(&bench).await;
    let id = admin.bounce(request(json!({"reason": "purge", "domain": "temp.example", "duration": "2s"}))).await;
    let record = bench.sink.of(waits.id(), "AdminBounce").await;
    assert_eq!((record.text("queue"), record.text("site")), ("temp.example", "localhost"));
    assert_eq!(
        record.0["response"],
        json!({"code": 551, "enhanced_code": {"class": 5, "subject": 7, "detail": 1},
               "content": "Administrator bounced with reason: purge", "command": null})
    );
    assert_eq!(record.0["delivery_protocol"], json!(null));
    assert_eq!((bench.spooled(waits.id()).await, bench.spooled(other.id()).await.is_some()), (None, true));
    assert!(bench.journal().await.contains(&record));
    let listed = admin.bounces();
    assert_eq!((listed[0].id, listed[0].total_bounced), (id, 1));
    assert_eq!(listed[0].bounced[&QueueName::new("temp.example")], 1);
}

#[tokio::test]
async fn what_comes_while_it_is_in_force_bounces_too_also_in_queues_that_are_new() {
    let bench = Builder::new().start();
    let admin = admin(&bench).await;
    let id = admin.bounce(request(json!({"reason": "all of it"}))).await;
    let message = bench.take("u@new.example").await;
    bench.sink.of(message.id(), "AdminBounce").await;
    assert!(admin.cancel_bounce(id).await);
    let message = bench.take("u@new.example").await;
    bench.sink.of(message.id(), "Delivery").await;
    let id = admin.bounce(request(json!({"reason": "again", "duration": "10s"}))).await;
    let message = bench.take("u@new.example").await;
    bench.sink.of(message.id(), "AdminBounce").await;
    bench.clock.advance(secs(10));
    let message = bench.take("u@new.example").await;
    bench.sink.of(message.id(), "Delivery").await;
    assert!(!admin.cancel_bounce(id).await);
}

#[tokio::test]
async fn a_silent_bounce_writes_no_record_and_is_counted() {
    let bench = Builder::new().peer(Peer::new().answering(|_, _| transient("later"))).start();
    let message = bench.take("u@temp.example").await;
    bench.sink.of(message.id(), "TransientFailure").await;
    let admin = admin(&bench).await;
    admin.bounce(request(json!({"reason": "r", "queue_names": ["temp.example"], "suppress_logging": true}))).await;
    empty(&bench).await;
    assert_eq!(bench.sink.kinds(message.id()), ["Reception", "TransientFailure"]);
    assert_eq!(bench.spooled(message.id()).await, None);
    assert_eq!(admin.bounces()[0].total_bounced, 1);
}

#[tokio::test]
async fn what_a_session_has_is_spared_and_bounces_when_it_comes_back() {
    let (peer, gate) = Peer::new().answering(|_, _| transient("later")).held();
    let bench = Builder::new().path_config(json!({"connection_limit": 1})).peer(peer).start();
    let in_flight = bench.take("u@a.example").await;
    let ready = bench.take("u@a.example").await;
    let admin = admin(&bench).await;
    held(&admin, 1).await;
    admin.bounce(request(json!({"reason": "r", "domain": "a.example"}))).await;
    bench.sink.of(ready.id(), "AdminBounce").await;
    assert_eq!(bench.sink.kinds(in_flight.id()), ["Reception"]);
    gate.add_permits(1);
    bench.sink.of(in_flight.id(), "AdminBounce").await;
    assert_eq!(bench.sink.kinds(in_flight.id()), ["Reception", "TransientFailure", "AdminBounce"]);
}

#[tokio::test]
async fn thousands_of_messages_in_many_queues_go_while_others_flow() {
    let bench = Builder::new()
        .peer(Peer::new().answering(|message, _| match message.recipients()[0].user() {
            "waits" => transient("later"),
            _ => crate::support::delivered(),
        }))
        .start();
    let mut ids = Vec::new();
    for number in 0..3000 {
        ids.push(bench.take(&format!("waits@d{}.example", number % 30)).await.id());
    }
    bench.sink.count("TransientFailure", 3000).await;
    let admin = admin(&bench).await;
    let names: Vec<String> = (0..30).map(|number| format!("d{number}.example")).collect();
    admin.bounce(request(json!({"reason": "r", "queue_names": names}))).await;
    bench.settle().await;
    bench.sink.count("AdminBounce", 3000).await;
    assert_eq!(admin.bounces()[0].total_bounced, 3000);
    for id in ids {
        assert_eq!(bench.sink.kinds(id), ["Reception", "TransientFailure", "AdminBounce"]);
        assert_eq!(bench.spooled(id).await, None);
    }
}
