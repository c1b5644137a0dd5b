//! The ready queues of a hook and the sessions that serve them.

use super::LogHook;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use waybill_consumers::Report;
use waybill_delivery::Route;
use waybill_queue_core::config::EgressPathConfig;
use waybill_queue_core::ready::{NoRoom, PathLimits, ReadyAction, ReadyEvent, ReadyQueues};
use waybill_ready::Watched;
use waybill_types::{Offset, QueueName, ReadyQueueName, Timestamp};

/// What a ready queue has no room for comes again after this.
const NO_ROOM: Duration = Duration::from_secs(1);

/// A way out.
#[derive(Clone)]
pub(super) struct Path {
    pub(super) route: Arc<dyn Route>,
    /// The longest time without progress.
    pub(super) watchdog: Duration,
    /// The provider that records name.
    pub(super) provider: Option<String>,
    /// As policy gave it.
    pub(super) config: EgressPathConfig,
}

/// The ready queues, and the way out of each.
pub(super) struct Ready {
    pub(super) queues: ReadyQueues<Offset>,
    pub(super) paths: HashMap<ReadyQueueName, Path>,
}

impl LogHook {
    pub(super) fn configure_path(&self, path: Path, limits: PathLimits) {
        let queue = path.route.ready_queue().clone();
        let batch = path.route.batch();
        let now = self.context.clock.now();
        let mut actions = Vec::new();
        {
            // In one go: a ready queue without a path could open no session.
            let mut ready = self.ready.lock();
            ready.paths.insert(queue.clone(), path);
            ready.queues.step(now, ReadyEvent::Configure { queue, limits: Box::new(limits), batch }, &mut actions);
        }
        actions.into_iter().for_each(|action| self.perform(action));
    }

    /// The provider that records of this way name.
    pub(super) fn provider(&self, queue: &ReadyQueueName) -> Option<String> {
        self.ready.lock().paths.get(queue)?.provider.clone()
    }

    /// Puts events into a ready queue. False: there is no such queue (any more).
    pub(super) fn offer_over(&self, queue: &ReadyQueueName, lane: &QueueName, offsets: &[Offset]) -> bool {
        let now = self.context.clock.now();
        let mut refused = Vec::new();
        {
            let mut ready = self.ready.lock();
            for offset in offsets.iter().copied() {
                match ready.queues.reserve(queue, now) {
                    Ok(place) => ready.queues.redeem(place, offset, lane.clone(), now),
                    // Said of the first: under this lock none goes.
                    Err(NoRoom::Unknown) => return false,
                    Err(NoRoom::Suspended(order) | NoRoom::SourceSuspended(order)) => {
                        refused.push((offset, order.until.map_or(NO_ROOM, |until| until.since(now))));
                    }
                    Err(NoRoom::Full | NoRoom::Stopping) => refused.push((offset, NO_ROOM)),
                }
            }
        }
        if refused.len() < offsets.len() {
            self.step(ReadyEvent::Redeemed);
        }
        refused.into_iter().for_each(|(offset, wait)| self.reports.send(Report::Returned(offset, Some(wait))));
        true
    }

    /// Takes out what waits of a lane, in whichever ready queue: its way may have changed since.
    pub(super) fn take_back(&self, lane: &QueueName) -> Vec<Offset> {
        let mut ready = self.ready.lock();
        let queues: Vec<ReadyQueueName> = ready.paths.keys().cloned().collect();
        queues.iter().flat_map(|queue| ready.queues.take_back(queue, lane)).collect()
    }

    /// When the ready queues want to be looked at again, for the driver, which sleeps until then at the longest.
    pub(super) fn wake_before_sleep(&self) -> Timestamp {
        // Until it is known everything is news: a step that the look below does not see comes behind this.
        self.asleep_until.store(i64::MAX, Ordering::SeqCst);
        let wake = self.ready.lock().queues.next_wake().unwrap_or(Timestamp::MAX);
        self.asleep_until.store(wake.nanos(), Ordering::SeqCst);
        wake
    }

    pub(super) fn step(&self, event: ReadyEvent) {
        let now = self.context.clock.now();
        let mut actions = Vec::new();
        self.ready.lock().queues.step(now, event, &mut actions);
        actions.into_iter().for_each(|action| self.perform(action));
    }

    fn perform(&self, action: ReadyAction<Offset>) {
        match action {
            ReadyAction::Open { queue, session, representative } => {
                let path = self.ready.lock().paths.get(&queue).cloned();
                match path {
                    Some(path) => {
                        let patience = path.config.system_shutdown_timeout;
                        let route = Watched { route: path.route, board: self.board.clone(), number: session, patience };
                        self.sessions.open(session, Arc::new(route), representative, path.watchdog);
                    }
                    None => self.step(ReadyEvent::SessionFailed { session }),
                }
            }
            ReadyAction::Hand { session, items, .. } => {
                // What a lost session held comes back as `Return`.
                if !self.sessions.hand(session, items) {
                    self.step(ReadyEvent::Closed { session });
                }
            }
            ReadyAction::Close { session } => {
                if !self.sessions.close(session) {
                    self.step(ReadyEvent::Closed { session });
                }
            }
            ReadyAction::Return { item, delay, .. } => self.reports.send(Report::Returned(item, delay)),
            ReadyAction::Forgotten { queue } => {
                // It may have been made anew since.
                let mut ready = self.ready.lock();
                if ready.queues.status(&queue, self.context.clock.now()).is_none() {
                    ready.paths.remove(&queue);
                    drop(ready);
                    self.counts.forget(&queue);
                    self.routes.lock().forget_way(&queue);
                }
            }
            // Read from the queues when it is needed: steps of two tasks may overtake each other here. With each batch the
            // time moves on a little; who sleeps until an earlier one looks again then.
            ReadyAction::WakeAt(at) => {
                if at.nanos() < self.asleep_until.load(Ordering::SeqCst) {
                    self.nudge.notify_one();
                }
            }
            ReadyAction::Stopped => self.nudge.notify_one(),
        }
    }
}
