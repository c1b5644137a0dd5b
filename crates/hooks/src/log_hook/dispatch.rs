use super::LogHook;
use super::lanes::Way;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::time::Duration;
use waybill_consumers::{Dispatch, JudgedEvent, Report};
use waybill_journal_core::{Attempt, DeadReason, LaneConfig, Outcome, Verdict};
use waybill_log_record::{Entry, RecordView};
use waybill_policy::{PolicyError, Returned, Value};
use waybill_queue_core::ready::ReadyEvent;
use waybill_spool::Message;
use waybill_types::{Offset, QueueName, ReadyQueueName, Timestamp};

const JUDGE: &str = "should_enqueue_log_record";
/// An event whose lane has no way out is offered again after this.
const NO_ROUTE: Duration = Duration::from_secs(60);

impl Dispatch for LogHook {
    fn judge<'a>(&'a self, events: Vec<JudgedEvent>) -> BoxFuture<'a, Vec<(Offset, Verdict)>> {
        async move {
            let mut verdicts = Vec::with_capacity(events.len());
            let mut asked = Vec::with_capacity(events.len());
            for event in events {
                match self.message(&event.entry) {
                    Ok(Some(message)) => asked.push((event.offset, message)),
                    Ok(None) => verdicts.push((event.offset, Verdict::Skip)),
                    Err(reason) => verdicts.push((event.offset, Verdict::Dead(reason))),
                }
            }
            let name = self.name();
            let args = asked.iter().map(|(_, message)| vec![message.clone().into(), Value::from(name)]).collect();
            let answers = if self.context.policy.handles(JUDGE) {
                self.context.policy.call_each(JUDGE, args).await
            } else {
                asked.iter().map(|_| Ok(Returned::default())).collect()
            };
            for ((offset, message), answer) in asked.into_iter().zip(answers) {
                verdicts.push((offset, self.verdict(offset, message, answer).await));
            }
            verdicts
        }
        .boxed()
    }

    fn scout<'a>(&'a self, events: Vec<JudgedEvent>) -> BoxFuture<'a, Vec<QueueName>> {
        async move {
            let messages = events.iter().filter_map(|event| self.message(&event.entry).ok().flatten());
            let messages: Vec<Message> = messages.collect();
            let name = self.name();
            let args = messages.iter().map(|message| vec![message.clone().into(), Value::from(name)]).collect();
            let answers = self.context.policy.call_each(JUDGE, args).await;
            let wanted = messages.iter().zip(answers).filter(|(_, answer)| matches!(answer, Ok(yes) if yes.truthy()));
            let mut lanes: Vec<QueueName> = wanted.filter_map(|(message, _)| message.queue_name().ok()).collect();
            lanes.sort();
            lanes.dedup();
            lanes
        }
        .boxed()
    }

    fn lane_config<'a>(&'a self, lane: &'a QueueName) -> BoxFuture<'a, LaneConfig> {
        async move { self.lane_route(lane).await.config }.boxed()
    }

    fn offer(&self, lane: &QueueName, offset: Offset, attempt: Attempt) {
        let Some(item) = self.items.get(offset) else { return };
        item.message.set_attempts(u32::from(attempt.attempts));
        let now = self.context.clock.now();
        match self.known_route(lane).filter(|route| route.is_fresh(now)).map(|route| route.way.clone()) {
            Some(Way::Session(queue)) => self.offer_over(&queue, lane, offset),
            // Policy has to be asked, which may take a while: the driver does it.
            _ => {
                self.unrouted.lock().push((lane.clone(), offset));
                self.nudge.notify_one();
            }
        }
    }

    fn recall(&self, lane: &QueueName) {
        let route = self.known_route(lane);
        let Some(Way::Session(queue)) = route.as_ref().map(|route| &route.way) else { return };
        let back = self.ready.lock().queues.take_back(queue, lane);
        for offset in back {
            self.reports.send(Report::Returned(offset, None));
        }
    }

    fn overlay(&self, offset: Offset) -> Bytes {
        self.items.overlay(offset)
    }

    fn restore(&self, lane: &QueueName, offset: Offset, entry: Bytes, overlay: Bytes) {
        let Ok(entry) = Entry::decode(entry) else { return };
        let view = RecordView::new(entry, self.capture.clone());
        let body = self.templates.render(&view).ok().flatten().map(Bytes::from);
        let message = Message::view(view, self.name(), body);
        if let Ok(overlay) = serde_json::from_slice(&overlay) {
            message.set_overlay(overlay);
        }
        self.items.insert(offset, message, lane.clone());
    }

    fn buried(&self, lane: Option<&QueueName>, offset: Offset, _attempts: u16, reason: &DeadReason) {
        if let (DeadReason::Expired(text), Some(lane), Some(item)) = (reason, lane, self.items.get(offset)) {
            let record = self.expiration(lane, &item.message, text);
            self.note(record, Some(&item.message));
        }
    }

    fn forget(&self, offset: Offset) {
        self.items.remove(offset);
    }

    fn created(&self, entry: &Bytes) -> Option<Timestamp> {
        Entry::decode(entry.clone()).ok().map(|entry| entry.id().created())
    }
}

impl LogHook {
    fn offer_over(&self, queue: &ReadyQueueName, lane: &QueueName, offset: Offset) {
        let now = self.context.clock.now();
        let actions = {
            let mut ready = self.ready.lock();
            match ready.queues.reserve(queue, now) {
                Ok(place) => {
                    ready.queues.redeem(place, offset, lane.clone(), now);
                    let mut actions = Vec::new();
                    ready.queues.step(now, ReadyEvent::Redeemed, &mut actions);
                    actions
                }
                Err(why) => {
                    tracing::debug!(hook = self.name(), %lane, "no room in the ready queue: {why:?}");
                    self.reports.send(Report::Returned(offset, Some(NO_ROUTE)));
                    Vec::new()
                }
            }
        };
        self.perform(actions);
    }

    /// Offers what had no route, now that policy may be asked.
    pub(super) async fn route_unrouted(&self) {
        let unrouted = std::mem::take(&mut *self.unrouted.lock());
        for (lane, offset) in unrouted {
            let Some(item) = self.items.get(offset) else { continue };
            match self.lane_route(&lane).await.way.clone() {
                Way::Session(queue) => self.offer_over(&queue, &lane, offset),
                // Its queue got another protocol: it goes there as a message of the spool.
                Way::Spool | Way::Mail => {
                    self.materialise(item.message).await;
                    self.reports.send(Report::Finished(vec![(offset, Outcome::Delivered)]));
                }
                Way::Broken => self.reports.send(Report::Returned(offset, Some(NO_ROUTE))),
            }
        }
    }

    /// The message that policy sees of an entry; `None` when this hook does not take its type.
    fn message(&self, entry: &Bytes) -> Result<Option<Message>, DeadReason> {
        let entry = Entry::decode(entry.clone()).map_err(|error| DeadReason::HandlerFailed(error.to_string()))?;
        // I3: what becomes of a log message is no event. Such an entry should not be here at all.
        if entry.is_of_log_message() || !self.config.per_record.enables(entry.kind()) {
            return Ok(None);
        }
        let view = RecordView::new(entry, self.capture.clone());
        let body = self.templates.render(&view).map_err(|error| DeadReason::HandlerFailed(error.to_string()))?;
        Ok(Some(Message::view(view, self.name(), body.map(Bytes::from))))
    }

    async fn verdict(&self, offset: Offset, message: Message, answer: Result<Returned, PolicyError>) -> Verdict {
        match answer {
            Ok(returned) if returned.truthy() => {}
            Ok(_) => return Verdict::Skip,
            Err(error) => {
                tracing::error!(hook = self.name(), "Error while calling {JUDGE}: {error}");
                return Verdict::Dead(DeadReason::HandlerFailed(error.to_string()));
            }
        }
        let queue = match message.queue_name() {
            Ok(queue) => queue,
            Err(error) => return Verdict::Dead(DeadReason::HandlerFailed(error)),
        };
        let chosen = message.meta("queue").is_some() || message.meta("routing_domain").is_some();
        let route = self.lane_route(&queue).await;
        match &route.way {
            // Nobody chose anything: never turn an event into mail to the recipient's domain.
            Way::Mail if !chosen && !message.must_materialise() => Verdict::Dead(DeadReason::NoQueue),
            Way::Mail | Way::Spool => self.materialise(message).await,
            Way::Session(_) | Way::Broken if message.must_materialise() => self.materialise(message).await,
            Way::Session(_) | Way::Broken => {
                let config = route.config;
                self.items.insert(offset, message, queue.clone());
                Verdict::Lane(queue, config)
            }
        }
    }

    /// Stores the event as a message, under an id that is the same every time.
    async fn materialise(&self, message: Message) -> Verdict {
        loop {
            match self.context.injector.inject(message.clone()).await {
                Ok(()) => return Verdict::Materialised,
                Err(error) => {
                    tracing::error!(hook = self.name(), "a log message was not stored, trying again: {error}");
                    let again = self.context.clock.now() + Duration::from_secs(1);
                    self.context.clock.sleep_until(again).await;
                }
            }
        }
    }
}
