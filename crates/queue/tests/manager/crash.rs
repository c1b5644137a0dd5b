//! Killed at every write: nothing that was taken is lost (I4), and what the peer saw has its event, or comes again (I2).

use crate::support::{
    Bench, Builder, Peer, Record, Seen, delivered, journal, permanent, secs, spooled, transient, within,
};
use serde_json::json;
use std::collections::HashSet;
use std::sync::Arc;
use waybill_delivery::Outcome;
use waybill_spool::{Crash, CrashingStore, Message, Store};
use waybill_types::MessageId;

/// Some are taken at once, some at the second attempt, some never.
const RECIPIENTS: [&str; 6] =
    ["ok@a.example", "later@a.example", "never@a.example", "ok@b.example", "later@b.example", "never@b.example"];

fn answers(message: &Message, before: usize) -> Outcome {
    match message.recipients()[0].user() {
        "later" if before == 0 && message.attempts() == 0 => transient("later"),
        "never" => permanent("no"),
        _ => delivered(),
    }
}

fn arranged(builder: Builder) -> Bench {
    builder.queue_config(json!({"retry_interval": "5s"})).peer(Peer::new().answering(answers)).start()
}

fn is_final(record: &Record) -> bool {
    ["Delivery", "Bounce", "Expiration"].contains(&record.kind())
}

fn about(records: &[Record], id: MessageId) -> impl Iterator<Item = &Record> {
    let id = id.to_string();
    records.iter().filter(move |record| record.id() == id)
}

/// Goes on until all of these have left.
async fn finish(bench: &Bench, ids: &[MessageId]) {
    for id in ids {
        bench
            .sink
            .until(|all| about(all, *id).any(|record| is_final(record) || record.kind() == "TransientFailure"))
            .await;
    }
    bench.clock.advance(secs(5));
    for id in ids {
        bench.sink.until(|all| about(all, *id).any(is_final)).await;
    }
}

/// The life of a daemon that may be cut short: which messages it has taken.
async fn live(bench: &Bench, store: &CrashingStore) -> Vec<MessageId> {
    let mut taken = Vec::new();
    for recipient in RECIPIENTS {
        let message = bench.mail(recipient);
        if bench.accept(&message).await.is_ok() {
            taken.push(message.id());
        }
    }
    let ids = taken.clone();
    tokio::select! {
        () = finish(bench, &ids) => {}
        () = store.crashed() => {}
    }
    bench.stop().await;
    taken
}

async fn events_of_final(store: &dyn Store, id: MessageId) -> usize {
    about(&journal(store).await, id).filter(|record| is_final(record)).count()
}

#[tokio::test(start_paused = true)]
async fn a_run_without_a_crash_leaves_nothing_behind() {
    let store = Arc::new(CrashingStore::new(Crash::NEVER));
    let bench = arranged(Builder::new().shared_store(store.clone()));
    let taken = live(&bench, &store).await;
    assert_eq!(taken.len(), RECIPIENTS.len());
    for id in taken {
        assert_eq!(spooled(&*store, id).await, None);
        assert_eq!(events_of_final(&*store, id).await, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_write_is_the_last_nothing_is_lost() {
    let counting = Arc::new(CrashingStore::new(Crash::NEVER));
    live(&arranged(Builder::new().shared_store(counting.clone())), &counting).await;
    let writes = counting.commits();
    assert!(writes > RECIPIENTS.len(), "{writes}");
    for crash in Crash::everywhere(writes) {
        within(survive(crash)).await;
    }
}

async fn survive(crash: Crash) {
    let store = Arc::new(CrashingStore::new(crash));
    let bench = arranged(Builder::new().shared_store(store.clone()));
    let taken = live(&bench, &store).await;
    let seen = bench.peer.seen();
    let survivor = store.survivor();

    // I1 and I2, in what a restarted daemon finds.
    let events = journal(&*survivor).await;
    for id in &taken {
        let received = about(&events, *id).filter(|record| record.kind() == "Reception").count();
        assert_eq!(received, 1, "{crash:?}");
        let waits = spooled(&*survivor, *id).await.is_some();
        let left = about(&events, *id).filter(|record| is_final(record)).count();
        assert_eq!(left, usize::from(!waits), "queued or told of as gone, never both: {crash:?}");
    }
    for outcome in &seen {
        let told = about(&events, outcome.id).any(|record| match outcome.outcome {
            Outcome::Delivered(_) => record.kind() == "Delivery",
            Outcome::Permanent(_) => record.kind() == "Bounce",
            Outcome::Transient(..) => record.kind() == "TransientFailure",
        });
        let waits = spooled(&*survivor, outcome.id).await.is_some();
        assert!(told || waits, "{crash:?}");
    }

    // I4: the next daemon delivers the rest, and what it does again was in flight.
    let mut next = bench.restart();
    next.store = survivor.clone();
    let next = arranged(next);
    next.spool_in().await;
    // What had failed before is due.
    next.clock.advance(secs(5));
    finish(&next, &waiting(&next, &taken).await).await;
    next.stop().await;
    let mut again = HashSet::new();
    for id in &taken {
        assert_eq!(spooled(&*survivor, *id).await, None, "{crash:?}");
        assert_eq!(events_of_final(&*survivor, *id).await, 1, "{crash:?}");
        let settled = |seen: &[Seen]| {
            seen.iter().filter(|seen| seen.id == *id && !matches!(seen.outcome, Outcome::Transient(..))).count()
        };
        let times = settled(&seen) + settled(&next.peer.seen());
        assert!((1..=2).contains(&times), "{crash:?}: {times} times");
        if times == 2 {
            again.insert(*id);
        }
    }
    if crash.loss == waybill_spool::Loss::Process {
        assert!(again.len() <= IN_FLIGHT, "{crash:?}: {} twice", again.len());
    }
}

/// As many as had no stored outcome at the time of the crash: those of one turn.
const IN_FLIGHT: usize = RECIPIENTS.len();

/// Those that the second daemon has to see off.
async fn waiting(bench: &Bench, taken: &[MessageId]) -> Vec<MessageId> {
    let mut waiting = Vec::new();
    for id in taken {
        let events = bench.journal().await;
        if !about(&events, *id).any(is_final) || bench.spooled(*id).await.is_some() {
            waiting.push(*id);
        }
    }
    waiting
}

#[tokio::test(start_paused = true)]
async fn after_the_store_is_closed_nothing_more_is_handed_out() {
    let crash = Crash { at: 11, last: waybill_spool::LastWrite::Lost, loss: waybill_spool::Loss::Process };
    let store = Arc::new(CrashingStore::new(crash));
    let (peer, gate) = Peer::new().held();
    let bench =
        Builder::new().shared_store(store.clone()).peer(peer).path_config(json!({"connection_limit": 1})).start();
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(bench.take("rcpt@example.com").await.id());
    }
    gate.add_permits(10);
    within(store.crashed()).await;
    bench.stop().await;
    assert_eq!(bench.peer.ids(), ids[..1]);
    assert_eq!(bench.sink.all().iter().filter(|record| is_final(record)).count(), 0, "nobody hears of it");
}
