use crate::{Body, Spooled, capture_headers};
use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;
use waybill_log_record::{Capture, Entry, Fields, FieldsBuilder, RecordView};
use waybill_types::{EnvelopeAddress, MessageId, QueueName, Schedule, Timestamp};

/// What a message is to us. Kept beside the meta, so that no script can change it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Origin {
    /// Mail.
    Mail,
    /// A log record on its way to a hook: what becomes of it is never an event itself (I3).
    LogRecord,
}

/// A meta value: mostly JSON; the record of a log message is kept in its encoded form.
#[derive(Clone, Debug)]
pub enum MetaValue {
    /// Any JSON value but null.
    Json(Value),
    /// The record that a log message tells of.
    Record(RecordView),
}

/// A message: mail, or a log record in the shape of one (a *view* over its journal entry).
///
/// Cheap to clone; clones are the same message. The lock inside is held for a moment at a time only.
#[derive(Clone)]
pub struct Message(Arc<Inner>);

struct Inner {
    id: MessageId,
    origin: Origin,
    view: Option<View>,
    state: Mutex<State>,
}

struct View {
    record: RecordView,
    /// The body, when a template made it; else it is the record's JSON.
    body: Option<Bytes>,
}

struct State {
    /// `None` while nobody has asked for those of a view: the record has them.
    addresses: Option<Addresses>,
    /// All meta of a mail; of a view only what was changed, null for what was removed.
    meta: Meta,
    due: Option<Timestamp>,
    schedule: Option<Arc<Schedule>>,
    /// The queue has not heard of the schedule.
    new_schedule: bool,
    attempts: u32,
    /// Through how many webhooks it has come; that of a view is its record's.
    hops: u8,
    data: Option<Body>,
    size: u64,
    headers: Fields,
    /// The envelope differs from what is stored.
    dirty: bool,
    /// The body differs from what is stored.
    data_dirty: bool,
    /// The body of a view was replaced: only a spool message can hold that.
    must_materialise: bool,
}

/// Meta, which messages may have together until one of them changes it.
#[derive(Default)]
struct Meta(Option<Arc<Map<String, Value>>>);

impl Meta {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.as_ref()?.get(name)
    }

    fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter().flat_map(|meta| meta.iter())
    }

    fn change(&mut self) -> &mut Map<String, Value> {
        Arc::make_mut(self.0.get_or_insert_default())
    }

    fn to_map(&self) -> Map<String, Value> {
        self.0.as_deref().cloned().unwrap_or_default()
    }
}

impl From<Map<String, Value>> for Meta {
    fn from(meta: Map<String, Value>) -> Self {
        Meta((!meta.is_empty()).then(|| Arc::new(meta)))
    }
}

#[derive(Clone)]
struct Addresses {
    sender: EnvelopeAddress,
    recipients: Vec<EnvelopeAddress>,
}

impl Message {
    /// A new mail, not stored yet.
    pub fn new(id: MessageId, sender: EnvelopeAddress, recipients: Vec<EnvelopeAddress>, data: Bytes) -> Self {
        Self::build(
            id,
            Origin::Mail,
            None,
            State {
                addresses: Some(Addresses { sender, recipients }),
                meta: Meta::default(),
                due: None,
                schedule: None,
                new_schedule: false,
                attempts: 0,
                hops: 0,
                size: data.len() as u64,
                data: Some(data.into()),
                headers: Fields::empty(),
                dirty: true,
                data_dirty: true,
                must_materialise: false,
            },
        )
    }

    /// A message from the spool; its body stays on disk until somebody asks.
    pub fn from_spool(id: MessageId, spooled: Spooled) -> Self {
        Self::build(
            id,
            spooled.origin,
            None,
            State {
                addresses: Some(Addresses { sender: spooled.sender, recipients: spooled.recipients }),
                meta: spooled.meta.into(),
                due: spooled.due,
                schedule: spooled.schedule,
                new_schedule: false,
                attempts: spooled.attempts,
                hops: spooled.hops,
                data: None,
                size: spooled.size,
                headers: spooled.headers,
                dirty: false,
                data_dirty: false,
                must_materialise: false,
            },
        )
    }

    /// The message that hook `hook` sees of a journal entry. Addresses of the record that are none (an odd one of a
    /// rejected command, say) are shown as the null address.
    pub fn view(record: RecordView, hook: &str, body: Option<Bytes>) -> Self {
        let state = State {
            addresses: None,
            meta: Meta::default(),
            due: None,
            schedule: None,
            new_schedule: false,
            attempts: 0,
            hops: 0,
            data: None,
            size: 0,
            headers: Fields::empty(),
            dirty: false,
            data_dirty: false,
            must_materialise: false,
        };
        let id = record.entry().id().hook_message_id(hook);
        Self::build(id, Origin::LogRecord, Some(View { record, body }), state)
    }

    fn build(id: MessageId, origin: Origin, view: Option<View>, state: State) -> Self {
        Message(Arc::new(Inner { id, origin, view, state: Mutex::new(state) }))
    }

    /// Its id.
    pub fn id(&self) -> MessageId {
        self.0.id
    }

    /// What it is.
    pub fn origin(&self) -> Origin {
        self.0.origin
    }

    /// Through how many webhooks it has come: of mail, before it was injected; of a view, what it tells of. Not part of
    /// the meta, where a script could change it.
    pub fn hops(&self) -> u8 {
        self.record().map_or_else(|| self.0.state.lock().hops, |record| record.entry().hops())
    }

    /// Notes through how many webhooks it has come; of a view its record says that.
    pub fn set_hops(&self, hops: u8) {
        let mut state = self.0.state.lock();
        state.hops = hops;
        state.dirty = true;
    }

    /// When it came to be.
    pub fn created(&self) -> Timestamp {
        self.0.id.created()
    }

    /// The record of a view.
    pub fn record(&self) -> Option<&RecordView> {
        self.0.view.as_ref().map(|view| &view.record)
    }

    /// Envelope sender.
    pub fn sender(&self) -> EnvelopeAddress {
        self.0.state.lock().addresses(self.record()).sender.clone()
    }

    /// Sets the envelope sender.
    pub fn set_sender(&self, sender: EnvelopeAddress) {
        let mut state = self.0.state.lock();
        state.addresses(self.record()).sender = sender;
        state.dirty = true;
        state.must_materialise |= self.0.view.is_some();
    }

    /// Envelope recipients, at least one.
    pub fn recipients(&self) -> Vec<EnvelopeAddress> {
        self.0.state.lock().addresses(self.record()).recipients.clone()
    }

    /// Sets the envelope recipients.
    pub fn set_recipients(&self, recipients: Vec<EnvelopeAddress>) {
        let mut state = self.0.state.lock();
        state.addresses(self.record()).recipients = recipients;
        state.dirty = true;
        state.must_materialise |= self.0.view.is_some();
    }

    /// A meta value; `None` when it is missing or null.
    pub fn meta(&self, name: &str) -> Option<MetaValue> {
        if let Some(value) = self.0.state.lock().meta.get(name) {
            return Some(value.clone()).filter(|value| !value.is_null()).map(MetaValue::Json);
        }
        let view = self.0.view.as_ref()?;
        match name {
            "log_record" => Some(MetaValue::Record(view.record.clone())),
            "reception_protocol" => Some(MetaValue::Json(Value::String("LogRecord".into()))),
            _ => {
                let (_, json) = view.record.meta().find(|(field, _)| *field == name)?;
                serde_json::from_slice(json).ok().map(MetaValue::Json)
            }
        }
    }

    /// A meta value that must be a text: `Ok(None)` when it is missing.
    ///
    /// # Errors
    /// The value, when it is something else.
    pub fn meta_text(&self, name: &str) -> Result<Option<String>, Value> {
        match self.meta(name) {
            None => Ok(None),
            Some(MetaValue::Json(Value::String(text))) => Ok(Some(text)),
            Some(MetaValue::Json(other)) => Err(other),
            Some(MetaValue::Record(_)) => Err(Value::Object(Map::new())),
        }
    }

    /// Sets a meta value; null removes it.
    pub fn set_meta(&self, name: &str, value: Value) {
        let mut state = self.0.state.lock();
        if value.is_null() && self.0.view.is_none() {
            state.meta.change().remove(name);
        } else {
            state.meta.change().insert(name.to_owned(), value);
        }
        state.dirty = true;
    }

    /// All meta as JSON; of a view this builds the whole record.
    pub fn all_meta(&self) -> Map<String, Value> {
        let mut all = Map::new();
        if let Some(view) = &self.0.view {
            for (name, json) in view.record.meta() {
                if let Ok(value) = serde_json::from_slice(json) {
                    all.insert(name.to_owned(), value);
                }
            }
            all.insert("reception_protocol".into(), Value::String("LogRecord".into()));
            if let Ok(record) = serde_json::from_slice(&view.record.json()) {
                all.insert("log_record".into(), record);
            }
        }
        for (name, value) in self.0.state.lock().meta.iter() {
            if value.is_null() {
                all.remove(name);
            } else {
                all.insert(name.clone(), value.clone());
            }
        }
        all
    }

    /// What was changed of a view's meta, null for what was removed. Of a mail: all its meta.
    pub fn overlay(&self) -> Map<String, Value> {
        self.0.state.lock().meta.to_map()
    }

    /// Puts back what [`Message::overlay`] gave.
    pub fn set_overlay(&self, overlay: Map<String, Value>) {
        self.0.state.lock().meta = overlay.into();
    }

    /// The same with an overlay that other messages have as well: it is copied once this message changes it.
    pub fn share_overlay(&self, overlay: Arc<Map<String, Value>>) {
        self.0.state.lock().meta = Meta(Some(overlay));
    }

    /// Headers and body where they are in memory; a view always has its body.
    pub fn data(&self) -> Option<Bytes> {
        let state = self.0.state.lock();
        match (&state.data, &self.0.view) {
            (Some(data), _) => Some(data.whole()),
            (None, Some(View { body: Some(body), .. })) => Some(body.clone()),
            (None, Some(View { record, .. })) => {
                let mut json = record.json();
                json.push(b'\n');
                Some(json.into())
            }
            (None, None) => None,
        }
    }

    /// Headers and body where they are in memory, in the pieces that they are kept in. Of a view none, unless it was
    /// given another one.
    pub fn body(&self) -> Option<Body> {
        self.0.state.lock().data.clone()
    }

    /// Whether [`Message::data`] has anything to give.
    pub fn has_data(&self) -> bool {
        self.0.view.is_some() || self.0.state.lock().data.is_some()
    }

    /// Bytes of headers and body where these are in memory; 0 for a view that was not given another body.
    pub fn in_memory(&self) -> u64 {
        self.0.state.lock().data.as_ref().map_or(0, |data| data.len() as u64)
    }

    /// Puts headers in front. A large body is not copied for that: whoever shares it goes on doing so.
    pub fn prepend(&self, headers: &[u8]) {
        if headers.is_empty() {
            return;
        }
        let data = self.body().or_else(|| self.data().map(Body::from)).unwrap_or_default();
        self.replace(data.behind(headers));
    }

    /// Replaces headers and body.
    pub fn set_data(&self, data: Bytes) {
        self.replace(data.into());
    }

    fn replace(&self, data: Body) {
        let mut state = self.0.state.lock();
        state.size = data.len() as u64;
        state.data = Some(data);
        state.dirty = true;
        state.data_dirty = true;
        state.must_materialise |= self.0.view.is_some();
    }

    /// Takes the body that the spool has, without counting as a change.
    pub fn set_loaded(&self, data: Bytes) {
        let mut state = self.0.state.lock();
        if !state.data_dirty {
            state.size = data.len() as u64;
            state.data = Some(data.into());
        }
    }

    /// It was not stored after all: its body is no less new than before.
    pub fn not_stored(&self) {
        let mut state = self.0.state.lock();
        state.dirty = true;
        state.data_dirty = state.data.is_some();
    }

    /// Forgets a body that is stored.
    pub fn shrink(&self) {
        let mut state = self.0.state.lock();
        if !state.data_dirty {
            state.data = None;
        }
    }

    /// Bytes of headers and body.
    pub fn size(&self) -> u64 {
        match &self.0.view {
            Some(_) => self.data().map_or(0, |data| data.len() as u64),
            None => self.0.state.lock().size,
        }
    }

    /// When to try next.
    pub fn due(&self) -> Option<Timestamp> {
        self.0.state.lock().due
    }

    /// Sets when to try next.
    pub fn set_due(&self, due: Option<Timestamp>) {
        let mut state = self.0.state.lock();
        state.due = due;
        state.dirty = true;
    }

    /// When attempts are allowed at all; `None`: always.
    pub fn schedule(&self) -> Option<Arc<Schedule>> {
        self.0.state.lock().schedule.clone()
    }

    /// Sets when attempts are allowed. The due times of a view are its consumer's, which knows no schedules: one that
    /// has a schedule must become a spool message.
    pub fn set_schedule(&self, schedule: Option<Arc<Schedule>>) {
        let mut state = self.0.state.lock();
        state.schedule = schedule;
        state.new_schedule = true;
        state.dirty = true;
        state.must_materialise |= self.0.view.is_some();
    }

    /// The schedule, when it was set since this was asked last: a queue that has the message must go by it.
    pub fn take_new_schedule(&self) -> Option<Option<Arc<Schedule>>> {
        let mut state = self.0.state.lock();
        std::mem::take(&mut state.new_schedule).then(|| state.schedule.clone())
    }

    /// Attempts so far.
    pub fn attempts(&self) -> u32 {
        self.0.state.lock().attempts
    }

    /// Sets the attempts so far.
    pub fn set_attempts(&self, attempts: u32) {
        let mut state = self.0.state.lock();
        state.attempts = attempts;
        state.dirty = true;
    }

    /// Whether a view was changed in a way that only a spool message can hold.
    pub fn must_materialise(&self) -> bool {
        self.0.state.lock().must_materialise
    }

    /// Whether the stored envelope is out of date.
    pub fn is_dirty(&self) -> bool {
        let state = self.0.state.lock();
        state.dirty || state.data_dirty
    }

    /// The scheduled queue: meta `queue`, else made of campaign, tenant, the first recipient's domain and the routing
    /// domain.
    ///
    /// # Errors
    /// A sentence naming the meta field that is no text.
    pub fn queue_name(&self) -> Result<QueueName, String> {
        let text = |name: &str| {
            self.meta_text(name).map_err(|value| format!("expected '{name}' to be a string value, got {value}"))
        };
        if let Some(queue) = text("queue")? {
            return Ok(QueueName::new(queue));
        }
        let recipients = self.recipients();
        let domain = recipients.first().and_then(EnvelopeAddress::domain).unwrap_or("");
        let (campaign, tenant, routing) = (text("campaign")?, text("tenant")?, text("routing_domain")?);
        Ok(QueueName::compose(campaign.as_deref(), tenant.as_deref(), domain, routing.as_deref()))
    }

    /// Captures the headers that some sink wants. Done at reception and again when headers or body change, so that a
    /// later event need not load the body.
    pub fn capture(&self, capture: &Capture) {
        if self.0.view.is_some() || !capture.wants_headers() {
            return;
        }
        let mut state = self.0.state.lock();
        if let Some(data) = &state.data {
            state.headers = capture_headers(&data.headers(), capture);
        }
    }

    /// The captured headers.
    pub fn captured_headers(&self) -> Fields {
        self.0.state.lock().headers.clone()
    }

    /// The meta fields that some sink wants.
    pub fn captured_meta(&self, capture: &Capture) -> Fields {
        let mut fields = FieldsBuilder::default();
        if self.0.view.is_some() {
            for (name, value) in self.all_meta() {
                if name != "log_record" && capture.wants_meta(&name) {
                    fields.push(&name, &value);
                }
            }
        } else {
            for (name, value) in self.0.state.lock().meta.iter().filter(|(name, _)| capture.wants_meta(name)) {
                fields.push(name, value);
            }
        }
        fields.finish()
    }

    /// The body where it is not stored yet, which from here on counts as stored: the envelope follows.
    pub fn body_to_store(&self) -> Option<Bytes> {
        self.0.state.lock().new_data()
    }

    /// Envelope bytes, and the body where it is not stored yet. A view gives what its spool message will hold.
    pub fn to_store(&self) -> (Bytes, Option<Bytes>) {
        let meta = self.all_meta();
        let data = if self.0.view.is_some() { self.data() } else { None };
        let hops = self.hops();
        let mut state = self.0.state.lock();
        let data = data.or_else(|| state.new_data());
        let size = data.as_ref().map_or(state.size, |data| data.len() as u64);
        let Addresses { sender, recipients } = state.addresses(self.record()).clone();
        let spooled = Spooled {
            sender,
            recipients,
            meta,
            due: state.due,
            schedule: state.schedule.clone(),
            attempts: state.attempts,
            size,
            origin: self.0.origin,
            hops,
            headers: state.headers.clone(),
        };
        state.dirty = false;
        state.data_dirty = false;
        (spooled.encode(), data)
    }
}

impl State {
    /// The envelope addresses: of a view those of its record, until others are set.
    fn addresses(&mut self, record: Option<&RecordView>) -> &mut Addresses {
        self.addresses.get_or_insert_with(|| Addresses::of(record))
    }

    /// The body, where it is not stored yet; from here on it counts as stored.
    fn new_data(&mut self) -> Option<Bytes> {
        if !std::mem::take(&mut self.data_dirty) {
            return None;
        }
        self.data.as_mut().map(|data| {
            data.settle();
            data.whole()
        })
    }
}

impl Addresses {
    /// Those of a record; what is none, or is not there, is the null address.
    fn of(record: Option<&RecordView>) -> Self {
        let address = |text: &str| text.parse().unwrap_or_else(|_| EnvelopeAddress::null_sender());
        let entry = record.map(RecordView::entry);
        let recipients = entry.map(Entry::recipients).unwrap_or_default();
        let mut recipients: Vec<_> = recipients.into_iter().map(address).collect();
        if recipients.is_empty() {
            recipients.push(EnvelopeAddress::null_sender());
        }
        Addresses { sender: address(entry.map_or("", Entry::sender)), recipients }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({})", self.0.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use waybill_log_record::{LogRecord, RecordType};
    use waybill_types::{IdMint, Response};

    fn mail() -> Message {
        let id = IdMint::random().message(Timestamp::from_secs(1_700_000_000));
        let data = Bytes::from_static(b"Subject: Hi\r\nX-A: 1\r\n\r\nbody\r\n");
        Message::new(id, "a@x.example".parse().unwrap(), vec!["b@Y.example".parse().unwrap()], data)
    }

    fn view() -> Message {
        let now = Timestamp::from_secs(1_700_000_000);
        let mut record = LogRecord::new(RecordType::Delivery, now, Response::plain(250, "ok"), "node");
        record.sender = "a@x.example".into();
        record.recipients = vec!["b@y.example".into()];
        let mut meta = FieldsBuilder::default();
        meta.push("tenant", &json!("t1"));
        record.meta = meta.finish();
        let entry = Entry::encode(&record, IdMint::random().entry(now));
        let capture = Capture::new([], ["tenant"]);
        Message::view(RecordView::new(entry, capture.into()), "webhook", None)
    }

    #[test]
    fn the_queue_name_follows_the_meta() {
        let message = mail();
        assert_eq!(message.queue_name().unwrap().as_str(), "y.example");
        message.set_meta("tenant", json!("t"));
        message.set_meta("campaign", json!("c"));
        message.set_meta("routing_domain", json!("r.example"));
        assert_eq!(message.queue_name().unwrap().as_str(), "c:t@y.example!r.example");
        message.set_meta("queue", json!(5));
        assert!(message.queue_name().unwrap_err().contains("expected 'queue' to be a string value"));
        message.set_meta("queue", Value::Null);
        assert!(message.queue_name().is_ok());
    }

    #[test]
    fn a_message_comes_back_from_the_spool_as_it_went_in() {
        let message = mail();
        message.set_meta("x_num", json!(42));
        message.capture(&Capture::new(["subject"], []));
        message.set_attempts(3);
        message.set_schedule(Some(Schedule::until(Timestamp::from_secs(5)).into()));
        let (envelope, data) = message.to_store();
        assert_eq!(data.as_deref(), message.data().as_deref());
        assert_eq!(message.to_store().1, None, "a stored body is not written again");
        let again = Message::from_spool(message.id(), Spooled::decode(&envelope).unwrap());
        assert_eq!((again.sender(), again.recipients()), (message.sender(), message.recipients()));
        assert_eq!((again.attempts(), again.size(), again.data()), (3, message.size(), None));
        assert_eq!(again.captured_headers(), message.captured_headers());
        assert_eq!(again.all_meta(), message.all_meta());
        assert_eq!(again.schedule().unwrap().expires(), Some(Timestamp::from_secs(5)));
        assert_eq!((again.take_new_schedule(), message.take_new_schedule()), (None, Some(message.schedule())));
    }

    #[test]
    fn what_is_put_in_front_is_stored_and_captured_as_if_it_had_always_been_there() {
        let message = mail();
        let came = Bytes::from([message.data().unwrap().as_ref(), &[b'x'; 100_000]].concat());
        message.set_data(came.clone());
        message.prepend(b"X-Trace: 7\r\n");
        message.capture(&Capture::new(["x-trace", "subject"], []));
        let all = [b"X-Trace: 7\r\n".as_slice(), &came].concat();
        assert_eq!((message.size(), message.in_memory()), (all.len() as u64, all.len() as u64));
        let captured = message.captured_headers();
        let headers: Vec<_> = captured.iter().map(|(name, value)| (name, value.to_vec())).collect();
        assert_eq!(headers, [("X-Trace", b"\"7\"".to_vec()), ("Subject", b"\"Hi\"".to_vec())]);
        assert_eq!(message.body().unwrap().rest().as_ptr(), came.as_ptr());
        assert_eq!(message.body_to_store().unwrap(), all);
        let (_, data) = message.to_store();
        assert_eq!(data, None, "it is stored");
        message.not_stored();
        assert_eq!(message.to_store().1.unwrap(), all);
    }

    #[test]
    fn a_view_shows_the_record_and_keeps_changes_in_its_overlay() {
        let message = view();
        assert!(matches!(message.meta("log_record"), Some(MetaValue::Record(_))));
        assert_eq!(message.meta_text("tenant"), Ok(Some("t1".into())));
        assert_eq!(message.meta_text("reception_protocol"), Ok(Some("LogRecord".into())));
        let body = message.data().unwrap();
        assert!(body.starts_with(b"{\"type\":\"Delivery\"") && body.ends_with(b"}\n"));
        message.set_meta("tenant", Value::Null);
        message.set_meta("queue", json!("webhook.log_hook"));
        assert_eq!(message.meta_text("tenant"), Ok(None));
        assert_eq!(message.overlay().len(), 2);
        assert!(!message.must_materialise());
        message.set_data(Bytes::from_static(b"other"));
        assert!(message.must_materialise());
        let scheduled = view();
        scheduled.set_schedule(Some(Arc::default()));
        assert!(scheduled.must_materialise());
    }

    #[test]
    fn an_overlay_that_is_shared_is_changed_for_one_message_only() {
        let (one, other) = (view(), view());
        let shared = Arc::new([("queue".to_owned(), json!("webhook.log_hook"))].into_iter().collect::<Map<_, _>>());
        one.share_overlay(shared.clone());
        other.share_overlay(shared.clone());
        one.set_meta("queue", json!("other.log_hook"));
        assert_eq!(one.meta_text("queue"), Ok(Some("other.log_hook".into())));
        assert_eq!((other.overlay(), other.queue_name().unwrap().as_str()), ((*shared).clone(), "webhook.log_hook"));
    }

    #[test]
    fn a_script_cannot_turn_a_log_message_into_mail() {
        let message = view();
        message.set_meta("reception_protocol", json!("ESMTP"));
        assert_eq!(message.origin(), Origin::LogRecord);
        let stored = Spooled::decode(&message.to_store().0).unwrap();
        assert_eq!(Message::from_spool(message.id(), stored).origin(), Origin::LogRecord);
    }
}
