use super::within;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, watch};
use waybill_log_record::{Capture, Entry, RecordType, RecordView};
use waybill_spool::{Injector, Message, RecordSink};
use waybill_types::MessageId;

/// One record, as a reader sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record(pub(crate) Json);

impl Record {
    pub(crate) fn of(entry: &Entry) -> Self {
        let view = RecordView::new(entry.clone(), Arc::new(capture()));
        Record(serde_json::from_slice(&view.json()).unwrap())
    }

    pub(crate) fn kind(&self) -> &str {
        self.0["type"].as_str().unwrap()
    }

    pub(crate) fn id(&self) -> &str {
        self.0["id"].as_str().unwrap()
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_default()
    }

    pub(crate) fn attempts(&self) -> u64 {
        self.0["num_attempts"].as_u64().unwrap()
    }

    /// `CODE CONTENT`.
    pub(crate) fn response(&self) -> String {
        format!("{} {}", self.0["response"]["code"], self.0["response"]["content"].as_str().unwrap())
    }
}

fn capture() -> Capture {
    Capture::new(["Subject", "X-*"], ["tenant", "campaign", "x_*"])
}

/// Takes every record and tells who waits.
#[derive(Clone)]
pub(crate) struct TestSink {
    records: watch::Sender<Vec<Record>>,
    counts: watch::Sender<HashMap<String, usize>>,
    journal: bool,
    /// Records of this type wait for a permit.
    gate: Option<(RecordType, Arc<Semaphore>)>,
    /// For each record of this type a message is injected before `write` is done.
    on_write: Option<OnWrite>,
    /// The bodies that messages had with their records, where they are looked at.
    bodies: Option<Arc<Mutex<Bodies>>>,
}

type Bodies = HashMap<(MessageId, RecordType), Option<Bytes>>;
type OnWrite = Arc<dyn Fn(&Record) -> Option<(Arc<dyn Injector>, Message)> + Send + Sync>;

impl TestSink {
    pub(crate) fn new() -> Self {
        TestSink {
            records: watch::channel(Vec::new()).0,
            counts: watch::channel(HashMap::new()).0,
            journal: true,
            gate: None,
            on_write: None,
            bodies: None,
        }
    }

    /// Nobody reads the journal.
    pub(crate) fn without_journal(mut self) -> Self {
        self.journal = false;
        self
    }

    /// Writing a record of this type waits for a permit.
    pub(crate) fn gated(mut self, kind: RecordType) -> (Self, Arc<Semaphore>) {
        let gate = Arc::new(Semaphore::new(0));
        self.gate = Some((kind, gate.clone()));
        (self, gate)
    }

    /// Writing a record may inject a message, as the script of a disposition hook does.
    pub(crate) fn injecting(
        mut self,
        what: impl Fn(&Record) -> Option<(Arc<dyn Injector>, Message)> + Send + Sync + 'static,
    ) -> Self {
        self.on_write = Some(Arc::new(what));
        self
    }

    /// Looks at the messages.
    pub(crate) fn looking_at_messages(mut self) -> Self {
        self.bodies = Some(Arc::default());
        self
    }

    /// The body that a message had with its record of this type.
    pub(crate) fn body(&self, id: MessageId, kind: RecordType) -> Option<Bytes> {
        self.bodies.as_ref()?.lock().unwrap().get(&(id, kind)).cloned().flatten()
    }

    pub(crate) fn all(&self) -> Vec<Record> {
        self.records.borrow().clone()
    }

    /// The records of one message.
    pub(crate) fn about(&self, id: MessageId) -> Vec<Record> {
        let id = id.to_string();
        self.records.borrow().iter().filter(|record| record.id() == id).cloned().collect()
    }

    /// The types of the records of one message.
    pub(crate) fn kinds(&self, id: MessageId) -> Vec<String> {
        self.about(id).iter().map(|record| record.kind().to_owned()).collect()
    }

    /// Waits for the `count`th record (from 1) of this message and type.
    pub(crate) async fn nth(&self, id: MessageId, kind: &str, count: usize) -> Record {
        let id = id.to_string();
        let fits = |record: &&Record| record.id() == id && record.kind() == kind;
        let mut records = self.records.subscribe();
        let found = within(records.wait_for(|all| all.iter().filter(fits).count() >= count)).await;
        found.unwrap().iter().filter(fits).nth(count - 1).cloned().unwrap()
    }

    pub(crate) async fn of(&self, id: MessageId, kind: &str) -> Record {
        self.nth(id, kind, 1).await
    }

    /// Waits until there are so many records of this type.
    pub(crate) async fn count(&self, kind: &str, count: usize) {
        let mut counts = self.counts.subscribe();
        within(counts.wait_for(|counts| counts.get(kind).is_some_and(|found| *found >= count))).await.unwrap();
    }

    /// Waits until the records are like this.
    pub(crate) async fn until(&self, condition: impl FnMut(&Vec<Record>) -> bool) {
        within(self.records.subscribe().wait_for(condition)).await.unwrap();
    }
}

impl RecordSink for TestSink {
    fn capture(&self) -> Arc<Capture> {
        Arc::new(capture())
    }

    fn wants(&self, _kind: RecordType) -> bool {
        true
    }

    fn wants_journal(&self, _kind: RecordType) -> bool {
        self.journal
    }

    fn shows_message(&self, _kind: RecordType) -> bool {
        self.bodies.is_some()
    }

    fn write<'a>(&'a self, entry: &'a Entry, message: Option<&'a Message>) -> BoxFuture<'a, ()> {
        async move {
            if let (Some(bodies), Some(message)) = (&self.bodies, message) {
                bodies.lock().unwrap().insert((message.id(), entry.kind()), message.data());
            }
            if let Some((kind, gate)) = &self.gate
                && entry.kind() == *kind
            {
                gate.acquire().await.unwrap().forget();
            }
            let record = Record::of(entry);
            if let Some((injector, message)) = self.on_write.as_ref().and_then(|on_write| on_write(&record)) {
                injector.inject(message).await.expect("the message is injected");
            }
            let kind = record.kind().to_owned();
            self.records.send_modify(|all| all.push(record));
            self.counts.send_modify(|counts| *counts.entry(kind).or_default() += 1);
        }
        .boxed()
    }
}
