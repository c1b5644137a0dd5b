//! What administrators see of a hook's queues.

use super::Managed;
use crate::log_hook::LogHook;
use bytes::Bytes;
use serde_json::Value;
use std::collections::HashSet;
use waybill_admin::{InspectedMessage, MessageView, ReadyState, ReadyStates, ReadyView, ScheduledQuery, ScheduledView};
use waybill_consumers::{ParkedEvent, Registry, history};
use waybill_journal_core::RowKey;
use waybill_log_record::Entry;
use waybill_queue_core::config::EgressPathConfig;
use waybill_queue_core::ready::ReadyStatus;
use waybill_spool::{Message, ReadLimit, Store, StreamId};
use waybill_types::{MessageId, Offset, QueueName, ReadyQueueName, Timestamp};

/// So many messages are shown at most.
const SHOWN: usize = 10_000;
/// So many bytes of bodies are shown at most: behind that, messages come without.
const BODIES: u64 = 32 << 20;
/// Rows that are read at a time.
const PAGE: usize = 1000;
/// The same in bytes, of the journal.
const BYTES: usize = 4 << 20;
/// Events are in the order of their times but for those that were on their way together: so many.
const TOGETHER: u64 = 256;
/// So many rows are looked through for a message at most.
const SEARCHED: usize = 100_000;
/// The pool and source of every hook.
const UNSPECIFIED: &str = "unspecified";

/// A lane: how many events it has, and the first of them: those in memory, then those on disk.
pub(super) async fn scheduled(managed: &Managed, registry: &Registry, query: &ScheduledQuery) -> Option<ScheduledView> {
    let hook = &managed.hook;
    let status = managed.control.status().await.ok()?;
    let (_, lane) = status.lanes.into_iter().find(|(lane, _)| *lane == query.queue)?;
    let now = hook.now();
    let count = lane.parked + (lane.waiting + lane.offered) as u64;
    Some(ScheduledView {
        queue_name: query.queue.clone(),
        messages: messages(managed, registry, query).await,
        num_scheduled: count,
        queue_config: hook.queue_config(&query.queue).await,
        delayed_metric: lane.parked + lane.waiting as u64,
        now,
        last_changed: now,
    })
}

async fn messages(managed: &Managed, registry: &Registry, query: &ScheduledQuery) -> Vec<InspectedMessage> {
    let (hook, now) = (&managed.hook, managed.hook.now());
    let limit = query.limit.unwrap_or(SHOWN).min(SHOWN);
    let mut shown = Shown { messages: Vec::new(), want_body: query.want_body, room: BODIES };
    let in_memory = hook.messages_of(&query.queue, limit);
    in_memory.iter().for_each(|(_, message)| shown.add(message, None));
    // Rows that are in memory too are not shown twice.
    let known: HashSet<Offset> = in_memory.into_iter().map(|(offset, _)| offset).collect();
    let mut after = None;
    while shown.messages.len() < limit {
        let Some((page, next)) = page(managed, registry, Some(&query.queue), after.as_ref()).await else { break };
        let room = limit - shown.messages.len();
        let unknown = page.into_iter().filter(|parked| !known.contains(&parked.offset));
        for parked in unknown.take(room) {
            let due = Some(parked.due).filter(|due| *due > now);
            restored(hook, parked).iter().for_each(|message| shown.add(message, due));
        }
        after = next;
        if after.is_none() {
            break;
        }
    }
    shown.messages
}

/// A page of what waits on disk. What cannot be read is told, and not shown.
async fn page(
    managed: &Managed,
    registry: &Registry,
    lane: Option<&QueueName>,
    after: Option<&(QueueName, RowKey)>,
) -> Option<(Vec<ParkedEvent>, Option<(QueueName, RowKey)>)> {
    let page = registry.parked(&managed.name, lane, after, PAGE).await;
    page.inspect_err(|error| tracing::error!(hook = managed.name, "rows cannot be shown: {error}")).ok()
}

fn restored(hook: &LogHook, parked: ParkedEvent) -> Option<Message> {
    let (message, _) = hook.restored(parked.entry, &parked.overlay)?;
    message.set_attempts(u32::from(parked.attempts));
    Some(message)
}

/// What is shown so far, and how many bytes of bodies may come.
struct Shown {
    messages: Vec<InspectedMessage>,
    want_body: bool,
    room: u64,
}

impl Shown {
    fn add(&mut self, message: &Message, due: Option<Timestamp>) {
        let size = message.data().filter(|_| self.want_body).map_or(0, |data| data.len() as u64);
        let want_body = self.want_body && size <= self.room;
        self.room = self.room.saturating_sub(if want_body { size } else { 0 });
        self.messages.push(message_view(message, due, want_body));
    }
}

/// An event that is not settled: in memory, on disk or unread.
pub(super) async fn message(
    managed: &Managed,
    registry: &Registry,
    store: &dyn Store,
    id: MessageId,
    want_body: bool,
) -> Option<InspectedMessage> {
    let hook = &managed.hook;
    if let Some(message) = hook.message_of(id) {
        return Some(message_view(&message, None, want_body));
    }
    let status = managed.control.status().await.ok()?;
    match look_up(hook, store, id).await? {
        Place::At(offset, entry) if offset >= status.read => {
            return hook.unread_message(&entry).map(|message| message_view(&message, None, want_body));
        }
        // What was read is in memory, on disk or done.
        Place::At(..) | Place::Trimmed if status.rows > 0 => {}
        Place::At(..) | Place::Trimmed | Place::Nowhere => return None,
    }
    let parked = parked(managed, registry, id).await?;
    let due = Some(parked.due).filter(|due| *due > hook.now());
    restored(hook, parked).map(|message| message_view(&message, due, want_body))
}

/// Where the event of an id is in the journal.
enum Place {
    At(Offset, Bytes),
    /// The journal does not go back so far.
    Trimmed,
    /// It is the id of something else.
    Nowhere,
}

/// An id tells when its event was appended. `None`: the journal cannot be read.
async fn look_up(hook: &LogHook, store: &dyn Store, id: MessageId) -> Option<Place> {
    let created = |entry: &Bytes| Entry::decode(entry.clone()).ok().map(|entry| entry.id().created());
    let found = history::since(store, StreamId::EVENTS, id.created(), created).await.ok()?;
    let from = Offset(found.0.saturating_sub(TOGETHER));
    let some = ReadLimit { entries: PAGE, bytes: BYTES };
    let slice = store.read(StreamId::EVENTS, from, some).await.ok()?;
    let trimmed = slice.entries.first().and_then(|(_, entry)| created(entry)).is_none_or(|first| first > id.created());
    let mut entries = slice.entries.into_iter();
    Some(match entries.find(|(_, entry)| is_of(hook, entry, id)) {
        Some((offset, entry)) => Place::At(offset, entry),
        None if trimmed => Place::Trimmed,
        None => Place::Nowhere,
    })
}

fn is_of(hook: &LogHook, entry: &Bytes, id: MessageId) -> bool {
    let entry = Entry::decode(entry.clone()).ok();
    entry.is_some_and(|entry| entry.id().hook_message_id(hook.name()) == id)
}

/// The row of an event: rows are in the order of their times, so they are looked through.
async fn parked(managed: &Managed, registry: &Registry, id: MessageId) -> Option<ParkedEvent> {
    let mut after = None;
    for _ in 0..SEARCHED / PAGE {
        let (page, next) = page(managed, registry, None, after.as_ref()).await?;
        let found = page.into_iter().find(|parked| is_of(&managed.hook, &parked.entry, id));
        if found.is_some() {
            return found;
        }
        after = Some(next?);
    }
    None
}

fn message_view(message: &Message, due: Option<Timestamp>, want_body: bool) -> InspectedMessage {
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
            due: due.or_else(|| message.due()),
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
            constraints: path.constraints(),
            // A configuration is a map with text keys.
            path_config: serde_json::to_value(&path).unwrap_or_default(),
            scheduled_queue_names: with_scheduled.then(|| self.leading_to(queue)),
            dispatchers: self.board().of(queue),
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
