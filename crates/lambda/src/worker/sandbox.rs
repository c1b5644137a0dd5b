//! A fresh Lua environment for each call: what one leaves behind, no other sees.

use super::Host;
use super::budget::Budget;
use super::convert::{to_json, to_lua};
use super::failed::{failed, name, place, script_error};
use super::library;
use crate::call::{Call, MAX_DATA, ScriptError};
use crate::protocol::Limits;
use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, LuaOptions, StdLib, Table, Value};
use serde_json::Value as Json;
use std::sync::Arc;

/// Tables of Lua that compute, and nothing else.
const LIBRARIES: [StdLib; 5] = [StdLib::COROUTINE, StdLib::TABLE, StdLib::STRING, StdLib::UTF8, StdLib::MATH];
/// What Lua's base has nevertheless, and functions must not: code from strings and files, the collector, standard error.
const TAKEN_AWAY: [&str; 7] = ["collectgarbage", "dofile", "load", "loadfile", "loadstring", "require", "warn"];

/// Whether all functions compile. Nothing of them runs.
pub(super) fn check(functions: &[String]) -> Result<(), ScriptError> {
    let lua = Lua::new_with(StdLib::NONE, LuaOptions::new()).map_err(|error| failed(1, &error))?;
    functions.iter().zip(1..).try_for_each(|(source, number)| compile(&lua, number, source).map(|_| ()))
}

/// Runs the functions, one after the other; what the last returns.
pub(super) fn run(call: &Call, pid: u32, limits: Limits, host: Arc<dyn Host>) -> Result<Json, ScriptError> {
    let lua = state(limits.memory, &host).map_err(|error| failed(1, &error))?;
    let budget = Budget::start(&lua, limits.instructions).map_err(|error| failed(1, &error))?;
    let result = chain(&lua, call, pid, &budget);
    // Before it is told: the end of a state runs finalizers, which may never end, and then there is no result.
    drop(lua);
    result
}

fn state(memory: usize, host: &Arc<dyn Host>) -> mlua::Result<Lua> {
    let libraries = LIBRARIES.into_iter().fold(StdLib::NONE, |all, one| all | one);
    let lua = Lua::new_with(libraries, LuaOptions::new())?;
    lua.set_memory_limit(memory)?;
    let globals = lua.globals();
    for gone in TAKEN_AWAY {
        globals.raw_remove(gone)?;
    }
    globals.get::<Table>("string")?.raw_remove("dump")?;
    library::install(&lua, host)?;
    Ok(lua)
}

fn chain(lua: &Lua, call: &Call, pid: u32, budget: &Budget) -> Result<Json, ScriptError> {
    let mut data = to_lua(lua, &call.data).map_err(|error| failed(1, &error))?;
    for (source, number) in call.functions.iter().zip(1..) {
        let result = one(lua, number, source, (data, call.event.as_str(), call.source.as_str(), pid));
        if let Some(stopped) = budget.exceeded() {
            let place = place(&format!("{}:{}:", stopped.chunk, stopped.line.unwrap_or_default()))
                .map_or((number, None), |(number, line, _)| (number, Some(line)));
            return Err(script_error(place.0, place.1, &budget.said()));
        }
        data = result?;
    }
    let last = call.functions.len();
    let result = to_json(lua, &data).map_err(|why| script_error(last, None, &format!("what it returned {why}")))?;
    match result.to_string().len() {
        0..=MAX_DATA => Ok(result),
        length => {
            let why = format!("what it returned has {length} bytes as JSON, and may have {MAX_DATA}");
            Err(script_error(last, None, &why))
        }
    }
}

fn one(lua: &Lua, number: usize, source: &str, arguments: (Value, &str, &str, u32)) -> Result<Value, ScriptError> {
    let chunk = compile(lua, number, source)?;
    let function = match chunk.call::<Value>(()).map_err(|error| failed(number, &error))? {
        Value::Function(function) => function,
        other => {
            let why = format!("returned a {}, not a function(data, event, source, pid)", other.type_name());
            return Err(script_error(number, None, &why));
        }
    };
    match function.call::<(Value, Value)>(arguments).map_err(|error| failed(number, &error))? {
        (Value::Nil, Value::Nil) => Ok(Value::Nil),
        (Value::Nil, why) => {
            let why = why.to_string().unwrap_or_else(|_| format!("a {}", why.type_name()));
            Err(script_error(number, None, &why))
        }
        (data, _) => Ok(data),
    }
}

fn compile(lua: &Lua, number: usize, source: &str) -> Result<Function, ScriptError> {
    if source.starts_with('\u{1b}') {
        return Err(script_error(number, None, "this is compiled Lua, which is not taken: give the source"));
    }
    let chunk = lua.load(source).set_name(format!("={}", name(number))).set_mode(ChunkMode::Text);
    chunk.into_function().map_err(|error| failed(number, &error))
}

#[cfg(test)]
#[path = "sandbox_tests.rs"]
mod tests;
