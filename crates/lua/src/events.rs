//! Which events take many handlers, which must have one, and which result ends the round.

use std::collections::HashMap;
use std::sync::Arc;

use mlua::{Function, MultiValue, Value};
use serde::Serialize;

use crate::rule::QueueRule;

/// An event that somebody calls by a name of its own. Constructors, filters, `log_disposition_NAME` and the targets of
/// `spawn_task` have names of the policy's choice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct KnownEvent {
    /// The name in `kumo.on`.
    pub name: &'static str,
    /// Whether it takes more than one handler. For all others, known or not, a second one is an error.
    pub many: bool,
    /// Whether there is no sensible result without a handler. Constructors are the others of this kind.
    pub required: bool,
}

/// Every such event (contract/kumomta.md section 3). `cargo xtask docs --check` compares it with who calls them.
pub const EVENTS: &[KnownEvent] = &[
    many("pre_init"),
    one("init"),
    many("validate_config"),
    one("main"),
    one("shutdown_logging"),
    one("smtp_server_get_dynamic_parameters"),
    one("smtp_server_connection_accepted"),
    one("smtp_server_ehlo"),
    one("smtp_server_auth_plain"),
    one("smtp_server_mail_from"),
    one("get_listener_domain"),
    one("smtp_server_rcpt_to"),
    one("smtp_server_data"),
    one("smtp_server_split_transaction"),
    one("smtp_server_message_received"),
    one("smtp_server_message_deferred_inject"),
    one("smtp_server_rewrite_response"),
    one("smtp_client_rewrite_delivery_status"),
    one("http_message_generated"),
    one("xfer_message_received"),
    one("http_server_validate_auth_basic"),
    one("http_server_validate_auth_bearer"),
    many("get_acl_definition"),
    many("get_queue_config"),
    required("get_egress_pool"),
    required("get_egress_source"),
    one("get_egress_path_config"),
    many("throttle_insert_ready_queue"),
    many("requeue_message"),
    required("rebind_message"),
    one("spool_message_enumerated"),
    many("should_enqueue_log_record"),
    one("log_disposition_NAME"),
];

const fn one(name: &'static str) -> KnownEvent {
    KnownEvent { name, many: false, required: false }
}

const fn many(name: &'static str) -> KnownEvent {
    KnownEvent { name, many: true, required: false }
}

const fn required(name: &'static str) -> KnownEvent {
    KnownEvent { name, many: false, required: true }
}

fn known(event: &str) -> Option<&'static KnownEvent> {
    EVENTS.iter().find(|known| known.name == event)
}

/// Whether an event takes more than one handler.
pub(crate) fn takes_many(event: &str) -> bool {
    known(event).is_some_and(|known| known.many)
}

/// Whether an event without a handler is an error.
pub(crate) fn is_required(event: &str) -> bool {
    known(event).is_some_and(|known| known.required)
}

/// Whether the round goes on with the next handler after this result.
///
/// No value at all means "not mine" everywhere. A nil means the same where the documents say so.
pub(crate) fn next_decides(event: &str, result: &MultiValue) -> bool {
    match result.front() {
        None => true,
        Some(Value::Nil) => matches!(event, "should_enqueue_log_record" | "get_queue_config"),
        Some(_) => false,
    }
}

/// One registered handler.
pub(crate) struct Handler {
    pub(crate) function: Function,
    /// `FILE:LINE` of the call to `kumo.on`.
    pub(crate) at: String,
    /// The stack of that call.
    pub(crate) stack: String,
    /// What the function does, where it was said beside it: then it need not be called.
    pub(crate) rule: Option<QueueRule>,
}

/// The handlers of one state.
#[derive(Default)]
pub(crate) struct Handlers(HashMap<Arc<str>, Vec<Handler>>);

impl Handlers {
    /// Adds a handler.
    ///
    /// # Errors
    /// The text to raise when the event has one and takes only one.
    pub(crate) fn add(&mut self, event: &str, handler: Handler) -> Result<(), String> {
        let handlers = self.0.entry(event.into()).or_default();
        match handlers.first() {
            Some(first) if !takes_many(event) => {
                Err(format!("{event} event already has a handler defined at {}", first.at))
            }
            _ => {
                handlers.push(handler);
                Ok(())
            }
        }
    }

    /// The handlers of an event, in order of registration.
    pub(crate) fn of(&self, event: &str) -> &[Handler] {
        self.0.get(event).map_or(&[], Vec::as_slice)
    }

    /// All events that have a handler, each with where its handlers are.
    pub(crate) fn places(&self) -> impl Iterator<Item = (Arc<str>, Vec<String>)> {
        self.0
            .iter()
            .map(|(event, handlers)| (event.clone(), handlers.iter().map(|handler| handler.at.clone()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(values: &[Value]) -> MultiValue {
        values.iter().cloned().collect()
    }

    #[test]
    fn nothing_is_never_final_and_nil_only_for_some_events() {
        let nil = [Value::Nil];
        for event in EVENTS.iter().filter(|event| event.many).map(|event| event.name) {
            assert!(next_decides(event, &result(&[])), "{event}");
            assert!(!next_decides(event, &result(&[Value::Boolean(false)])), "{event}");
        }
        assert!(next_decides("should_enqueue_log_record", &result(&nil)));
        assert!(next_decides("get_queue_config", &result(&nil)));
        assert!(!next_decides("requeue_message", &result(&nil)));
    }
}
