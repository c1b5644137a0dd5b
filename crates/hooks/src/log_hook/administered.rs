//! What operators order about a hook's ready queues, and what they are shown.

use super::LogHook;
use crate::admin::{Bounced, Looked};
use bytes::Bytes;
use serde_json::Value;
use std::sync::Arc;
use uuid::Uuid;
use waybill_admin::Order;
use waybill_consumers::Report;
use waybill_journal_core::{Bounced as ByOrder, LaneConfig};
use waybill_log_record::RecordType;
use waybill_queue_core::ready::{Order as ReadyOrder, ReadyEvent, ReadyStatus, SessionId};
use waybill_ready::Board;
use waybill_spool::Message;
use waybill_types::{MessageId, Offset, QueueName, ReadyQueueName, Response, Timestamp};

impl LogHook {
    pub(crate) fn now(&self) -> Timestamp {
        self.context.clock.now()
    }

    /// What bounces have taken.
    pub(crate) fn bounced(&self) -> &Bounced {
        &self.bounced
    }

    /// A ready queue, whether it is there or not, is suspended on order, or works again.
    pub(crate) fn reconsider_ready(&self, queue: &ReadyQueueName, order: Option<Arc<Order>>) {
        let order = order.map(|order| ReadyOrder { reason: order.reason.clone(), until: Some(order.until) });
        self.step(match order {
            Some(order) => ReadyEvent::Suspend { queue: queue.clone(), order },
            None => ReadyEvent::Resume { queue: queue.clone() },
        });
        // Lanes were told to wait until the end of the order before.
        for (lane, config) in self.lanes_to(queue) {
            self.reports.send(Report::Configured(lane, config));
        }
    }

    /// An event was bounced on order.
    pub(super) fn note_bounce(&self, lane: &QueueName, offset: Offset, attempts: u16, by: &ByOrder) {
        self.bounced.add(Uuid::from_u128(by.order), lane, self.now());
        let Some(item) = self.items.get(offset).filter(|_| !by.silent) else { return };
        item.message.set_attempts(u32::from(attempts));
        let response = Response::new(551, format!("5.7.1 Administrator bounced with reason: {}", by.reason));
        let mut record = self.record(RecordType::AdminBounce, lane, &item.message, response);
        record.site = "localhost".to_owned();
        self.note(&record, Some(&item.message));
    }

    /// The events of a lane that are in memory, in order.
    pub(crate) fn messages_of(&self, lane: &QueueName, limit: usize) -> Vec<(Offset, Message)> {
        self.items.of_lane(lane, limit)
    }

    /// An event in memory.
    pub(crate) fn message_of(&self, id: MessageId) -> Option<Message> {
        self.items.of_id(id)
    }

    /// An event as `should_enqueue_log_record` will see it; `None` where that cannot be, or it is not for this hook.
    pub(crate) fn unread_message(&self, entry: &Bytes) -> Option<Message> {
        self.message(entry).ok()
    }

    /// What its sessions do.
    pub(crate) fn board(&self) -> &Board {
        &self.board
    }

    /// Closes a session that has no work.
    pub(crate) fn close_session(&self, session: SessionId) {
        self.sessions.close(session);
    }

    /// What `get_queue_config` says of a lane now.
    pub(crate) async fn queue_config(&self, lane: &QueueName) -> Value {
        match self.ask_queue_config(lane).await {
            // A configuration is a map with text keys.
            Ok(config) => serde_json::to_value(&config).unwrap_or_default(),
            // The rest is worth showing all the same.
            Err(error) => Value::String(format!("get_queue_config failed: {error}")),
        }
    }

    /// The lanes whose events leave by this ready queue.
    pub(crate) fn leading_to(&self, queue: &ReadyQueueName) -> Vec<QueueName> {
        let mut lanes: Vec<QueueName> = self.lanes_to(queue).into_iter().map(|(lane, _)| lane).collect();
        lanes.sort();
        lanes
    }

    fn lanes_to(&self, queue: &ReadyQueueName) -> Vec<(QueueName, LaneConfig)> {
        self.routes.lock().leading_to(queue)
    }

    pub(crate) fn look_at_ready(&self, queue: &ReadyQueueName) -> Option<Looked> {
        let ready = self.ready.lock();
        let status = ready.queues.status(queue, self.context.clock.now())?;
        let path = ready.paths.get(queue)?;
        Some(Looked { status, path: path.config.clone(), watchdog: path.watchdog })
    }

    /// How its ready queues are doing.
    pub fn ready_statuses(&self) -> Vec<(ReadyQueueName, ReadyStatus)> {
        let (ready, now) = (self.ready.lock(), self.context.clock.now());
        let all = ready.queues.names().filter_map(|name| Some((name.clone(), ready.queues.status(name, now)?)));
        all.collect()
    }
}
