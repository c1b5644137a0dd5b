mod answers;
mod commands;
mod drain;
mod jobs;
mod loads;
mod look;
mod perform;

use crate::control::{Command, Control};
use crate::dispatch::{Dispatch, Report};
use crate::feed::Feed;
use crate::layout::{self, Replay, Saved};
use crate::saver::Saver;
use crate::status::{LeftLetters, Snapshot};
use bytes::Bytes;
use commands::Redriving;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use jobs::Done;
use loads::Loads;
use look::Look;
use parking_lot::Mutex;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use waybill_journal_core::{Consumer, Event, LaneConfig};
use waybill_runtime::{Clock, Stop};
use waybill_spool::{Store, StoreError, StreamId, Table};
use waybill_types::{Offset, OffsetMap, QueueName, Timestamp};

/// What was delivered or written waits no longer than this for its checkpoint.
const TICK: Duration = Duration::from_millis(50);
/// A cursor that only passed events which nobody wanted.
const LAZY_TICK: Duration = Duration::from_secs(1);
/// What the store or the dispatcher could not do is tried again after this.
const RETRY: Duration = Duration::from_millis(500);
/// News of the journal are heard at once, the next ones after this: while mail flows, what every single commit brings
/// is read together.
const NEWS: Duration = Duration::from_millis(1);
/// How many reports are taken in one turn of the loop.
const REPORTS_A_TURN: usize = 256;

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
    /// It sends a part of the journal again, and ends with it.
    pub replay: Option<Replay>,
    /// A replay tells here of the dead letters that it leaves with its hook.
    pub left: LeftLetters,
    /// How long a stop may take before what is in flight is left to the next start.
    pub grace: Duration,
}

/// How a run came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It was stopped, and goes on with the next start.
    Stopped,
    /// It was a replay, and is done or was cancelled. The store knows nothing of it any more but rows that a cancelled
    /// one may have left: [`crate::Registry::forget`] removes them.
    Done,
}

/// Runs one consumer.
pub struct Runner {
    options: RunnerOptions,
    dispatch: Arc<dyn Dispatch>,
    /// Who reads the stream for it, where it does not do so itself.
    source: Option<Arc<dyn Feed>>,
    reports: mpsc::UnboundedReceiver<Report>,
    consumer: Consumer,
    /// What the consumer is told next: a step is finished, with all that it asks for, before the next one begins.
    inbox: VecDeque<Event>,
    saver: Saver,
    /// Encoded events in memory: rows and dead letters carry a copy.
    entries: OffsetMap<Bytes>,
    /// Those of them that make no sense.
    damaged: HashSet<Offset>,
    jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    loads: Loads,
    /// Lanes from before the start whose settings are still to be asked for.
    configuring: VecDeque<QueueName>,
    /// How many times the dispatcher is being asked for verdicts.
    judging: usize,
    save_at: Option<Instant>,
    /// When news of the journal were heard, and when the next ones are to be.
    heard_at: Option<Instant>,
    news_at: Option<Instant>,
    want_save: bool,
    wake: Option<Timestamp>,
    look: Look,
    commands: mpsc::Receiver<Command>,
    control: Control,
    redriving: Redriving,
    paused: bool,
    cancelled: bool,
    stopping: bool,
    attempts: u64,
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
            None => {
                let cursor = options.replay.as_ref().map_or(options.begin, |replay| replay.from);
                Saved { cursor, ..Saved::default() }
            }
        };
        let memory = layout::memory_key(&options.name);
        let found = options.store.range(Table::State, memory.clone(), memory.after(), 1).await?;
        if let Some((_, memory)) = found.into_iter().next() {
            dispatch.remember(memory);
        }
        let (control, commands) = Control::channel();
        let mut checkpoint = saved.checkpoint();
        // What is on the disk counts, whatever the checkpoint says: a row that nobody knows of is a lost event.
        for lane in layout::lanes_on_disk(&*options.store, &options.name).await? {
            if !checkpoint.lanes.iter().any(|(known, _)| *known == lane) {
                checkpoint.lanes.push((lane, 1));
            }
        }
        let configuring: VecDeque<QueueName> = checkpoint.lanes.iter().map(|(lane, _)| lane.clone()).collect();
        let consumer = Consumer::restore(&checkpoint, options.window, |_| LaneConfig::UNKNOWN);
        let saver = Saver::new(&options.name, options.stream, saved.letters, options.replay.clone());
        let saver = saver.leaving(&*options.store, options.left.clone()).await?;
        Ok(Runner {
            saver,
            loads: Loads::until_configured(configuring.iter().cloned()),
            options,
            dispatch,
            source: None,
            reports,
            consumer,
            inbox: VecDeque::new(),
            entries: OffsetMap::default(),
            damaged: HashSet::new(),
            jobs: FuturesUnordered::new(),
            configuring,
            judging: 0,
            save_at: None,
            heard_at: None,
            news_at: None,
            want_save: false,
            wake: None,
            look: Look::default(),
            commands,
            control,
            redriving: Redriving::default(),
            paused: saved.paused,
            cancelled: false,
            stopping: false,
            attempts: 0,
        })
    }

    /// Has it read what is looked out for it, instead of the stream itself. Before it runs.
    #[must_use]
    pub fn fed_by(mut self, feed: Arc<dyn Feed>) -> Self {
        self.source = Some(feed);
        self
    }

    /// How it stands, at most a tick old.
    pub fn snapshot(&self) -> Arc<Mutex<Option<Snapshot>>> {
        self.look.snapshot()
    }

    /// The way to tell it what to do.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Up to where it may read.
    fn end(&self) -> Offset {
        let visible = *self.visible().borrow();
        self.options.replay.as_ref().map_or(visible, |replay| replay.until.min(visible))
    }

    fn visible(&self) -> watch::Receiver<Offset> {
        match &self.source {
            Some(feed) => feed.visible(),
            None => self.options.store.visible(self.options.stream),
        }
    }

    /// Whether it is a replay that has nothing left to do.
    fn is_done(&self) -> bool {
        let Some(replay) = &self.options.replay else { return false };
        let totals = self.consumer.totals();
        self.cancelled || (totals.read >= replay.until && totals.unsettled == 0 && !self.saver.is_saving())
    }

    /// Runs until asked to stop: then reads and offers nothing more, waits for what is being tried as long as the
    /// grace allows, and saves.
    pub async fn run(mut self, mut stop: Stop) -> Ended {
        let mut visible = self.visible();
        visible.mark_unchanged();
        self.configure_lanes(perform::CONFIGURE_AT_ONCE);
        self.feed(Event::Visible(self.end()));
        self.feed(Event::Tick);
        // The store is to know that this consumer is here, so that nothing is trimmed which it has to read.
        self.save_within(Duration::ZERO);
        while !stop.is_requested() && !self.is_done() {
            let wake = self.sleep_until_wake();
            let turn = self.next_turn();
            tokio::select! {
                () = stop.requested() => {}
                Some(report) = self.reports.recv() => {
                    self.on_reports(report);
                    // The sessions have more to do meanwhile: each turn of this task is to serve many of their reports.
                    tokio::task::yield_now().await;
                }
                Some(done) = self.jobs.next(), if !self.jobs.is_empty() => self.on_done(done),
                changed = visible.changed(), if self.news_at.is_none() => {
                    // The store is gone: nothing more will come.
                    if changed.is_err() { break }
                    visible.mark_unchanged();
                    self.on_news();
                }
                Some(command) = self.commands.recv() => self.on_command(command),
                () = wake => { self.wake = None; self.feed(Event::Tick); }
                () = turn => self.on_turn(),
            }
        }
        let is_done = self.is_done();
        self.drain(is_done).await;
        if is_done { Ended::Done } else { Ended::Stopped }
    }

    fn sleep_until_wake(&self) -> BoxFuture<'static, ()> {
        match self.wake {
            Some(at) => self.options.clock.sleep_until(at),
            None => futures::future::pending().boxed(),
        }
    }

    /// Until the next checkpoint, look or news, whichever comes first. A consumer that has nothing to do sleeps.
    fn next_turn(&self) -> impl Future<Output = ()> + Send + use<> {
        let at = [self.save_at, self.look.at(), self.news_at].into_iter().flatten().min();
        async move {
            match at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => futures::future::pending().await,
            }
        }
    }

    /// The journal has grown.
    fn on_news(&mut self) {
        let now = Instant::now();
        match self.heard_at.map(|heard| heard + NEWS).filter(|at| *at > now) {
            Some(at) => self.news_at = Some(at),
            None => {
                (self.heard_at, self.news_at) = (Some(now), None);
                self.feed(Event::Visible(self.end()));
            }
        }
    }

    fn on_turn(&mut self) {
        let now = Instant::now();
        if self.news_at.is_some_and(|at| at <= now) {
            self.on_news();
        }
        if self.save_at.is_some_and(|at| at <= now) {
            self.save();
            self.settle();
        }
        if self.look.at().is_some_and(|at| at <= now) {
            self.look_around();
        }
    }

    /// Tells the consumer something, and does what it asks for.
    fn feed(&mut self, event: Event) {
        self.inbox.push_back(event);
        self.settle();
    }

    fn settle(&mut self) {
        while !self.inbox.is_empty() {
            let now = self.options.clock.now();
            self.look.notice();
            let mut actions = Vec::new();
            self.consumer.step_each(now, self.inbox.drain(..), &mut actions);
            self.perform_all(now, actions);
            // Only now: a checkpoint must not be without a write of its own step.
            self.start_loads();
            if self.want_save {
                self.save();
            }
        }
    }

    /// A checkpoint is due no later than that.
    fn save_within(&mut self, wait: Duration) {
        let at = Instant::now() + wait;
        self.save_at = Some(self.save_at.map_or(at, |set| set.min(at)));
    }
}
