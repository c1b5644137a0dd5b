//! What becomes of an event: `should_enqueue_log_record` and what follows from it.

use super::LogHook;
use super::foresight::Foreseen;
use super::items::Item;
use super::routes::{LaneRoute, Way};
use bytes::Bytes;
use serde_json::Map;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use waybill_consumers::JudgedEvent;
use waybill_journal_core::{DeadReason, Verdict};
use waybill_log_record::{Entry, RecordView};
use waybill_policy::{PolicyError, Returned, Value};
use waybill_spool::{IntakeError, Message};
use waybill_types::{EnvelopeAddress, Offset, QueueName};

const JUDGE: &str = "should_enqueue_log_record";
/// Trouble that may come with every event is told this often.
const NAG: Duration = Duration::from_secs(60);

/// The lane of the event before, and its way: mostly that of the next one too.
type Before = Option<(QueueName, Arc<LaneRoute>)>;

/// An event as policy is to see it.
type Shown = (Offset, Result<Message, Unshown>);

/// Why policy does not see an event.
pub(super) enum Unshown {
    /// The hook is not for events of its kind.
    Unwanted,
    /// It cannot be shown.
    Failed(String),
}

impl From<Unshown> for Verdict {
    fn from(unshown: Unshown) -> Self {
        match unshown {
            Unshown::Unwanted => Verdict::Skip,
            Unshown::Failed(why) => Verdict::Dead(DeadReason::HandlerFailed(why)),
        }
    }
}

impl LogHook {
    /// A verdict for each event, in order; none for what cannot be judged now.
    pub(super) async fn judge_events(&self, events: Vec<JudgedEvent>) -> Vec<(Offset, Verdict)> {
        let shown: Vec<Shown> = events.iter().map(|event| (event.offset, self.message(&event.entry))).collect();
        let count = shown.iter().filter(|(_, message)| message.is_ok()).count();
        match self.context.policy.queue_of_all(self.name(), count) {
            Some(queue) => self.judge_alike(shown, &queue).await,
            None => self.judge_each(shown).await,
        }
    }

    /// Policy gives every event one queue, whatever it tells of.
    async fn judge_alike(&self, shown: Vec<Shown>, queue: &str) -> Vec<(Offset, Verdict)> {
        let overlay: Arc<Map<_, _>> = Arc::new([("queue".to_owned(), queue.into())].into_iter().collect());
        let queue = QueueName::new(queue);
        let (mut verdicts, mut before) = (Vec::with_capacity(shown.len()), None);
        for (offset, message) in shown {
            let verdict = match message {
                Ok(message) => {
                    message.share_overlay(overlay.clone());
                    self.queued(offset, message, &queue, &mut before).await
                }
                Err(unshown) => Some(unshown.into()),
            };
            verdicts.extend(verdict.map(|verdict| (offset, verdict)));
        }
        verdicts
    }

    async fn judge_each(&self, shown: Vec<Shown>) -> Vec<(Offset, Verdict)> {
        let shown: Vec<_> =
            shown.into_iter().map(|(offset, message)| (offset, self.recalled(offset, message))).collect();
        let asked = shown.iter().filter_map(|(_, shown)| match shown {
            Ok((message, None)) => Some(message.clone()),
            _ => None,
        });
        let mut answers = self.ask(asked.collect()).await.into_iter();
        let mut verdicts = Vec::with_capacity(shown.len());
        let mut before = None;
        for (offset, shown) in shown {
            let verdict = match shown {
                Err(unshown) => Some(unshown.into()),
                Ok((message, Some(answer))) => self.foreseen(offset, message, &answer, &mut before).await,
                Ok((message, None)) => match answers.next() {
                    Some(answer) => self.verdict(offset, message, answer, &mut before).await,
                    None => None,
                },
            };
            verdicts.extend(verdict.map(|verdict| (offset, verdict)));
        }
        verdicts
    }

    /// A message that policy is to see, with what it has said of it already.
    fn recalled(
        &self,
        offset: Offset,
        message: Result<Message, Unshown>,
    ) -> Result<(Message, Option<Arc<Foreseen>>), Unshown> {
        let message = message?;
        let answer = self.foresight.lock().take(self.context.policy.epoch(), offset);
        Ok((message, answer))
    }

    /// The lane that every event goes to, where policy says so.
    pub(super) fn only_lane(&self) -> Option<QueueName> {
        self.context.policy.queue_of_all(self.name(), 0).map(|queue| QueueName::new(&*queue))
    }

    /// The lanes that events would go to.
    pub(super) async fn scout_events(&self, events: Vec<JudgedEvent>) -> Vec<QueueName> {
        let epoch = self.context.policy.epoch();
        let shown: Vec<_> = events.iter().map(|event| (event.offset, self.message(&event.entry).ok())).collect();
        let asked = shown.iter().filter_map(|(_, message)| message.clone()).collect();
        let mut answers = self.ask(asked).await.into_iter();
        let (mut lanes, mut piece) = (BTreeSet::new(), Vec::with_capacity(shown.len()));
        for (offset, message) in shown {
            // What is not shown is never asked about.
            let Some(message) = message else { continue };
            let is_wanted = answers.next().and_then(Result::ok).map(|answer| answer.truthy());
            if is_wanted == Some(true) {
                lanes.extend(message.queue_name().ok());
            }
            piece.push((offset, is_wanted.and_then(|is_wanted| Foreseen::of(is_wanted, &message))));
        }
        // What was said while the policy changed may be of either.
        if self.context.policy.epoch() == epoch {
            self.foresight.lock().keep(epoch, piece);
        }
        lanes.into_iter().collect()
    }

    async fn ask(&self, messages: Vec<Message>) -> Vec<Result<Returned, PolicyError>> {
        // Nobody handles it: nobody wants anything.
        if !self.context.policy.handles(JUDGE) {
            return messages.iter().map(|_| Ok(Returned::default())).collect();
        }
        let args = messages.into_iter().map(|message| vec![message.into(), Value::from(self.name())]).collect();
        self.context.policy.call_each(JUDGE, args).await
    }

    /// The message that policy sees of an entry.
    pub(super) fn message(&self, entry: &Bytes) -> Result<Message, Unshown> {
        let failed = |error: &dyn std::error::Error| Unshown::Failed(error.to_string());
        let entry = Entry::decode(entry.clone()).map_err(|error| failed(&error))?;
        // I3: what becomes of a log message is no event. Such an entry should not be here at all.
        let is_wanted = self.config.per_record.enables(entry.kind()) && self.role.takes(entry.kind());
        if entry.is_of_log_message() || !is_wanted {
            return Err(Unshown::Unwanted);
        }
        let view = RecordView::new(entry, self.capture.clone());
        let body = self.templates.render(&view).map_err(|error| {
            tracing::error!(hook = self.name(), "{error}");
            failed(&error)
        })?;
        Ok(Message::view(view, self.name(), body.map(Bytes::from)))
    }

    async fn verdict(
        &self,
        offset: Offset,
        message: Message,
        answer: Result<Returned, PolicyError>,
        before: &mut Before,
    ) -> Option<Verdict> {
        match answer {
            Ok(returned) if returned.truthy() => {}
            Ok(_) => return Some(Verdict::Skip),
            // No fault of the event's: it is asked about again.
            Err(error @ PolicyError::Unavailable(_)) => {
                tracing::warn!(hook = self.name(), "{JUDGE} is called again: {error}");
                return None;
            }
            Err(error) => {
                tracing::error!(hook = self.name(), "Error while calling {JUDGE}: {error}");
                return Some(Verdict::Dead(DeadReason::HandlerFailed(error.to_string())));
            }
        }
        self.wanted(offset, message, before).await
    }

    /// What becomes of an event of which policy has spoken before.
    async fn foreseen(
        &self,
        offset: Offset,
        message: Message,
        answer: &Foreseen,
        before: &mut Before,
    ) -> Option<Verdict> {
        match answer {
            Foreseen::Unwanted => Some(Verdict::Skip),
            Foreseen::Wanted(overlay) => {
                message.share_overlay(overlay.clone());
                self.wanted(offset, message, before).await
            }
        }
    }

    /// Where an event goes that somebody wants.
    async fn wanted(&self, offset: Offset, message: Message, before: &mut Before) -> Option<Verdict> {
        match message.queue_name() {
            Ok(queue) => self.queued(offset, message, &queue, before).await,
            Err(error) => Some(Verdict::Dead(DeadReason::HandlerFailed(error))),
        }
    }

    /// What becomes of an event in its queue.
    async fn queued(
        &self,
        offset: Offset,
        message: Message,
        queue: &QueueName,
        before: &mut Before,
    ) -> Option<Verdict> {
        // What the spool is given takes a while, after which there may be another way.
        let route = match before.take() {
            Some((lane, route)) if lane == *queue => route,
            _ => self.lane_route(queue).await,
        };
        match &route.way {
            Way::Mail | Way::Spool if !is_addressed(&message) => Some(self.no_queue()),
            Way::Mail | Way::Spool => self.to_spool(message).await.then_some(Verdict::Materialised),
            _ if message.must_materialise() => self.to_spool(message).await.then_some(Verdict::Materialised),
            Way::Session(_) | Way::Broken(_) => {
                let later = message.due().filter(|due| *due > self.context.clock.now());
                self.items.insert(offset, Item { message, lane: queue.clone(), spoilt: None });
                *before = Some((queue.clone(), route.clone()));
                Some(match later {
                    Some(due) => Verdict::Later(queue.clone(), route.config, due),
                    None => Verdict::Lane(queue.clone(), route.config),
                })
            }
        }
    }

    /// Nobody chose anything: an event never turns into mail to the recipient's domain.
    fn no_queue(&self) -> Verdict {
        let now = self.context.clock.now();
        let mut told = self.no_queue_told.lock();
        if told.is_none_or(|told| now.since(told) >= NAG) {
            *told = Some(now);
            tracing::error!(
                hook = self.name(),
                "{JUDGE} returned true for an event that has no queue: set meta 'queue', or 'routing_domain'"
            );
        }
        Verdict::Dead(DeadReason::NoQueue)
    }

    /// Stores the event as a message, under an id that is the same every time. False: not now.
    pub(super) async fn to_spool(&self, message: Message) -> bool {
        match self.context.injector.inject(message).await {
            Ok(()) => true,
            Err(IntakeError::ShuttingDown) => false,
            Err(error) => {
                tracing::error!(hook = self.name(), "a log message was not stored, it is tried again: {error}");
                false
            }
        }
    }
}

/// Whether a handler chose where it goes. What the hook merely shows of the original message's meta is no choice.
pub(super) fn is_addressed(message: &Message) -> bool {
    let overlay = message.overlay();
    let chosen = |name| overlay.get(name).is_some_and(|value| !value.is_null());
    chosen("queue") || chosen("routing_domain") || is_readdressed(message)
}

fn is_readdressed(message: &Message) -> bool {
    let Some(record) = message.record() else { return false };
    let address = |text: &str| text.parse().unwrap_or_else(|_| EnvelopeAddress::null_sender());
    let mut original: Vec<EnvelopeAddress> = record.entry().recipients().into_iter().map(address).collect();
    if original.is_empty() {
        original.push(EnvelopeAddress::null_sender());
    }
    message.recipients() != original
}
