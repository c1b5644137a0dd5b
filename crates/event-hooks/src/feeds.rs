//! One reader of a stream for all hooks: it looks each event up in an index, and hands it to the hooks that may be meant.
//!
//! A hook that falls behind loses nothing: what was handed to it is let go, and it reads that part of the stream itself.

use crate::occurrence::Sighting;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::Map;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;
use waybill_consumers::Feed;
use waybill_event_hooks_core::{Index, Interest};
use waybill_log_record::Capture;
use waybill_runtime::Stop;
use waybill_spool::{ReadLimit, Slice, Store, StoreError, StreamId};
use waybill_types::Offset;

/// Events of a page.
const PAGE: ReadLimit = ReadLimit { entries: 1024, bytes: 1 << 20 };
/// News are heard at once, the next ones after this: what every single commit brings is read together.
const NEWS: Duration = Duration::from_millis(1);
/// A hook that nothing is for learns after this that time has passed, and stores its place.
const IDLE: Duration = Duration::from_secs(5);
/// What the store could not do is tried again after this.
const RETRY: Duration = Duration::from_millis(500);
/// Events that are held for a hook, and their bytes; with more it reads for itself.
const HELD: usize = 512;
const HELD_BYTES: usize = 512 * 1024;
/// At the start, hooks that stand so far behind read for themselves.
const TOGETHER: u64 = 200_000;
/// The text of an event with more values than a condition looks at has at least so many bytes: it might fail for each hook.
const LARGE: usize = 20_000;

/// The reader of one stream.
pub(crate) struct Feeds {
    store: Arc<dyn Store>,
    stream: StreamId,
    capture: Arc<Capture>,
    /// Every event below was looked up.
    looked: Arc<AtomicU64>,
    board: Mutex<Board>,
}

struct Board {
    /// As `looked` says.
    at: Offset,
    /// What all hooks were told of that.
    told: Offset,
    index: Index<Uuid>,
    fed: BTreeMap<Uuid, Arc<Fed>>,
}

/// What is looked out for one hook.
pub(crate) struct Fed {
    store: Arc<dyn Store>,
    stream: StreamId,
    looked: Arc<AtomicU64>,
    visible: watch::Sender<Offset>,
    held: Mutex<Held>,
}

struct Held {
    /// From here on everything that may be for the hook is in `events`; before, it has to read for itself.
    from: Offset,
    events: VecDeque<(Offset, Bytes)>,
    bytes: usize,
    /// It reads nothing at the moment: nothing is held for it.
    resting: bool,
}

impl Feeds {
    /// Reads from `at` on, or a little before the end where that is far.
    pub(crate) fn new(store: Arc<dyn Store>, stream: StreamId, capture: Arc<Capture>, at: Offset) -> Arc<Self> {
        let end = *store.visible(stream).borrow();
        let at = at.max(Offset(end.0.saturating_sub(TOGETHER))).min(end);
        let board = Mutex::new(Board { at, told: at, index: Index::default(), fed: BTreeMap::new() });
        Arc::new(Feeds { store, stream, capture, looked: Arc::new(AtomicU64::new(at.0)), board })
    }

    /// From now on events are looked out for this hook. What was before it reads for itself.
    pub(crate) fn add(&self, hook: Uuid, interest: Interest) -> Arc<Fed> {
        let mut board = self.board.lock();
        let held = Mutex::new(Held { from: board.at, events: VecDeque::new(), bytes: 0, resting: false });
        let (store, stream, looked) = (self.store.clone(), self.stream, self.looked.clone());
        let fed = Arc::new(Fed { store, stream, looked, visible: watch::channel(board.at).0, held });
        board.index.set(hook, interest);
        board.fed.insert(hook, fed.clone());
        fed
    }

    /// The hook has another description. It looks itself at what it has not read yet; and where it rests, nothing is held.
    pub(crate) fn change(&self, hook: Uuid, interest: Interest, resting: bool) {
        let mut board = self.board.lock();
        let at = board.at;
        board.index.set(hook, interest);
        if let Some(fed) = board.fed.get(&hook) {
            fed.held.lock().let_go(at, resting);
        }
    }

    /// The hook is gone.
    pub(crate) fn remove(&self, hook: Uuid) {
        let mut board = self.board.lock();
        board.index.remove(hook);
        board.fed.remove(&hook);
    }

    /// Where a hook that has read so far would go on: above it, where nothing in between is for it.
    pub(crate) fn passed(&self, hook: Uuid, read: Offset) -> Offset {
        let fed = self.board.lock().fed.get(&hook).cloned();
        fed.map_or(read, |fed| fed.passed(read))
    }

    /// Until the daemon stops.
    pub(crate) async fn run(self: Arc<Self>, mut stop: Stop) {
        let mut visible = self.store.visible(self.stream);
        let mut idle = Instant::now() + IDLE;
        loop {
            let end = *visible.borrow_and_update();
            if let Err(error) = self.read_to(end).await {
                tracing::error!(stream = self.stream.0, "events cannot be read for hooks, trying again: {error}");
                tokio::select! {
                    biased;
                    () = stop.requested() => return,
                    () = tokio::time::sleep(RETRY) => {}
                }
                continue;
            }
            if idle <= Instant::now() {
                idle = Instant::now() + IDLE;
                self.pass_time();
            }
            tokio::select! {
                biased;
                () = stop.requested() => return,
                () = tokio::time::sleep(NEWS) => {}
            }
            tokio::select! {
                biased;
                () = stop.requested() => return,
                // The store is gone: nothing more will come.
                changed = visible.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(idle), if self.has_news() => {}
            }
        }
    }

    async fn read_to(&self, end: Offset) -> Result<(), StoreError> {
        loop {
            let (at, nobody) = {
                let mut board = self.board.lock();
                // Whoever comes begins here.
                if board.fed.is_empty() {
                    self.set_at(&mut board, end);
                }
                (board.at, board.fed.is_empty())
            };
            if nobody || at >= end {
                return Ok(());
            }
            let slice = self.store.read(self.stream, at, PAGE).await?;
            let next = if slice.entries.is_empty() { end } else { slice.next };
            let mut board = self.board.lock();
            for (offset, entry) in slice.entries {
                board.look_up(self.stream, &self.capture, offset, &entry);
            }
            self.set_at(&mut board, next);
        }
    }

    fn set_at(&self, board: &mut Board, at: Offset) {
        board.at = board.at.max(at);
        self.looked.store(board.at.0, Ordering::Release);
    }

    /// Whether some hook may not know how far the stream was looked through.
    fn has_news(&self) -> bool {
        let board = self.board.lock();
        board.told < board.at && !board.fed.is_empty()
    }

    fn pass_time(&self) {
        let mut board = self.board.lock();
        board.told = board.at;
        board.fed.values().for_each(|fed| fed.show(board.at));
    }
}

impl Board {
    fn look_up(&self, stream: StreamId, capture: &Arc<Capture>, offset: Offset, entry: &Bytes) {
        // As where a hook judges it: one event must not be the end of all.
        let found = catch_unwind(AssertUnwindSafe(|| self.found(stream, capture, entry))).unwrap_or_else(|_| {
            tracing::error!(stream = stream.0, %offset, "looking an event up for hooks panicked: each of them looks at it");
            None
        });
        let Some(found) = found else {
            return self.fed.values().for_each(|fed| fed.take(offset, entry));
        };
        found.iter().filter_map(|hook| self.fed.get(hook)).for_each(|fed| fed.take(offset, entry));
    }

    /// The hooks that an event may be for; nothing where it makes no sense, which every hook keeps.
    fn found(&self, stream: StreamId, capture: &Arc<Capture>, entry: &Bytes) -> Option<BTreeSet<Uuid>> {
        let sighting = Sighting::of(stream, entry)?;
        if sighting.is_of_a_hook() {
            return Some(BTreeSet::new());
        }
        let nothing = Map::new();
        let outline = sighting.outline(&nothing);
        let whole = (entry.len() < LARGE && self.index.asks_for_data(&outline))
            .then(|| Sighting::of(stream, entry)?.whole(capture))
            .flatten();
        Some(self.index.find(&outline, whole.as_ref().map(|occurrence| &occurrence.data)))
    }
}

impl Fed {
    fn take(&self, offset: Offset, entry: &Bytes) {
        {
            let mut held = self.held.lock();
            if held.resting || held.events.len() >= HELD || held.bytes + entry.len() > HELD_BYTES {
                let resting = held.resting;
                held.let_go(offset, resting);
            }
            if held.resting {
                held.from = offset.next();
            } else {
                // One is held whatever its size.
                held.events.push_back((offset, entry.clone()));
                held.bytes += entry.len();
            }
        }
        self.show(offset.next());
    }

    fn looked(&self) -> Offset {
        Offset(self.looked.load(Ordering::Acquire))
    }

    fn passed(&self, read: Offset) -> Offset {
        let looked = self.looked();
        let held = self.held.lock();
        let waits = held.events.iter().any(|(offset, _)| *offset >= read);
        if read < held.from || waits { read } else { looked.max(read) }
    }

    fn show(&self, at: Offset) {
        self.visible.send_if_modified(|visible| {
            let grows = at > *visible;
            *visible = at.max(*visible);
            grows
        });
    }
}

impl Held {
    /// What is before an offset is the hook's to read.
    fn let_go(&mut self, at: Offset, resting: bool) {
        self.events.clear();
        (self.from, self.bytes, self.resting) = (at, 0, resting);
    }

    /// What is held from an offset on, everything below `looked` having been looked up; nothing where the hook has to read
    /// for itself.
    fn read(&mut self, from: Offset, limit: ReadLimit, looked: Offset) -> Option<Slice> {
        if from < self.from {
            return None;
        }
        // It asks again from the same place at most.
        while self.events.front().is_some_and(|(offset, _)| *offset < from) {
            if let Some((_, entry)) = self.events.pop_front() {
                self.bytes -= entry.len();
            }
        }
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for (offset, entry) in &self.events {
            if entries.len() >= limit.entries || (bytes > 0 && bytes + entry.len() > limit.bytes) {
                break;
            }
            bytes += entry.len();
            entries.push((*offset, entry.clone()));
        }
        let next = match entries.last() {
            Some((last, _)) if entries.len() < self.events.len() => last.next(),
            Some((last, _)) => last.next().max(looked),
            None => looked.max(from),
        };
        Some(Slice { entries, next })
    }
}

/// A part of the stream that the hook reads for itself, up to where something is held for it.
async fn read_oneself(fed: Arc<Fed>, from: Offset, limit: ReadLimit) -> Result<Slice, StoreError> {
    // Before the read, which then sees everything below: while it lasts, more may be let go.
    let until = fed.held.lock().from;
    let mut slice = fed.store.read(fed.stream, from, limit).await?;
    let count = slice.entries.len();
    slice.entries.retain(|(offset, _)| *offset < until);
    if slice.entries.len() < count || count == 0 {
        slice.next = until;
    }
    slice.next = slice.next.min(until);
    Ok(slice)
}

/// The feed of one hook, for its runner.
pub(crate) struct FedBy(pub(crate) Arc<Fed>);

impl Feed for FedBy {
    fn visible(&self) -> watch::Receiver<Offset> {
        self.0.visible.subscribe()
    }

    fn read(&self, from: Offset, limit: ReadLimit) -> BoxFuture<'static, Result<Slice, StoreError>> {
        let looked = self.0.looked();
        let held = self.0.held.lock().read(from, limit, looked);
        match held {
            Some(slice) => std::future::ready(Ok(slice)).boxed(),
            None => read_oneself(self.0.clone(), from, limit).boxed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    use serde_json::json;
    use waybill_event_hooks_core::{Catalogue, Document, Draft, Encoding, Signal};
    use waybill_spool::{Batch, MemoryStore};
    use waybill_types::{IdMint, Timestamp};

    const HOOK: Uuid = Uuid::from_u128(1);
    const LIMIT: ReadLimit = ReadLimit { entries: 50, bytes: 1 << 20 };

    /// A stream, and a hook on the events of queue `a`.
    struct World {
        store: MemoryStore,
        feeds: Arc<Feeds>,
        fed: FedBy,
        appended: Vec<Offset>,
        seen: Vec<Offset>,
        at: Offset,
    }

    fn interest() -> Interest {
        let hook = json!({"source": "queue", "handler": "log", "filter": "data.queue == 'a'"});
        let document = Document::from(hook.as_object().cloned().unwrap());
        Draft::read(&document, Encoding::Json, &Catalogue::new()).unwrap().interest()
    }

    impl World {
        fn new() -> Self {
            let store = MemoryStore::new();
            let shared: Arc<dyn Store> = Arc::new(store.clone());
            let feeds = Feeds::new(shared, StreamId::SIGNALS, Arc::new(Capture::nothing()), Offset::ZERO);
            let fed = FedBy(feeds.add(HOOK, interest()));
            World { store, feeds, fed, appended: Vec::new(), seen: Vec::new(), at: Offset::ZERO }
        }

        fn end(&self) -> Offset {
            *self.store.visible(StreamId::SIGNALS).borrow()
        }

        fn append(&mut self, queue: &str) {
            self.append_with(queue, "");
        }

        fn append_with(&mut self, queue: &str, text: &str) {
            let (now, mint) = (Timestamp::from_secs(1_700_000_000), IdMint::new([1; 8]));
            let data = json!({ "queue": queue, "text": text }).as_object().cloned().unwrap();
            let mut batch = Batch::new();
            batch.append(StreamId::SIGNALS, Signal::new(mint.entry(now), "queue", "suspended", now, data).encode());
            self.store.apply(batch);
            if queue == "a" {
                self.appended.push(Offset(self.end().0 - 1));
            }
        }

        async fn look_up(&self) {
            self.feeds.read_to(self.end()).await.unwrap();
        }

        /// As a runner does; whether there was something to read.
        async fn read(&mut self, limit: ReadLimit) -> bool {
            if self.at >= *self.fed.visible().borrow() {
                return false;
            }
            let slice = self.fed.read(self.at, limit).await.unwrap();
            assert!(slice.next > self.at, "it goes on");
            let own = slice.entries.iter().map(|(offset, _)| *offset).filter(|offset| self.appended.contains(offset));
            self.seen.extend(own);
            self.at = slice.next;
            true
        }
    }

    #[tokio::test]
    async fn what_is_for_others_is_passed_over_and_is_no_lag() {
        let mut world = World::new();
        ["b", "a", "b", "b"].iter().for_each(|queue| world.append(queue));
        world.look_up().await;
        assert!(world.read(LIMIT).await);
        assert_eq!((world.seen.as_slice(), world.at), (&[Offset(1)][..], Offset(4)));
        ["b"; 3].iter().for_each(|queue| world.append(queue));
        world.look_up().await;
        assert!(!world.read(LIMIT).await, "it is not even woken");
        assert_eq!(world.feeds.passed(HOOK, world.at), Offset(7));
        world.feeds.pass_time();
        assert!(world.read(LIMIT).await);
        assert_eq!((world.seen.len(), world.at), (1, Offset(7)));
    }

    #[tokio::test]
    async fn a_hook_that_falls_behind_reads_what_was_let_go_for_itself() {
        let mut world = World::new();
        (0..HELD * 2 + 7).for_each(|_| world.append("a"));
        world.look_up().await;
        assert_eq!(world.feeds.passed(HOOK, Offset::ZERO), Offset::ZERO);
        while world.read(LIMIT).await {}
        assert_eq!(world.seen, world.appended);
    }

    #[tokio::test]
    async fn large_events_are_not_held_beyond_a_few_bytes_and_are_read_all_the_same() {
        let mut world = World::new();
        let text = "x".repeat(HELD_BYTES / 3);
        (0..10).for_each(|_| world.append_with("a", &text));
        world.look_up().await;
        assert!(world.fed.0.held.lock().bytes <= HELD_BYTES);
        assert!(world.fed.0.held.lock().events.len() < 4);
        let huge = "x".repeat(HELD_BYTES * 2);
        world.append_with("a", &huge);
        world.append("a");
        world.look_up().await;
        while world.read(LIMIT).await {}
        assert_eq!(world.seen, world.appended);
        world.append("b");
        world.look_up().await;
        world.feeds.pass_time();
        assert!(world.read(LIMIT).await);
        assert_eq!(world.fed.0.held.lock().bytes, 0, "what was read is let go");
    }

    #[tokio::test]
    async fn in_whatever_order_things_happen_every_event_is_read_once_and_in_order() {
        for seed in 0..100 {
            let mut random = StdRng::seed_from_u64(seed);
            let (mut world, mut resting) = (World::new(), false);
            for _ in 0..400 {
                match random.random_range(0..10) {
                    0..4 => world.append("a"),
                    4..6 => world.append("b"),
                    6 => world.look_up().await,
                    7 => world.feeds.pass_time(),
                    8 => {
                        resting = random.random_bool(0.3);
                        world.feeds.change(HOOK, interest(), resting);
                    }
                    _ if resting => {}
                    _ => {
                        world.read(ReadLimit { entries: random.random_range(1..20), ..LIMIT }).await;
                    }
                }
            }
            world.feeds.change(HOOK, interest(), false);
            world.look_up().await;
            world.feeds.pass_time();
            while world.read(LIMIT).await {}
            assert_eq!(world.seen, world.appended, "seed {seed}");
            assert_eq!(world.at, world.end(), "seed {seed}");
        }
    }
}
