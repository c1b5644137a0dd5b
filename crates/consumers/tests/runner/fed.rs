//! Consumers for whom somebody else reads the stream.

use crate::world::{Life, TokioClock, registered};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use waybill_consumers::Feed;
use waybill_spool::{MemoryStore, ReadLimit, Slice, Store, StoreError};
use waybill_types::Offset;

/// A stream in which nothing is for the consumer.
struct NothingForIt(watch::Sender<Offset>);

impl Feed for NothingForIt {
    fn visible(&self) -> watch::Receiver<Offset> {
        self.0.subscribe()
    }

    fn read(&self, from: Offset, _limit: ReadLimit) -> BoxFuture<'static, Result<Slice, StoreError>> {
        let next = from.max(*self.0.borrow());
        std::future::ready(Ok(Slice { entries: Vec::new(), next })).boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn how_far_the_stream_was_looked_through_is_stored_also_where_nothing_is_for_the_consumer() {
    let (store, clock): (Arc<dyn Store>, _) = (Arc::new(MemoryStore::new()), TokioClock::start());
    let feed = Arc::new(NothingForIt(watch::channel(Offset::ZERO).0));
    let life = Life { feed: Some(feed.clone()), ..Life::new(&store, &clock) };
    let left = life.live(async |_| {
        feed.0.send_replace(Offset(7));
        // In paused time: a minute is long past everything that the consumer waits for.
        tokio::time::sleep(Duration::from_secs(60)).await;
        None
    });
    assert!(left.await.unwrap().ended.is_none(), "the process goes away: nothing is stored at the end");
    assert_eq!(registered(&store).await.cursor, Offset(7));
}
