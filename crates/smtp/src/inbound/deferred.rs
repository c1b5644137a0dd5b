//! `deferred_queue`: mail is taken first and shown to policy afterwards. It waits in a queue of its own, whose protocol is
//! the event `smtp_server_message_deferred_inject`; then it goes on to the queue that it names.

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value as Json;
use std::sync::Arc;
use std::time::Duration;
use waybill_delivery::{
    BatchOutcome, BatchPolicy, ConfigError, ConnectContext, ConnectError, DeliveryProtocol, Fate, Outcome, Peer, Route,
    RouteQuery, Session,
};
use waybill_policy::{ConnMeta, PolicyError, PolicyHost, Value};
use waybill_spool::Message;
use waybill_types::{QueueName, ReadyQueueName, Response};

const EVENT: &str = "smtp_server_message_deferred_inject";
/// The meta field that names a message's queue.
const QUEUE: &str = "queue";
/// What policy had said of the queue before the message was deferred.
const MEANT: &str = "deferred_from_queue";
/// How long policy may take over one message: as long as over one that is not deferred, by default.
const LIMIT: Duration = Duration::from_secs(300);

/// Puts a message into the queue of deferred injections. The name stands in its meta, so that it is there again after a
/// restart.
pub(super) fn defer(message: &Message) {
    if let Ok(Some(meant)) = message.meta_text(QUEUE) {
        message.set_meta(MEANT, meant.into());
    }
    message.set_meta(QUEUE, QueueName::DEFERRED_SMTP_INJECT.into());
}

/// The other way round.
fn undefer(message: &Message) {
    // It was shown before and could not go on: what it named then still counts.
    if message.meta_text(QUEUE).ok().flatten().as_deref() != Some(QueueName::DEFERRED_SMTP_INJECT) {
        return;
    }
    let meant = message.meta_text(MEANT).ok().flatten();
    message.set_meta(MEANT, Json::Null);
    message.set_meta(QUEUE, meant.map_or(Json::Null, Json::from));
}

/// Shows deferred mail to policy. The protocol of the queue `deferred_smtp_inject.kumomta.internal`.
#[derive(Clone)]
pub struct DeferredInjection {
    policy: Arc<dyn PolicyHost>,
}

impl DeferredInjection {
    /// With this policy.
    pub fn new(policy: Arc<dyn PolicyHost>) -> Self {
        DeferredInjection { policy }
    }

    async fn show(&self, message: &Message) -> Outcome {
        // Policy that fails half way must find the message as it was when it is asked again.
        let (data, meta) = (message.data(), message.overlay());
        let (sender, recipients) = (message.sender(), message.recipients());
        undefer(message);
        let outcome = self.ask(message).await;
        if !matches!(outcome, Outcome::Delivered(_)) {
            message.set_overlay(meta);
            message.set_sender(sender);
            message.set_recipients(recipients);
            if let Some(data) = data.filter(|data| message.data().as_ref() != Some(data)) {
                message.set_data(data);
            }
        }
        outcome
    }

    async fn ask(&self, message: &Message) -> Outcome {
        if self.policy.handles(EVENT) {
            // What the connection knew is in the meta of its mail; what policy writes there is for this call alone.
            let connection = Value::Connection(ConnMeta::new(message.overlay()));
            let call = self.policy.call(EVENT, vec![Value::Message(message.clone()), connection]);
            match tokio::time::timeout(LIMIT, call).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return refused(message, &error),
                Err(_) => return later(format!("4.4.5 {EVENT} took too long")),
            }
        }
        match message.queue_name() {
            Ok(queue) if queue.parts().domain == QueueName::DEFERRED_SMTP_INJECT => {
                later(format!("4.3.5 {EVENT} left the message in the queue of deferred injections"))
            }
            Ok(_) => Outcome::Delivered(Response::plain(250, "ok")),
            Err(why) => later(format!("4.3.5 {why}")),
        }
    }
}

fn later(text: String) -> Outcome {
    Outcome::Transient(Response::new(450, text), None)
}

/// A rejection says what becomes of the message; a mistake in a script is not the mail's fault.
fn refused(message: &Message, error: &PolicyError) -> Outcome {
    match error.rejected() {
        Some(rejected) if (500..600).contains(&rejected.code) => {
            Outcome::Permanent(Response::new(rejected.code, &rejected.text))
        }
        Some(rejected) => Outcome::Transient(Response::new(rejected.code, &rejected.text), rejected.retry_after),
        None => {
            tracing::error!(message = %message.id(), "{EVENT} failed: {error}");
            later(error.to_string().lines().next().unwrap_or_default().to_owned())
        }
    }
}

impl DeliveryProtocol for DeferredInjection {
    fn name(&self) -> &'static str {
        "deferred_smtp_injection"
    }

    fn route(&self, query: &RouteQuery<'_>) -> Result<Arc<dyn Route>, ConfigError> {
        let ready_queue = ReadyQueueName::compose(query.source(), query.queue.parts().domain, "defersmtpinject");
        Ok(Arc::new(DeferredRoute { ready_queue, injection: self.clone() }))
    }
}

struct DeferredRoute {
    ready_queue: ReadyQueueName,
    injection: DeferredInjection,
}

impl Route for DeferredRoute {
    fn ready_queue(&self) -> &ReadyQueueName {
        &self.ready_queue
    }

    fn batch(&self) -> BatchPolicy {
        BatchPolicy::single()
    }

    fn protocol(&self) -> &'static str {
        "DeferredSmtpInjection"
    }

    fn forwards(&self) -> bool {
        true
    }

    fn connect(&self, _: ConnectContext) -> BoxFuture<'_, Result<Box<dyn Session>, ConnectError>> {
        async { Ok(Box::new(self.injection.clone()) as Box<dyn Session>) }.boxed()
    }
}

impl Session for DeferredInjection {
    fn peer(&self) -> Option<Peer> {
        None
    }

    fn deliver<'a>(&'a mut self, batch: &'a [Message]) -> BoxFuture<'a, BatchOutcome> {
        async move {
            let mut outcomes = Vec::with_capacity(batch.len());
            for message in batch {
                outcomes.push(self.show(message).await);
            }
            BatchOutcome { outcomes, peer_spoke: false, session: Fate::Keep }
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async {}.boxed()
    }
}
