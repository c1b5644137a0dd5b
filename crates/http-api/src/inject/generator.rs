//! Deferred injection: a request that was spooled as a message, generated when its turn has come.

use super::deliver::{AUTH_INFO, Failure, Origin};
use super::handler::Work;
use crate::api::Services;
use crate::auth::AuthInfo;
use crate::liveness;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use std::sync::Arc;
use waybill_authorizer::{Connection, Peer};
use waybill_delivery::{
    BatchOutcome, BatchPolicy, ConfigError, ConnectContext, ConnectError, DeliveryProtocol, Fate, Outcome, Route,
    RouteQuery, Session,
};
use waybill_spool::{Durability, Message};
use waybill_types::{ReadyQueueName, Response};

/// Delivers deferred injections: to the intake. The protocol of the queue `generator.kumomta.internal`.
#[derive(Clone)]
pub struct InjectionGenerator {
    services: Services,
    durability: Durability,
}

impl InjectionGenerator {
    /// Messages come as far as `durability` says before their request is done.
    pub fn new(services: Services, durability: Durability) -> Self {
        InjectionGenerator { services, durability }
    }
}

impl DeliveryProtocol for InjectionGenerator {
    fn name(&self) -> &'static str {
        "http_injection_generator"
    }

    fn route(&self, query: &RouteQuery<'_>) -> Result<Arc<dyn Route>, ConfigError> {
        let ready_queue = ReadyQueueName::compose(query.source(), query.queue.parts().domain, "httpinject:generator");
        Ok(Arc::new(GeneratorRoute { ready_queue, generator: self.clone() }))
    }
}

struct GeneratorRoute {
    ready_queue: ReadyQueueName,
    generator: InjectionGenerator,
}

impl Route for GeneratorRoute {
    fn ready_queue(&self) -> &ReadyQueueName {
        &self.ready_queue
    }

    fn batch(&self) -> BatchPolicy {
        BatchPolicy::single()
    }

    fn protocol(&self) -> &'static str {
        "HttpInjectionGenerator"
    }

    fn connect(&self, _: ConnectContext) -> BoxFuture<'_, Result<Box<dyn Session>, ConnectError>> {
        async { Ok(Box::new(self.generator.clone()) as Box<dyn Session>) }.boxed()
    }
}

impl Session for InjectionGenerator {
    fn peer(&self) -> Option<waybill_delivery::Peer> {
        None
    }

    fn deliver<'a>(&'a mut self, batch: &'a [Message]) -> BoxFuture<'a, BatchOutcome> {
        async move {
            let mut outcomes = Vec::with_capacity(batch.len());
            for message in batch {
                outcomes.push(self.generate(message).await);
            }
            BatchOutcome { outcomes, peer_spoke: false, session: Fate::Keep }
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async {}.boxed()
    }
}

impl InjectionGenerator {
    async fn generate(&self, message: &Message) -> Outcome {
        let later = |why: &str| Outcome::Transient(Response::new(451, format!("4.3.0 {why}")), None);
        if let Err(refusal) = liveness::check(&*self.services.intake) {
            return later(&refusal.text);
        }
        let json = message.data().unwrap_or_default();
        let work = match Work::again(self.origin(message), &json) {
            Ok(work) => work,
            Err(why) => return Outcome::Permanent(Response::new(500, format!("5.6.0 {why}"))),
        };
        let results = work.run(self.durability).await;
        let mut waiting = Vec::new();
        let (mut generated, mut failed, mut first) = (0_usize, 0_usize, None);
        for (number, (recipient, result)) in results.into_iter().enumerate() {
            match result {
                Ok(()) => generated += 1,
                Err(failure) => {
                    if matches!(failure, Failure::Later(_)) {
                        waiting.push(number);
                    } else {
                        failed += 1;
                    }
                    first.get_or_insert_with(|| format!("{}: {}", recipient.email, failure.why()));
                }
            }
        }
        if let Some(why) = &first {
            tracing::error!(message = %message.id(), "generated {generated}, failed {failed}; the first to fail: {why}");
        }
        if waiting.is_empty() {
            let more = first.map(|why| format!("; {why}")).unwrap_or_default();
            return Outcome::Delivered(Response::plain(250, format!("generated {generated}, failed {failed}{more}")));
        }
        // The others have their mail: only these are tried again.
        if let Some(rest) = only(&json, &waiting) {
            message.set_data(rest.into());
        }
        later(&first.unwrap_or_default())
    }

    /// As it was when the request came in.
    fn origin(&self, message: &Message) -> Origin {
        let text = |name: &str| message.meta_text(name).ok().flatten();
        let info = match message.meta(AUTH_INFO) {
            Some(waybill_spool::MetaValue::Json(info)) => info,
            _ => Value::Null,
        };
        let address = text("received_from").and_then(|text| text.parse().ok());
        let peer = address.map_or(Peer::Admin, Peer::ip);
        Origin {
            services: self.services.clone(),
            hostname: text("hostname").map_or_else(|| self.services.hostname.clone(), Into::into),
            who: Arc::new(AuthInfo::restored(peer, &info)),
            connection: Connection { peer, via: text("received_via").unwrap_or_default().into() },
            hops: message.hops(),
        }
    }
}

/// The request with these of its recipients only.
fn only(json: &[u8], wanted: &[usize]) -> Option<Vec<u8>> {
    let mut request: Value = serde_json::from_slice(json).ok()?;
    let recipients = request.get_mut("recipients")?.as_array_mut()?;
    let mut number = 0;
    recipients.retain(|_| {
        number += 1;
        wanted.contains(&(number - 1))
    });
    serde_json::to_vec(&request).ok()
}
