//! Handlers that say beside their function what it does, so that most events need not enter Lua.

use std::sync::Arc;

use mlua::{Function, Table};
use waybill_policy::{Args, Returned, Value};
use waybill_spool::Message;

use crate::error::raise;

/// The event that a rule may stand for.
pub(crate) const RULED: &str = "should_enqueue_log_record";

/// `should_enqueue_log_record` of a hook that wants every record: `{ hook = NAME, queue = QUEUE, handler = FUNCTION }`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct QueueRule {
    hook: Vec<u8>,
    queue: Arc<str>,
}

impl QueueRule {
    /// Reads the third argument of `kumo.on`. It stands for the function that it names and for no other: policy that
    /// puts a function of its own around the handlers of others, and passes on what it does not know, is called.
    pub(crate) fn from_lua(event: &str, rule: &Table, registered: &Function) -> mlua::Result<Option<Self>> {
        if event != RULED {
            return Err(raise(format!("kumo.on('{event}', ..): only '{RULED}' takes a rule")));
        }
        let field = |name: &str| {
            let text: Option<String> = rule.get(name)?;
            text.ok_or_else(|| raise(format!("kumo.on('{event}', ..): the rule has no '{name}'")))
        };
        let described = rule.get::<mlua::Value>("handler")?;
        let Some(described) = described.as_function() else {
            let got = described.type_name();
            return Err(raise(format!(
                "kumo.on('{event}', ..): the rule's 'handler' is to be the function that it describes, got {got}"
            )));
        };
        let rule = QueueRule { hook: field("hook")?.into_bytes(), queue: field("queue")?.into() };
        Ok((*described == *registered).then_some(rule))
    }

    /// What the handler returns, with what it does to the message done; `None` when it returns nothing.
    pub(crate) fn answer(&self, args: &Args) -> Option<Returned> {
        let [Value::Message(message), Value::Bytes(hook), ..] = args.as_slice() else { return None };
        if *hook != self.hook {
            return None;
        }
        let wanted = !is_of_log_message(message);
        if wanted {
            message.set_meta("queue", (*self.queue).into());
        }
        Some(Returned(vec![Value::Bool(wanted)]))
    }
}

/// The rules of the handlers of an event, kept for many calls; `None` for one that has only its function.
pub(crate) struct Rules(pub(crate) Option<Vec<Option<QueueRule>>>);

impl Rules {
    /// As [`answer`] gives it.
    pub(crate) fn answer(&self, args: &Args) -> Option<Returned> {
        answer(self.0.as_ref()?.iter().map(Option::as_ref), args)
    }
}

/// What handlers with these rules return; `None` when one is asked that has none.
pub(crate) fn answer<'r>(rules: impl Iterator<Item = Option<&'r QueueRule>>, args: &Args) -> Option<Returned> {
    for rule in rules {
        if let Some(returned) = rule?.answer(args) {
            return Some(returned);
        }
    }
    Some(Returned::default())
}

/// The queue that handlers with these rules give every record of a hook; `None` where one has to be asked, or none wants
/// any.
pub(crate) fn queue_of_all<'r>(rules: impl Iterator<Item = Option<&'r QueueRule>>, hook: &str) -> Option<&'r Arc<str>> {
    for rule in rules {
        let rule = rule?;
        if rule.hook == hook.as_bytes() {
            return Some(&rule.queue);
        }
    }
    None
}

/// The daemon keeps such records from hooks. One that slipped through would beget another for ever.
fn is_of_log_message(message: &Message) -> bool {
    message.record().is_none_or(|view| view.entry().is_of_log_message())
}
