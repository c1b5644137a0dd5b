//! A hook as its runner sees it.

use super::LogHook;
use super::items::Item;
use super::routes::Way;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use waybill_admin::Rebind;
use waybill_consumers::{Dispatch, JudgedEvent, Report};
use waybill_journal_core::{Attempt, DeadReason, LaneConfig, Outcome, Parcel, Rebound, Verdict};
use waybill_log_record::{Entry, RecordView};
use waybill_spool::Message;
use waybill_types::{Offset, QueueName, Timestamp};

impl LogHook {
    /// The message of a row, and why it cannot be sent where it cannot; `None` when the entry makes no sense.
    pub(crate) fn restored(&self, entry: Bytes, overlay: &[u8]) -> Option<(Message, Option<DeadReason>)> {
        let view = RecordView::new(Entry::decode(entry).ok()?, self.capture.clone());
        let mut spoilt = None;
        let body = self.templates.render(&view).unwrap_or_else(|error| {
            spoilt = Some(DeadReason::HandlerFailed(error.to_string()));
            None
        });
        let message = Message::view(view, self.name(), body.map(Bytes::from));
        if !overlay.is_empty() {
            match serde_json::from_slice(overlay) {
                Ok(overlay) => message.set_overlay(overlay),
                Err(error) => spoilt = Some(DeadReason::Damaged(format!("what policy had set: {error}"))),
            }
        }
        Some((message, spoilt))
    }
}

impl Dispatch for LogHook {
    fn judge<'a>(&'a self, events: Vec<JudgedEvent>) -> BoxFuture<'a, Vec<(Offset, Verdict)>> {
        self.judge_events(events).boxed()
    }

    fn only_lane(&self) -> Option<QueueName> {
        LogHook::only_lane(self)
    }

    fn scout<'a>(&'a self, events: Vec<JudgedEvent>) -> BoxFuture<'a, Vec<QueueName>> {
        self.scout_events(events).boxed()
    }

    fn rebind<'a>(
        &'a self,
        parcel: &'a Parcel,
        lane: &'a QueueName,
        events: Vec<(Offset, u16)>,
    ) -> BoxFuture<'a, Vec<(Offset, Rebound)>> {
        async move {
            match parcel.open::<Rebind>() {
                Some(rebind) => self.rebind_events(&rebind, lane, events).await,
                None => Vec::new(),
            }
        }
        .boxed()
    }

    fn lane_config<'a>(&'a self, lane: &'a QueueName) -> BoxFuture<'a, LaneConfig> {
        async move { self.lane_route(lane).await.config }.boxed()
    }

    fn offer(&self, lane: &QueueName, offset: Offset, attempt: Attempt) {
        self.offer_all(lane, &[(offset, attempt)]);
    }

    fn offer_all(&self, lane: &QueueName, events: &[(Offset, Attempt)]) {
        let mut offsets = Vec::with_capacity(events.len());
        for (offset, attempt) in events.iter().copied() {
            match self.items.take_up(offset, u32::from(attempt.attempts)) {
                Ok(()) => offsets.push(offset),
                Err(reason) => self.reports.send(Report::Finished(vec![(offset, Outcome::Dead(reason))])),
            }
        }
        if offsets.is_empty() {
            return;
        }
        let known = self.known_route(lane);
        match known.as_ref().map(|route| &route.way) {
            Some(Way::Session(queue)) if self.offer_over(queue, lane, &offsets) => {}
            Some(Way::Broken(until)) if *until > self.context.clock.now() => {
                let wait = until.since(self.context.clock.now());
                offsets.into_iter().for_each(|offset| self.reports.send(Report::Returned(offset, Some(wait))));
            }
            // Policy or the spool has to be asked, which may take a while: the driver does it.
            _ => {
                self.unrouted.lock().entry(lane.clone()).or_default().extend(offsets);
                self.nudge.notify_one();
            }
        }
    }

    fn recall(&self, lane: &QueueName) {
        let unrouted = self.unrouted.lock().remove(lane).unwrap_or_default();
        for offset in self.take_back(lane).into_iter().chain(unrouted) {
            self.reports.send(Report::Returned(offset, None));
        }
    }

    fn overlay(&self, offset: Offset) -> Bytes {
        self.items.overlay(offset)
    }

    fn restore(&self, lane: &QueueName, offset: Offset, entry: Bytes, overlay: Bytes) {
        // The runner has read the entry before: it makes sense.
        let Some((message, spoilt)) = self.restored(entry, &overlay) else { return };
        self.items.insert(offset, Item { message, lane: lane.clone(), spoilt });
    }

    fn buried(&self, lane: Option<&QueueName>, offset: Offset, attempts: u16, reason: &DeadReason) {
        if let (DeadReason::Bounced(by), Some(lane)) = (reason, lane) {
            self.note_bounce(lane, offset, attempts, by);
        }
        if let (DeadReason::Expired(text), Some(lane), Some(item)) = (reason, lane, self.items.get(offset)) {
            item.message.set_attempts(u32::from(attempts));
            let record = self.expiration(lane, &item.message, text);
            self.note(&record, Some(&item.message));
        }
    }

    fn forget(&self, offset: Offset) {
        self.items.remove(offset);
    }

    fn created(&self, entry: &Bytes) -> Option<Timestamp> {
        Entry::decode(entry.clone()).ok().map(|entry| entry.id().created())
    }
}
