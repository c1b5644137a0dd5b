use crate::dispatch::{Dispatch, JudgedEvent, Report};
use crate::layout::{self, DeadLetter, Saved};
use crate::saver::Saver;
use crate::status::{ConsumerState, Snapshot};
use bytes::Bytes;
use futures::FutureExt;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use waybill_journal_core::{Action, Checkpoint, Consumer, Event, LoadedRow, Read, RowKey, Verdict, Write};
use waybill_runtime::{Clock, Stop};
use waybill_spool::{Durability, ReadLimit, Store, StoreError, StreamId, Table};
use waybill_types::{Offset, QueueName, Timestamp};

/// Between two checkpoints while something happens.
const TICK: Duration = Duration::from_millis(50);
/// A failed commit is tried again after this.
const RETRY: Duration = Duration::from_millis(500);
/// The most bytes of one read of the journal.
const READ_BYTES: usize = 1 << 20;

/// What a runner needs.
#[derive(Clone)]
pub struct RunnerOptions {
    /// The consumer's name: the hook's.
    pub name: String,
    /// Which stream it consumes.
    pub stream: StreamId,
    /// Where the stream is.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How many events the sessions of one lane can have in flight.
    pub window: usize,
    /// Where a consumer begins that the store does not know.
    pub begin: Offset,
    /// How long a stop may take before what is in flight is left to the next start.
    pub grace: Duration,
}

/// Runs one consumer.
pub struct Runner {
    options: RunnerOptions,
    dispatch: Arc<dyn Dispatch>,
    reports: mpsc::UnboundedReceiver<Report>,
    consumer: Consumer,
    saver: Saver,
    entries: HashMap<Offset, Bytes>,
    jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Loads that wait until what was written before them is stored.
    loads: Vec<LoadJob>,
    saving: bool,
    dirty: bool,
    /// Something happened since the snapshot was taken.
    stale: bool,
    wake: Option<Timestamp>,
    snapshot: Arc<Mutex<Option<Snapshot>>>,
    attempts: u64,
}

#[derive(Clone, Debug)]
struct LoadJob {
    lane: QueueName,
    from: RowKey,
    until: Timestamp,
    limit: usize,
}

/// What a job came to.
enum Done {
    Read { from: Offset, until: Offset, result: Result<waybill_spool::Slice, StoreError> },
    Judged(Vec<(Offset, Verdict)>),
    Scouted { lanes: Vec<QueueName>, next: Offset },
    Loaded { job: LoadJob, result: Result<Vec<(waybill_spool::Key, Bytes)>, StoreError> },
    Saved,
}

impl Runner {
    /// Takes up a consumer where the store says it was.
    ///
    /// # Errors
    /// When the store cannot be read or holds something else.
    pub async fn open(
        options: RunnerOptions,
        dispatch: Arc<dyn Dispatch>,
        reports: mpsc::UnboundedReceiver<Report>,
    ) -> Result<Runner, StoreError> {
        let key = layout::consumer_key(&options.name);
        let found = options.store.range(Table::State, key.clone(), key.after(), 1).await?;
        let saved = match found.first() {
            Some((_, bytes)) => Saved::decode(bytes).map_err(|error| {
                StoreError::Damaged(format!("position of consumer {}: {error}", options.name).into())
            })?,
            None => Saved { cursor: options.begin, ..Saved::default() },
        };
        let checkpoint: Checkpoint = saved.checkpoint();
        let mut configs = HashMap::new();
        for (lane, _) in &checkpoint.lanes {
            configs.insert(lane.clone(), dispatch.lane_config(lane).await);
        }
        let consumer = Consumer::restore(&checkpoint, options.window, |lane| configs[lane]);
        let saver = Saver::new(&options.name, saved.dead);
        Ok(Runner {
            options,
            dispatch,
            reports,
            consumer,
            saver,
            entries: HashMap::new(),
            jobs: FuturesUnordered::new(),
            loads: Vec::new(),
            saving: false,
            dirty: true,
            stale: true,
            wake: None,
            snapshot: Arc::default(),
            attempts: 0,
        })
    }

    /// How it stands, at most a tick old.
    pub fn snapshot(&self) -> Arc<Mutex<Option<Snapshot>>> {
        self.snapshot.clone()
    }

    /// Runs until asked to stop: then reads and offers nothing more, waits for what is being tried as long as the
    /// grace allows, and saves.
    pub async fn run(mut self, mut stop: Stop) {
        let mut visible = self.options.store.visible(self.options.stream);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ticks = 0u32;
        let start = *visible.borrow_and_update();
        self.feed(Event::Visible(start));
        self.feed(Event::Tick);
        loop {
            let wake = self.sleep_until_wake();
            tokio::select! {
                biased;
                () = stop.requested() => break,
                Some(report) = self.reports.recv() => self.on_reports(report),
                Some(done) = self.jobs.next(), if !self.jobs.is_empty() => self.on_done(done),
                changed = visible.changed() => {
                    // The store is gone: nothing more will come.
                    if changed.is_err() { break }
                    let until = *visible.borrow_and_update();
                    self.feed(Event::Visible(until));
                }
                () = wake => { self.wake = None; self.feed(Event::Tick); }
                _ = tick.tick() => {
                    if self.dirty { self.save(); }
                    // Ages grow also while nothing happens.
                    ticks = ticks.wrapping_add(1);
                    if std::mem::take(&mut self.stale) || ticks.is_multiple_of(10) { self.refresh(); }
                }
            }
        }
        self.drain().await;
    }

    async fn drain(&mut self) {
        self.feed(Event::Stopping);
        for (lane, _) in self.consumer.status(self.options.clock.now()).lanes {
            self.dispatch.recall(&lane);
        }
        let deadline = tokio::time::Instant::now() + self.options.grace;
        while !(self.consumer.is_quiet() && self.jobs.is_empty()) {
            tokio::select! {
                Some(report) = self.reports.recv() => self.on_reports(report),
                Some(done) = self.jobs.next(), if !self.jobs.is_empty() => self.on_done(done),
                () = tokio::time::sleep_until(deadline) => {
                    let status = self.consumer.status(self.options.clock.now());
                    tracing::warn!(hook = self.options.name, in_flight = status.offered,
                        "the grace is over; what was in flight is sent again after the next start");
                    break;
                }
            }
        }
        // Not a job any more: this one is waited for.
        if let Some(batch) = self.saver.take(self.consumer.checkpoint()) {
            let committed = self.options.store.commit(batch, Durability::Synced).await;
            if let Err(error) = committed {
                tracing::error!(hook = self.options.name, "the last checkpoint was not stored: {error}");
            }
        }
    }

    fn sleep_until_wake(&self) -> BoxFuture<'static, ()> {
        match self.wake {
            Some(at) => self.options.clock.sleep_until(at),
            None => futures::future::pending().boxed(),
        }
    }

    fn feed(&mut self, event: Event) {
        let now = self.options.clock.now();
        self.stale = true;
        let mut actions = Vec::new();
        self.consumer.step(now, event, &mut actions);
        for action in actions {
            self.perform(now, action);
        }
    }

    fn perform(&mut self, now: Timestamp, action: Action) {
        match action {
            Action::Read { from, limit } => self.read(from, limit),
            Action::Judge { offsets } => self.judge(&offsets),
            Action::Scout { from, limit } => self.scout(from, limit),
            Action::Offer { lane, offset, attempt } => self.dispatch.offer(&lane, offset, attempt),
            Action::Recall { lane } => self.dispatch.recall(&lane),
            Action::Load { lane, from, until, limit } => {
                self.loads.push(LoadJob { lane, from, until, limit });
                self.start_loads();
            }
            Action::Write(write) => self.write(now, &write),
            Action::Forget { offset } => {
                self.entries.remove(&offset);
                self.dispatch.forget(offset);
                self.dirty = true;
            }
            Action::Save => self.save(),
            Action::WakeAt(at) => self.wake = Some(at),
        }
    }

    fn read(&mut self, from: Offset, limit: usize) {
        let store = self.options.store.clone();
        let stream = self.options.stream;
        let until = *store.visible(stream).borrow();
        let limit = ReadLimit { entries: limit, bytes: READ_BYTES };
        self.jobs
            .push(async move { Done::Read { from, until, result: store.read(stream, from, limit).await } }.boxed());
    }

    fn scout(&mut self, from: Offset, limit: usize) {
        let store = self.options.store.clone();
        let stream = self.options.stream;
        let until = *store.visible(stream).borrow();
        let dispatch = self.dispatch.clone();
        let limit = ReadLimit { entries: limit, bytes: READ_BYTES };
        self.jobs.push(
            async move {
                // What cannot be read now is read, or reported, in its turn.
                let slice = store.read(stream, from, limit).await.unwrap_or_default();
                let next = if slice.entries.is_empty() { until.max(from) } else { slice.next };
                let events = slice.entries.into_iter().map(|(offset, entry)| JudgedEvent { offset, entry });
                Done::Scouted { lanes: dispatch.scout(events.collect()).await, next }
            }
            .boxed(),
        );
    }

    fn judge(&mut self, offsets: &[Offset]) {
        let events = offsets
            .iter()
            .filter_map(|offset| Some(JudgedEvent { offset: *offset, entry: self.entries.get(offset)?.clone() }));
        let events = events.collect();
        let dispatch = self.dispatch.clone();
        self.jobs.push(async move { Done::Judged(dispatch.judge(events).await) }.boxed());
    }

    fn write(&mut self, now: Timestamp, write: &Write) {
        self.dirty = true;
        match write {
            Write::PutRow { key, .. } => {
                let overlay = self.dispatch.overlay(key.offset);
                let entry = self.entries.get(&key.offset).cloned().unwrap_or_default();
                self.saver.put_row(write, &overlay, &entry);
            }
            Write::DeleteRow { .. } => self.saver.put_row(write, &[], &[]),
            Write::Dead { offset, lane, attempts, reason } => {
                let entry = self.entries.get(offset).cloned().unwrap_or_default();
                self.dispatch.buried(lane.as_ref(), *offset, *attempts, reason);
                let letter = DeadLetter::new(lane.clone(), *attempts, reason, entry);
                self.saver.dead_letter(now, *offset, &letter);
            }
        }
    }

    /// Commits what is collected with the checkpoint of this moment, one batch at a time, until it is stored.
    fn save(&mut self) {
        if self.saving {
            return;
        }
        self.dirty = false;
        let Some(batch) = self.saver.take(self.consumer.checkpoint()) else {
            return self.feed(Event::Saved);
        };
        self.saving = true;
        let store = self.options.store.clone();
        let name = self.options.name.clone();
        self.jobs.push(
            async move {
                while let Err(error) = store.commit(batch.clone(), Durability::Written).await {
                    tracing::error!(hook = name, "the checkpoint was not stored, trying again: {error}");
                    tokio::time::sleep(RETRY).await;
                }
                Done::Saved
            }
            .boxed(),
        );
    }

    /// A load must see every row written before it.
    fn start_loads(&mut self) {
        if self.loads.is_empty() {
            return;
        }
        if self.saving || self.saver.has_pending() {
            return self.save();
        }
        for job in std::mem::take(&mut self.loads) {
            let store = self.options.store.clone();
            let from = layout::row_key(&self.options.name, &job.lane, job.from);
            let end = layout::lane_rows(&self.options.name, &job.lane).end();
            // One more than asked for: it tells when the next one is due.
            let limit = job.limit + 1;
            self.jobs.push(
                async move { Done::Loaded { job, result: store.range(Table::Rows, from, end, limit).await } }.boxed(),
            );
        }
    }

    fn on_reports(&mut self, first: Report) {
        self.on_report(first);
        // Whatever else is there: one turn of the loop serves many.
        for _ in 0..256 {
            match self.reports.try_recv() {
                Ok(report) => self.on_report(report),
                Err(_) => break,
            }
        }
    }

    fn on_report(&mut self, report: Report) {
        match report {
            Report::Finished(results) => {
                self.attempts += results.len() as u64;
                self.feed(Event::Finished { results });
            }
            Report::Returned(offset, delay) => self.feed(Event::Returned { offset, delay }),
            Report::Configured(lane, config) => self.feed(Event::Configured { lane, config }),
            Report::Window(window) => self.feed(Event::Window(window)),
            Report::Suspended(lane, until) => self.feed(Event::Suspended { lane, until }),
        }
    }

    fn on_done(&mut self, done: Done) {
        match done {
            Done::Read { from, until, result } => self.on_read(from, until, result),
            Done::Judged(verdicts) => {
                for (offset, verdict) in verdicts {
                    self.feed(Event::Judged { offset, verdict });
                }
                self.start_loads();
            }
            Done::Scouted { lanes, next } => self.feed(Event::Scouted { lanes, next }),
            Done::Loaded { job, result } => self.on_loaded(job, result),
            Done::Saved => {
                self.saving = false;
                self.feed(Event::Saved);
                self.start_loads();
            }
        }
    }

    fn on_read(&mut self, from: Offset, until: Offset, result: Result<waybill_spool::Slice, StoreError>) {
        match result {
            Ok(slice) => {
                let next = if slice.entries.is_empty() { until.max(from) } else { slice.next };
                let mut events = Vec::with_capacity(slice.entries.len());
                for (offset, entry) in slice.entries {
                    match self.dispatch.created(&entry) {
                        Some(created) => {
                            events.push((offset, created));
                            self.entries.entry(offset).or_insert(entry);
                        }
                        None => tracing::error!(hook = self.options.name, %offset,
                            "a journal entry is damaged and is skipped"),
                    }
                }
                self.feed(Event::Read(Read { events, next }));
            }
            Err(error) => {
                tracing::error!(hook = self.options.name, "the journal cannot be read, trying again: {error}");
                let store = self.options.store.clone();
                let stream = self.options.stream;
                let limit = ReadLimit { entries: 64, bytes: READ_BYTES };
                self.jobs.push(
                    async move {
                        tokio::time::sleep(RETRY).await;
                        Done::Read { from, until, result: store.read(stream, from, limit).await }
                    }
                    .boxed(),
                );
            }
        }
    }

    fn on_loaded(&mut self, job: LoadJob, result: Result<Vec<(waybill_spool::Key, Bytes)>, StoreError>) {
        let found = match result {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(hook = self.options.name, "rows cannot be read, trying again: {error}");
                self.loads.push(job);
                self.jobs.push(
                    async {
                        tokio::time::sleep(RETRY).await;
                        // Anything that makes the loop look again.
                        Done::Judged(Vec::new())
                    }
                    .boxed(),
                );
                return;
            }
        };
        let mut rows = Vec::new();
        let mut next_due = None;
        for (key, value) in found {
            let Some(row_key) = layout::parse_row_key(&key) else { continue };
            if row_key.due > job.until || rows.len() == job.limit {
                next_due = Some(row_key.due);
                break;
            }
            let parsed = layout::parse_row(&value).and_then(|(attempts, overlay, entry)| {
                Some((attempts, overlay, self.dispatch.created(&entry)?, entry))
            });
            match parsed {
                Some((attempts, overlay, created, entry)) => {
                    if !self.entries.contains_key(&row_key.offset) {
                        self.dispatch.restore(&job.lane, row_key.offset, entry.clone(), overlay);
                        self.entries.insert(row_key.offset, entry);
                    }
                    rows.push(LoadedRow { key: row_key, attempts, created });
                }
                None => {
                    tracing::error!(hook = self.options.name, lane = %job.lane, "a lane row is damaged and is dropped");
                    let write = Write::DeleteRow { lane: job.lane.clone(), key: row_key };
                    self.saver.put_row(&write, &[], &[]);
                }
            }
        }
        self.feed(Event::Loaded { lane: job.lane, rows, next_due });
    }

    fn refresh(&mut self) {
        let now = self.options.clock.now();
        let status = self.consumer.status(now);
        let visible = *self.options.store.visible(self.options.stream).borrow();
        let unread = visible.0.saturating_sub(status.read.0);
        let oldest = self.entries.iter().min_by_key(|(offset, _)| **offset);
        let oldest = oldest.and_then(|(_, entry)| self.dispatch.created(entry));
        let unsettled = status.rows + status.without_row as u64;
        *self.snapshot.lock() = Some(Snapshot {
            name: self.options.name.clone(),
            state: ConsumerState::Active,
            lag_events: unread + unsettled,
            lag_seconds: oldest.map_or(0.0, |created| now.since(created).as_secs_f64()),
            in_flight: status.offered,
            parked: status.rows,
            dead_letters: self.saver.dead(),
            attempts: self.attempts,
            last_response: None,
        });
    }
}
