//! A dispatcher that answers as the events say, and remembers what was asked of it.

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use waybill_consumers::{Dispatch, JudgedEvent, Report, Reports};
use waybill_journal_core::{Attempt, DeadReason, LaneConfig, Outcome, Parcel, Rebound, Verdict};
use waybill_queue_core::retry::{Jitter, RetryPolicy};
use waybill_types::{Offset, QueueName, Timestamp};

/// Events that a session tries together, and the most that are on their way.
pub(crate) const BATCH: usize = 2;

pub(crate) const CONFIG: LaneConfig = LaneConfig {
    retry: RetryPolicy {
        retry_interval: Duration::from_secs(60),
        max_retry_interval: None,
        max_age: Duration::from_secs(86_400),
        jitter: Jitter::WholeSeconds,
    },
    capacity: 100,
    rate: None,
};

/// An event as text: `LANE WHAT SECONDS`, with when it was appended. The lane `-` means that nobody wants it.
pub(crate) fn event(lane: &str, what: &str, appended: Timestamp) -> Bytes {
    format!("{lane} {what} {}", appended.nanos()).into()
}

fn word(entry: &[u8], at: usize) -> String {
    String::from_utf8(entry.to_vec()).unwrap().split(' ').nth(at).unwrap().to_owned()
}

/// What became of the events, as outsiders saw it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// How often each was delivered.
    pub(crate) delivered: BTreeMap<Offset, usize>,
    pub(crate) buried: BTreeMap<Offset, String>,
}

#[derive(Default)]
struct Shop {
    /// What the runner gave to be kept, and takes away by `forget`.
    items: HashMap<Offset, Bytes>,
    ready: VecDeque<(QueueName, Offset, Attempt)>,
    /// Where events were sent by a rebind: their overlay says so.
    moved: HashMap<Offset, String>,
}

pub(crate) struct Desk {
    shop: Mutex<Shop>,
    reports: Reports,
    told: watch::Sender<Told>,
    work: Notify,
    /// Lanes whose endpoint says nothing.
    silent: Mutex<HashSet<String>>,
    /// Endpoints take now what they refused for good before.
    mended: AtomicBool,
    /// It is known of every event without a look at it.
    only_lane: Mutex<Option<QueueName>>,
    /// Events that it was asked about ahead of their turn.
    scouted: AtomicUsize,
}

impl Desk {
    pub(crate) fn new(reports: Reports) -> Arc<Desk> {
        let (shop, silent) = (Mutex::default(), Mutex::default());
        let (told, work, mended) = (watch::Sender::new(Told::default()), Notify::new(), AtomicBool::new(false));
        let (only_lane, scouted) = (Mutex::default(), AtomicUsize::new(0));
        Arc::new(Desk { shop, reports, told, work, silent, mended, only_lane, scouted })
    }

    /// Makes known that every event goes to this lane.
    pub(crate) fn know_only(&self, lane: &str) {
        *self.only_lane.lock() = Some(QueueName::new(lane));
    }

    pub(crate) fn scouted(&self) -> usize {
        self.scouted.load(Ordering::Relaxed)
    }

    pub(crate) fn told(&self) -> Told {
        self.told.borrow().clone()
    }

    pub(crate) fn silence(&self, lane: &str) {
        self.silent.lock().insert(lane.to_owned());
    }

    pub(crate) fn mend(&self) {
        self.mended.store(true, Ordering::Relaxed);
    }

    pub(crate) fn in_memory(&self) -> usize {
        self.shop.lock().items.len()
    }

    /// Waits until what became of the events is as wanted.
    pub(crate) async fn until(&self, wanted: impl FnMut(&Told) -> bool) -> Told {
        self.told.subscribe().wait_for(wanted).await.unwrap().clone()
    }

    /// Takes what is ready and answers it, until it is dropped.
    pub(crate) async fn serve(&self) {
        loop {
            let batch = self.take();
            if batch.is_empty() {
                self.work.notified().await;
                continue;
            }
            // An endpoint takes its time: others run meanwhile.
            tokio::time::sleep(Duration::from_millis(5)).await;
            let results = batch.into_iter().map(|(offset, attempt)| (offset, self.answer(offset, attempt))).collect();
            self.reports.send(Report::Finished(results));
        }
    }

    fn take(&self) -> Vec<(Offset, Attempt)> {
        let silent = self.silent.lock().clone();
        let mut shop = self.shop.lock();
        let mut batch = Vec::new();
        while batch.len() < BATCH
            && let Some(at) = shop.ready.iter().position(|(lane, ..)| !silent.contains(lane.as_str()))
        {
            batch.extend(shop.ready.remove(at).map(|(_, offset, attempt)| (offset, attempt)));
        }
        batch
    }

    fn answer(&self, offset: Offset, attempt: Attempt) -> Outcome {
        let entry = self.shop.lock().items.get(&offset).cloned().expect("what was offered is kept");
        match word(&entry, 1).as_str() {
            "never" if !self.mended.load(Ordering::Relaxed) => Outcome::Permanent("550 never".to_owned()),
            "later" if attempt.attempts == 0 => Outcome::Transient { retry_after: None, unit: 0.5 },
            _ => {
                self.told.send_modify(|told| *told.delivered.entry(offset).or_default() += 1);
                Outcome::Delivered
            }
        }
    }

    fn verdict(&self, event: JudgedEvent) -> (Offset, Verdict) {
        let lane = word(&event.entry, 0);
        assert_ne!(lane, "panic", "so it was asked for");
        if lane == "-" {
            return (event.offset, Verdict::Skip);
        }
        self.shop.lock().items.insert(event.offset, event.entry);
        (event.offset, Verdict::Lane(QueueName::new(lane), CONFIG))
    }
}

impl Dispatch for Desk {
    fn judge<'a>(&'a self, events: Vec<JudgedEvent>) -> BoxFuture<'a, Vec<(Offset, Verdict)>> {
        async move { events.into_iter().map(|event| self.verdict(event)).collect() }.boxed()
    }

    fn only_lane(&self) -> Option<QueueName> {
        self.only_lane.lock().clone()
    }

    fn scout<'a>(&'a self, events: Vec<JudgedEvent>) -> BoxFuture<'a, Vec<QueueName>> {
        self.scouted.fetch_add(events.len(), Ordering::Relaxed);
        let lanes = events.iter().map(|event| word(&event.entry, 0)).filter(|lane| lane != "-");
        let lanes: Vec<QueueName> = lanes.map(QueueName::new).collect();
        std::future::ready(lanes).boxed()
    }

    fn rebind<'a>(
        &'a self,
        parcel: &'a Parcel,
        lane: &'a QueueName,
        events: Vec<(Offset, u16)>,
    ) -> BoxFuture<'a, Vec<(Offset, Rebound)>> {
        let to = parcel.open::<String>().expect("the name of a lane");
        let mut shop = self.shop.lock();
        let rebound = events.into_iter().map(|(offset, _)| {
            assert!(shop.items.contains_key(&offset), "{offset} is to be rebound and not kept");
            let before = shop.moved.insert(offset, to.to_string());
            assert_eq!(before, None, "{offset} of {lane} is rebound twice");
            (offset, Rebound::Moves(QueueName::new(to.as_str()), CONFIG))
        });
        std::future::ready(rebound.collect()).boxed()
    }

    fn lane_config<'a>(&'a self, _lane: &'a QueueName) -> BoxFuture<'a, LaneConfig> {
        std::future::ready(CONFIG).boxed()
    }

    fn offer(&self, lane: &QueueName, offset: Offset, attempt: Attempt) {
        let mut shop = self.shop.lock();
        assert!(shop.items.contains_key(&offset), "{offset} is offered and not kept");
        let moved = shop.moved.get(&offset);
        assert!(moved.is_none_or(|to| to == lane.as_str()), "{offset} was moved to {moved:?} and is offered in {lane}");
        assert!(shop.ready.iter().all(|(_, other, _)| *other != offset), "{offset} is offered twice");
        shop.ready.push_back((lane.clone(), offset, attempt));
        self.work.notify_one();
    }

    fn recall(&self, lane: &QueueName) {
        let mut shop = self.shop.lock();
        let (back, rest) = std::mem::take(&mut shop.ready).into_iter().partition(|(of, ..)| of == lane);
        shop.ready = rest;
        let back: VecDeque<(QueueName, Offset, Attempt)> = back;
        back.into_iter().for_each(|(_, offset, _)| self.reports.send(Report::Returned(offset, None)));
    }

    fn overlay(&self, offset: Offset) -> Bytes {
        // Something that a row has to bring back.
        let moved = self.shop.lock().moved.get(&offset).cloned();
        format!("overlay of {offset} {}", moved.unwrap_or_default()).into()
    }

    fn restore(&self, _lane: &QueueName, offset: Offset, entry: Bytes, overlay: Bytes) {
        let overlay = String::from_utf8(overlay.to_vec()).expect("a text");
        let moved = overlay.strip_prefix(&format!("overlay of {offset} ")).expect("its own overlay");
        let mut shop = self.shop.lock();
        if !moved.is_empty() {
            shop.moved.insert(offset, moved.to_owned());
        }
        shop.items.insert(offset, entry);
    }

    fn buried(&self, _lane: Option<&QueueName>, offset: Offset, _attempts: u16, reason: &DeadReason) {
        self.told.send_modify(|told| {
            told.buried.insert(offset, format!("{reason:?}"));
        });
    }

    fn forget(&self, offset: Offset) {
        let mut shop = self.shop.lock();
        shop.items.remove(&offset);
        shop.moved.remove(&offset);
    }

    fn created(&self, entry: &Bytes) -> Option<Timestamp> {
        let text = std::str::from_utf8(entry).ok()?;
        Some(Timestamp::from_nanos(text.split(' ').nth(2)?.parse().ok()?))
    }
}
