use crate::stats::Stats;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tokio::time::Instant;
use waybill_ready::Loader;
use waybill_spool::{Message, Part, Store};
use waybill_types::{MessageId, Response};

/// Bodies of messages that wait stay in memory while all together are smaller than this: most mail leaves before it
/// would have to be read again. Behind it a body leaves memory as soon as it is stored.
const RESIDENT: u64 = 64 << 20;

/// The messages of the queue, bodies mostly on disk.
pub(crate) struct Messages {
    store: Arc<dyn Store>,
    limit: u64,
    known: Mutex<Known>,
    stats: Arc<Stats>,
}

#[derive(Default)]
struct Known {
    all: HashMap<MessageId, Held>,
    resident: u64,
    /// How many bodies these bytes are of.
    bodies: usize,
    /// Ids of those that left while the spool is being enumerated: a page that was read before shows them still.
    gone: Option<BTreeSet<MessageId>>,
}

struct Held {
    message: Message,
    /// How many bytes of its body count as resident.
    resident: u64,
}

impl Messages {
    pub(crate) fn new(store: Arc<dyn Store>, stats: Arc<Stats>) -> Self {
        Messages { store, limit: RESIDENT, known: Mutex::default(), stats }
    }

    /// Takes a message that is stored.
    pub(crate) fn insert(&self, message: Message) {
        let mut known = self.known.lock();
        let mut resident = message.in_memory();
        if known.resident + resident > self.limit {
            message.shrink();
            resident = 0;
        }
        let before = known.all.insert(message.id(), Held { message, resident });
        known.recount(before.map_or(0, |before| before.resident), resident);
    }

    pub(crate) fn get(&self, id: MessageId) -> Option<Message> {
        self.known.lock().all.get(&id).map(|held| held.message.clone())
    }

    pub(crate) fn remove(&self, id: MessageId) {
        let mut known = self.known.lock();
        if let Some(held) = known.all.remove(&id) {
            known.recount(held.resident, 0);
        }
        if let Some(gone) = &mut known.gone {
            gone.insert(id);
        }
    }

    pub(crate) fn contains(&self, id: MessageId) -> bool {
        self.known.lock().all.contains_key(&id)
    }

    /// Its body was read from the store.
    pub(crate) fn loaded(&self, id: MessageId) {
        let mut known = self.known.lock();
        if let Some(held) = known.all.get_mut(&id) {
            let before = held.resident;
            held.resident = held.message.in_memory();
            let now = held.resident;
            known.recount(before, now);
        }
    }

    /// It waits: its body can be read again when its time has come.
    pub(crate) fn shrink(&self, id: MessageId) {
        self.known.lock().shrink(id);
    }

    /// It waits, if not for long: its body stays where there is room for it.
    pub(crate) fn cool(&self, id: MessageId) {
        let mut known = self.known.lock();
        if known.resident > self.limit {
            known.shrink(id);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.known.lock().all.len()
    }

    /// Bytes of bodies in memory.
    pub(crate) fn resident(&self) -> u64 {
        self.known.lock().resident
    }

    /// Messages with their bodies in memory.
    pub(crate) fn bodies(&self) -> usize {
        self.known.lock().bodies
    }

    /// From now on remembers who leaves.
    pub(crate) fn begin_enumeration(&self) {
        self.known.lock().gone = Some(BTreeSet::new());
    }

    /// The enumeration has come behind `id`.
    pub(crate) fn enumerated(&self, id: MessageId) {
        if let Some(gone) = &mut self.known.lock().gone {
            *gone = gone.split_off(&id);
        }
    }

    /// Nobody enumerates any more.
    pub(crate) fn end_enumeration(&self) {
        self.known.lock().gone = None;
    }

    /// Whether a message of the enumeration is here, or was.
    pub(crate) fn is_known(&self, id: MessageId) -> bool {
        let known = self.known.lock();
        known.all.contains_key(&id) || known.gone.as_ref().is_some_and(|gone| gone.contains(&id))
    }

    /// Loads a body that the spool has.
    ///
    /// # Errors
    /// A sentence saying what is wrong.
    pub(crate) async fn load_body(&self, message: &Message) -> Result<(), String> {
        if message.has_data() {
            return Ok(());
        }
        let begun = Instant::now();
        let loaded = self.store.load(message.id(), Part::Data).await;
        self.stats.loaded.observe(begun.elapsed());
        match loaded {
            Ok(Some(data)) => {
                message.set_loaded(data);
                self.loaded(message.id());
                Ok(())
            }
            Ok(None) => Err(format!("message {} has no body in the spool", message.id())),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn load_one(&self, id: MessageId) -> Result<Message, Response> {
        let failed = |what: &str| Response::plain(400, format!("KumoMTA internal: error in deliver_message: {what}"));
        let message = self.get(id).ok_or_else(|| failed("the message is not in the queue any more"))?;
        self.load_body(&message).await.map_err(|what| failed(&what))?;
        Ok(message)
    }
}

impl Known {
    /// A body had so many bytes in memory before, and has so many now.
    fn recount(&mut self, before: u64, now: u64) {
        self.resident = self.resident - before + now;
        self.bodies = self.bodies - usize::from(before > 0) + usize::from(now > 0);
    }

    fn shrink(&mut self, id: MessageId) {
        if let Some(held) = self.all.get_mut(&id) {
            held.message.shrink();
            // A body that is not stored yet stays.
            let now = held.message.in_memory();
            let before = std::mem::replace(&mut held.resident, now);
            self.recount(before, now);
        }
    }
}

impl Loader<MessageId> for Messages {
    fn load<'a>(&'a self, items: &'a [MessageId]) -> BoxFuture<'a, Vec<Result<Message, Response>>> {
        async move { futures::future::join_all(items.iter().map(|id| self.load_one(*id))).await }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use waybill_spool::{Batch, MemoryStore};
    use waybill_types::{IdMint, Timestamp};

    const BODY: usize = 10;

    struct Bench {
        store: MemoryStore,
        messages: Messages,
        mint: IdMint,
    }

    impl Bench {
        fn with_room_for(bodies: usize) -> Self {
            let store = MemoryStore::new();
            let messages =
                Messages { limit: (bodies * BODY) as u64, ..Messages::new(Arc::new(store.clone()), Arc::default()) };
            Bench { store, messages, mint: IdMint::new([1; 8]) }
        }

        /// Stores a message and takes it.
        fn take(&self) -> Message {
            let id = self.mint.message(Timestamp::from_secs(1_700_000_000));
            let recipients = vec!["b@example.com".parse().unwrap()];
            let message = Message::new(id, "a@example.com".parse().unwrap(), recipients, Bytes::from(vec![b'x'; BODY]));
            let mut batch = Batch::new();
            batch.save(&message);
            self.store.apply(batch);
            self.messages.insert(message.clone());
            message
        }
    }

    #[test]
    fn bodies_stay_while_there_is_room_and_leave_behind_it() {
        let bench = Bench::with_room_for(2);
        let bodies = [bench.take(), bench.take(), bench.take()].map(|message| message.data().is_some());
        assert_eq!((bodies, bench.messages.resident()), ([true, true, false], 20));
        assert_eq!((bench.messages.len(), bench.messages.bodies()), (3, 2));
    }

    #[test]
    fn a_message_that_leaves_makes_room() {
        let bench = Bench::with_room_for(1);
        let first = bench.take();
        bench.messages.shrink(first.id());
        assert_eq!((first.data(), bench.messages.resident(), bench.messages.bodies()), (None, 0, 0));
        let second = bench.take();
        assert!(second.data().is_some());
        bench.messages.remove(second.id());
        assert_eq!((bench.messages.resident(), bench.messages.bodies()), (0, 0));
    }

    #[tokio::test]
    async fn a_body_that_was_read_for_a_delivery_leaves_again_where_there_is_no_room() {
        let bench = Bench::with_room_for(1);
        let (first, second) = (bench.take(), bench.take());
        let loaded = bench.messages.load(&[second.id()]).await;
        assert!(loaded[0].as_ref().is_ok_and(|message| message.data().is_some()));
        assert_eq!(bench.messages.resident(), 20);
        bench.messages.cool(second.id());
        assert_eq!((second.data(), bench.messages.resident(), bench.messages.bodies()), (None, 10, 1));
        assert_eq!(bench.messages.stats.loaded.seen().count(), 1);
        bench.messages.cool(first.id());
        assert!(first.data().is_some());
    }

    #[tokio::test]
    async fn a_body_that_is_missing_fails_its_message_alone() {
        let bench = Bench::with_room_for(0);
        let (here, lost) = (bench.take(), bench.take());
        let mut batch = Batch::new();
        batch.remove(lost.id());
        bench.store.apply(batch);
        let loaded = bench.messages.load(&[here.id(), lost.id()]).await;
        assert!(loaded[0].is_ok());
        let response = loaded[1].as_ref().unwrap_err().to_string();
        assert!(response.starts_with("400 KumoMTA internal: error in deliver_message: "), "{response}");
    }

    #[test]
    fn an_enumeration_does_not_bring_back_who_left_meanwhile() {
        let bench = Bench::with_room_for(1);
        let (before, during) = (bench.take().id(), bench.take().id());
        bench.messages.remove(before);
        bench.messages.begin_enumeration();
        assert!(!bench.messages.is_known(before));
        bench.messages.remove(during);
        assert!(bench.messages.is_known(during));
        bench.messages.enumerated(bench.mint.message(during.created()));
        assert!(!bench.messages.is_known(during));
    }
}
