//! Meta values and what is made of them.

use mlua::{Lua, Value};
use waybill_mime::headers;
use waybill_spool::{Message, MetaValue};

use crate::convert::{from_json, to_json};
use crate::error::raise;
use crate::record;

/// The meta fields that make the queue's name.
const QUEUE_PARTS: [&str; 4] = ["queue", "campaign", "tenant", "routing_domain"];

/// A meta value; for the record what [`record::getter`] takes for it.
pub(super) fn get(lua: &Lua, message: &Message, name: &str) -> mlua::Result<Value> {
    match message.meta(name) {
        None => Ok(Value::Nil),
        Some(MetaValue::Json(value)) => from_json(lua, &value),
        Some(MetaValue::Record(_)) => Ok(record::meant()),
    }
}

pub(super) fn set(lua: &Lua, message: &Message, name: &str, value: &Value) -> mlua::Result<()> {
    message.set_meta(name, to_json(lua, value)?);
    Ok(())
}

/// The name of the scheduled queue.
pub(super) fn queue_name(message: &Message) -> mlua::Result<String> {
    for name in QUEUE_PARTS {
        if let Err(value) = message.meta_text(name) {
            // In the words that scripts may know, odd as they are.
            return Err(raise(format!("expected '{name}' to be a string value, got Ok({value:?})")));
        }
    }
    message.queue_name().map(|name| name.as_str().to_owned()).map_err(raise)
}

/// Copies headers into meta: `X-Foo-Bar` becomes `x_foo_bar`, the last value wins. All `X-*` without names.
pub(super) fn import_x_headers(message: &Message, data: &[u8], names: Option<&[String]>) {
    for field in headers::fields(data) {
        let wanted = match names {
            Some(names) if !names.is_empty() => names.iter().any(|name| field.is(name)),
            _ => is_x(&field),
        };
        if wanted {
            message.set_meta(&field.name().to_lowercase().replace('-', "_"), field.value().into());
        }
    }
}

/// Whether a header is one of the `X-*`.
pub(super) fn is_x(field: &headers::Field<'_>) -> bool {
    matches!(field.name_bytes(), [b'x' | b'X', b'-', ..])
}
