use crate::admin::{Orders, Rebinds};
use crate::asking::{REQUEUE, THROTTLE};
use crate::inbox::{Inboxes, News};
use crate::manager::{Phase, QueueManager, Shared};
use crate::outcomes::Attempt;
use crate::partings::Partings;
use crate::rejections::Rejections;
use crate::routes::Stale;
use crate::watch::{Look, Seen};
use crate::ways::Ways;
use crate::writer::Writer;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use waybill_queue_core::queues::{Event, Queues};
use waybill_ready::SessionEvent;
use waybill_runtime::Stop;
use waybill_types::{MessageId, Timestamp};

/// How many reports one turn takes together: what comes of them is one commit, and each may tell of a whole batch.
const REPORTS: usize = 128;
/// How many news one turn takes together.
const NEWS: usize = 512;
/// Between two looks for settings that have to be asked for again (contract section 6.2).
const REFRESH: Duration = Duration::from_secs(10);
/// Between two looks at a store that is not well.
const HEALTH: Duration = Duration::from_millis(250);

/// What one turn is about.
#[derive(Default)]
pub(crate) struct Input {
    pub(crate) events: Vec<Event<MessageId>>,
    pub(crate) reports: Vec<SessionEvent<MessageId>>,
    pub(crate) news: Vec<News>,
}

impl Input {
    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.reports.is_empty() && self.news.is_empty()
    }
}

/// Owns the core: tells it what happens, and does what it decides.
pub(crate) struct Driver {
    pub(crate) shared: Arc<Shared>,
    pub(crate) queues: Queues<MessageId>,
    pub(crate) ways: Ways,
    pub(crate) writer: Writer,
    pub(crate) partings: Partings,
    /// What operators ordered.
    pub(crate) orders: Orders,
    pub(crate) rebinds: Rebinds,
    pub(crate) wake: Option<Timestamp>,
    /// What the core has to hear next, of what could not be done.
    pub(crate) again: Vec<Event<MessageId>>,
    /// What sessions said about the messages of this turn.
    pub(crate) attempts: HashMap<MessageId, Attempt>,
    /// The same of messages that the policy is shown on their way back, until it has answered.
    pub(crate) asked: HashMap<MessageId, Attempt>,
    pub(crate) random: StdRng,
    /// The store is not well: nothing is handed out.
    pub(crate) paused: bool,
    /// The store is closed: nothing counts any more.
    pub(crate) closed: bool,
    pub(crate) stopped: bool,
    /// A connection under a shared limit is free for one of our queues.
    freed: Arc<Notify>,
    stats_due: bool,
    stats_at: Instant,
    refresh_at: Instant,
    /// What was told of the queues.
    seen: Seen,
    /// Held by the task that refreshes, while there is one.
    refreshing: Weak<()>,
}

impl QueueManager {
    /// Runs the queues until asked to stop: then no mail is taken, no session opened, no batch handed out, and what is
    /// in flight finishes. Call it once.
    pub async fn run(&self, stop: Stop) {
        let Some(Inboxes { news, reports, rejections }) = self.shared.inboxes.lock().take() else { return };
        let _end = End(self.shared.clone());
        let rejections = Rejections::start(&self.shared, rejections);
        let mut driver = Driver::new(self.shared.clone());
        Box::pin(driver.run(news, reports, stop)).await;
        // Nobody waits for the driver any more: what the last records start cannot wait for it either.
        driver.writer.finish().await;
        rejections.finish().await;
    }
}

/// Without a driver no mail is taken, whatever ended it: nobody would deliver what is stored.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        *self.0.phase.lock() = Phase::Stopping;
    }
}

impl Driver {
    fn new(shared: Arc<Shared>) -> Self {
        let now = Instant::now();
        let freed = Arc::new(Notify::new());
        let nudge = freed.clone();
        Driver {
            queues: Queues::sharing(&shared.options.limits, Arc::new(move || nudge.notify_one()), shared.options.seed),
            freed,
            ways: Ways::default(),
            writer: Writer::start(&shared),
            partings: Partings::default(),
            orders: Orders::default(),
            rebinds: Rebinds::default(),
            wake: None,
            again: Vec::new(),
            attempts: HashMap::new(),
            asked: HashMap::new(),
            random: StdRng::seed_from_u64(shared.options.seed),
            paused: false,
            closed: false,
            stopped: false,
            stats_due: false,
            stats_at: now,
            refresh_at: now,
            seen: Seen::default(),
            refreshing: Weak::new(),
            shared,
        }
    }

    async fn run(
        &mut self,
        mut news: mpsc::Receiver<News>,
        mut reports: mpsc::Receiver<SessionEvent<MessageId>>,
        mut stop: Stop,
    ) {
        let clock = self.shared.options.clock.clone();
        let mut stopping = false;
        while !self.stopped {
            self.look_after();
            let mut input = Input::default();
            let behind = self.writer.is_behind();
            let look = self.next_look();
            let (parting, holding) = (self.partings.wait(), self.writer.holding());
            let wake = clock.sleep_until(self.wake.unwrap_or(Timestamp::MAX));
            tokio::select! {
                biased;
                () = stop.requested(), if !stopping => {
                    stopping = true;
                    *self.shared.phase.lock() = Phase::Stopping;
                    self.shared.board.stop();
                    input.events.push(Event::Stopping);
                }
                () = std::future::ready(()), if !self.again.is_empty() => {}
                () = self.writer.pass_one(), if self.writer.waits() => {}
                () = holding.eased(), if parting => {}
                _ = reports.recv_many(&mut input.reports, REPORTS), if !behind => {}
                _ = news.recv_many(&mut input.news, NEWS) => {}
                () = wake, if !behind => {
                    self.wake = None;
                    input.events.push(Event::Tick);
                }
                () = self.freed.notified(), if !behind => input.events.push(Event::Tick),
                () = tokio::time::sleep_until(look) => {}
            }
            // Whoever came first, nobody is left behind: everything goes into the same commit.
            while !behind
                && input.reports.len() < REPORTS
                && let Ok(report) = reports.try_recv()
            {
                input.reports.push(report);
            }
            while input.news.len() < NEWS
                && let Ok(told) = news.try_recv()
            {
                input.news.push(told);
            }
            self.stats_due |= !input.is_empty() || !self.again.is_empty();
            Box::pin(self.turn(input)).await;
        }
        self.refresh_stats();
    }

    /// What has to be done now and then, whatever happens.
    fn look_after(&mut self) {
        let now = Instant::now();
        if self.refresh_at <= now {
            self.refresh_at = now + REFRESH;
            self.refresh();
        }
        // Mail grows old also where nothing happens.
        if self.shared.watcher.get().is_some_and(|watcher| watcher.wants()) {
            self.stats_due = true;
        } else {
            self.seen = Seen::default();
        }
        if self.stats_due && self.stats_at <= now {
            self.refresh_stats();
            self.stats_due = false;
            self.stats_at = crate::stats::next_look(now);
        }
    }

    fn next_look(&self) -> Instant {
        let stats = self.stats_due.then_some(self.stats_at);
        let health = self.paused.then(|| Instant::now() + HEALTH);
        [stats, health].into_iter().flatten().fold(self.refresh_at, Instant::min)
    }

    fn refresh_stats(&mut self) {
        let (now, full_before) = (self.shared.options.clock.now(), self.shared.stats.full());
        self.shared.stats.refresh(&self.queues, &self.ways, &self.shared.messages, now);
        let Some(watcher) = self.shared.watcher.get().filter(|watcher| watcher.wants()) else { return };
        let look = Look { queues: &self.queues, rule: watcher.backlog(), now };
        let happened = look.since(&mut self.seen, full_before);
        if !happened.is_empty() {
            watcher.tell(happened);
        }
    }

    /// Has policy asked again about queues whose settings are stale.
    fn refresh(&mut self) {
        let options = &self.shared.options;
        self.queues.ask_before_ready(options.policy.handles(THROTTLE));
        self.queues.ask_before_return(options.policy.handles(REQUEUE));
        // A slow policy is not asked twice at once.
        if self.refreshing.strong_count() > 0 {
            return;
        }
        let now = options.clock.now();
        let mut stale = Vec::new();
        for queue in self.shared.configs.stale(now, options.policy.epoch()) {
            match self.queues.status(&queue, now) {
                Some(status) => stale.push(Stale { queue, routed: status.route.is_some() }),
                None => self.shared.configs.forget(&queue),
            }
        }
        if stale.is_empty() {
            return;
        }
        let busy = Arc::new(());
        self.refreshing = Arc::downgrade(&busy);
        let task = self.shared.clone();
        options.supervisor.spawn("refresh of queues", async move {
            task.refresh(stale).await;
            drop(busy);
        });
    }
}
