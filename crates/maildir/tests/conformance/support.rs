//! Messages, and sessions to deliver them.

use bytes::Bytes;
use serde_json::Value as Json;
use std::sync::Arc;
use std::time::Duration;
use waybill_delivery::{BatchOutcome, ConnectContext, DeliveryProtocol, Route, RouteQuery, Session};
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
    protocol.route(&RouteQuery { queue: &queue, source: "unspecified", section }).unwrap()
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
