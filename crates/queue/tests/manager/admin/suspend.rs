use super::{admin, held, members, request};
use crate::support::{Builder, Peer, answer, secs, text_of};
use serde_json::json;
use waybill_types::ReadyQueueName;

#[tokio::test]
async fn in_a_suspended_queue_mail_fails_for_now_until_the_order_ends() {
    let bench = Builder::new().queue_config(json!({"retry_interval": "5s"})).start();
    let admin = admin(&bench).await;
    admin.suspend(request(json!({"reason": "hold it", "domain": "held.example", "duration": "10s"}))).await;
    let held = bench.take("u@held.example").await;
    let failure = bench.sink.of(held.id(), "TransientFailure").await;
    assert_eq!(failure.response(), "451 KumoMTA internal: scheduled queue is suspended: hold it");
    let free = bench.take("u@free.example").await;
    bench.sink.of(free.id(), "Delivery").await;
    assert_eq!(members(&admin, "held.example").await, [held.id()]);
    bench.clock.advance(secs(15));
    bench.sink.of(held.id(), "Delivery").await;
}

#[tokio::test]
async fn a_cancelled_suspension_lets_mail_pass_when_it_is_due() {
    let bench = Builder::new().queue_config(json!({"retry_interval": "5s"})).start();
    let admin = admin(&bench).await;
    let id = admin.suspend(request(json!({"reason": "r"}))).await;
    let held = bench.take("u@held.example").await;
    bench.sink.of(held.id(), "TransientFailure").await;
    assert!(admin.cancel_suspension(id).await);
    bench.clock.advance(secs(5));
    assert_eq!(bench.sink.of(held.id(), "Delivery").await.attempts(), 1);
}

#[tokio::test]
async fn what_is_ready_when_its_queue_is_suspended_is_not_handed_out() {
    let (peer, gate) = Peer::new().held();
    let bench = Builder::new().path_config(json!({"connection_limit": 1})).peer(peer).start();
    let in_flight = bench.take("u@a.example").await;
    let ready = bench.take("u@a.example").await;
    let admin = admin(&bench).await;
    held(&admin, 1).await;
    admin.suspend(request(json!({"reason": "r", "domain": "a.example"}))).await;
    bench.sink.of(ready.id(), "TransientFailure").await;
    gate.add_permits(10);
    bench.sink.of(in_flight.id(), "Delivery").await;
    bench.settle().await;
    assert_eq!(bench.sink.kinds(ready.id()), ["Reception", "TransientFailure"]);
}

#[tokio::test]
async fn a_ready_queue_can_be_suspended_before_it_exists_and_mail_takes_the_other_source() {
    let bench = Builder::new()
        .queue_config(json!({"egress_pool": "both"}))
        .on("get_egress_pool", |_| answer(json!({"name": "both", "entries": [{"name": "one"}, {"name": "two"}]})))
        .on("get_egress_source", |args| answer(json!({"name": text_of(&args[0])})))
        .start();
    let admin = admin(&bench).await;
    let name = "one->a.example@lua:make.test";
    let id = admin.suspend_ready(request(json!({"name": name, "reason": "warm-up"}))).await;
    for _ in 0..4 {
        let message = bench.take("u@a.example").await;
        assert_eq!(bench.sink.of(message.id(), "Delivery").await.text("egress_source"), "two");
    }
    let view = admin.inspect_ready(ReadyQueueName::new(name), false).await.unwrap();
    assert_eq!(view.state.suspended.as_deref(), Some("warm-up"));
    assert!(admin.cancel_ready_suspension(id).await);
    let mut sources = Vec::new();
    for _ in 0..4 {
        let message = bench.take("u@a.example").await;
        sources.push(bench.sink.of(message.id(), "Delivery").await.text("egress_source").to_owned());
    }
    assert!(sources.contains(&"one".to_owned()), "{sources:?}");
}

#[tokio::test]
async fn no_order_survives_a_restart_and_no_message_is_lost_by_that() {
    let bench = Builder::new().queue_config(json!({"retry_interval": "5s"})).start();
    let before = admin(&bench).await;
    before.suspend(request(json!({"reason": "r", "duration": "1 day"}))).await;
    let held = bench.take("u@held.example").await;
    bench.sink.of(held.id(), "TransientFailure").await;
    bench.stop().await;
    let next = bench.restart().queue_config(json!({"retry_interval": "5s"})).start();
    assert_eq!(next.spool_in().await, 1);
    next.clock.advance(secs(5));
    next.sink.of(held.id(), "Delivery").await;
}
