//! The store fails for a while.

use crate::support::{Builder, GateStore, Peer, TestSink, delivered, secs};
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;
use waybill_spool::{Health, IntakeError, IntakeState, MemoryStore};

#[tokio::test(start_paused = true)]
async fn while_an_outcome_cannot_be_stored_nothing_is_handed_out_and_then_everything_is_delivered() {
    let store = GateStore::new();
    let (peer, gate) = Peer::new().held();
    let breaks = store.clone();
    let peer = peer.answering(move |_, _| {
        breaks.fail(breaks.failures() == 0);
        delivered()
    });
    let bench = Builder::new().store(store.clone()).peer(peer).path_config(json!({"connection_limit": 1})).start();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(bench.take("rcpt@example.com").await.id());
    }
    gate.add_permits(5);
    // Several attempts to store the first outcome.
    store.failed(4).await;
    assert_eq!(bench.peer.ids(), ids[..1]);
    assert_eq!(bench.sink.kinds(ids[0]), ["Reception"], "nobody hears what is not stored");
    assert!(matches!(bench.manager.intake().state(), IntakeState::SpoolFailing(_)));
    store.fail(false);
    bench.sink.count("Delivery", 5).await;
    assert_eq!(bench.peer.ids(), ids, "each once");
    assert_eq!(bench.journal().await, bench.sink.all());
    assert_eq!(store.memory.message_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_not_well_keeps_what_becomes_due() {
    let store = GateStore::new();
    let bench = Builder::new().store(store.clone()).start();
    let message = bench.mail("rcpt@example.com");
    message.set_due(Some(crate::support::BEGIN + secs(30)));
    bench.accept(&message).await.unwrap();
    bench.sink.of(message.id(), "Delayed").await;
    store.fail(true);
    bench.clock.advance(secs(30));
    // Long enough for many looks at the store, in paused time.
    tokio::time::sleep(secs(60)).await;
    assert_eq!(bench.peer.ids(), []);
    store.fail(false);
    bench.sink.of(message.id(), "Delivery").await;
}

#[tokio::test]
async fn a_full_disk_stops_reception_and_not_deliveries() {
    let (peer, gate) = Peer::new().held();
    let store = MemoryStore::new();
    let bench = Builder::new().store(store.clone()).peer(peer).start();
    let message = bench.take("rcpt@example.com").await;
    store.set_health(Health::DiskFull("disk is too full".into()));
    assert!(matches!(bench.manager.intake().state(), IntakeState::DiskFull(_)));
    let refused = bench.accept(&bench.mail("rcpt@example.com")).await;
    assert!(matches!(refused, Err(IntakeError::Overloaded(why)) if &*why == "disk is too full"));
    gate.add_permits(1);
    bench.sink.of(message.id(), "Delivery").await;
}

#[tokio::test]
async fn a_record_is_written_after_its_change_is_stored() {
    let store = GateStore::new();
    let gone = Arc::new(Mutex::new(Vec::new()));
    let (looked, memory) = (gone.clone(), store.memory.clone());
    let sink = TestSink::new().injecting(move |record| {
        looked.lock().push((record.kind().to_owned(), memory.message_count()));
        None
    });
    let bench = Builder::new().store(store).sink(sink).start();
    let message = bench.take("rcpt@example.com").await;
    bench.sink.of(message.id(), "Delivery").await;
    assert_eq!(*gone.lock(), [("Reception".to_owned(), 1), ("Delivery".to_owned(), 0)]);
}
