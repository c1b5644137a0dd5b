//! Many messages.

use crate::support::{Builder, Peer, TestSink, delivered, secs, transient};
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};
use waybill_log_record::RecordType;
use waybill_spool::{Batch, MemoryStore};

const MANY: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_messages_drain_to_the_last() {
    let bench = Builder::new().path_config(json!({"max_ready": MANY})).start();
    for round in 0..MANY / 100 {
        let taken = (0..100).map(|_| bench.take(if round % 2 == 0 { "a@a.example" } else { "b@b.example" }));
        futures::future::join_all(taken).await;
    }
    bench.sink.count("Delivery", MANY).await;
    bench.stop().await;
    assert_eq!(bench.manager.stats().messages.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn sinks_that_stand_still_hold_up_deliveries_in_the_end_but_not_the_mail() {
    const MAILS: usize = 7000;
    let (sink, gate) = TestSink::new().without_journal().gated(RecordType::Delivery);
    let bench = Builder::new().sink(sink).path_config(json!({"max_ready": MANY})).start();
    for _ in 0..MAILS {
        bench.take("a@a.example").await;
    }
    // In paused time: until nobody has anything to do any more.
    tokio::time::sleep(secs(60)).await;
    let held_up = bench.peer.ids().len();
    assert!((1000..MAILS - 500).contains(&held_up), "{held_up}");
    gate.add_permits(MAILS);
    bench.sink.count("Delivery", MAILS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spool_of_ten_thousand_messages_is_taken_up_while_mail_flows() {
    let store = MemoryStore::new();
    let bench = Builder::new().store(store.clone()).build();
    for number in 0..MANY {
        let mut batch = Batch::new();
        batch.save(&bench.mail(["a@a.example", "b@b.example"][number % 2]));
        store.apply(batch);
    }
    let numbers = AtomicUsize::new(0);
    let next = bench
        .restart()
        .path_config(json!({"max_ready": MANY}))
        .peer(Peer::new().batches_of(100).answering(move |_, before| {
            // One in a hundred has to come again.
            let again = before == 0 && numbers.fetch_add(1, Ordering::Relaxed).is_multiple_of(100);
            if again { transient("later") } else { delivered() }
        }))
        .queue_config(json!({"retry_interval": "5s"}))
        .start();
    let mail = async {
        for _ in 0..100 {
            next.take("c@c.example").await;
        }
    };
    let (count, ()) = futures::join!(next.spool_in(), mail);
    assert_eq!(count as usize, MANY);
    // Each has had its first attempt.
    next.peer.answered(MANY + 100).await;
    next.sink.count("TransientFailure", 101).await;
    next.clock.advance(secs(5));
    next.sink.count("Delivery", MANY + 100).await;
}
