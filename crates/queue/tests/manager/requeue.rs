//! `requeue_message` has a word in what failed for now.

use crate::support::{Builder, Peer, answer, broken, message_of, nothing, reject, secs, text_of, transient};
use serde_json::json;
use waybill_policy::Value;
use waybill_types::ReadyQueueName;

#[tokio::test]
async fn it_sees_the_message_the_response_and_the_reason() {
    let bench = Builder::new()
        .peer(Peer::new().at_first(transient("4.3.0 later")))
        .on("requeue_message", |args| {
            assert_eq!(message_of(&args).recipients()[0].user(), "rcpt");
            assert_eq!(text_of(&args[1]), "451 4.3.0 later");
            let Value::List(context) = &args[2] else { panic!("{args:?}") };
            assert_eq!(context.iter().map(text_of).collect::<Vec<_>>(), ["LoggedTransientFailure"]);
            assert!(matches!((&args[3], &args[4]), (Value::Bool(true), Value::Nil)));
            message_of(&args).set_meta("x_seen", json!(true));
            nothing()
        })
        .start();
    let message = bench.take("rcpt@example.com").await;
    bench.sink.of(message.id(), "TransientFailure").await;
    let spooled = bench.spooled(message.id()).await.unwrap();
    assert_eq!((spooled.attempts, &spooled.meta["x_seen"]), (1, &json!(true)));
}

#[tokio::test]
async fn a_refusal_of_any_code_bounces_behind_the_failure() {
    let bench = Builder::new()
        .peer(Peer::new().answering(|_, _| transient("later")))
        .on("requeue_message", |_| reject(451, "4.7.0 not again"))
        .start();
    let message = bench.take("rcpt@example.com").await;
    let bounce = bench.sink.of(message.id(), "Bounce").await;
    assert_eq!(
        bounce.0["response"],
        json!({"code": 451, "enhanced_code": {"class": 4, "subject": 7, "detail": 0},
        "content": "not again", "command": null})
    );
    assert_eq!(bench.sink.kinds(message.id()), ["Reception", "TransientFailure", "Bounce"]);
    assert_eq!(bench.sink.of(message.id(), "TransientFailure").await.response(), "451 later");
    assert_eq!(bench.spooled(message.id()).await, None);
    assert_eq!(bench.journal().await, bench.sink.all());
    assert_eq!(
        bench.manager.stats().by_ready_queue()[&ReadyQueueName::new("unspecified->example.com@lua:make.test")],
        [0, 1, 1]
    );
}

#[tokio::test]
async fn another_queue_is_tried_at_once_and_counts_an_attempt() {
    let bench = Builder::new()
        .on("get_queue_config", |args| match text_of(&args[0]).as_str() {
            "other.example" => answer(json!({"retry_interval": "7s"})),
            _ => answer(json!({"retry_interval": "5s"})),
        })
        .peer(Peer::new().answering(|_, before| match before {
            0 | 1 => transient("later"),
            _ => crate::support::delivered(),
        }))
        .on("requeue_message", |args| {
            message_of(&args).set_meta("queue", json!("other.example"));
            nothing()
        })
        .start();
    let message = bench.take("rcpt@example.com").await;
    let second = bench.sink.nth(message.id(), "TransientFailure", 2).await;
    assert_eq!((second.text("queue"), second.attempts()), ("other.example", 1));
    // It stays there, by that queue's own settings.
    let spooled = bench.spooled(message.id()).await.unwrap();
    assert_eq!((spooled.attempts, spooled.due), (2, Some(bench.now() + secs(14))));
    assert_eq!(spooled.meta["queue"], "other.example");
    bench.clock.advance(secs(14));
    let delivery = bench.sink.of(message.id(), "Delivery").await;
    assert_eq!((delivery.text("site"), delivery.attempts()), ("unspecified->other.example@lua:make.test", 2));
}

#[tokio::test]
async fn a_queue_that_cannot_be_found_is_not_gone_to() {
    let bench = Builder::new()
        .on("get_queue_config", |args| match text_of(&args[0]).as_str() {
            "other.example" => broken(),
            _ => answer(json!({"retry_interval": "5s"})),
        })
        .peer(Peer::new().at_first(transient("later")))
        .on("requeue_message", |args| {
            message_of(&args).set_meta("queue", json!("other.example"));
            nothing()
        })
        .start();
    let message = bench.take("rcpt@example.com").await;
    bench.sink.of(message.id(), "TransientFailure").await;
    bench.clock.advance(secs(5));
    assert_eq!(bench.sink.of(message.id(), "Delivery").await.text("queue"), "example.com");
}

#[tokio::test]
async fn an_error_leaves_everything_as_it_was() {
    for failure in [broken as fn() -> _, || panic!("on purpose")] {
        let bench = Builder::new()
            .queue_config(json!({"retry_interval": "5s"}))
            .peer(Peer::new().at_first(transient("later")))
            .on("requeue_message", move |_| failure())
            .start();
        let message = bench.take("rcpt@example.com").await;
        bench.sink.of(message.id(), "TransientFailure").await;
        bench.clock.advance(secs(5));
        assert_eq!(bench.sink.of(message.id(), "Delivery").await.attempts(), 1);
    }
}
