//! The process dies, at every write (I4).

use crate::desk::{BATCH, Told};
use crate::world::{Left, Life, TokioClock, append, letters};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use waybill_spool::{Crash, CrashingStore, LastWrite, Loss, ReadLimit, Store, StreamId};
use waybill_types::Offset;

/// Lanes and what their endpoints say.
const EVENTS: [(&str, &str); 12] = [
    ("a", "ok"),
    ("b", "later"),
    ("-", "ok"),
    ("a", "never"),
    ("a", "later"),
    ("b", "ok"),
    ("a", "ok"),
    ("panic", "ok"),
    ("b", "never"),
    ("-", "ok"),
    ("a", "ok"),
    ("b", "later"),
];

/// All lives together, as outsiders saw them.
struct World {
    store: Arc<CrashingStore>,
    clock: Arc<TokioClock>,
    delivered: BTreeMap<Offset, usize>,
}

impl World {
    /// The first life, which may be cut short.
    async fn begin(crash: Crash) -> World {
        let (store, clock) = (Arc::new(CrashingStore::new(crash)), TokioClock::start());
        let mut world = World { store, clock, delivered: BTreeMap::new() };
        world.live().await;
        world
    }

    /// Another life over what survived, which may be cut short at its write `at`.
    async fn again(mut self, at: usize, last: LastWrite) -> World {
        self.store = Arc::new(CrashingStore::over(self.store.survivor(), at, last));
        self.live().await;
        self
    }

    /// Appends what is missing of the events, and goes on until each has its end or the store dies.
    async fn live(&mut self) {
        let store: Arc<dyn Store> = self.store.clone();
        let life = Life::new(&store, &self.clock);
        let lived = life.live(async |inside| {
            let story = async {
                let there = journal(&*store).await.len();
                for (lane, what) in &EVENTS[there..] {
                    append(&*store, &self.clock, lane, what).await.ok()?;
                }
                inside.caught_up().await;
                Some(())
            };
            tokio::select! {
                biased;
                () = self.store.crashed() => None,
                ended = story => ended,
            }
        });
        if let Ok(Left { told, .. }) = lived.await {
            self.hear(&told);
        }
    }

    fn hear(&mut self, told: &Told) {
        told.delivered.iter().for_each(|(offset, times)| *self.delivered.entry(*offset).or_default() += times);
    }

    fn duplicates(&self) -> usize {
        self.delivered.values().map(|times| times - 1).sum()
    }

    /// Every event has the end it should have, and no more is left than that.
    async fn check_end(&self, crash: &impl std::fmt::Debug) {
        let survivor = self.store.survivor();
        let events = journal(&*survivor).await;
        assert_eq!(events.len(), EVENTS.len(), "{crash:?}");
        let dead: BTreeSet<Offset> = letters(&survivor).await.into_iter().map(|letter| letter.offset).collect();
        for (offset, (lane, what)) in events.into_iter().zip(EVENTS) {
            let ends_dead = lane == "panic" || what == "never";
            let is_delivered = self.delivered.contains_key(&offset);
            assert_eq!(is_delivered, lane != "-" && !ends_dead, "{offset} {lane} {what}: {crash:?}");
            assert_eq!(dead.contains(&offset), ends_dead, "{offset} {lane} {what}: {crash:?}");
        }
    }
}

/// The offsets of the journal.
pub(crate) async fn journal(store: &dyn Store) -> Vec<Offset> {
    let all = ReadLimit { entries: 1000, bytes: 1 << 20 };
    let slice = store.read(StreamId::EVENTS, Offset::ZERO, all).await.unwrap_or_default();
    slice.entries.into_iter().map(|(offset, _)| offset).collect()
}

#[tokio::test(start_paused = true)]
async fn without_a_crash_every_event_comes_once() {
    let world = World::begin(Crash::NEVER).await;
    world.check_end(&"no crash").await;
    assert_eq!(world.duplicates(), 0);
    // A dead letter each, although a life without a crash is the only one that counts them.
    assert_eq!(letters(&world.store.survivor()).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn whatever_write_is_the_last_nothing_is_lost_and_little_comes_twice() {
    let writes = World::begin(Crash::NEVER).await.store.commits();
    assert!(writes > EVENTS.len() + 3, "{writes}");
    for crash in Crash::everywhere(writes) {
        let world = World::begin(crash).await.again(usize::MAX, LastWrite::Lost).await;
        world.check_end(&crash).await;
        // What was told since the last checkpoint: less than this journal holds, where only the process died.
        let most = if crash.loss == Loss::Process { 4 * BATCH } else { EVENTS.len() };
        assert!(world.duplicates() <= most, "{crash:?}: {}", world.duplicates());
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_crash_at_whatever_write_loses_nothing_either() {
    let writes = World::begin(Crash::NEVER).await.store.commits();
    let first = Crash { at: EVENTS.len() + 1, last: LastWrite::Lost, loss: Loss::Process };
    for at in 1..=writes {
        for last in [LastWrite::Lost, LastWrite::Unacknowledged] {
            let world = World::begin(first).await.again(at, last).await.again(usize::MAX, LastWrite::Lost).await;
            world.check_end(&(at, last)).await;
        }
    }
}
