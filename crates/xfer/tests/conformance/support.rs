//! Messages, a carrier, and a session over it.

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use waybill_delivery::{
    BatchOutcome, ConnectContext, DeliveryProtocol, Destination, Egress, Route, RouteQuery, Session,
};
use waybill_spool::Message;
use waybill_types::{IdMint, NodeUrl, QueueName, Timestamp};
use waybill_xfer::{Carrier, Parcel, Reply, Xfer};

pub(crate) const TARGET: &str = "http://n2.example:8000";
pub(crate) const NODE: &str = "node-1";

type Answer = Box<dyn Fn(&Parcel) -> Option<Result<Reply, String>> + Send + Sync>;

/// Answers as told, or never; remembers what it was given.
pub(crate) struct Told {
    answer: Answer,
    parcels: Mutex<Vec<Parcel>>,
}

impl Told {
    pub(crate) fn new(answer: impl Fn(&Parcel) -> Option<Result<Reply, String>> + Send + Sync + 'static) -> Arc<Told> {
        Arc::new(Told { answer: Box::new(answer), parcels: Mutex::default() })
    }

    pub(crate) fn parcels(&self) -> Vec<Parcel> {
        self.parcels.lock().unwrap().clone()
    }
}

impl Carrier for Told {
    fn carry(&self, parcel: Parcel) -> BoxFuture<'_, Result<Reply, String>> {
        let answer = (self.answer)(&parcel);
        self.parcels.lock().unwrap().push(parcel);
        async move {
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        }
        .boxed()
    }
}

pub(crate) fn reply(status: u16, body: impl Into<Bytes>) -> Reply {
    Reply { status, body: body.into(), address: Some("192.0.2.7:8000".parse().unwrap()) }
}

pub(crate) fn message() -> Message {
    let id = IdMint::random().message(Timestamp::from_secs(1_700_000_000));
    let body = Bytes::from_static(b"Subject: Hi\r\n\r\nbody\r\n");
    Message::new(id, "a@x.example".parse().unwrap(), vec!["b@y.example".parse().unwrap()], body)
}

pub(crate) fn egress(timeout: u64) -> Egress {
    let mut egress = Egress::default();
    egress.path.data_dot_timeout = Duration::from_secs(timeout);
    egress
}

pub(crate) fn route(carrier: Arc<dyn Carrier>, queue: &QueueName, egress: &Egress) -> Arc<dyn Route> {
    let (section, destination) = (json!({"target": TARGET}), Destination::local(queue));
    let query = RouteQuery { queue, section: &section, destination: &destination, egress };
    Xfer::new(carrier, NODE).route(&query).unwrap()
}

pub(crate) fn queue() -> QueueName {
    NodeUrl::parse(TARGET).unwrap().queue()
}

pub(crate) async fn open(carrier: Arc<dyn Carrier>, timeout: u64) -> Box<dyn Session> {
    let route = route(carrier, &queue(), &egress(timeout));
    let context =
        ConnectContext { representative: queue(), session_id: "s1".into(), watchdog: Duration::from_secs(600) };
    route.connect(context).await.unwrap()
}

pub(crate) async fn deliver(carrier: Arc<dyn Carrier>, messages: &[Message]) -> BatchOutcome {
    let mut session = open(carrier, 300).await;
    let outcome = session.deliver(messages).await;
    session.close().await;
    outcome
}
