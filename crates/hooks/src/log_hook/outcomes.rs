//! What a batch came to, in the words of the journal: with what `requeue_message` has to say about its failures.

use super::{LogHook, Role};
use std::time::Duration;
use waybill_consumers::{LastResponse, Report};
use waybill_delivery::{Fate, Outcome};
use waybill_journal_core::{LaneConfig, Outcome as Settled};
use waybill_policy::Value;
use waybill_queue_core::reason::Reason;
use waybill_ready::{Finished, is_aborted};
use waybill_spool::Message;
use waybill_types::{Offset, QueueName, Response, Timestamp};

const REQUEUE: &str = "requeue_message";
/// An event that the watchdog broke off waits at most this long (contract section 5.4).
const AFTER_WATCHDOG: Duration = Duration::from_secs(60);

/// What is to become of an event that failed for now.
#[derive(Clone, Debug)]
pub(super) enum Requeue {
    /// It is tried again.
    Stands,
    /// Policy wants no other try.
    Refused(Response),
    /// It is tried again in another lane.
    Moved(QueueName, LaneConfig),
    /// The script changed what only the spool can hold, and the spool has it. With the attempts before this one: the
    /// message counts on.
    Spooled(u32),
}

impl LogHook {
    /// Whether a batch has failures that policy or the spool has to see.
    pub(super) fn wants_judgement(&self, finished: &Finished<Offset>) -> bool {
        let fate = finished.outcome.session;
        let all = finished.messages.iter().zip(&finished.outcome.outcomes);
        let changed = |message: &Option<Message>| message.as_ref().is_some_and(Message::must_materialise);
        let mut failed = all.filter(|(_, outcome)| is_failure(outcome, fate)).map(|(message, _)| message);
        failed.any(|message| changed(message) || self.context.policy.handles(REQUEUE))
    }

    /// What is to become of each event of a batch.
    pub(super) async fn judge_failures(&self, finished: &Finished<Offset>) -> Vec<Requeue> {
        let mut requeues = Vec::with_capacity(finished.items.len());
        let all = finished.items.iter().zip(&finished.messages).zip(&finished.outcome.outcomes);
        for ((offset, message), outcome) in all {
            let lane = self.items.get(*offset).map(|item| item.lane);
            requeues.push(match (message, outcome, lane) {
                (Some(message), Outcome::Transient(response, wait), Some(lane))
                    if is_failure(outcome, finished.outcome.session) =>
                {
                    self.judge_failure(message, response, *wait, &lane).await
                }
                _ => Requeue::Stands,
            });
        }
        requeues
    }

    async fn judge_failure(
        &self,
        message: &Message,
        response: &Response,
        wait: Option<Duration>,
        lane: &QueueName,
    ) -> Requeue {
        if self.context.policy.handles(REQUEUE) {
            let context = Value::List(vec![Value::from(Reason::LoggedTransientFailure.as_str())]);
            let line = Value::from(response.to_string().as_str());
            let delay = wait.map_or(Value::Nil, |wait| Value::Number(wait.as_secs_f64()));
            let args = vec![message.clone().into(), line, context, Value::Bool(true), delay];
            if let Err(error) = self.context.policy.call(REQUEUE, args).await {
                if let Some(rejected) = error.rejected() {
                    return Requeue::Refused(Response::new(rejected.code, &rejected.text));
                }
                tracing::error!(hook = self.name(), message = %message.id(), "{REQUEUE} failed: {error}");
                return Requeue::Stands;
            }
        }
        let queue = message.queue_name().unwrap_or_else(|error| {
            tracing::error!(hook = self.name(), message = %message.id(), "not moved: {error}");
            lane.clone()
        });
        if message.must_materialise() {
            return self.spool_failure(message, wait, lane).await;
        }
        if queue == *lane {
            Requeue::Stands
        } else {
            Requeue::Moved(queue.clone(), self.lane_route(&queue).await.config)
        }
    }

    /// The script gave the event other data or another recipient: a row cannot hold that.
    async fn spool_failure(&self, message: &Message, wait: Option<Duration>, lane: &QueueName) -> Requeue {
        let before = message.attempts();
        let retry = self.lane_route(lane).await.config.retry;
        let delay = retry.wait(u16::try_from(before).unwrap_or(u16::MAX), rand::random(), wait);
        message.set_attempts(before.saturating_add(1));
        message.set_due(Some(self.context.clock.now() + delay));
        match self.to_spool(message.clone()).await {
            true => Requeue::Spooled(before),
            false => {
                message.set_attempts(before);
                Requeue::Stands
            }
        }
    }

    /// Tells everybody what a batch came to. Events without a word about their requeueing are requeued as they are.
    pub(super) fn conclude(&self, finished: &Finished<Offset>, requeues: Vec<Requeue>) {
        let now = self.context.clock.now();
        self.note_last_response(now, finished);
        self.counts.count(finished.route.ready_queue(), &finished.outcome, finished.took);
        let mut requeues = requeues.into_iter();
        let fate = finished.outcome.session;
        let mut results = Vec::with_capacity(finished.items.len());
        for (at, offset) in finished.items.iter().enumerate() {
            let requeue = requeues.next().unwrap_or(Requeue::Stands);
            let Some(outcome) = finished.outcome.outcomes.get(at) else { break };
            self.tell_trouble(now, outcome);
            self.note_latency(now, finished.messages.get(at), outcome);
            self.note_attempt(finished, at, outcome, &requeue);
            results.push((*offset, settled(outcome, fate, requeue)));
        }
        self.reports.send(Report::Finished(results));
    }

    /// An event is through: how long after its append.
    fn note_latency(&self, now: Timestamp, message: Option<&Option<Message>>, outcome: &Outcome) {
        if let (Some(Some(message)), Outcome::Delivered(_), Role::Live) = (message, outcome, &self.role) {
            self.latency.observe(now.since(message.created()));
        }
    }

    fn note_last_response(&self, now: Timestamp, finished: &Finished<Offset>) {
        let Some(outcome) = finished.outcome.outcomes.last() else { return };
        let response = outcome.response();
        let mut last = self.last_response.lock();
        match (outcome, &mut *last) {
            // Mostly all of them say the same.
            (Outcome::Delivered(_), Some(last)) if last.text == response.content => last.at = now,
            (Outcome::Delivered(_), last) => *last = Some(LastResponse { text: response.content.clone(), at: now }),
            (_, last) => *last = Some(LastResponse { text: response.to_string(), at: now }),
        }
    }
}

fn settled(outcome: &Outcome, fate: Fate, requeue: Requeue) -> Settled {
    match (outcome, requeue) {
        (Outcome::Delivered(_), _) => Settled::Delivered,
        (Outcome::Permanent(response), _) => Settled::Permanent(response.to_string()),
        (Outcome::Transient(..), _) if is_aborted(outcome, fate) => {
            Settled::Aborted(AFTER_WATCHDOG.mul_f64(rand::random()))
        }
        (Outcome::Transient(..), Requeue::Refused(by_policy)) => Settled::Permanent(by_policy.to_string()),
        (Outcome::Transient(..), Requeue::Moved(queue, config)) => Settled::Moved(queue, config),
        (Outcome::Transient(..), Requeue::Spooled(_)) => Settled::Materialised,
        (Outcome::Transient(_, retry_after), Requeue::Stands) => {
            Settled::Transient { retry_after: *retry_after, unit: rand::random() }
        }
        // The script's word is about the whole event: this protocol divides nothing.
        (Outcome::Divided(_), _) => Settled::Transient { retry_after: None, unit: rand::random() },
    }
}

fn is_failure(outcome: &Outcome, fate: Fate) -> bool {
    matches!(outcome, Outcome::Transient(..)) && !is_aborted(outcome, fate)
}
