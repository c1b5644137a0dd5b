//! What the tests of the engine share.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::sync::Arc;
use std::time::Duration;

use mlua::{Lua, Value as Lv};
use waybill_lua::{Engine, EngineBuilder, LuaModule, module};
use waybill_policy::{PolicyError, PolicyHost, Value};
use waybill_spool::Message;
use waybill_types::{IdMint, Timestamp};

/// A builder for a policy that is on no disk.
pub(crate) fn policy(text: &str) -> EngineBuilder {
    Engine::builder("init.lua")
        .text(text)
        .monitor_globs(&[])
        .embed("policy-extras.log_hooks", include_str!("../../../../policy-extras/log_hooks.lua"))
        .embed("policy-extras.typing", include_str!("../../../../policy-extras/typing.lua"))
        .embed("policy-extras.policy_utils", include_str!("../../../../policy-extras/policy_utils.lua"))
        .module(test_module())
}

/// An engine for a policy that is on no disk.
pub(crate) async fn engine(text: &str) -> Engine {
    policy(text).build().await.unwrap()
}

/// Fails a test instead of letting it hang.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(300), what).await.expect("it took too long")
}

/// `kumo.meet()`: waits until so many are there, each time.
pub(crate) fn meeting(count: usize) -> Arc<dyn LuaModule> {
    let barrier = Arc::new(tokio::sync::Barrier::new(count));
    module("meeting", move |lua, kumo| {
        let barrier = barrier.clone();
        let meet = move |_: Lua, ()| {
            let barrier = barrier.clone();
            async move {
                barrier.wait().await;
                Ok(())
            }
        };
        kumo.set("meet", lua.create_async_function(meet)?)
    })
}

/// `kumo.pause(seconds)`: waits, as an HTTP call does. `kumo.raw(table)`: the bytes behind a record.
pub(crate) fn test_module() -> Arc<dyn LuaModule> {
    module("test", |lua, kumo| {
        let pause = |_: Lua, seconds: f64| async move {
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            Ok(())
        };
        kumo.set("pause", lua.create_async_function(pause)?)?;
        let raw = |lua: &Lua, value: Lv| {
            let mut bytes = Vec::new();
            let is_raw = value.as_table().is_some_and(|table| waybill_lua::write_raw_record(lua, table, &mut bytes));
            is_raw.then(|| lua.create_string(bytes)).transpose()
        };
        kumo.set("raw", lua.create_function(raw)?)
    })
}

pub(crate) fn mail(body: &str) -> Message {
    let id = IdMint::random().message(Timestamp::from_secs(1_700_000_000));
    let data = body.as_bytes().to_vec().into();
    Message::new(id, "a@example.com".parse().unwrap(), vec!["b@example.com".parse().unwrap()], data)
}

/// Calls an event and gives the text that it returns.
pub(crate) async fn text(engine: &Engine, event: &str, args: Vec<Value>) -> String {
    engine.call(event, args).await.unwrap().text().unwrap()
}

/// Calls an event and gives the error, without the stack.
pub(crate) async fn complaint(engine: &Engine, event: &str) -> String {
    first_line(&engine.call(event, vec![]).await.unwrap_err())
}

pub(crate) fn first_line(error: &PolicyError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Runs `code` with the message as `m` and gives what it returns, values joined by ` | `.
pub(crate) async fn run_on(message: &Message, code: &str) -> String {
    let policy = format!(
        "kumo.on('ev', function(m)
           local r = table.pack(pcall(function() {code} end))
           for i = 1, r.n do r[i] = tostring(r[i]) end
           return (table.concat(r, ' | ', r[1] == 'true' and 2 or 1):gsub('\\nstack traceback.*', ''))
         end)"
    );
    text(&engine(&policy).await, "ev", vec![message.clone().into()]).await
}
