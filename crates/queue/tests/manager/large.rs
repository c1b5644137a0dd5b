//! One message to many: its body is large, and every recipient's message has all of it.

use crate::support::{Bench, Builder, GateStore};
use bytes::Bytes;
use std::sync::Arc;
use waybill_spool::{Crash, CrashingStore, Durability, Key, LastWrite, Message, Part, Store, Table};

const BODY: usize = 2 << 20;
const RECIPIENTS: usize = 10;

/// Messages that share a body, each with a front of its own.
fn messages(bench: &Bench) -> Vec<Message> {
    let came = Bytes::from(vec![b'x'; BODY]);
    let message = |number| {
        let message = bench.mail(&format!("u{number}@example.com"));
        message.set_data(came.clone());
        message.prepend(format!("X-Number: {number}\r\n").as_bytes());
        message
    };
    (0..RECIPIENTS).map(message).collect()
}

async fn accept(bench: &Bench, messages: &[Message]) -> bool {
    let incoming = messages.iter().map(|message| bench.incoming(message)).collect();
    bench.manager.intake().accept(incoming, Durability::Synced).await.is_ok()
}

/// How many bodies there are, and how many transactions that are not complete.
async fn left(store: &dyn Store, messages: &[Message]) -> (usize, usize) {
    let mut bodies = 0;
    for message in messages {
        bodies += usize::from(store.load(message.id(), Part::Data).await.unwrap().is_some());
    }
    let arriving = Key::new().text("arriving");
    (bodies, store.range(Table::State, arriving.clone(), arriving.end(), 10).await.unwrap().len())
}

fn fronts_are_their_own(bench: &Bench, messages: &[Message]) {
    let seen = bench.peer.seen();
    assert_eq!(seen.len(), RECIPIENTS);
    for seen in seen {
        let number = messages.iter().position(|message| message.id() == seen.id).expect("one of ours");
        assert!(seen.body.starts_with(format!("X-Number: {number}\r\nx").as_bytes()), "{number}");
    }
}

#[tokio::test]
async fn no_commit_writes_more_than_one_of_the_bodies() {
    let store = GateStore::new();
    let bench = Builder::new().store(store.clone()).start();
    let messages = messages(&bench);
    assert!(accept(&bench, &messages).await);
    let written: usize = store.weights().iter().sum();
    assert!(written > RECIPIENTS * BODY, "{written}");
    let most = store.weights().into_iter().max().unwrap_or_default();
    assert!(most < BODY + 10_000, "{most}");
    // The last one takes responsibility, as durably as was asked.
    assert_eq!(store.durabilities()[RECIPIENTS + 1], Durability::Synced);
    for message in &messages {
        bench.sink.of(message.id(), "Delivery").await;
    }
    fronts_are_their_own(&bench, &messages);
    assert_eq!(left(&store, &messages).await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn whatever_write_is_the_last_a_large_transaction_is_taken_as_a_whole_or_leaves_nothing() {
    let mut whole = 0;
    // One for the note that it arrives, one for each body, one for all envelopes and events.
    let writes = RECIPIENTS + 2;
    for crash in Crash::everywhere(writes) {
        let store = Arc::new(CrashingStore::new(crash));
        let bench = Builder::new().shared_store(store.clone()).start();
        let messages = messages(&bench);
        let taken = tokio::select! {
            taken = accept(&bench, &messages) => taken,
            () = store.crashed() => false,
        };
        bench.stop().await;
        let survivor = store.survivor();
        let stored: Vec<_> = survivor.scan(None, 100).await.unwrap().iter().map(|entry| entry.id).collect();
        let gone = bench.sink.all().iter().filter(|record| record.kind() == "Delivery").count();
        let count = stored.len();
        assert!(count == 0 || count + gone >= RECIPIENTS, "{crash:?}: {count} are stored, {gone} delivered");
        assert!(!taken || count + gone >= RECIPIENTS, "{crash:?}");
        whole += usize::from(count > 0);

        let next = Arc::new(CrashingStore::over(store.survivor(), usize::MAX, LastWrite::Lost));
        let mut again = bench.restart();
        again.store = next.clone();
        let bench = again.start();
        bench.spool_in().await;
        for id in stored {
            bench.sink.of(id, "Delivery").await;
        }
        bench.stop().await;
        assert_eq!(left(&*next.survivor(), &messages).await, (0, 0), "{crash:?}");
    }
    assert!(whole > 0, "the last write is the one that counts");
}
