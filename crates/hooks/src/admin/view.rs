//! What administrators see of a hook's queues.

use super::Managed;
use crate::log_hook::LogHook;
use serde_json::{Value, json};
use waybill_admin::{InspectedMessage, MessageView, ReadyState, ReadyStates, ReadyView, ScheduledQuery, ScheduledView};
use waybill_queue_core::config::EgressPathConfig;
use waybill_queue_core::ready::ReadyStatus;
use waybill_spool::Message;
use waybill_types::ReadyQueueName;

/// So many messages are shown at most.
const SHOWN: usize = 10_000;
/// The pool and source of every hook.
const UNSPECIFIED: &str = "unspecified";

/// A lane: how many events it has, and those of them that are in memory.
pub(super) async fn scheduled(managed: &Managed, query: &ScheduledQuery) -> Option<ScheduledView> {
    let hook = &managed.hook;
    let status = managed.control.status().await.ok()?;
    let (_, lane) = status.lanes.into_iter().find(|(lane, _)| *lane == query.queue)?;
    let now = hook.now();
    let limit = query.limit.unwrap_or(SHOWN).min(SHOWN);
    let shown = hook.messages_of(&query.queue, limit);
    let count = lane.parked + (lane.waiting + lane.offered) as u64;
    Some(ScheduledView {
        queue_name: query.queue.clone(),
        messages: shown.iter().map(|message| message_view(message, query.want_body)).collect(),
        num_scheduled: count,
        queue_config: hook.queue_config(&query.queue).await,
        delayed_metric: lane.parked + lane.waiting as u64,
        now,
        last_changed: now,
    })
}

fn message_view(message: &Message, want_body: bool) -> InspectedMessage {
    let mut recipients: Vec<Value> =
        message.recipients().iter().map(|recipient| Value::String(recipient.to_string())).collect();
    let recipient = if recipients.len() == 1 { recipients.swap_remove(0) } else { Value::Array(recipients) };
    let body = message.data().filter(|_| want_body);
    InspectedMessage {
        id: message.id(),
        message: MessageView {
            sender: message.sender().as_str().to_owned(),
            recipient,
            meta: Value::Object(message.all_meta()),
            data: body.map(|data| String::from_utf8_lossy(&data).into_owned()),
            due: message.due(),
            num_attempts: Some(message.attempts()),
            scheduling: None,
        },
    }
}

/// What is known of a ready queue at one moment.
pub(crate) struct Looked {
    pub(crate) status: ReadyStatus,
    pub(crate) path: EgressPathConfig,
    pub(crate) watchdog: std::time::Duration,
}

impl LogHook {
    /// A ready queue of this hook.
    pub(super) fn ready_view(&self, queue: &ReadyQueueName, with_scheduled: bool) -> Option<ReadyView> {
        let now = self.now();
        let Looked { status, path, watchdog } = self.look_at_ready(queue)?;
        let blocked = ReadyStates::of(&status, now);
        Some(ReadyView {
            queue_name: queue.clone(),
            mx: None,
            egress_source: UNSPECIFIED.to_owned(),
            egress_pool: UNSPECIFIED.to_owned(),
            protocol: queue.protocol().to_owned(),
            state: ReadyState {
                ready_count: status.ready,
                connection_count: status.opening + status.idle + status.busy,
                connection_rate_throttled: blocked.connection_rate_throttled,
                connection_limited: blocked.connection_limited,
                suspended: status.suspended.map(|order| order.reason.to_string()),
                watchdog_threshold: Some(watchdog),
            },
            constraints: json!({
                "connection_limit": path.connection_limit,
                "max_connection_rate": path.max_connection_rate,
                "max_message_rate": path.max_message_rate,
                "source_selection_rate": path.source_selection_rate,
            }),
            // A configuration is a map with text keys.
            path_config: serde_json::to_value(&path).unwrap_or_default(),
            scheduled_queue_names: with_scheduled.then(|| self.leading_to(queue)),
            dispatchers: Vec::new(),
            now,
        })
    }

    /// What keeps its ready queues back.
    pub(super) fn ready_states(&self) -> Vec<(ReadyQueueName, ReadyStates)> {
        let now = self.now();
        let all = self.ready_statuses().into_iter().map(|(name, status)| (name, ReadyStates::of(&status, now)));
        all.filter(|(_, states)| *states != ReadyStates::default()).collect()
    }
}
