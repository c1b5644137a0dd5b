//! Tests and pings: a hook fires because somebody says so.

use super::EventHooks;
use crate::armed::{Armed, Fired};
use crate::attempts::{About, AttemptRecord};
use crate::courier::Receipt;
use crate::error::HookError;
use crate::occurrence::Occurrence;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use uuid::Uuid;
use waybill_authorizer::Caller;
use waybill_event_hooks_core::{Handler, ping};
use waybill_types::ThrottleSpec;
use waybill_webhook_core::{Outcome, Rate};
use waybill_webhook_sign::EventId;

/// Tests and pings of one tenant, or of all who have none: enough for people, too few for a cannon.
const PROBES: &str = "30/min";
/// So many tenants are counted one by one; beyond all are forgotten.
const TENANTS: usize = 10_000;

/// What came of a test.
#[derive(Clone, PartialEq, Debug)]
pub struct Tested {
    /// The event as the hook saw it.
    pub data: Map<String, Value>,
    /// What its handler came to.
    pub result: Value,
}

impl EventHooks {
    /// Runs a hook once, now, with an event that somebody made up. Whether it would fire is not asked.
    ///
    /// # Errors
    /// When there is none, or too many were asked for. A target that fails is no error.
    pub async fn test(&self, caller: &Caller, id: Uuid, posted: Map<String, Value>) -> Result<Tested, HookError> {
        let armed = self.reached(caller, id)?.armed();
        self.count_probe(caller)?;
        let draft = &armed.hook.draft;
        let named = posted.get("event").and_then(Value::as_str).map(str::to_owned);
        let event = draft.event.clone().or(named).unwrap_or_else(|| "test".to_owned());
        let now = self.0.ground.clock.now();
        let entry = self.0.ground.mint.entry(now);
        let occurrence = Occurrence::made_up(entry, &draft.source, &event, now, posted.clone());
        let fired = self.fire_once(&armed, &occurrence).await;
        let mut data = posted;
        data.insert("event".to_owned(), event.into());
        data.insert("source".to_owned(), draft.source.clone().into());
        Ok(Tested { data, result: told(fired) })
    }

    async fn fire_once(&self, armed: &Arc<Armed>, occurrence: &Occurrence) -> Fired {
        let id = occurrence.id.hook_message_id(&armed.hook.id.to_string()).to_string();
        let fired = match EventId::new(id.clone()) {
            Ok(event_id) => armed.fire(event_id, std::slice::from_ref(occurrence)).await,
            Err(error) => Fired::Unfit(error.to_string()),
        };
        if let Fired::Sent(receipt) = &fired {
            self.note(armed, id, receipt);
        }
        fired
    }

    fn note(&self, armed: &Armed, event_id: String, receipt: &Receipt) {
        let about = About { offsets: Vec::new(), event_id, attempts_before: 0 };
        self.0.ground.attempts.add(armed.hook.id, AttemptRecord::of(armed, about, receipt));
    }

    /// Sends the ping document to a hook's target; gives the document.
    ///
    /// # Errors
    /// When there is none, its handler is another than `webhook`, too many were asked for, or the target did not take it.
    pub async fn ping(&self, caller: &Caller, id: Uuid) -> Result<Value, HookError> {
        let armed = self.reached(caller, id)?.armed();
        if !matches!(armed.hook.draft.handler, Handler::Webhook(_)) {
            let handler = armed.hook.draft.handler.name();
            return Err(HookError::Asked(format!(
                "only hooks with the handler webhook are pinged, and this is a {handler}"
            )));
        }
        self.count_probe(caller)?;
        let document = ping(&armed.hook);
        match self.send_ping(&armed, &document).await {
            Fired::Sent(Receipt { outcome: Outcome::Delivered, .. }) => Ok(document),
            Fired::Sent(receipt) => {
                let why = receipt.error.unwrap_or_else(|| "no success".to_owned());
                Err(HookError::Asked(format!("the target did not take the ping: {why}")))
            }
            Fired::Unfit(why) | Fired::Stumbled(why) => Err(HookError::Asked(format!("the ping was not sent: {why}"))),
            Fired::Logged(_) | Fired::Ran(_) => Ok(document),
        }
    }

    /// What somebody hears who has just been subscribed.
    pub(super) async fn first_ping(self, id: Uuid) {
        let shared = self.0.hooks.read().get(&id).map(|live| live.shared.clone());
        let Some(armed) = shared.map(|shared| shared.armed()) else { return };
        if let Fired::Sent(Receipt { error: Some(why), .. }) = self.send_ping(&armed, &ping(&armed.hook)).await {
            tracing::warn!(hook = %id, "its target did not take the ping: {why}");
        }
    }

    async fn send_ping(&self, armed: &Armed, document: &Value) -> Fired {
        let Handler::Webhook(webhook) = &armed.hook.draft.handler else {
            return Fired::Unfit("no webhook".to_owned());
        };
        let event_id = self.0.ground.mint.entry(self.0.ground.clock.now()).to_string();
        let fired = match EventId::new(event_id.clone()) {
            Ok(id) => armed.send(id, webhook.document(document), 0).await,
            Err(error) => Fired::Unfit(error.to_string()),
        };
        if let Fired::Sent(receipt) = &fired {
            self.note(armed, event_id, receipt);
        }
        fired
    }

    fn count_probe(&self, caller: &Caller) -> Result<(), HookError> {
        let now = self.0.ground.clock.now();
        let Ok(spec) = PROBES.parse::<ThrottleSpec>() else { return Ok(()) };
        let mut probes = self.0.probes.lock();
        if probes.len() >= TENANTS {
            probes.clear();
        }
        let rate = probes.entry(caller.tenant().map(str::to_owned)).or_insert_with(|| Rate::new(spec));
        let next = rate.next(now);
        if next > now {
            return Err(HookError::TooMany(next.since(now).as_secs() + 1));
        }
        rate.begin(now);
        Ok(())
    }
}

/// What came of firing, for whoever asked for it.
fn told(fired: Fired) -> Value {
    match fired {
        Fired::Sent(receipt) => {
            let answer = receipt.answer.as_ref();
            let headers: Map<String, Value> = answer
                .map(|answer| {
                    answer.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect()
                })
                .unwrap_or_default();
            let mut result = json!({
                "status": answer.map(|answer| answer.status),
                "headers": headers,
                "body": answer.map(|answer| String::from_utf8_lossy(&answer.body)),
            });
            if let Some(error) = receipt.error {
                result["error"] = error.into();
            }
            result
        }
        Fired::Logged(line) => json!({ "line": line }),
        Fired::Ran(value) => json!({ "returned": value }),
        Fired::Stumbled(error) | Fired::Unfit(error) => json!({ "error": error }),
    }
}
