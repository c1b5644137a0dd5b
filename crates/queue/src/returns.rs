//! Messages that go back to their queue, and are shown to `requeue_message` before.

use crate::asking::{REQUEUE, SHOWN_TOGETHER, objection, requeue_args, survive};
use crate::driver::Driver;
use crate::inbox::News;
use crate::manager::Shared;
use crate::outcomes::Verdict;
use std::sync::Arc;
use std::time::Duration;
use waybill_queue_core::queues::{Action, Event, Verdict as Decided};
use waybill_queue_core::reason::Reasons;
use waybill_spool::Message;
use waybill_types::{MessageId, QueueName, Response, Timestamp};

/// A message that goes back, unless policy says otherwise.
pub(crate) struct Question {
    pub(crate) item: MessageId,
    pub(crate) queue: QueueName,
    pub(crate) reasons: Reasons,
    /// An attempt was made for it.
    pub(crate) attempt: bool,
    pub(crate) response: Option<Arc<Response>>,
    pub(crate) delay: Option<Duration>,
    /// What a session said about it.
    pub(crate) said: Option<Response>,
}

/// The answer.
pub(crate) struct Returned {
    item: MessageId,
    verdict: Verdict,
}

impl Question {
    /// The words that its record will begin with.
    fn response(&self) -> Response {
        match (&self.response, &self.said) {
            (Some(response), _) => (**response).clone(),
            (None, Some(said)) => said.clone(),
            (None, None) => Response::new(400, format!("Context: {}", self.reasons)),
        }
    }
}

impl Driver {
    pub(crate) fn ask_before_return(&self, questions: Vec<Question>) {
        if !questions.is_empty() && !self.closed {
            let task = self.shared.clone();
            let name = "requeue_message of what goes back";
            self.shared.options.supervisor.spawn(name, async move { task.ask_before_return(questions).await });
        }
    }

    pub(crate) fn returned(&mut self, now: Timestamp, returned: Vec<Returned>, actions: &mut Vec<Action<MessageId>>) {
        for Returned { item, verdict } in returned {
            if let Some(message) = self.shared.messages.get(item) {
                self.hear_schedule(now, &message, actions);
            }
            self.attempts.extend(self.asked.remove_entry(&item));
            let verdict = match verdict {
                Verdict::Stands => Decided::Stands,
                Verdict::Refused(response) => Decided::Refused(response),
                Verdict::Moved(to, config) => {
                    self.announce(now, &to, config, actions);
                    self.heed_orders(now, &to, actions);
                    Decided::Moved { to }
                }
            };
            self.queues.step(now, Event::ReturnAnswered { item, verdict }, actions);
        }
    }
}

impl Shared {
    /// Shows messages that go back to `requeue_message`, some in one entry of policy.
    async fn ask_before_return(&self, questions: Vec<Question>) {
        let mut questions = questions.into_iter().peekable();
        while questions.peek().is_some() {
            let chunk: Vec<Question> = questions.by_ref().take(SHOWN_TOGETHER).collect();
            let named = |message: Message| (message.queue_name().ok(), message);
            let shown: Vec<_> = chunk.iter().map(|asked| self.messages.get(asked.item).map(named)).collect();
            let args = chunk.iter().zip(&shown).filter_map(|(asked, shown)| {
                let (_, message) = shown.as_ref()?;
                Some(requeue_args(message, &asked.response(), asked.reasons.iter(), asked.attempt, asked.delay))
            });
            let answers = survive(REQUEUE, self.options.policy.call_each(REQUEUE, args.collect())).await;
            let mut answers = answers.unwrap_or_default().into_iter();
            let mut returned = Vec::with_capacity(chunk.len());
            for (Question { item, queue, .. }, shown) in chunk.into_iter().zip(shown) {
                let verdict = match shown.and_then(|shown| Some((shown, answers.next()?))) {
                    Some(((before, message), Ok(_))) if message.queue_name().ok() != before => {
                        let asked = survive(REQUEUE, self.queue_named_by(&message, &queue)).await;
                        asked.unwrap_or(Verdict::Stands)
                    }
                    Some(((_, message), Err(error))) => objection(&message, &error),
                    _ => Verdict::Stands,
                };
                returned.push(Returned { item, verdict });
            }
            self.tell(News::Returned(returned)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_queue_core::reason::Reason;

    #[test]
    fn policy_sees_the_reasons_of_what_goes_back_before_anybody_said_a_word() {
        let question = Question {
            item: MessageId::from_bytes([0; 16]),
            queue: QueueName::new("example.com"),
            reasons: Reason::PeerClosedConnection.into(),
            attempt: false,
            response: None,
            delay: None,
            said: None,
        };
        assert_eq!(question.response().to_string(), "400 Context: PeerClosedConnection");
    }
}
