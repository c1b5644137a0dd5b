use super::{admin, members, request};
use crate::support::{Builder, Peer, delivered, message_of, nothing, secs, transient};
use serde_json::json;
use waybill_policy::Value;

fn holding() -> Peer {
    Peer::new().answering(|message, _| match message.queue_name().unwrap().parts().domain {
        "held.example" => transient("later"),
        _ => delivered(),
    })
}

#[tokio::test]
async fn messages_move_with_a_record_like_the_sample_and_keep_their_attempts() {
    let bench = Builder::new().peer(holding()).start();
    let message = bench.take("u@held.example").await;
    bench.sink.of(message.id(), "TransientFailure").await;
    let admin = admin(&bench).await;
    admin
        .rebind(request(json!({"reason": "move", "domain": "held.example", "data": {"queue": "moved.example"}})))
        .await;
    let record = bench.sink.of(message.id(), "AdminRebind").await;
    assert_eq!((record.text("queue"), record.text("site"), record.attempts()), ("moved.example", "", 1));
    assert_eq!(record.response(), "250 Rebound from held.example to moved.example: move");
    let delivery = bench.sink.of(message.id(), "Delivery").await;
    assert_eq!((delivery.text("queue"), delivery.attempts()), ("moved.example", 1));
    assert_eq!(bench.journal().await, bench.sink.all());
    assert_eq!(bench.spooled(message.id()).await, None);
}

#[tokio::test]
async fn a_move_is_stored_before_anything_is_done_with_it() {
    let bench = Builder::new().peer(Peer::new().answering(|_, _| transient("later"))).start();
    let message = bench.take("u@held.example").await;
    bench.sink.of(message.id(), "TransientFailure").await;
    let admin = admin(&bench).await;
    admin.rebind(request(json!({"reason": "r", "data": {"queue": "moved.example", "note": "x"}}))).await;
    bench.sink.nth(message.id(), "TransientFailure", 2).await;
    bench.stop().await;
    let spooled = bench.spooled(message.id()).await.unwrap();
    assert_eq!((&spooled.meta["queue"], &spooled.meta["note"]), (&json!("moved.example"), &json!("x")));
    let next = bench.restart().start();
    assert_eq!(next.spool_in().await, 1);
    next.clock.advance(secs(2 * 3600));
    assert_eq!(next.sink.of(message.id(), "Delivery").await.text("queue"), "moved.example");
}

#[tokio::test]
async fn the_policy_decides_where_it_is_asked() {
    let bench = Builder::new()
        .peer(holding())
        .on("rebind_message", |args| {
            let Value::Json(data) = &args[1] else { panic!("{args:?}") };
            assert_eq!(data, &json!({"to": "elsewhere.example"}));
            let message = message_of(&args);
            if message.recipients()[0].user() == "moves" {
                message.set_meta("routing_domain", data["to"].clone());
            }
            nothing()
        })
        .start();
    let moves = bench.take("moves@held.example").await;
    let stays = bench.take("stays@held.example").await;
    for id in [moves.id(), stays.id()] {
        bench.sink.of(id, "TransientFailure").await;
    }
    let admin = admin(&bench).await;
    admin
        .rebind(request(json!({"reason": "r", "data": {"to": "elsewhere.example"}, "trigger_rebind_event": true})))
        .await;
    let record = bench.sink.of(moves.id(), "AdminRebind").await;
    assert_eq!(record.text("queue"), "held.example!elsewhere.example");
    bench.sink.of(stays.id(), "Delayed").await;
    assert_eq!(bench.sink.kinds(stays.id()), ["Reception", "TransientFailure", "Delayed"]);
    assert_eq!(members(&admin, "held.example").await, [stays.id()]);
}

#[tokio::test]
async fn without_a_handler_everything_stays_and_flushing_tries_at_once() {
    let bench = Builder::new().peer(Peer::new().answering(|_, _| transient("later"))).start();
    let message = bench.take("u@held.example").await;
    bench.sink.of(message.id(), "TransientFailure").await;
    let admin = admin(&bench).await;
    admin.rebind(request(json!({"reason": "r", "data": {}, "trigger_rebind_event": true, "always_flush": true}))).await;
    bench.sink.nth(message.id(), "TransientFailure", 2).await;
    assert_eq!(bench.sink.kinds(message.id()), ["Reception", "TransientFailure", "TransientFailure"]);
}

#[tokio::test]
async fn a_silent_rebind_moves_without_a_record() {
    let bench = Builder::new().peer(holding()).start();
    let message = bench.take("u@held.example").await;
    bench.sink.of(message.id(), "TransientFailure").await;
    let admin = admin(&bench).await;
    admin.rebind(request(json!({"reason": "r", "data": {"queue": "moved.example"}, "suppress_logging": true}))).await;
    bench.sink.of(message.id(), "Delivery").await;
    assert_eq!(bench.sink.kinds(message.id()), ["Reception", "TransientFailure", "Delivery"]);
}

#[tokio::test]
async fn a_queue_that_policy_has_no_settings_for_is_not_moved_to() {
    let bench = Builder::new()
        .on("get_queue_config", |args| match crate::support::text_of(&args[0]).as_str() {
            "broken.example" => crate::support::broken(),
            _ => nothing(),
        })
        .peer(holding())
        .start();
    let message = bench.take("u@held.example").await;
    bench.sink.of(message.id(), "TransientFailure").await;
    let admin = admin(&bench).await;
    admin.rebind(request(json!({"reason": "r", "data": {"queue": "broken.example"}}))).await;
    bench.sink.of(message.id(), "Delayed").await;
    assert_eq!(members(&admin, "held.example").await, [message.id()]);
}

#[tokio::test]
async fn thousands_of_messages_move_in_parts_and_each_exactly_once() {
    let bench = Builder::new().path_config(json!({"max_ready": 5000})).peer(holding()).start();
    let mut ids = Vec::new();
    for _ in 0..2500 {
        ids.push(bench.take("u@held.example").await.id());
    }
    bench.sink.count("TransientFailure", 2500).await;
    let admin = admin(&bench).await;
    admin.rebind(request(json!({"reason": "r", "domain": "held.example", "data": {"queue": "moved.example"}}))).await;
    bench.settle().await;
    bench.sink.count("Delivery", 2501).await;
    for id in ids {
        assert_eq!(bench.sink.kinds(id), ["Reception", "TransientFailure", "AdminRebind", "Delivery"]);
    }
}
