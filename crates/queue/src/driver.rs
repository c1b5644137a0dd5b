use crate::manager::{Inboxes, Phase, QueueManager, Shared};
use crate::records::{Attempt, Noted};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use waybill_delivery::Outcome;
use waybill_policy::Value;
use waybill_queue_core::queues::{Action, Event, Logged, Outcome as Settled, Queues};
use waybill_ready::{Finished, SessionEvent};
use waybill_runtime::Stop;
use waybill_spool::Batch;
use waybill_types::{MessageId, QueueName, Timestamp};

/// How many events one turn takes together: their outcomes are one commit.
const TURN: usize = 512;
/// Between two looks for settings that have to be asked for again.
const REFRESH: Duration = Duration::from_secs(10);

/// What one turn wants stored.
#[derive(Default)]
pub(crate) struct Pending {
    pub(crate) changes: Batch,
    pub(crate) noted: Vec<Noted>,
}

pub(crate) struct Driver {
    shared: Arc<Shared>,
    queues: Queues<MessageId>,
    wake: Option<Timestamp>,
    /// What sessions said about the messages of this turn.
    attempts: HashMap<MessageId, Attempt>,
    stopped: bool,
}

impl QueueManager {
    /// Takes mail from here on, and runs the queues until asked to stop: then no new sessions are opened, what is in
    /// flight finishes. Call it once.
    pub async fn run(&self, stop: Stop) {
        let Some(inboxes) = self.shared.inboxes.lock().take() else { return };
        let mut queues = Queues::new(self.shared.options.seed);
        queues.ask_before_ready(self.shared.options.policy.handles("throttle_insert_ready_queue"));
        let driver =
            Driver { shared: self.shared.clone(), queues, wake: None, attempts: HashMap::new(), stopped: false };
        driver.run(inboxes, stop).await;
    }

    /// Takes mail.
    pub fn open(&self) {
        let mut phase = self.shared.phase.lock();
        if *phase == Phase::Waiting {
            *phase = Phase::Open;
        }
    }
}

impl Driver {
    async fn run(mut self, mut inboxes: Inboxes, mut stop: Stop) {
        let clock = self.shared.options.clock.clone();
        let mut refresh = tokio::time::interval(REFRESH);
        let mut stopping = false;
        while !self.stopped {
            let wake = clock.sleep_until(self.wake.unwrap_or(Timestamp::MAX));
            let mut events = Vec::new();
            let mut reports = Vec::new();
            let mut turn = Vec::new();
            tokio::select! {
                biased;
                _ = inboxes.sessions.recv_many(&mut reports, TURN) => {}
                _ = inboxes.events.recv_many(&mut events, TURN) => turn.extend(events.drain(..).flatten()),
                () = stop.requested(), if !stopping => {
                    stopping = true;
                    turn.push(Event::Stopping);
                }
                () = wake => {
                    self.wake = None;
                    turn.push(Event::Tick);
                }
                _ = refresh.tick() => self.refresh(),
            }
            for report in reports {
                let event = self.on_session(report).await;
                turn.push(event);
            }
            self.take(turn).await;
        }
        self.shared.messages_gone();
    }

    /// One turn: everything is decided, then stored, then done.
    async fn take(&mut self, turn: Vec<Event<MessageId>>) {
        let now = self.shared.options.clock.now();
        let mut actions = Vec::new();
        for event in turn {
            self.queues.step(now, event, &mut actions);
        }
        let mut pending = Pending::default();
        let mut later = Vec::new();
        for action in actions {
            match action {
                Action::Log { item, queue, attempts, what } => {
                    self.log(now, item, &queue, attempts, &what, &mut pending);
                }
                Action::Save { item, attempts, due } => self.save(item, attempts, due, &mut pending),
                Action::Remove { item } => {
                    self.shared.messages.remove(item);
                    pending.changes.remove(item);
                }
                other => later.push(other),
            }
        }
        self.attempts.clear();
        self.shared.store(pending).await;
        for action in later {
            self.perform(action);
        }
        self.shared.stats.refresh(&self.queues, &self.shared.messages, now);
    }

    fn log(
        &self,
        now: Timestamp,
        item: MessageId,
        queue: &QueueName,
        attempts: u16,
        what: &Logged,
        pending: &mut Pending,
    ) {
        let Some(message) = self.shared.messages.get(item) else { return };
        let attempt = self.attempts.get(&item);
        self.shared.stats.count(what, attempt);
        pending.noted.extend(self.shared.logged(now, &message, queue, attempts, what, attempt));
    }

    fn save(&self, item: MessageId, attempts: u16, due: Timestamp, pending: &mut Pending) {
        let Some(message) = self.shared.messages.get(item) else { return };
        message.set_attempts(u32::from(attempts));
        message.set_due(Some(due));
        pending.changes.save(&message);
        // It waits: its body can be read again when its time has come.
        message.shrink();
    }

    fn perform(&mut self, action: Action<MessageId>) {
        let shared = &self.shared;
        match action {
            Action::ResolveRoute { queue } => {
                let task = shared.clone();
                shared.options.supervisor.spawn(format!("route of {queue}"), async move {
                    let events = task.resolve(&queue).await;
                    task.tell(events).await;
                });
            }
            Action::AskBeforeReady { item, .. } => {
                let task = shared.clone();
                shared.options.supervisor.spawn("throttle_insert_ready_queue", async move {
                    let delay = task.ask_before_ready(item).await;
                    task.tell(vec![Event::Answered { item, delay }]).await;
                });
            }
            Action::WakeAt(at) => self.wake = Some(at),
            Action::Open { queue, session, representative } => {
                let path = shared.routes.lock().get(&queue).cloned();
                match path {
                    Some(path) => shared.sessions.open(session, path.route, representative, path.watchdog),
                    None => self.lost(session),
                }
            }
            Action::Hand { session, items, .. } => {
                if !shared.sessions.hand(session, items) {
                    self.lost(session);
                }
            }
            Action::Close { session } => {
                if !shared.sessions.close(session) {
                    self.lost(session);
                }
            }
            Action::Forgotten { queue } => shared.configs.forget(&queue),
            Action::ReadyForgotten { queue } => {
                shared.routes.lock().remove(&queue);
            }
            Action::Stopped => self.stopped = true,
            // These three were stored before.
            Action::Log { .. } | Action::Save { .. } | Action::Remove { .. } => {}
        }
    }

    /// The session is not there (any more): the core hears of it in a turn of its own.
    fn lost(&self, session: waybill_queue_core::queues::SessionId) {
        let task = self.shared.clone();
        self.shared.options.supervisor.spawn("lost session", async move {
            task.tell(vec![Event::Closed { session }]).await;
        });
    }

    async fn on_session(&mut self, report: SessionEvent<MessageId>) -> Event<MessageId> {
        match report {
            SessionEvent::Ready(session) => Event::SessionReady { session },
            SessionEvent::Closed(session, _) => Event::Closed { session },
            SessionEvent::Finished(session, finished) => {
                let outcomes = self.outcomes(&finished).await;
                Event::Finished { session, outcomes, fate: finished.outcome.session }
            }
        }
    }

    /// Remembers what was said for the records, and asks `requeue_message` where a message is to be tried again.
    async fn outcomes(&mut self, finished: &Finished<MessageId>) -> Vec<(MessageId, Settled)> {
        let path = self.shared.routes.lock().get(finished.route.ready_queue()).cloned();
        let egress = path.filter(|path| path.route.shows_egress()).map(|path| (path.pool, path.source));
        let mut settled = Vec::with_capacity(finished.items.len());
        let all = finished.items.iter().zip(&finished.messages).zip(&finished.outcome.outcomes);
        for ((item, message), outcome) in all {
            let (outcome, settle) = match (outcome, message) {
                (Outcome::Delivered(_), _) => (outcome.clone(), Settled::Delivered),
                (Outcome::Permanent(_), _) => (outcome.clone(), Settled::Permanent),
                (Outcome::Transient(response, retry_after), Some(message)) => {
                    self.shared.requeue(message, response, *retry_after).await
                }
                (Outcome::Transient(_, retry_after), None) => {
                    (outcome.clone(), Settled::Transient { retry_after: *retry_after })
                }
            };
            let attempt = Attempt {
                outcome,
                peer: finished.peer.clone(),
                session_id: finished.session_id.clone(),
                site: finished.route.site().to_owned(),
                protocol: finished.route.protocol(),
                egress: egress.clone(),
            };
            self.attempts.insert(*item, attempt);
            settled.push((*item, settle));
        }
        settled
    }

    /// Asks again for the settings of queues whose time has come.
    fn refresh(&self) {
        let stale = self.shared.configs.stale(self.shared.options.clock.now());
        for queue in stale {
            if self.queues.status(&queue, self.shared.options.clock.now()).is_none() {
                self.shared.configs.forget(&queue);
                continue;
            }
            let task = self.shared.clone();
            self.shared.options.supervisor.spawn(format!("refresh of {queue}"), async move {
                let events = task.resolve(&queue).await;
                task.tell(events).await;
            });
        }
    }
}

impl Shared {
    /// After the stop: everything is on disk.
    fn messages_gone(&self) {
        let left = self.messages.len();
        self.stats.messages.store(left as u64, Ordering::Relaxed);
    }

    /// `throttle_insert_ready_queue` may set a due time on the message.
    async fn ask_before_ready(&self, item: MessageId) -> Option<Duration> {
        let message = self.messages.get(item)?;
        let now = self.options.clock.now();
        message.set_due(None);
        let answer = self.options.policy.call("throttle_insert_ready_queue", vec![message.clone().into()]).await;
        if let Err(error) = answer {
            tracing::error!(%item, "throttle_insert_ready_queue failed: {error}");
        }
        message.due().filter(|due| *due > now).map(|due| due.since(now))
    }

    /// `requeue_message` may refuse another try, or choose another queue.
    async fn requeue(
        &self,
        message: &waybill_spool::Message,
        response: &waybill_types::Response,
        retry_after: Option<Duration>,
    ) -> (Outcome, Settled) {
        let transient = (Outcome::Transient(response.clone(), retry_after), Settled::Transient { retry_after });
        if !self.options.policy.handles("requeue_message") {
            return transient;
        }
        let before = message.queue_name();
        let context = Value::List(vec![Value::from("LoggedTransientFailure")]);
        let line = Value::from(response.to_string().as_str());
        let args = vec![message.clone().into(), line, context, Value::Bool(true), Value::Nil];
        match self.options.policy.call("requeue_message", args).await {
            Err(error) => match error.rejected() {
                Some(rejected) => {
                    let response = waybill_types::Response::new(rejected.code, &rejected.text);
                    (Outcome::Permanent(response), Settled::Permanent)
                }
                None => {
                    tracing::error!(message = %message.id(), "requeue_message failed: {error}");
                    transient
                }
            },
            Ok(_) => match (before, message.queue_name()) {
                (Ok(before), Ok(after)) if before != after => (transient.0, Settled::Moved { to: after }),
                _ => transient,
            },
        }
    }
}
