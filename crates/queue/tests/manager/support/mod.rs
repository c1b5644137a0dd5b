//! A queue manager and everything around it.

mod peer;
mod sink;
mod store;

pub(crate) use peer::{Peer, Seen, aborted, delivered, permanent, transient};
pub(crate) use sink::{Record, TestSink};
pub(crate) use store::GateStore;

use bytes::Bytes;
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use waybill_delivery::DeliveryProtocol;
use waybill_log_record::{Capture, Entry, LogRecord, PeerAddress, RecordType, RecordView};
use waybill_policy::{PolicyError, Rejected, Returned, ScriptedPolicy, Value};
use waybill_queue::{ManagerOptions, QueueManager, SharedLimits};
use waybill_runtime::{Clock, ManualClock, Stop, StopSource, Supervisor};
use waybill_spool::{
    Durability, Incoming, IntakeError, MemoryStore, Message, Origin, Part, ReadLimit, Spooled, Store, StreamId,
};
use waybill_types::{IdMint, MessageId, Offset, Response, Timestamp};

/// The moment at which every test begins.
pub(crate) const BEGIN: Timestamp = Timestamp::from_secs(1_795_450_376);
pub(crate) const NODE: &str = "1c9695c6-71e7-4e48-b54f-5531e6875160";
/// No test waits longer for a condition, in real or in paused time.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Arranges a [`Bench`].
pub(crate) struct Builder {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) policy: ScriptedPolicy,
    pub(crate) peer: Peer,
    pub(crate) sink: TestSink,
    pub(crate) clock: ManualClock,
    pub(crate) mint: Arc<IdMint>,
    protocol: &'static str,
}

impl Builder {
    /// A peer that takes everything, over SMTP as far as the policy knows; no policy; a memory store.
    pub(crate) fn new() -> Self {
        Builder {
            store: Arc::new(MemoryStore::new()),
            policy: ScriptedPolicy::new(),
            peer: Peer::new(),
            sink: TestSink::new(),
            clock: ManualClock::at(BEGIN),
            mint: Arc::new(IdMint::new([7; 8])),
            protocol: "smtp",
        }
    }

    pub(crate) fn store(mut self, store: impl Store) -> Self {
        self.store = Arc::new(store);
        self
    }

    pub(crate) fn shared_store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = store;
        self
    }

    pub(crate) fn peer(mut self, peer: Peer) -> Self {
        self.peer = peer;
        self
    }

    pub(crate) fn sink(mut self, sink: TestSink) -> Self {
        self.sink = sink;
        self
    }

    /// The protocol's name in the policy is another one: the queues' own is missing.
    pub(crate) fn without_smtp(mut self) -> Self {
        self.protocol = "another";
        self
    }

    /// `get_queue_config` gives this for every queue.
    pub(crate) fn queue_config(self, config: Json) -> Self {
        self.on("get_queue_config", move |_| answer(config.clone()))
    }

    /// `get_egress_path_config` gives this for every path.
    pub(crate) fn path_config(self, config: Json) -> Self {
        self.on("get_egress_path_config", move |_| answer(config.clone()))
    }

    pub(crate) fn on(
        mut self,
        event: &str,
        handler: impl Fn(Vec<Value>) -> Result<Returned, PolicyError> + Send + Sync + 'static,
    ) -> Self {
        self.policy = self.policy.on(event, handler);
        self
    }

    /// A manager that takes mail and delivers.
    pub(crate) fn start(self) -> Bench {
        let bench = self.build();
        bench.drive();
        bench.manager.open();
        bench
    }

    /// A manager that does nothing yet.
    pub(crate) fn build(self) -> Bench {
        let supervisor = Supervisor::current();
        let protocol: Arc<dyn DeliveryProtocol> = Arc::new(self.peer.clone());
        let manager = QueueManager::new(ManagerOptions {
            store: self.store.clone(),
            policy: Arc::new(self.policy.clone()),
            protocols: Arc::new(HashMap::from([(self.protocol, protocol)])),
            sink: Arc::new(self.sink.clone()),
            clock: Arc::new(self.clock.clone()),
            mint: self.mint.clone(),
            nodeid: NODE.into(),
            supervisor: supervisor.clone(),
            seed: 1,
            limits: SharedLimits::default(),
        });
        let (stop_source, stop) = StopSource::new();
        let Builder { store, policy, peer, sink, clock, mint, .. } = self;
        Bench { manager, store, policy, peer, sink, clock, mint, supervisor, stop_source, stop }
    }
}

/// A queue manager with its surroundings.
pub(crate) struct Bench {
    pub(crate) manager: QueueManager,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) policy: ScriptedPolicy,
    pub(crate) peer: Peer,
    pub(crate) sink: TestSink,
    pub(crate) clock: ManualClock,
    pub(crate) mint: Arc<IdMint>,
    pub(crate) supervisor: Supervisor,
    pub(crate) stop_source: StopSource,
    pub(crate) stop: Stop,
}

impl Bench {
    pub(crate) fn drive(&self) {
        let (driver, stop) = (self.manager.clone(), self.stop.clone());
        self.supervisor.spawn("queue manager", async move { driver.run(stop).await });
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A mail to this address, minted now.
    pub(crate) fn mail(&self, to: &str) -> Message {
        let data = Bytes::from_static(b"Subject: Hello\r\nX-Customer-ID: 7\r\n\r\nbody\r\n");
        let id = self.mint.message(self.clock.now());
        let message = Message::new(id, "sender@example.com".parse().unwrap(), vec![to.parse().unwrap()], data);
        message.set_meta("reception_protocol", json!("ESMTP"));
        message
    }

    /// As a listener brings it.
    pub(crate) fn incoming(&self, message: &Message) -> Incoming {
        let now = self.clock.now();
        let mut record = LogRecord::new(RecordType::Reception, now, Response::plain(250, ""), NODE);
        record.peer_address =
            Some(PeerAddress { name: "client.example".into(), addr: "127.0.0.1".into(), is_secure: false });
        record.session_id = Some("0317f0e5-2ee0-4167-a5a7-7f1cd9a9347e".into());
        Incoming::new(message.clone(), message.queue_name().unwrap(), record)
    }

    pub(crate) async fn accept(&self, message: &Message) -> Result<(), IntakeError> {
        self.manager.intake().accept(vec![self.incoming(message)], Durability::Synced).await
    }

    /// A mail to this address, accepted.
    pub(crate) async fn take(&self, to: &str) -> Message {
        let message = self.mail(to);
        self.accept(&message).await.expect("the message is taken");
        message
    }

    /// Mail to another place goes all the way: whatever was due before has had its turn.
    pub(crate) async fn settle(&self) {
        let probe = self.take("probe@probe.example").await;
        self.sink.of(probe.id(), "Delivery").await;
    }

    /// Asks for the stop and waits for the end.
    pub(crate) async fn stop(&self) {
        self.stop_source.request();
        within(self.supervisor.join()).await;
    }

    /// A manager of the next start, over the same store, at the same time, with a policy and a peer of its own.
    pub(crate) fn restart(&self) -> Builder {
        let mut next = Builder::new().shared_store(self.store.clone());
        next.clock = self.clock.clone();
        next.mint = self.mint.clone();
        next
    }

    /// Takes up what the spool holds, all of which is from before.
    pub(crate) async fn spool_in(&self) -> u64 {
        self.manager.spool_in(Timestamp::MAX, &self.stop).await.unwrap()
    }

    /// What the store has of a message.
    pub(crate) async fn spooled(&self, id: MessageId) -> Option<Spooled> {
        spooled(&*self.store, id).await
    }

    pub(crate) async fn journal(&self) -> Vec<Record> {
        journal(&*self.store).await
    }
}

pub(crate) async fn spooled(store: &dyn Store, id: MessageId) -> Option<Spooled> {
    let envelope = store.load(id, Part::Envelope).await.unwrap()?;
    Some(Spooled::decode(&envelope).unwrap())
}

/// All records of the journal.
pub(crate) async fn journal(store: &dyn Store) -> Vec<Record> {
    let limit = ReadLimit { entries: usize::MAX, bytes: usize::MAX };
    let slice = store.read(StreamId::EVENTS, Offset::ZERO, limit).await.unwrap();
    slice.entries.into_iter().map(|(_, bytes)| Record::of(&Entry::decode(bytes).unwrap())).collect()
}

/// A log message: the view that a hook has of an event.
pub(crate) fn log_message(mint: &IdMint, now: Timestamp) -> Message {
    let mut record = LogRecord::new(RecordType::Delivery, now, Response::plain(250, "ok"), NODE);
    record.sender = "sender@example.com".into();
    record.recipients = vec!["rcpt@example.com".into()];
    let entry = Entry::encode(&record, mint.entry(now));
    let message = Message::view(RecordView::new(entry, Capture::nothing().into()), "webhook", None);
    message.set_meta("queue", json!("webhook.log_hook"));
    assert_eq!(message.origin(), Origin::LogRecord);
    message
}

/// What a policy handler returns.
pub(crate) fn answer(value: Json) -> Result<Returned, PolicyError> {
    Ok(Returned(vec![Value::Json(value)]))
}

pub(crate) fn nothing() -> Result<Returned, PolicyError> {
    Ok(Returned::default())
}

pub(crate) fn broken() -> Result<Returned, PolicyError> {
    Err(PolicyError::Failed("[string \"policy.lua\"]:21: boom".into()))
}

pub(crate) fn reject(code: u16, text: &str) -> Result<Returned, PolicyError> {
    Err(PolicyError::Rejected(Rejected::new(code, text)))
}

/// The message among the arguments of a handler.
pub(crate) fn message_of(args: &[Value]) -> &Message {
    match &args[0] {
        Value::Message(message) => message,
        other => panic!("expected a message, got {other:?}"),
    }
}

/// The text among the arguments of a handler.
pub(crate) fn text_of(arg: &Value) -> String {
    match arg {
        Value::Bytes(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        other => panic!("expected a text, got {other:?}"),
    }
}

/// Fails a test instead of letting it hang.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it took too long")
}

/// Waits for something that has no notification of its own; others run meanwhile, and paused time goes on.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    within(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
