//! `kumo.event_hooks`: events of the policy's own.

use super::event_hooks::Happenings;
use super::plan::Names;
use mlua::{Lua, LuaSerdeExt, Table, Value};
use serde::Deserialize;
use std::fmt::Display;
use waybill_event_hooks::Told;
use waybill_event_hooks_core::EventInfo;
use waybill_lua::read_section;

/// What is said of an event that is published.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Described {
    fields: Names,
    unique: Option<Names>,
    description: Option<String>,
}

/// An error that says which function raised it.
fn raise(function: &str, why: impl Display) -> mlua::Error {
    mlua::Error::external(format!("kumo.event_hooks.{function}: {why}"))
}

/// Adds `kumo.event_hooks`.
pub(super) fn register(lua: &Lua, kumo: &Table, happenings: &Happenings) -> mlua::Result<()> {
    let module = lua.create_table()?;
    let known = happenings.clone();
    let publish = lua.create_function(move |lua, (source, event, described): (String, String, Option<Value>)| {
        publish(lua, &known, &source, &event, described)
    })?;
    let known = happenings.clone();
    let emit = lua.create_async_function(move |lua, (source, event, data): (String, String, Value)| {
        let known = known.clone();
        async move { emit(&lua, &known, source, event, data).await }
    })?;
    module.raw_set("publish", publish)?;
    module.raw_set("emit", emit)?;
    kumo.raw_set("event_hooks", module)
}

fn publish(
    lua: &Lua,
    happenings: &Happenings,
    source: &str,
    event: &str,
    described: Option<Value>,
) -> mlua::Result<()> {
    let described = match described {
        None | Some(Value::Nil) => Described::default(),
        Some(described) => {
            let json: serde_json::Value = lua.from_value(described).map_err(|error| raise("publish", error))?;
            read_section(&json).map_err(|error| raise("publish", error))?
        }
    };
    let Described { fields, unique, description } = described;
    let info = EventInfo { fields: fields.into_vec(), unique: unique.map(Names::into_vec), description };
    // Each state of the policy says the same again.
    happenings.catalogue.write().publish(source, event, info).map_err(|error| raise("publish", error))
}

/// Written down, where a hook waits for it, when this is done.
async fn emit(lua: &Lua, happenings: &Happenings, source: String, event: String, data: Value) -> mlua::Result<()> {
    let is_ours = waybill_event_hooks_core::Catalogue::new().events(&source).is_some();
    if is_ours || happenings.catalogue.read().event(&source, &event).is_none() {
        let why = format!("{source:?} {event:?} is not published: kumo.event_hooks.publish comes first");
        return Err(raise("emit", why));
    }
    let data: serde_json::Value = lua.from_value(data).map_err(|error| raise("emit", error))?;
    let data = match data {
        serde_json::Value::Object(data) => data,
        // An empty table is a list, too.
        serde_json::Value::Array(items) if items.is_empty() => serde_json::Map::new(),
        _ => return Err(raise("emit", "expected a table with the event's fields")),
    };
    let store = happenings.store.get().cloned();
    let store = store.ok_or_else(|| raise("emit", "the spool is not open yet"))?;
    let tenant = data.get("tenant").and_then(serde_json::Value::as_str).map(str::to_owned);
    let told = Told { source, event, tenant, about: Vec::new(), data };
    happenings.signals.tell(&*store, told).await.map_err(|error| raise("emit", error))
}
