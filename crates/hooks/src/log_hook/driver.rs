use super::LogHook;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use waybill_consumers::Report;
use waybill_delivery::Outcome;
use waybill_journal_core::Outcome as Settled;
use waybill_queue_core::ready::{ReadyAction, ReadyEvent};
use waybill_ready::SessionEvent;
use waybill_runtime::Stop;
use waybill_types::{Offset, Timestamp};

/// How long a batch may go without progress where the path does not say (contract section 2.6).
const WATCHDOG: Duration = Duration::from_secs(600);

impl LogHook {
    /// Carries what sessions report to the ready queues and to the runner, until all sessions are closed after a stop.
    pub async fn drive(self: Arc<Self>, mut events: mpsc::Receiver<SessionEvent<Offset>>, mut stop: Stop) {
        let mut stopping = false;
        loop {
            let wake = self.wake_at();
            tokio::select! {
                biased;
                Some(event) = events.recv() => self.on_session(event),
                () = stop.requested(), if !stopping => {
                    stopping = true;
                    self.step(ReadyEvent::Stopping);
                }
                () = self.nudge.notified() => {}
                () = self.context.clock.sleep_until(wake) => {
                    self.ready.lock().wake = None;
                    self.step(ReadyEvent::Tick);
                }
            }
            self.route_unrouted().await;
            self.write_records().await;
            if stopping && self.sessions.is_empty() {
                return;
            }
        }
    }

    fn wake_at(&self) -> Timestamp {
        self.ready.lock().wake.unwrap_or(Timestamp::MAX)
    }

    async fn write_records(&self) {
        loop {
            let records = std::mem::take(&mut *self.records.lock());
            if records.is_empty() {
                return;
            }
            for (entry, message) in records {
                self.context.files.write(&entry, message.as_ref()).await;
            }
        }
    }

    fn step(&self, event: ReadyEvent) {
        let now = self.context.clock.now();
        let mut actions = Vec::new();
        self.ready.lock().queues.step(now, event, &mut actions);
        self.perform(actions);
    }

    pub(super) fn perform(&self, actions: Vec<ReadyAction<Offset>>) {
        for action in actions {
            match action {
                ReadyAction::Open { queue, session, representative } => {
                    let route = self.ready.lock().routes.get(&queue).cloned();
                    match route {
                        Some(route) => self.sessions.open(session, route, representative, WATCHDOG),
                        None => self.step(ReadyEvent::SessionFailed { session }),
                    }
                }
                ReadyAction::Hand { session, items, .. } => {
                    if !self.sessions.hand(session, items.clone()) {
                        self.lost(items);
                        self.step(ReadyEvent::Closed { session });
                    }
                }
                ReadyAction::Close { session } => {
                    if !self.sessions.close(session) {
                        self.step(ReadyEvent::Closed { session });
                    }
                }
                ReadyAction::Return { item, delay, .. } => {
                    self.reports.send(Report::Returned(item, delay));
                }
                ReadyAction::WakeAt(at) => {
                    self.ready.lock().wake = Some(at);
                    self.nudge.notify_one();
                }
                ReadyAction::Forgotten { queue } => {
                    self.ready.lock().routes.remove(&queue);
                    self.forget_route(&queue);
                }
                ReadyAction::Stopped => self.nudge.notify_one(),
            }
        }
    }

    /// Nobody knows what became of these: they are tried again.
    fn lost(&self, items: Vec<Offset>) {
        for item in items {
            self.reports.send(Report::Returned(item, None));
        }
    }

    fn on_session(&self, event: SessionEvent<Offset>) {
        match event {
            SessionEvent::Ready(session) => self.step(ReadyEvent::SessionReady { session }),
            SessionEvent::Finished(session, finished) => {
                self.note_batch(&finished);
                let results = finished.items.iter().zip(&finished.outcome.outcomes);
                let results = results.map(|(offset, outcome)| (*offset, self.settled(outcome))).collect();
                let fate = finished.outcome.session;
                self.reports.send(Report::Finished(results));
                self.step(ReadyEvent::Finished { session, fate });
            }
            SessionEvent::Closed(session, lost) => {
                self.lost(lost);
                self.step(ReadyEvent::Closed { session });
            }
        }
    }

    fn settled(&self, outcome: &Outcome) -> Settled {
        match outcome {
            Outcome::Delivered(_) => {
                self.responses.delivered.fetch_add(1, Ordering::Relaxed);
                Settled::Delivered
            }
            Outcome::Permanent(response) => {
                self.responses.permanent.fetch_add(1, Ordering::Relaxed);
                Settled::Permanent(response.to_string())
            }
            Outcome::Transient(_, retry_after) => {
                self.responses.transient.fetch_add(1, Ordering::Relaxed);
                Settled::Transient { retry_after: *retry_after, unit: rand::random() }
            }
        }
    }
}
