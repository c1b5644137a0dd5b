//! Later, and when.

use crate::support::{BEGIN, Builder, Peer, delivered, secs, transient};
use serde_json::json;
use waybill_delivery::Outcome;
use waybill_types::Response;

/// Without jitter: that is in whole seconds, and a twentieth of five is none.
fn policy() -> serde_json::Value {
    json!({"retry_interval": "5s"})
}

/// Takes nothing but the probes.
fn always_later() -> Peer {
    Peer::new().answering(|message, _| match message.recipients()[0].user() {
        "probe" => delivered(),
        _ => transient("later"),
    })
}

#[tokio::test]
async fn each_wait_is_twice_as_long_and_nothing_is_tried_early() {
    let bench = Builder::new().queue_config(policy()).peer(always_later()).start();
    let message = bench.take("rcpt@example.com").await;
    let mut at = 0;
    for (attempt, wait) in [(0, 5), (1, 10), (2, 20)] {
        let failure = bench.sink.nth(message.id(), "TransientFailure", attempt + 1).await;
        assert_eq!(failure.attempts(), attempt as u64);
        let spooled = bench.spooled(message.id()).await.unwrap();
        assert_eq!((spooled.attempts, spooled.due), (attempt as u32 + 1, Some(BEGIN + secs(at + wait))));
        bench.clock.set(BEGIN + secs(at + wait - 1));
        bench.settle().await;
        assert_eq!(bench.sink.kinds(message.id()).len(), attempt + 2);
        at += wait;
        bench.clock.set(BEGIN + secs(at));
    }
    bench.sink.nth(message.id(), "TransientFailure", 4).await;
    let ours = |record: &&crate::support::Record| record.id() == message.id().to_string();
    assert_eq!(bench.journal().await.iter().filter(ours).count(), 5);
}

#[tokio::test]
async fn the_peers_wish_for_a_later_time_is_kept() {
    let wish = Outcome::Transient(Response::plain(429, "slow down"), Some(secs(3600)));
    let bench = Builder::new().queue_config(policy()).peer(Peer::new().at_first(wish)).start();
    let message = bench.take("rcpt@example.com").await;
    bench.sink.of(message.id(), "TransientFailure").await;
    assert_eq!(bench.spooled(message.id()).await.unwrap().due, Some(BEGIN + secs(3600)));
}

#[tokio::test]
async fn attempts_and_due_time_are_kept_across_a_restart() {
    let bench = Builder::new().queue_config(policy()).peer(always_later()).start();
    let message = bench.take("rcpt@example.com").await;
    bench.sink.of(message.id(), "TransientFailure").await;
    bench.clock.advance(secs(5));
    bench.sink.nth(message.id(), "TransientFailure", 2).await;
    bench.stop().await;

    let next = bench.restart().queue_config(policy()).peer(always_later()).start();
    assert_eq!(next.spool_in().await, 1);
    next.clock.set(BEGIN + secs(14));
    next.settle().await;
    assert_eq!(next.sink.kinds(message.id()), Vec::<String>::new(), "neither tried nor told of");
    next.clock.set(BEGIN + secs(15));
    assert_eq!(next.sink.of(message.id(), "TransientFailure").await.attempts(), 2);
    let spooled = next.spooled(message.id()).await.unwrap();
    assert_eq!((spooled.attempts, spooled.due), (3, Some(BEGIN + secs(35))));
}
