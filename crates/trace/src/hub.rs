use crate::Conn;
use crate::payload::{Level, Payload};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::mpsc;
use waybill_types::Timestamp;

/// Events that wait for one listener. What does not fit is dropped and counted: mail does not wait for those who watch.
const MOST_WAITING: usize = 4096;
/// And their bytes.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// Listeners at a time: each makes everything that is said a little dearer.
const MOST_WATCHERS: usize = 16;

/// A place where conversations of one kind are told of. Clones are the same place.
pub struct Hub<C: Conn>(Arc<Inner<C>>);

struct Inner<C: Conn> {
    /// How many listeners there are: what is read when nobody listens.
    listening: AtomicUsize,
    watchers: Mutex<Vec<Arc<Watcher<C>>>>,
}

struct Watcher<C: Conn> {
    filter: C::Filter,
    frames: mpsc::Sender<Arc<str>>,
    /// Bytes in the channel.
    waiting: AtomicUsize,
    /// Events that did not fit since the listener was last told so.
    dropped: AtomicU64,
}

/// Nobody else can listen now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooManyWatchers {
    /// So many can.
    pub most: usize,
}

#[derive(Serialize)]
struct Frame<'a, M: Serialize> {
    conn_meta: M,
    payload: &'a Payload,
    when: String,
}

impl<C: Conn> Hub<C> {
    /// Whether anybody listens.
    pub fn is_watched(&self) -> bool {
        self.0.listening.load(Ordering::Relaxed) > 0
    }

    /// Tells of something. Neither function is called while nobody listens.
    pub fn tell(&self, now: Timestamp, conn: impl FnOnce() -> C, payload: impl FnOnce() -> Payload) {
        if self.is_watched() {
            self.spread(now, &conn(), payload(), Kind::Whole);
        }
    }

    /// Tells of a part of a message, which terse listeners do not want to hear in full.
    pub fn tell_content(&self, now: Timestamp, conn: impl FnOnce() -> C, payload: impl FnOnce() -> Payload) {
        if self.is_watched() {
            self.spread(now, &conn(), payload(), Kind::Content);
        }
    }

    fn spread(&self, now: Timestamp, conn: &C, payload: Payload, kind: Kind) {
        let encode = |payload: &Payload| -> Option<Arc<str>> {
            let frame = Frame { conn_meta: conn, payload, when: now.to_utc().to_rfc3339() };
            serde_json::to_string(&frame).ok().map(Into::into)
        };
        let mut whole: Option<Arc<str>> = None;
        let mut short: Option<Arc<str>> = None;
        for watcher in self.0.watchers.lock().iter().filter(|watcher| conn.passes(&watcher.filter)) {
            let abbreviate = kind == Kind::Content && C::is_terse(&watcher.filter);
            let place = if abbreviate { &mut short } else { &mut whole };
            if place.is_none() {
                *place = if abbreviate { encode(&payload.clone().abbreviated()) } else { encode(&payload) };
            }
            if let Some(frame) = place {
                watcher.hand(frame.clone());
            }
        }
    }

    /// Listens from now on, until what is returned is dropped.
    ///
    /// # Errors
    /// When there are as many listeners already as there may be.
    pub fn watch(&self, filter: C::Filter) -> Result<Watch<C>, TooManyWatchers> {
        let (frames, events) = mpsc::channel(MOST_WAITING);
        let watcher = Arc::new(Watcher { filter, frames, waiting: AtomicUsize::new(0), dropped: AtomicU64::new(0) });
        let mut watchers = self.0.watchers.lock();
        if watchers.len() >= MOST_WATCHERS {
            return Err(TooManyWatchers { most: MOST_WATCHERS });
        }
        watchers.push(watcher.clone());
        self.0.listening.store(watchers.len(), Ordering::Relaxed);
        drop(watchers);
        Ok(Watch { hub: self.clone(), watcher, events })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Whole,
    Content,
}

impl<C: Conn> Watcher<C> {
    fn hand(&self, frame: Arc<str>) {
        let len = frame.len();
        let fits = self.waiting.fetch_add(len, Ordering::Relaxed) + len <= MOST_BYTES;
        if !fits || self.frames.try_send(frame).is_err() {
            self.waiting.fetch_sub(len, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Somebody who listens.
pub struct Watch<C: Conn> {
    hub: Hub<C>,
    watcher: Arc<Watcher<C>>,
    events: mpsc::Receiver<Arc<str>>,
}

impl<C: Conn> Watch<C> {
    /// The next event, as the JSON text of a frame.
    ///
    /// Cancel safe: what is not returned is returned the next time.
    pub async fn next(&mut self) -> Arc<str> {
        match self.events.recv().await {
            Some(frame) => self.taken(frame),
            // The sender is ours: it does not go away before us.
            None => std::future::pending().await,
        }
    }

    /// The next event, if there is one already.
    pub fn try_next(&mut self) -> Option<Arc<str>> {
        self.events.try_recv().ok().map(|frame| self.taken(frame))
    }

    fn taken(&self, frame: Arc<str>) -> Arc<str> {
        self.watcher.waiting.fetch_sub(frame.len(), Ordering::Relaxed);
        frame
    }

    /// What a listener who was too slow has to be told: that events are missing, and how many. `None` when none are.
    pub fn take_loss(&self, now: Timestamp) -> Option<Arc<str>> {
        let dropped = self.watcher.dropped.swap(0, Ordering::Relaxed);
        if dropped == 0 {
            return None;
        }
        let message = format!("{dropped} events were dropped before this: they came faster than they were read");
        let payload = Payload::remark(Level::Warn, message);
        let frame =
            Frame { conn_meta: Value::Object(Default::default()), payload: &payload, when: now.to_utc().to_rfc3339() };
        serde_json::to_string(&frame).ok().map(Into::into)
    }
}

impl<C: Conn> Drop for Watch<C> {
    fn drop(&mut self) {
        let mut watchers = self.hub.0.watchers.lock();
        watchers.retain(|watcher| !Arc::ptr_eq(watcher, &self.watcher));
        self.hub.0.listening.store(watchers.len(), Ordering::Relaxed);
    }
}

impl<C: Conn> Clone for Hub<C> {
    fn clone(&self) -> Self {
        Hub(self.0.clone())
    }
}

impl<C: Conn> Default for Hub<C> {
    fn default() -> Self {
        Hub(Arc::new(Inner { listening: AtomicUsize::new(0), watchers: Mutex::default() }))
    }
}

impl<C: Conn> std::fmt::Debug for Hub<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("listening", &self.0.listening).finish_non_exhaustive()
    }
}

impl<C: Conn> std::fmt::Debug for Watch<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("dropped", &self.watcher.dropped).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ServerConn, ServerFilter};
    use serde_json::json;

    fn conn() -> ServerConn {
        let meta = json!({"received_from": "192.0.2.1:25"});
        ServerConn { peer: [192, 0, 2, 1].into(), meta: meta.as_object().cloned().unwrap_or_default() }
    }

    fn parsed(frame: Option<Arc<str>>) -> Value {
        serde_json::from_str(&frame.expect("a frame")).expect("JSON")
    }

    #[test]
    fn a_frame_says_who_what_and_when() {
        let hub = Hub::<ServerConn>::default();
        let mut watch = hub.watch(ServerFilter::default()).unwrap();
        hub.tell(Timestamp::EPOCH, conn, || Payload::Read("EHLO x\r\n".into()));
        assert_eq!(
            parsed(watch.try_next()),
            json!({
                "conn_meta": {"received_from": "192.0.2.1:25"},
                "payload": {"Read": "EHLO x\r\n"},
                "when": "1970-01-01T00:00:00+00:00",
            })
        );
        assert!(watch.try_next().is_none());
    }

    #[test]
    fn terse_listeners_hear_the_beginning_of_messages_and_all_of_the_rest() {
        let hub = Hub::<ServerConn>::default();
        let mut whole = hub.watch(ServerFilter::default()).unwrap();
        let mut terse = hub.watch(ServerFilter { terse: true, ..ServerFilter::default() }).unwrap();
        hub.tell_content(Timestamp::EPOCH, conn, || Payload::read_content(b"Subject: x\r\n\r\nbody\r\n"));
        hub.tell(Timestamp::EPOCH, conn, || Payload::Write("250 OK\r\n".into()));
        assert_eq!(parsed(whole.try_next())["payload"], json!({"Read": "Subject: x\r\n\r\nbody\r\n"}));
        let short = json!({"AbbreviatedRead": {"snippet": "Subject: x", "len": 20}});
        assert_eq!(parsed(terse.try_next())["payload"], short);
        assert_eq!(parsed(terse.try_next())["payload"], json!({"Write": "250 OK\r\n"}));
    }

    #[test]
    fn who_does_not_read_is_told_how_much_was_dropped_and_holds_up_nobody() {
        let hub = Hub::<ServerConn>::default();
        let mut lazy = hub.watch(ServerFilter::default()).unwrap();
        for _ in 0..MOST_WAITING + 7 {
            hub.tell(Timestamp::EPOCH, conn, || Payload::Connected);
        }
        assert!(
            parsed(lazy.take_loss(Timestamp::EPOCH))["payload"]["Diagnostic"]["message"]
                .as_str()
                .unwrap()
                .starts_with("7 events were dropped")
        );
        assert!(lazy.take_loss(Timestamp::EPOCH).is_none(), "told once");
        let mut read = 0;
        while lazy.try_next().is_some() {
            read += 1;
        }
        assert_eq!(read, MOST_WAITING);
    }

    #[test]
    fn what_waits_for_a_listener_is_bounded_in_bytes_too() {
        let hub = Hub::<ServerConn>::default();
        let mut lazy = hub.watch(ServerFilter::default()).unwrap();
        let big = vec![b'x'; 64 * 1024];
        for _ in 0..1000 {
            hub.tell_content(Timestamp::EPOCH, conn, || Payload::read_content(&big));
        }
        let mut bytes = 0;
        while let Some(frame) = lazy.try_next() {
            bytes += frame.len();
        }
        assert!(bytes > 0 && bytes <= MOST_BYTES, "{bytes}");
        hub.tell(Timestamp::EPOCH, conn, || Payload::Closed);
        assert_eq!(parsed(lazy.try_next())["payload"], "Closed", "there is room again");
    }

    #[test]
    fn listeners_are_limited_and_make_room_when_they_go() {
        let hub = Hub::<ServerConn>::default();
        let mut watches: Vec<_> = (0..MOST_WATCHERS).map(|_| hub.watch(ServerFilter::default()).unwrap()).collect();
        assert_eq!(hub.watch(ServerFilter::default()).unwrap_err(), TooManyWatchers { most: MOST_WATCHERS });
        watches.pop();
        assert!(hub.watch(ServerFilter::default()).is_ok());
        drop(watches);
        assert!(!hub.is_watched());
    }
}
