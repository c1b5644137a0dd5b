//! Messages, and sessions to deliver them.

use bytes::Bytes;
use serde_json::Value as Json;
use std::sync::Arc;
use std::time::Duration;
use waybill_delivery::{
    BatchOutcome, ConnectContext, DeliveryProtocol, Destination, Egress, Route, RouteQuery, Session,
};
use waybill_spool::Message;
use waybill_types::{IdMint, QueueName, Timestamp};

pub(crate) const BODY: &str = "Subject: Hi\r\n\r\nbody\r\n";

pub(crate) fn now() -> Timestamp {
    Timestamp::from_nanos(1_795_450_376_216_538_202)
}

pub(crate) fn message(recipients: &[&str]) -> Message {
    let recipients = recipients.iter().map(|recipient| recipient.parse().unwrap()).collect();
    let body = Bytes::from_static(BODY.as_bytes());
    Message::new(IdMint::random().message(now()), "a@x.example".parse().unwrap(), recipients, body)
}

pub(crate) fn route(protocol: &dyn DeliveryProtocol, queue: &str, section: &Json) -> Arc<dyn Route> {
    let queue = QueueName::new(queue);
    let (destination, egress) = (Destination::local(&queue), Egress::default());
    protocol.route(&RouteQuery { queue: &queue, section, destination: &destination, egress: &egress }).unwrap()
}

/// What is said about a section that cannot be used.
pub(crate) fn complaint(protocol: &dyn DeliveryProtocol, section: &Json) -> String {
    let queue = QueueName::new("example.com");
    let (destination, egress) = (Destination::local(&queue), Egress::default());
    let query = RouteQuery { queue: &queue, section, destination: &destination, egress: &egress };
    protocol.route(&query).err().unwrap().to_string()
}

pub(crate) async fn open(protocol: &dyn DeliveryProtocol, section: &Json) -> Box<dyn Session> {
    let context = ConnectContext {
        representative: QueueName::new("example.com"),
        session_id: "s1".into(),
        watchdog: Duration::from_secs(600),
    };
    route(protocol, "example.com", section).connect(context).await.unwrap()
}

pub(crate) async fn deliver(protocol: &dyn DeliveryProtocol, section: &Json, messages: &[Message]) -> BatchOutcome {
    let mut session = open(protocol, section).await;
    assert_eq!(session.peer(), None);
    let outcome = session.deliver(messages).await;
    session.close().await;
    outcome
}
