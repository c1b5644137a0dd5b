//! What the handler `lambda` of event hooks stands on: functions run in child processes, and what they want to be sent goes
//! through the guarded sender.

use super::plan::FunctionsSection;
use futures::future::BoxFuture;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use waybill_event_hooks::Functions;
use waybill_lambda::{Answer, Call, Outbound, Pool, Request};
use waybill_runtime::{Stop, Supervisor};
use waybill_webhook::Sender;
use waybill_webhook_core::EndpointConfig;
use waybill_webhook_sign::EventId;

/// The hidden command that a child is.
const WORKER: &str = "lambda-worker";
/// The time limit of one request of a function.
const REQUEST: Duration = Duration::from_secs(10);

/// Whoever runs functions. `supervisor` owns the task that ends idle children.
pub(crate) fn functions(sender: Sender, section: &FunctionsSection, supervisor: &Supervisor, stop: Stop) -> Pool {
    Pool::start(section.options([WORKER]), Arc::new(Guarded(sender)), supervisor, stop)
}

/// As event hooks see them.
pub(crate) fn in_children(pool: Pool) -> Arc<dyn Functions> {
    Arc::new(InChildren(pool))
}

struct InChildren(Pool);

impl Functions for InChildren {
    fn check<'a>(&'a self, chunks: &'a [String]) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move { self.0.check(chunks).await.map_err(|failure| failure.to_string()) })
    }

    fn run<'a>(
        &'a self,
        chunks: &'a [String],
        data: &'a Map<String, Value>,
        event: &'a str,
        source: &'a str,
        hops: u8,
    ) -> BoxFuture<'a, Result<Value, String>> {
        let call = Call {
            functions: chunks.to_vec(),
            data: Value::Object(data.clone()),
            event: event.to_owned(),
            source: source.to_owned(),
            hops,
        };
        Box::pin(async move { self.0.call(&call).await.map_err(|failure| failure.to_string()) })
    }
}

/// Sends what functions ask for, to addresses that event hooks may call.
struct Guarded(Sender);

impl Outbound for Guarded {
    fn send(&self, request: Request, hops: u8) -> BoxFuture<'_, Result<Answer, String>> {
        Box::pin(async move {
            let endpoint = json!({
                "url": request.url, "method": request.method, "headers": request.headers,
                "timeout": format!("{}s", REQUEST.as_secs()),
            });
            let config = EndpointConfig::from_json(endpoint.to_string().as_bytes());
            let endpoint = config.and_then(|config| self.0.endpoint(config)).map_err(|error| error.to_string())?;
            let id = EventId::new(format!("lambda-{}", uuid::Uuid::new_v4())).map_err(|error| error.to_string())?;
            let request = waybill_webhook::Request { hops, ..waybill_webhook::Request::new(id, request.body) };
            let attempt = self.0.send(&endpoint, request).await;
            match attempt.response {
                None => Err(attempt.to_string()),
                Some(response) => Ok(Answer {
                    status: response.status,
                    headers: in_one_map(&response.headers),
                    body: response.body.to_vec(),
                }),
            }
        })
    }
}

fn in_one_map(headers: &http::HeaderMap) -> BTreeMap<String, String> {
    let mut map: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        map.entry(name.as_str().to_owned())
            .and_modify(|values| values.extend([", ", &value]))
            .or_insert_with(|| value.clone().into_owned());
    }
    map
}
