//! Killed at every write: nothing that was taken is lost (I4), and what the peer saw has its event, or comes again (I2).

use crate::support::{
    Bench, Builder, Peer, Record, Seen, delivered, journal, permanent, secs, spooled, transient, within,
};
use serde_json::json;
use std::collections::HashSet;
use std::sync::Arc;
use waybill_delivery::Outcome;
use waybill_spool::{Crash, CrashingStore, LastWrite, Loss, Message};
use waybill_types::MessageId;

/// Some are taken at once, some at the second attempt, some never.
const RECIPIENTS: [&str; 6] =
    ["ok@a.example", "later@a.example", "never@a.example", "ok@b.example", "later@b.example", "never@b.example"];
/// As many as may be on their way at a time: one for each of two places.
const IN_FLIGHT: usize = 2;

fn answers(message: &Message, before: usize) -> Outcome {
    match message.recipients()[0].user() {
        "later" if before == 0 && message.attempts() == 0 => transient("later"),
        "never" => permanent("no"),
        _ => delivered(),
    }
}

fn arranged(builder: Builder) -> Bench {
    builder
        .queue_config(json!({"retry_interval": "5s"}))
        .path_config(json!({"connection_limit": 1}))
        .peer(Peer::new().answering(answers))
        .start()
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
    let tried = |record: &Record| is_final(record) || record.kind() == "TransientFailure";
    for id in ids {
        bench.sink.until(|all| about(all, *id).any(tried)).await;
    }
    bench.clock.advance(secs(5));
    for id in ids {
        bench.sink.until(|all| about(all, *id).any(is_final)).await;
    }
}

/// What there is from one life to the next.
struct World {
    store: Arc<CrashingStore>,
    bench: Bench,
    taken: Vec<MessageId>,
    seen: Vec<Seen>,
}

impl World {
    /// The first life, which may be cut short.
    async fn begin(crash: Crash) -> World {
        let store = Arc::new(CrashingStore::new(crash));
        let bench = arranged(Builder::new().shared_store(store.clone()));
        let mut taken = Vec::new();
        for recipient in RECIPIENTS {
            let message = bench.mail(recipient);
            if bench.accept(&message).await.is_ok() {
                taken.push(message.id());
            }
        }
        tokio::select! {
            () = finish(&bench, &taken) => {}
            () = store.crashed() => {}
        }
        bench.stop().await;
        let seen = bench.peer.seen();
        World { store, bench, taken, seen }
    }

    /// Another life over what survived, which may be cut short at its write `at`.
    async fn again(self, at: usize, last: LastWrite) -> World {
        let store = Arc::new(CrashingStore::over(self.store.survivor(), at, last));
        let mut next = self.bench.restart();
        next.store = store.clone();
        let bench = arranged(next);
        // What was stored unacknowledged is here as well.
        let found = self.store.survivor().scan(None, usize::MAX).await.unwrap();
        let rest: Vec<MessageId> = found.iter().map(|entry| entry.id).collect();
        let live = async {
            bench.spool_in().await;
            // What had failed before is due.
            bench.clock.advance(secs(5));
            finish(&bench, &rest).await;
        };
        tokio::select! {
            () = live => {}
            () = store.crashed() => {}
        }
        bench.stop().await;
        let seen = [self.seen, bench.peer.seen()].concat();
        World { store, bench, taken: self.taken, seen }
    }

    /// I1 and I2, in what a restarted daemon finds.
    async fn check(&self, crash: &impl std::fmt::Debug) {
        let survivor = self.store.survivor();
        let events = journal(&*survivor).await;
        for id in &self.taken {
            let received = about(&events, *id).filter(|record| record.kind() == "Reception").count();
            assert_eq!(received, 1, "{crash:?}");
            let waits = spooled(&*survivor, *id).await.is_some();
            let left = about(&events, *id).filter(|record| is_final(record)).count();
            assert_eq!(left, usize::from(!waits), "queued or told of as gone, never both: {crash:?}");
        }
        for Seen { id, outcome, .. } in &self.seen {
            let told = about(&events, *id).any(|record| match outcome {
                Outcome::Delivered(_) => record.kind() == "Delivery",
                Outcome::Permanent(_) => record.kind() == "Bounce",
                Outcome::Transient(..) | Outcome::Divided(_) => record.kind() == "TransientFailure",
            });
            assert!(told || spooled(&*survivor, *id).await.is_some(), "{crash:?}");
        }
    }

    /// How many have come to the peer for good more than once. All have at least once.
    fn duplicates(&self, crash: &impl std::fmt::Debug) -> usize {
        let for_good = self.seen.iter().filter(|seen| !matches!(seen.outcome, Outcome::Transient(..)));
        let times: Vec<MessageId> = for_good.map(|seen| seen.id).filter(|id| self.taken.contains(id)).collect();
        let distinct: HashSet<&MessageId> = times.iter().collect();
        assert_eq!(distinct.len(), self.taken.len(), "{crash:?}");
        times.len() - distinct.len()
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_without_a_crash_leaves_nothing_behind() {
    let world = World::begin(Crash::NEVER).await;
    world.check(&"no crash").await;
    assert_eq!((world.taken.len(), world.duplicates(&"no crash")), (RECIPIENTS.len(), 0));
    assert_eq!(journal(&*world.store.survivor()).await.len(), RECIPIENTS.len() * 2 + 2);
}

#[tokio::test(start_paused = true)]
async fn whatever_write_is_the_last_nothing_is_lost() {
    let writes = World::begin(Crash::NEVER).await.store.commits();
    assert!(writes > RECIPIENTS.len(), "{writes}");
    for crash in Crash::everywhere(writes) {
        let world = World::begin(crash).await;
        world.check(&crash).await;
        let world = world.again(usize::MAX, LastWrite::Lost).await;
        world.check(&crash).await;
        let duplicates = world.duplicates(&crash);
        // A loss of power takes back outcomes of a whole second as well: those come again too.
        assert!(duplicates <= IN_FLIGHT || crash.loss == Loss::Power, "{crash:?}: {duplicates}");
        assert!(world.store.survivor().scan(None, 10).await.unwrap().is_empty(), "{crash:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_crash_at_whatever_write_loses_nothing_either() {
    let writes = World::begin(Crash::NEVER).await.store.commits();
    // Behind the last reception, so that there is something to do again.
    let first = Crash { at: RECIPIENTS.len() + 1, last: LastWrite::Lost, loss: Loss::Process };
    for at in 1..=writes {
        for last in [LastWrite::Lost, LastWrite::Unacknowledged] {
            let crashes = (first, at, last);
            let world = World::begin(first).await.again(at, last).await;
            world.check(&crashes).await;
            let world = world.again(usize::MAX, LastWrite::Lost).await;
            world.check(&crashes).await;
            let duplicates = world.duplicates(&crashes);
            assert!(duplicates <= 2 * IN_FLIGHT, "{crashes:?}: {duplicates}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_store_is_closed_nothing_more_is_handed_out() {
    let crash = Crash { at: 11, last: LastWrite::Lost, loss: Loss::Process };
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
