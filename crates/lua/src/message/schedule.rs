//! When a message may be delivered.

use std::sync::Arc;

use bytes::Bytes;
use mlua::{Lua, Value};
use serde::Deserialize;
use waybill_mime::headers;
use waybill_spool::Message;
use waybill_types::{Objects, Schedule, Timestamp};

use crate::engine::Engine;
use crate::error::raise;
use crate::location;
use crate::modules::options;

/// `msg:set_scheduling { .. }`, or nil for no schedule.
pub(super) fn set(lua: &Lua, message: &Message, schedule: &Value) -> mlua::Result<()> {
    let schedule = match schedule {
        Value::Nil => Schedule::default(),
        schedule => options(lua, "msg:set_scheduling", schedule)?,
    };
    keep(message, schedule);
    Ok(())
}

/// The same from a header, whose value is that table as JSON. Nothing happens where there is no such header.
pub(super) fn import(
    lua: &Lua,
    message: &Message,
    data: &Bytes,
    (name, remove): (String, Option<bool>),
) -> mlua::Result<Value> {
    let Some(value) = headers::first(data, &name).map(|field| field.value()) else {
        return Ok(Value::Nil);
    };
    let schedule =
        Schedule::deserialize(Objects::new(&mut serde_json::Deserializer::from_str(&value))).map_err(|error| {
            let at = location::caller(lua);
            raise(format!("{at}: msg:import_scheduling_header: header '{name}': {error}, while processing {value}"))
        })?;
    keep(message, schedule);
    if remove == Some(true)
        && let Some(data) = headers::without(data, |field| field.is(&name))
    {
        message.set_data(data);
    }
    Ok(Value::Nil)
}

fn keep(message: &Message, schedule: Schedule) {
    message.set_schedule((!schedule.is_empty()).then(|| Arc::new(schedule)));
}

/// Sets when to try next, and gives when that will really be.
pub(crate) fn set_due(lua: &Lua, message: &Message, due: Option<Timestamp>) -> Option<Timestamp> {
    let Some(schedule) = message.schedule() else {
        message.set_due(due);
        return due;
    };
    let now = Engine::of(lua).map(|engine| engine.inner().settings.clock.now());
    let asked = due.or(now).unwrap_or_default();
    let allowed = schedule.apply(asked);
    let due = if due.is_none() && Some(allowed) == now { None } else { Some(allowed) };
    message.set_due(due);
    due
}
