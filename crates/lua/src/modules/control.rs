//! Events and the flow of control: `on`, `get_event_registrars`, `reject`, `disconnect`, `sleep`.

use std::time::Duration;

use mlua::{Function, Lua, Table, Value};
use waybill_policy::{Ending, Rejected};

use crate::error::{RejectError, raise};
use crate::events::{Handler, Handlers};
use crate::location;
use crate::rule::QueueRule;
use crate::state::{Here, TOP_LEVEL};

pub(super) fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    kumo.set("on", lua.create_function(on)?)?;
    kumo.set("get_event_registrars", lua.create_function(registrars)?)?;
    kumo.set("reject", lua.create_function(reject)?)?;
    kumo.set("disconnect", lua.create_function(disconnect)?)?;
    kumo.set("sleep", lua.create_async_function(sleep)?)
}

/// The event whose handler is running; empty at the top level.
pub(super) fn current_event(lua: &Lua) -> String {
    lua.app_data_ref::<Here>().map_or_else(String::new, |here| here.watch.event().to_string())
}

/// The third argument is ours: what the function does, in so many words.
fn on(lua: &Lua, (event, function, rule): (String, Function, Option<Table>)) -> mlua::Result<()> {
    let current = current_event(lua);
    if !matches!(current.as_str(), TOP_LEVEL | "main") {
        return Err(raise(format!(
            "kumo.on('{event}', ..) is called within the handler of '{current}': handlers are registered at the top \
             level of the policy"
        )));
    }
    let rule = rule.map(|rule| QueueRule::from_lua(&event, &rule, &function)).transpose()?.flatten();
    let stack = lua.traceback(None, 1)?.to_string_lossy();
    let handler = Handler { function, at: location::caller(lua), stack, rule };
    let mut handlers = lua.app_data_mut::<Handlers>().ok_or_else(|| raise("this state has no events"))?;
    handlers.add(&event, handler).map_err(raise)
}

/// The stacks of the calls that registered handlers of an event.
fn registrars(lua: &Lua, event: String) -> mlua::Result<Vec<String>> {
    let handlers = lua.app_data_ref::<Handlers>();
    Ok(handlers.map_or_else(Vec::new, |handlers| handlers.of(&event).iter().map(|h| h.stack.clone()).collect()))
}

/// The third argument is ours: `{ retry_after = seconds }`.
fn reject(lua: &Lua, (code, text, options): (u16, String, Option<Table>)) -> mlua::Result<()> {
    let mut rejected = Rejected::new(code, text);
    if let Some(options) = options {
        options.for_each(|key: String, value: Value| {
            if key != "retry_after" {
                return Err(raise(format!("kumo.reject: unknown option '{key}', expected 'retry_after'")));
            }
            rejected.retry_after = Some(seconds(lua, value, "kumo.reject: retry_after")?);
            Ok(())
        })?;
    }
    Err(mlua::Error::external(RejectError(rejected)))
}

/// Rejects and says what becomes of the session. Without a mode the client is told 421 before it is cut off: whoever
/// calls this wants the session to end, and RFC 5321 section 3.8 wants that said.
fn disconnect(_: &Lua, (code, text, mode): (u16, String, Option<String>)) -> mlua::Result<()> {
    let ending = match mode.as_deref() {
        None | Some("FollowWith421") => Ending::FollowWith421,
        Some("ForceDisconnect") => Ending::Force,
        Some("If421") => Ending::If421,
        Some(other) => {
            return Err(raise(format!(
                "kumo.disconnect: unknown mode '{other}', expected one of 'ForceDisconnect', 'FollowWith421', 'If421'"
            )));
        }
    };
    Err(mlua::Error::external(RejectError(Rejected { ending, ..Rejected::new(code, text) })))
}

/// The future does not hold the state: a coroutine that a script abandons while it sleeps must not keep it alive.
fn sleep(lua: Lua, time: Value) -> impl Future<Output = mlua::Result<()>> + 'static {
    let time = seconds(&lua, time, "kumo.sleep");
    async move {
        tokio::time::sleep(time?).await;
        Ok(())
    }
}

/// A duration: a number of seconds.
fn seconds(lua: &Lua, value: Value, what: &str) -> mlua::Result<Duration> {
    let kind = value.type_name();
    let number = lua.coerce_number(value)?;
    let duration = number.and_then(|number| Duration::try_from_secs_f64(number).ok());
    duration.ok_or_else(|| raise(format!("{what}: expected a number of seconds from 0 on, got a {kind}")))
}
