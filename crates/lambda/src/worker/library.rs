//! What functions have besides Lua's own tables: `http.request`, `json`, `null`, `print`.

use super::Host;
use super::convert::{to_json, to_lua};
use crate::call::MAX_DATA;
use crate::outbound::Request;
use mlua::chunk::ChunkMode;
use mlua::{Error, Function, Lua, LuaString, MultiValue, Result, Table, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Requests that one call may make.
const MAX_REQUESTS: usize = 16;
/// Lines that one call may print, and bytes of one.
const MAX_LINES: usize = 100;
const MAX_LINE: usize = 1024;
/// Bytes of a request's URL and headers together.
const MAX_HEAD: usize = 64 * 1024;

/// Lua runs the handler of its own `xpcall` where the error is raised; for an error out of a hook that is within the hook,
/// where no other hook runs, and so nothing could stop it.
const XPCALL: &str = "
local pcall, select = pcall, select
local function handled(handler, ok, ...)
  if ok then return true, ... end
  return false, select(2, pcall(handler, ...))
end
function xpcall(f, handler, ...) return handled(handler, pcall(f, ...)) end
";

pub(super) fn install(lua: &Lua, host: &Arc<dyn Host>) -> Result<()> {
    let globals = lua.globals();
    globals.set("null", Value::NULL)?;
    let json = lua.create_table()?;
    json.set("encode", lua.create_function(encode)?)?;
    json.set("decode", lua.create_function(decode)?)?;
    globals.set("json", json)?;
    globals.set("print", print(lua, host.clone())?)?;
    let http = lua.create_table()?;
    http.set("request", request(lua, host.clone())?)?;
    lua.load(XPCALL).set_name("=[lambda]").set_mode(ChunkMode::Text).exec()?;
    globals.set("http", http)
}

fn encode(lua: &Lua, value: Value) -> Result<String> {
    to_json(lua, &value).map(|json| json.to_string()).map_err(|why| raise(format!("json.encode: the value {why}")))
}

fn decode(lua: &Lua, text: LuaString) -> Result<Value> {
    let json = serde_json::from_slice(&text.as_bytes()).map_err(|error| raise(format!("json.decode: {error}")))?;
    to_lua(lua, &json)
}

/// `print`, whose lines go to the daemon's log: standard output belongs to the protocol.
fn print(lua: &Lua, host: Arc<dyn Host>) -> Result<Function> {
    let printed = AtomicUsize::new(0);
    let tostring: Function = lua.globals().get("tostring")?;
    lua.create_function(move |_, values: MultiValue| {
        let mut line = Vec::new();
        for value in values {
            if !line.is_empty() {
                line.push(b'\t');
            }
            line.extend_from_slice(&tostring.call::<LuaString>(value)?.as_bytes());
            line.truncate(MAX_LINE);
        }
        if printed.fetch_add(1, Ordering::Relaxed) < MAX_LINES {
            host.log(String::from_utf8_lossy(&line).into_owned());
        }
        Ok(())
    })
}

/// `http.request { method, url, headers, body }`: a table with `status`, `headers` and `body`, or nil and why not.
fn request(lua: &Lua, host: Arc<dyn Host>) -> Result<Function> {
    let made = AtomicUsize::new(0);
    lua.create_function(move |lua, options: Table| {
        let request = read(&options)?;
        if made.fetch_add(1, Ordering::Relaxed) >= MAX_REQUESTS {
            return Err(raise(format!("http.request: one event may make {MAX_REQUESTS} requests")));
        }
        let answer = match host.http(request) {
            Ok(answer) => answer,
            Err(why) => return Ok((Value::Nil, Some(why))),
        };
        let table = lua.create_table()?;
        table.set("status", answer.status)?;
        table.set("headers", answer.headers)?;
        table.set("body", lua.create_string(&answer.body)?)?;
        Ok((Value::Table(table), None))
    })
}

fn read(options: &Table) -> Result<Request> {
    let (mut method, mut url, mut headers, mut body) = (None, None, BTreeMap::new(), Vec::new());
    for pair in options.pairs::<LuaString, Value>() {
        let (name, value) = pair.map_err(|_| raise("http.request: a name of an option is not a string"))?;
        match (name.to_string_lossy().as_str(), value) {
            ("method", Value::String(text)) => method = Some(text.to_string_lossy()),
            ("url", Value::String(text)) => url = Some(text.to_string_lossy()),
            ("body", Value::String(text)) => body = text.as_bytes().to_vec(),
            ("headers", Value::Table(table)) => {
                for pair in table.pairs::<String, String>() {
                    let (name, value) =
                        pair.map_err(|_| raise("http.request: headers: names and values are strings"))?;
                    headers.insert(name, value);
                }
            }
            (known @ ("method" | "url" | "body" | "headers"), other) => {
                let wanted = if known == "headers" { "table" } else { "string" };
                return Err(raise(format!("http.request: {known} is a {wanted}, not a {}", other.type_name())));
            }
            (unknown, _) => {
                return Err(raise(format!(
                    "http.request: there is no option {unknown:?}; there are method, url, headers and body"
                )));
            }
        }
    }
    let url: String = url.ok_or_else(|| raise("http.request: url is missing"))?;
    let head = url.len() + headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    if head > MAX_HEAD || body.len() > MAX_DATA {
        return Err(raise(format!("http.request: url and headers may have {MAX_HEAD} bytes, the body {MAX_DATA}")));
    }
    let method = method.unwrap_or_else(|| if body.is_empty() { "GET" } else { "POST" }.to_owned());
    Ok(Request { method, url, headers, body })
}

fn raise(text: impl Into<String>) -> Error {
    Error::external(text.into())
}
