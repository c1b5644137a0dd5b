use crate::inbox::News;
use crate::manager::Shared;
use crate::outcomes::{Judged, Verdict};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use waybill_delivery::Outcome;
use waybill_policy::{PolicyError, Value};
use waybill_queue_core::reason::Reason;
use waybill_ready::is_aborted;
use waybill_spool::Message;
use waybill_types::{MessageId, QueueName, Response};

pub(crate) const THROTTLE: &str = "throttle_insert_ready_queue";
pub(crate) const REQUEUE: &str = "requeue_message";

/// So many messages are shown to `throttle_insert_ready_queue` in one entry of policy.
pub(crate) const SHOWN_TOGETHER: usize = 64;

impl Shared {
    /// Shows messages that are due to `throttle_insert_ready_queue`, which may set a later due time.
    pub(crate) async fn ask_before_ready(&self, items: Vec<MessageId>) {
        for chunk in items.chunks(SHOWN_TOGETHER) {
            let messages: Vec<Option<Message>> = chunk.iter().map(|item| self.messages.get(*item)).collect();
            let shown = messages.iter().flatten();
            let args = shown.map(|message| {
                message.set_due(None);
                vec![message.clone().into()]
            });
            let asked = survive(THROTTLE, self.options.policy.call_each(THROTTLE, args.collect())).await;
            let mut answers = asked.unwrap_or_default().into_iter();
            let now = self.options.clock.now();
            let answered = chunk.iter().zip(messages).map(|(item, message)| {
                let Some(message) = message else { return (*item, None) };
                // A message that policy fails for goes on: it is mail that somebody waits for.
                if let Some(Err(error)) = answers.next() {
                    tracing::error!(message = %item, "{THROTTLE} failed: {error}");
                }
                (*item, message.due().filter(|due| *due > now).map(|due| due.since(now)))
            });
            let answered = answered.collect();
            self.tell(News::Answered(answered)).await;
        }
    }

    /// Whether a batch has failures that `requeue_message` has to see, or messages that go on to another queue.
    pub(crate) fn wants_judgement(&self, judged: &Judged) -> bool {
        if judged.finished.route.forwards() {
            return true;
        }
        let fate = judged.finished.outcome.session;
        let fails = |outcome: &Outcome| matches!(outcome, Outcome::Transient(..)) && !is_aborted(outcome, fate);
        judged.finished.outcome.outcomes.iter().any(fails) && self.options.policy.handles(REQUEUE)
    }

    /// Shows the failures of a batch to `requeue_message`, and asks about the queues that messages go on to. `queues` are those that the messages are in.
    pub(crate) async fn judge(&self, mut judged: Box<Judged>, queues: Vec<Option<QueueName>>) {
        let finished = &judged.finished;
        let fate = finished.outcome.session;
        let (forwards, asks) = (finished.route.forwards(), self.options.policy.handles(REQUEUE));
        let mut verdicts = Vec::with_capacity(finished.items.len());
        let all = finished.messages.iter().zip(&finished.outcome.outcomes).zip(queues);
        for ((message, outcome), queue) in all {
            verdicts.push(match (message, outcome, queue) {
                (Some(message), Outcome::Delivered(_), Some(queue)) if forwards => {
                    survive("sending on", self.queue_named_by(message, &queue)).await.unwrap_or(Verdict::Stands)
                }
                (Some(message), Outcome::Transient(response, wait), Some(queue))
                    if asks && !is_aborted(outcome, fate) =>
                {
                    let reasons = finished.reason.into_iter().chain([Reason::LoggedTransientFailure]);
                    let args = requeue_args(message, response, reasons, true, *wait);
                    let asked = survive(REQUEUE, self.may_requeue(message, args, &queue)).await;
                    asked.unwrap_or(Verdict::Stands)
                }
                _ => Verdict::Stands,
            });
        }
        judged.verdicts = verdicts;
        self.tell(News::Judged(judged)).await;
    }

    /// `requeue_message` may refuse another try, or choose another queue.
    async fn may_requeue(&self, message: &Message, args: Vec<Value>, queue: &QueueName) -> Verdict {
        match self.options.policy.call(REQUEUE, args).await {
            Ok(_) => self.queue_named_by(message, queue).await,
            Err(error) => objection(message, &error),
        }
    }

    /// Whether the message names another queue now, and what that is like.
    pub(crate) async fn queue_named_by(&self, message: &Message, queue: &QueueName) -> Verdict {
        let id = message.id();
        match message.queue_name() {
            Ok(to) if to == *queue => Verdict::Stands,
            Ok(to) => match self.queue_config(&to).await {
                Ok(config) => Verdict::Moved(to, config),
                // It stays where it can be delivered from; the next failure tries again.
                Err(error) => {
                    tracing::error!(message = %id, "not moved to {to}: {error}");
                    Verdict::Stands
                }
            },
            Err(error) => {
                tracing::error!(message = %id, "not moved: {error}");
                Verdict::Stands
            }
        }
    }
}

/// What `requeue_message` is called with (contract section 3): the wait in seconds, where it is known already.
pub(crate) fn requeue_args(
    message: &Message,
    response: &Response,
    reasons: impl Iterator<Item = Reason>,
    attempt: bool,
    wait: Option<Duration>,
) -> Vec<Value> {
    let context = Value::List(reasons.map(|reason| Value::from(reason.as_str())).collect());
    let line = Value::from(response.to_string().as_str());
    let wait = wait.map_or(Value::Nil, |wait| Value::Number(wait.as_secs_f64()));
    vec![message.clone().into(), line, context, Value::Bool(attempt), wait]
}

/// What an error of `requeue_message` means: only a rejection is a word about the message.
pub(crate) fn objection(message: &Message, error: &PolicyError) -> Verdict {
    if let Some(rejected) = error.rejected() {
        return Verdict::Refused(Response::new(rejected.code, &rejected.text));
    }
    tracing::error!(message = %message.id(), "{REQUEUE} failed: {error}");
    Verdict::Stands
}

/// Lets nobody wait for an answer that will never come: `None` when the question panicked, which is said loudly.
pub(crate) async fn survive<T>(what: &str, question: impl Future<Output = T>) -> Option<T> {
    let answer = AssertUnwindSafe(question).catch_unwind().await;
    answer.inspect_err(|_| tracing::error!("{what} panicked")).ok()
}
