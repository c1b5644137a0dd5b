//! What the endpoints of contract/kumomta.md section 7.2 answer, key by key.

use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;
use waybill_queue_core::ready::ReadyStatus;
use waybill_types::{MessageId, QueueName, ReadyQueueName, Timestamp, serde_duration, serde_duration_opt};

/// A bounce that is in force.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct BounceView {
    /// By which it is cancelled.
    #[schema(value_type = String)]
    pub id: Uuid,
    /// The campaign that it is about.
    pub campaign: Option<String>,
    /// The tenant.
    pub tenant: Option<String>,
    /// The domain.
    pub domain: Option<String>,
    /// The routing domain.
    pub routing_domain: Option<String>,
    /// What the records say.
    pub reason: String,
    /// How long it is still in force.
    #[serde(with = "serde_duration")]
    #[schema(value_type = String)]
    pub duration: Duration,
    /// Messages by queue.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub bounced: BTreeMap<QueueName, u64>,
    /// All of them.
    pub total_bounced: u64,
}

/// A suspension of scheduled queues that is in force.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct SuspendView {
    /// By which it is cancelled.
    #[schema(value_type = String)]
    pub id: Uuid,
    /// The campaign that it is about.
    pub campaign: Option<String>,
    /// The tenant.
    pub tenant: Option<String>,
    /// The domain.
    pub domain: Option<String>,
    /// What the records say.
    pub reason: String,
    /// How long it is still in force.
    #[serde(with = "serde_duration")]
    #[schema(value_type = String)]
    pub duration: Duration,
}

/// A suspension of a ready queue that is in force.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct SuspendReadyView {
    /// By which it is cancelled.
    #[schema(value_type = String)]
    pub id: Uuid,
    /// The ready queue.
    #[schema(value_type = String)]
    pub name: ReadyQueueName,
    /// What the records say.
    pub reason: String,
    /// How long it is still in force.
    #[serde(with = "serde_duration")]
    #[schema(value_type = String)]
    pub duration: Duration,
    /// When it ends.
    #[serde(serialize_with = "moment")]
    #[schema(value_type = String)]
    pub expires: Timestamp,
}

/// A message, with its id.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct InspectedMessage {
    /// Its id.
    #[schema(value_type = String)]
    pub id: MessageId,
    /// The message.
    pub message: MessageView,
}

/// What is shown of a message.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct MessageView {
    /// Envelope sender.
    pub sender: String,
    /// Envelope recipient; a list where there are several.
    #[schema(value_type = Object)]
    pub recipient: Value,
    /// All its meta.
    #[schema(value_type = Object)]
    pub meta: Value,
    /// Headers and body, where asked for; what is no UTF-8 is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// When it is tried next, where it waits for that.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "moment_opt")]
    #[schema(value_type = Option<String>)]
    pub due: Option<Timestamp>,
    /// How often it was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_attempts: Option<u32>,
    /// Its own schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub scheduling: Option<Value>,
}

/// A scheduled queue.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct ScheduledView {
    /// Its name.
    #[schema(value_type = String)]
    pub queue_name: QueueName,
    /// Its messages, as many as were asked for.
    pub messages: Vec<InspectedMessage>,
    /// How many there are.
    pub num_scheduled: u64,
    /// Its configuration.
    #[schema(value_type = Object)]
    pub queue_config: Value,
    /// How many of them wait for their time.
    pub delayed_metric: u64,
    /// The time of this answer.
    #[serde(serialize_with = "moment")]
    #[schema(value_type = String)]
    pub now: Timestamp,
    /// When a message last came, left or changed its state.
    #[serde(serialize_with = "moment")]
    #[schema(value_type = String)]
    pub last_changed: Timestamp,
}

/// Something that keeps a ready queue back.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct Blocked {
    /// What, in words.
    pub context: String,
    /// Since when.
    #[serde(serialize_with = "moment")]
    #[schema(value_type = String)]
    pub since: Timestamp,
}

/// What keeps a ready queue back.
#[derive(Clone, PartialEq, Debug, Default, Serialize, ToSchema)]
pub struct ReadyStates {
    /// No more connections may be opened at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_limited: Option<Blocked>,
    /// Connections may not be opened so fast, or messages not leave so fast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_rate_throttled: Option<Blocked>,
}

impl ReadyStates {
    /// As the queue's status says. What has no beginning begins now.
    pub fn of(status: &ReadyStatus, now: Timestamp) -> Self {
        let throttled = status.throttled.as_ref().map(|throttled| {
            let until = throttled.until.to_rfc3339();
            let context = match &throttled.name {
                Some(name) => format!("{} by additional_message_rate_throttles {name} until {until}", throttled.reason),
                None => format!("{} until {until}", throttled.reason),
            };
            Blocked { context, since: status.throttled_since.unwrap_or(now) }
        });
        let limited = status.connection_limited.then(|| {
            let open = status.opening + status.idle + status.busy;
            let context = match &status.limited_by {
                Some(name) => format!("additional_connection_limits {name}: {open} sessions are open here"),
                None => format!("connection_limit: {open} sessions are open"),
            };
            Blocked { context, since: status.limited_since.unwrap_or(now) }
        });
        ReadyStates { connection_limited: limited, connection_rate_throttled: throttled }
    }
}

/// How a ready queue is doing.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct ReadyState {
    /// Messages that wait.
    pub ready_count: usize,
    /// Its sessions.
    pub connection_count: usize,
    /// A rate keeps it waiting.
    pub connection_rate_throttled: Option<Blocked>,
    /// Its limit of connections is reached.
    pub connection_limited: Option<Blocked>,
    /// The reason of the operator who suspended it.
    pub suspended: Option<String>,
    /// How long a delivery may go without a step.
    #[serde(with = "serde_duration_opt")]
    #[schema(value_type = Option<String>)]
    pub watchdog_threshold: Option<Duration>,
}

/// One session of a ready queue.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct Dispatcher {
    /// Its id, that of its records.
    pub session_id: String,
    /// When it began.
    #[serde(serialize_with = "moment")]
    #[schema(value_type = String)]
    pub started_at: Timestamp,
    /// How long ago that is.
    #[serde(with = "serde_duration")]
    #[schema(value_type = String)]
    pub age: Duration,
    /// What it does.
    pub phase: String,
    /// More about that.
    pub detail: Option<String>,
    /// For how long.
    #[serde(with = "serde_duration")]
    #[schema(value_type = String)]
    pub time_in_current_phase: Duration,
    /// Messages delivered.
    pub messages_delivered: u64,
    /// Attempts that failed for now.
    pub messages_transfailed: u64,
    /// Messages that failed for good.
    pub messages_failed: u64,
    /// Always 0, as in KumoMTA.
    pub delivered_this_connection: u64,
    /// Attempts of all kinds, by the second.
    pub overall_rate_per_sec: f64,
}

/// A ready queue.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct ReadyView {
    /// Its name.
    #[schema(value_type = String)]
    pub queue_name: ReadyQueueName,
    /// The hosts of the destination, where it has some.
    #[schema(value_type = Option<Object>)]
    pub mx: Option<Value>,
    /// Its egress source.
    pub egress_source: String,
    /// The pool of the source.
    pub egress_pool: String,
    /// The word for its protocol.
    pub protocol: String,
    /// How it is doing.
    pub state: ReadyState,
    /// The path's configuration.
    #[schema(value_type = Object)]
    pub path_config: Value,
    /// The limits in force.
    #[schema(value_type = Object)]
    pub constraints: Value,
    /// The scheduled queues that lead to it, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub scheduled_queue_names: Option<Vec<QueueName>>,
    /// Its sessions.
    pub dispatchers: Vec<Dispatcher>,
    /// The time of this answer.
    #[serde(serialize_with = "moment")]
    #[schema(value_type = String)]
    pub now: Timestamp,
}

/// How mail for a domain would leave.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct PathView {
    /// The domain that was asked about.
    pub domain: String,
    /// The egress source.
    pub source: String,
    /// The hosts of the destination, where it has some.
    #[schema(value_type = Option<Object>)]
    pub mx: Option<Value>,
    /// The ready queue.
    #[schema(value_type = String)]
    pub queue_name: ReadyQueueName,
    /// The scheduled queue's configuration.
    #[schema(value_type = Object)]
    pub queue_config: Value,
    /// The path's configuration.
    #[schema(value_type = Object)]
    pub path_config: Value,
    /// The limits in force.
    #[schema(value_type = Object)]
    pub constraints: Value,
}

fn moment<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339())
}

fn moment_opt<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => moment(time, serializer),
        None => serializer.serialize_none(),
    }
}
