//! The task that carries what sessions report, and asks policy about what may take a while.

use super::LogHook;
use super::judging::is_addressed;
use super::outcomes::Requeue;
use super::routes::Way;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use waybill_consumers::Report;
use waybill_journal_core::{DeadReason, Outcome};
use waybill_queue_core::ready::{ReadyEvent, SessionId};
use waybill_ready::{Finished, SessionEvent};
use waybill_runtime::Stop;
use waybill_types::{Offset, QueueName};

/// What the spool did not take is offered again after this.
const NOT_STORED: Duration = Duration::from_secs(10);

/// What policy or the spool was asked about.
enum Asked {
    /// Where this lane goes is known now; what waits for that is offered in the next turn.
    Routed(QueueName),
    /// What `requeue_message` says about the failures of a batch.
    Requeued(Box<Finished<Offset>>, Vec<Requeue>),
    /// An event was given to the spool, and its runner was told.
    Spooled,
}

struct Driver {
    hook: Arc<LogHook>,
    asked: FuturesUnordered<BoxFuture<'static, Asked>>,
    /// Lanes that policy is being asked about.
    routing: HashSet<QueueName>,
}

impl LogHook {
    /// Carries what sessions report to the ready queues and to the runner, until all sessions are closed after a stop.
    pub async fn drive(self: Arc<Self>, mut events: mpsc::Receiver<SessionEvent<Offset>>, mut stop: Stop) {
        let mut driver = Driver { hook: self, asked: FuturesUnordered::new(), routing: HashSet::new() };
        let mut stopping = false;
        loop {
            let hook = driver.hook.clone();
            driver.ask();
            let wake = hook.wake_before_sleep();
            tokio::select! {
                Some(event) = events.recv() => driver.on_session(event),
                Some(asked) = driver.asked.next(), if !driver.asked.is_empty() => driver.on_asked(asked),
                () = stop.requested(), if !stopping => {
                    stopping = true;
                    hook.board.stop();
                    hook.step(ReadyEvent::Stopping);
                }
                () = hook.nudge.notified() => {}
                () = hook.freed.notified() => hook.step(ReadyEvent::Tick),
                () = hook.context.clock.sleep_until(wake) => hook.step(ReadyEvent::Tick),
            }
            hook.write_records().await;
            if stopping && hook.sessions.is_empty() {
                return;
            }
        }
    }

    /// Concludes a batch in the task of its session, which then has its next one without any other task having run.
    /// Not where somebody has to be asked, and not while records wait for the files: those set the pace.
    pub(super) fn hear_at_once(&self, event: SessionEvent<Offset>) -> Option<SessionEvent<Offset>> {
        match event {
            SessionEvent::Finished(session, finished)
                if self.records.lock().is_empty() && !self.wants_judgement(&finished) =>
            {
                self.finish(session, &finished);
                None
            }
            event => Some(event),
        }
    }

    fn finish(&self, session: SessionId, finished: &Finished<Offset>) {
        self.conclude(finished, Vec::new());
        self.step(ReadyEvent::Finished { session, fate: finished.outcome.session });
    }

    async fn write_records(&self) {
        loop {
            let (records, lost) = self.records.lock().take();
            if lost > 0 {
                tracing::error!(hook = self.name(), "{lost} records were not written: the log files take too little");
            }
            if records.is_empty() {
                return;
            }
            for (entry, message) in records {
                self.context.files.write(&entry, message.as_ref()).await;
            }
        }
    }
}

impl Driver {
    /// Offers what waits for a route that is known, and has policy asked about lanes that are new or stale. A policy that
    /// takes its time delays no other lane.
    fn ask(&mut self) {
        let waiting: Vec<QueueName> = self.hook.unrouted.lock().keys().cloned().collect();
        let mut lanes = self.hook.routes.lock().take_stale();
        lanes.extend(waiting.into_iter().filter(|lane| !self.route(lane)));
        for lane in lanes {
            if self.routing.insert(lane.clone()) {
                let hook = self.hook.clone();
                self.asked.push(
                    async move {
                        if survive("get_queue_config", hook.ask_route(&lane)).await.is_none() {
                            hook.break_route(&lane);
                        }
                        Asked::Routed(lane)
                    }
                    .boxed(),
                );
            }
        }
    }

    fn on_session(&mut self, event: SessionEvent<Offset>) {
        match event {
            SessionEvent::Ready(session) => self.hook.step(ReadyEvent::SessionReady { session }),
            SessionEvent::Refused(session, _) => self.hook.step(ReadyEvent::SessionRefused { session }),
            SessionEvent::Finished(session, finished) => {
                if self.hook.wants_judgement(&finished) {
                    let (hook, fate) = (self.hook.clone(), finished.outcome.session);
                    self.asked.push(
                        async move {
                            // Without an answer they are requeued as they are: nobody must wait for them for ever.
                            let requeues = survive("requeue_message", hook.judge_failures(&finished)).await;
                            Asked::Requeued(finished, requeues.unwrap_or_default())
                        }
                        .boxed(),
                    );
                    self.hook.step(ReadyEvent::Finished { session, fate });
                } else {
                    self.hook.finish(session, &finished);
                }
            }
            // What it was trying comes back from the ready queue: nobody knows what became of it.
            SessionEvent::Closed(session, _) => self.hook.step(ReadyEvent::Closed { session }),
        }
    }

    fn on_asked(&mut self, asked: Asked) {
        match asked {
            Asked::Routed(lane) => {
                self.routing.remove(&lane);
            }
            Asked::Requeued(finished, requeues) => self.hook.conclude(&finished, requeues),
            Asked::Spooled => {}
        }
    }

    /// Offers what waits for a lane's route. False: policy has to be asked (again).
    fn route(&self, lane: &QueueName) -> bool {
        let now = self.hook.context.clock.now();
        let Some(route) = self.hook.known_route(lane) else { return false };
        if matches!(route.way, Way::Broken(until) if until <= now) {
            return false;
        }
        let offsets = self.hook.unrouted.lock().remove(lane).unwrap_or_default();
        match &route.way {
            Way::Session(queue) => {
                if !self.hook.offer_over(queue, lane, &offsets) {
                    self.hook.routes.lock().forget_way(queue);
                    self.hook.unrouted.lock().entry(lane.clone()).or_default().extend(offsets);
                    return false;
                }
            }
            Way::Broken(until) => {
                let returned = |offset| Report::Returned(offset, Some(until.since(now)));
                offsets.into_iter().for_each(|offset| self.hook.reports.send(returned(offset)));
            }
            Way::Mail | Way::Spool => offsets.into_iter().for_each(|offset| self.spool(offset)),
        }
        true
    }

    /// The queue of an event got another protocol: it goes there as a message of the spool.
    fn spool(&self, offset: Offset) {
        let hook = self.hook.clone();
        let tell = move |outcome| hook.reports.send(Report::Finished(vec![(offset, outcome)]));
        let Some(item) = self.hook.items.get(offset) else {
            return tell(Outcome::Dead(DeadReason::Damaged("it is not in memory".to_owned())));
        };
        if !is_addressed(&item.message) {
            return tell(Outcome::Dead(DeadReason::NoQueue));
        }
        let hook = self.hook.clone();
        self.asked.push(
            async move {
                match survive("the spool", hook.to_spool(item.message)).await.unwrap_or(false) {
                    true => tell(Outcome::Materialised),
                    false => hook.reports.send(Report::Returned(offset, Some(NOT_STORED))),
                }
                Asked::Spooled
            }
            .boxed(),
        );
    }
}

/// `None` when it panicked, which is said loudly: whoever waits for the answer must get one.
async fn survive<T>(what: &str, question: impl Future<Output = T>) -> Option<T> {
    let answer = AssertUnwindSafe(question).catch_unwind().await;
    answer.inspect_err(|_| tracing::error!("asking {what} panicked")).ok()
}
