//! Which events take many handlers, which must have one, and which result ends the round.

use std::collections::HashMap;
use std::sync::Arc;

use mlua::{Function, MultiValue, Value};

/// Events that take more than one handler. For all others a second one is an error.
const MANY: [&str; 7] = [
    "pre_init",
    "validate_config",
    "should_enqueue_log_record",
    "get_queue_config",
    "throttle_insert_ready_queue",
    "requeue_message",
    "get_acl_definition",
];

/// Events for which there is no sensible result without a handler. Constructors are the others.
const REQUIRED: [&str; 3] = ["get_egress_pool", "get_egress_source", "rebind_message"];

/// Whether an event takes more than one handler.
pub(crate) fn takes_many(event: &str) -> bool {
    MANY.contains(&event)
}

/// Whether an event without a handler is an error.
pub(crate) fn is_required(event: &str) -> bool {
    REQUIRED.contains(&event)
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

    /// All events that have a handler.
    pub(crate) fn events(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.keys()
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
        for event in MANY {
            assert!(next_decides(event, &result(&[])), "{event}");
            assert!(!next_decides(event, &result(&[Value::Boolean(false)])), "{event}");
        }
        assert!(next_decides("should_enqueue_log_record", &result(&nil)));
        assert!(next_decides("get_queue_config", &result(&nil)));
        assert!(!next_decides("requeue_message", &result(&nil)));
    }
}
