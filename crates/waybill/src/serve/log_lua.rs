//! `kumo.log`: logs of the daemon, for its policy.

use mlua::{Lua, Table, Value};
use std::fmt::Display;
use waybill_lua_util::duration;
use waybill_streams::{Late, Streams, Unsent};
use waybill_streams_core::{Id, Kind};

/// What `publish` is given in place of a message, or of one in a list.
const MESSAGE: &str = "a message, as a table with key, value and time";
const FIELDS: [&str; 3] = ["key", "value", "time"];
const OPTIONS: [&str; 5] = ["offset", "offset_id", "time", "len", "poll"];

/// An error that says which function raised it.
fn raise(function: &str, why: impl Display) -> mlua::Error {
    mlua::Error::external(format!("kumo.log.{function}: {why}"))
}

/// Adds `kumo.log`.
pub(super) fn register(lua: &Lua, kumo: &Table, streams: &Late) -> mlua::Result<()> {
    let module = lua.create_table()?;
    let late = streams.clone();
    let publish = lua.create_async_function(move |_, (log, what): (Value, Value)| {
        let late = late.clone();
        async move {
            const NAME: &str = "publish";
            let wrong = |why| raise(NAME, why);
            let (log, messages) = (id(&log).map_err(wrong)?, messages(&what)?);
            opened(&late, NAME)?.publish_bytes(&log, messages).await.map_err(|error| raise(NAME, error))
        }
    })?;
    let late = streams.clone();
    let consume = lua.create_async_function(move |lua, (log, options): (Value, Value)| {
        let late = late.clone();
        async move {
            const NAME: &str = "consume";
            let wrong = |why| raise(NAME, why);
            let (log, query) = (id(&log).map_err(wrong)?, query(&options).map_err(wrong)?);
            consume(&lua, &opened(&late, NAME)?, &log, &query).await
        }
    })?;
    module.raw_set("publish", publish)?;
    module.raw_set("consume", consume)?;
    kumo.raw_set("log", module)
}

fn opened(late: &Late, function: &str) -> mlua::Result<Streams> {
    late.opened().ok_or_else(|| raise(function, "the spool is not open yet"))
}

fn expected(what: &str, value: &Value) -> String {
    format!("expected {what}, got {}", value.type_name())
}

fn id(log: &Value) -> Result<String, String> {
    text(log).ok_or_else(|| expected("the id of a log", log))
}

fn text(value: &Value) -> Option<String> {
    value.as_string().and_then(|text| text.to_str().ok().map(|text| text.to_owned()))
}

/// A whole number, however Lua keeps it.
fn whole(value: &Value) -> Result<i64, String> {
    let number = match value {
        Value::Integer(number) => Some(*number),
        #[expect(clippy::cast_possible_truncation, reason = "one that is beyond an i64 does not come back as it was")]
        Value::Number(number) => Some(*number as i64).filter(|whole| Value::Integer(*whole) == *value),
        _ => None,
    };
    let shown = || value.as_f64().map_or_else(|| value.type_name().to_owned(), |number| number.to_string());
    number.ok_or_else(|| format!("expected a whole number, got {}", shown()))
}

/// One message, or a list of them.
fn messages(what: &Value) -> mlua::Result<Vec<Unsent>> {
    let wrong = |at: &str, why: String| raise("publish", format_args!("{at}: {why}"));
    let Value::Table(table) = what else { return Err(wrong("message", expected(MESSAGE, what))) };
    // A table without anything is a list of none: whoever has gathered nothing publishes nothing, as over HTTP.
    if table.raw_len() == 0 && !table.is_empty() {
        return Ok(vec![message(what).map_err(|why| wrong("message", why))?]);
    }
    let mut messages = Vec::with_capacity(table.raw_len());
    for pair in table.pairs::<Value, Value>() {
        let (key, item) = pair?;
        let at = format!("message {}", messages.len() + 1);
        if !key.is_integer() {
            return Err(wrong(&at, format!("expected {MESSAGE}, or a list of them, and {} is no index", shown(&key))));
        }
        messages.push(message(&item).map_err(|why| wrong(&at, why))?);
    }
    Ok(messages)
}

fn message(item: &Value) -> Result<Unsent, String> {
    let Value::Table(table) = item else { return Err(expected(MESSAGE, item)) };
    let mut unsent = Unsent::default();
    for (name, value) in fields(table, &FIELDS)? {
        let bytes = || match value.as_string() {
            Some(text) => Ok(bytes::Bytes::copy_from_slice(&text.as_bytes())),
            None => Err(format!("{name}: {}", expected("a text", &value))),
        };
        match name {
            "key" => unsent.key = Some(bytes()?),
            "value" => unsent.value = Some(bytes()?),
            _ => unsent.time = Some(whole(&value).map_err(|why| format!("{name}: {why}"))?),
        }
    }
    Ok(unsent)
}

/// The fields of a table that are set; a name that means nothing is a mistake.
fn fields(table: &Table, names: &[&'static str]) -> Result<Vec<(&'static str, Value)>, String> {
    let mut fields = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let (name, value) = pair.map_err(|error| error.to_string())?;
        let known = names.iter().find(|known| text(&name).is_some_and(|name| name == **known));
        let unknown = || format!("unknown field `{}`, expected one of `{}`", shown(&name), names.join("`, `"));
        fields.push((*known.ok_or_else(unknown)?, value));
    }
    Ok(fields)
}

fn shown(key: &Value) -> String {
    key.to_string().unwrap_or_else(|_| key.type_name().to_owned())
}

/// The options of `consume` as the query over HTTP has them.
fn query(options: &Value) -> Result<Vec<(String, String)>, String> {
    let table = match options {
        Value::Nil => return Ok(Vec::new()),
        Value::Table(table) => table,
        other => return Err(expected("a table of options", other)),
    };
    let mut query = Vec::new();
    for (name, value) in fields(table, &OPTIONS)? {
        let read = match name {
            "offset_id" => match text(&value) {
                Some(id) => Id::parse(Kind::Offset, &id)
                    .map(|id| id.to_string())
                    .map_err(|error| format!("expected the id of an offset, got {id:?}: {error}")),
                None => Err(expected("the id of an offset", &value)),
            },
            "poll" => duration::from_lua(&value).map(|wait| wait.as_millis().to_string()),
            "len" => match whole(&value) {
                Ok(len) if len < 1 => Err(format!("expected a number above zero, got {len}")),
                len => len.map(|len| len.to_string()),
            },
            _ => whole(&value).map(|number| number.to_string()),
        };
        query.push((name.to_owned(), read.map_err(|why| format!("{name}: {why}"))?));
    }
    Ok(query)
}

/// `{ next_offset, messages = { { offset, time, key, value }, ... } }`.
async fn consume(lua: &Lua, streams: &Streams, log: &str, query: &[(String, String)]) -> mlua::Result<Table> {
    let found = streams.consume_bytes(log, query).await.map_err(|error| raise("consume", error))?;
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
