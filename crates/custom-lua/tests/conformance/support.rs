//! A hook named `webhook` whose methods are closures, and messages for it.

use bytes::Bytes;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Duration;
use waybill_custom_lua::CustomLua;
use waybill_delivery::{
    BatchOutcome, ConnectContext, ConnectError, DeliveryProtocol, Destination, Egress, Fate, Outcome, Route,
    RouteQuery, Session,
};
use waybill_policy::{Args, PolicyError, PolicyHost, Rejected, Returned, ScriptedPolicy, Value};
use waybill_spool::Message;
use waybill_types::{IdMint, QueueName, Response, Timestamp};

pub(crate) const MAKE: &str = "make.webhook";
pub(crate) const WATCHDOG: Duration = Duration::from_secs(600);

pub(crate) fn route(host: impl PolicyHost, section: Json) -> Arc<dyn Route> {
    let queue = QueueName::new("c1:t1@webhook.log_hook");
    let (destination, egress) = (Destination::local(&queue), Egress::default());
    let query = RouteQuery { queue: &queue, section: &section, destination: &destination, egress: &egress };
    CustomLua::new(Arc::new(host)).route(&query).unwrap()
}

pub(crate) fn one_by_one() -> Json {
    json!({"constructor": MAKE})
}

pub(crate) fn batches_of(size: usize) -> Json {
    json!({"constructor": MAKE, "batch_size": size})
}

pub(crate) async fn open(host: impl PolicyHost, section: Json) -> Result<Box<dyn Session>, ConnectError> {
    let representative = QueueName::new("c1:t1@webhook.log_hook!routed.example");
    let context = ConnectContext { representative, session_id: "s1".into(), watchdog: WATCHDOG };
    route(host, section).connect(context).await
}

/// The outcome of `count` messages with a script whose `send` (or `send_batch`) is `method`.
pub(crate) async fn deliver(
    section: Json,
    count: usize,
    method: impl Fn(Args) -> Result<Returned, PolicyError> + Send + Sync + 'static,
) -> BatchOutcome {
    let name = if section["batch_size"].as_u64().unwrap_or(1) > 1 { "send_batch" } else { "send" };
    let policy = ScriptedPolicy::new().method(MAKE, name, method);
    let mut session = open(policy, section).await.unwrap();
    session.deliver(&messages(count)).await
}

pub(crate) fn messages(count: usize) -> Vec<Message> {
    let mint = IdMint::random();
    let message = |_| {
        let id = mint.message(Timestamp::from_secs(1_700_000_000));
        let sender = "a@x.example".parse().unwrap();
        Message::new(id, sender, vec!["b@y.example".parse().unwrap()], Bytes::from_static(b"{}\n"))
    };
    (0..count).map(message).collect()
}

pub(crate) fn text(text: &str) -> Result<Returned, PolicyError> {
    Ok(Returned(vec![Value::from(text)]))
}

pub(crate) fn table(json: Json) -> Result<Returned, PolicyError> {
    Ok(Returned(vec![Value::Json(json)]))
}

pub(crate) fn reject(code: u16, text: &str, retry_after: Option<u64>) -> Result<Returned, PolicyError> {
    let retry_after = retry_after.map(Duration::from_secs);
    Err(PolicyError::Rejected(Rejected { retry_after, ..Rejected::new(code, text) }))
}

pub(crate) fn delivered(text: &str) -> Outcome {
    Outcome::Delivered(Response::plain(200, text))
}

/// What every failure of the script itself looks like: later, no peer, no more of this session.
#[track_caller]
pub(crate) fn assert_script_failed(outcome: &BatchOutcome, count: usize, content: &str) {
    let response = Response { code: 400, enhanced_code: None, content: content.into(), command: None };
    let expected = Outcome::Transient(response, None);
    assert_eq!(outcome, &BatchOutcome { outcomes: vec![expected; count], peer_spoke: false, session: Fate::Close });
}
