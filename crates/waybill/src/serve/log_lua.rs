//! `kumo.log`: logs of the daemon, for its policy.

use mlua::{FromLua, Lua, LuaString, Table, Value};
use std::fmt::Display;
use waybill_streams::{Late, Streams, Unsent};
use waybill_types::parse_duration;

const MESSAGE: [&str; 3] = ["key", "value", "time"];
const OPTIONS: [&str; 5] = ["offset", "offset_id", "time", "len", "poll"];

/// An error that says which function raised it.
fn raise(function: &str, why: impl Display) -> mlua::Error {
    mlua::Error::external(format!("kumo.log.{function}: {why}"))
}

/// Adds `kumo.log`.
pub(super) fn register(lua: &Lua, kumo: &Table, streams: &Late) -> mlua::Result<()> {
    let module = lua.create_table()?;
    let late = streams.clone();
    let publish = lua.create_async_function(move |lua, (log, what): (String, Table)| {
        let late = late.clone();
        async move { publish(&lua, opened(&late, "publish")?, &log, &what).await }
    })?;
    let late = streams.clone();
    let consume = lua.create_async_function(move |lua, (log, options): (String, Option<Table>)| {
        let late = late.clone();
        async move { consume(&lua, opened(&late, "consume")?, &log, options).await }
    })?;
    module.raw_set("publish", publish)?;
    module.raw_set("consume", consume)?;
    kumo.raw_set("log", module)
}

fn opened(late: &Late, function: &str) -> mlua::Result<Streams> {
    late.opened().ok_or_else(|| raise(function, "the spool is not open yet"))
}

/// One message, or a list of them; the offset behind the last, once they are synced.
async fn publish(lua: &Lua, streams: Streams, log: &str, what: &Table) -> mlua::Result<u64> {
    let mut messages = Vec::new();
    if what.raw_len() == 0 {
        messages.push(message(lua, "message", what)?);
    }
    for (number, item) in what.sequence_values::<Value>().enumerate() {
        let at = format!("message {}", number + 1);
        match item? {
            Value::Table(item) => messages.push(message(lua, &at, &item)?),
            other => return Err(raise("publish", format!("{at}: expected a table, not {}", other.type_name()))),
        }
    }
    streams.publish_bytes(log, messages).await.map_err(|error| raise("publish", error))
}

fn message(lua: &Lua, at: &str, table: &Table) -> mlua::Result<Unsent> {
    known("publish", at, table, &MESSAGE)?;
    Ok(Unsent {
        time: field(lua, at, table, "time")?,
        key: text(lua, at, table, "key")?,
        value: text(lua, at, table, "value")?,
    })
}

fn text(lua: &Lua, at: &str, table: &Table, name: &str) -> mlua::Result<Option<bytes::Bytes>> {
    let text: Option<LuaString> = field(lua, at, table, name)?;
    Ok(text.map(|text| bytes::Bytes::copy_from_slice(&text.as_bytes())))
}

fn field<T: FromLua>(lua: &Lua, at: &str, table: &Table, name: &str) -> mlua::Result<Option<T>> {
    let value: Value = table.get(name)?;
    if value.is_nil() {
        return Ok(None);
    }
    T::from_lua(value, lua).map(Some).map_err(|error| raise("publish", format!("{at}: {name}: {error}")))
}

/// A name that means nothing is a mistake.
fn known(function: &str, at: &str, table: &Table, names: &[&str]) -> mlua::Result<()> {
    for pair in table.pairs::<Value, Value>() {
        let (name, _) = pair?;
        let text = name.to_string()?;
        if !names.contains(&text.as_str()) {
            let expected = names.join("`, `");
            return Err(raise(function, format!("{at}: unknown field `{text}`, expected one of `{expected}`")));
        }
    }
    Ok(())
}

/// `{ next_offset, messages = { { offset, time, key, value }, ... } }`.
async fn consume(lua: &Lua, streams: Streams, log: &str, options: Option<Table>) -> mlua::Result<Table> {
    let mut query = Vec::new();
    if let Some(options) = options {
        known("consume", "options", &options, &OPTIONS)?;
        for name in OPTIONS {
            let value: Value = options.get(name)?;
            if value.is_nil() {
                continue;
            }
            let text = value.to_string()?;
            let text = match name {
                "poll" => {
                    let wait = parse_duration(&text).map_err(|error| raise("consume", format!("poll: {error}")))?;
                    wait.as_millis().to_string()
                }
                _ => text,
            };
            query.push((name.to_owned(), text));
        }
    }
    let found = streams.consume_bytes(log, &query).await.map_err(|error| raise("consume", error))?;
    let messages = lua.create_table()?;
    for (offset, message) in &found.messages {
        let shown = lua.create_table()?;
        shown.raw_set("offset", *offset)?;
        shown.raw_set("time", message.time)?;
        for (name, bytes) in [("key", &message.key), ("value", &message.value)] {
            if let Some(bytes) = bytes {
                shown.raw_set(name, lua.create_string(bytes)?)?;
            }
        }
        messages.raw_push(shown)?;
    }
    let answer = lua.create_table()?;
    answer.raw_set("next_offset", found.next)?;
    answer.raw_set("messages", messages)?;
    Ok(answer)
}
