//! What somebody wants, checked as far as it can be without calling anybody.

use super::EventHooks;
use crate::error::HookError;
use serde_json::{Map, Value};
use waybill_authorizer::{Action, Caller, Subject};
use waybill_event_hooks_core::{Document, Draft, Encoding, Handler, Hook, field_of};

impl EventHooks {
    /// A description, with the tenant that its maker is confined to.
    pub(super) async fn draft(
        &self,
        caller: &Caller,
        document: Document,
        encoding: Encoding,
    ) -> Result<Draft, HookError> {
        let document = confined(caller, document)?;
        let catalogue = self.0.ground.catalogue.read().clone();
        let draft = Draft::read(&document, encoding, &catalogue)?;
        if let Handler::Lambda(lambda) = &draft.handler {
            if !caller.may(Subject::EventHooks, Action::Lambda, None, draft.tenant.as_deref()) {
                return Err(HookError::NotAllowed("event_hooks:lambda".to_owned()));
            }
            let Some(functions) = &self.0.ground.arsenal.functions else {
                let why = "lambda is not to be had: this daemon runs no functions (untrusted_lua of kumo.configure_webhooks); \
                           use webhook, webhook-custom or log";
                return Err(HookError::Field { field: "handler".into(), why: why.to_owned() });
            };
            let checked = functions.check(&lambda.functions).await;
            checked.map_err(|why| HookError::Field { field: "config.functions".into(), why })?;
        }
        Ok(draft)
    }

    /// Whether the target of a hook would certainly be refused.
    pub(super) fn check_target(&self, hook: &Hook) -> Result<(), HookError> {
        let armed = self.0.ground.arsenal.arm(hook.clone());
        let Some(config) = &armed.config else { return Ok(()) };
        let checked = self.0.ground.arsenal.courier.check(config).err().or_else(|| armed.trouble());
        checked.map_or(Ok(()), |error| Err(HookError::Field { field: field_of(&error.field).into(), why: error.why }))
    }
}

/// What somebody makes who is confined to a tenant belongs to that tenant.
fn confined(caller: &Caller, document: Document) -> Result<Document, HookError> {
    let Some(tenant) = caller.tenant() else { return Ok(document) };
    let mut map: Map<String, Value> = document.into_object();
    match map.get("tenant") {
        None | Some(Value::Null) => {
            map.insert("tenant".to_owned(), tenant.into());
        }
        Some(Value::String(wanted)) if wanted == tenant => {}
        Some(_) => {
            let why = format!("this token is for the tenant {tenant:?} only");
            return Err(HookError::Field { field: "tenant".into(), why });
        }
    }
    Ok(map.into())
}
