//! `spawn_task`, `spawn_thread_pool`.

use mlua::{Lua, Table, Value};
use serde::Deserialize;
use serde_json::Value as Json;
use std::num::NonZeroUsize;
use waybill_policy::{PolicyHost, Value as Argument};
use waybill_types::text;

use super::config::deserialize;
use crate::convert::to_json;
use crate::engine::Engine;
use crate::error::raise;

pub(super) fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    kumo.set("spawn_task", lua.create_function(spawn_task)?)?;
    kumo.set("spawn_thread_pool", lua.create_function(spawn_thread_pool)?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Task {
    #[serde(deserialize_with = "text::name")]
    event_name: String,
    #[serde(default)]
    args: Json,
}

/// Runs an event in a task and state of its own. When it ends, it has ended: a task that should go on calls this again.
fn spawn_task(lua: &Lua, options: Value) -> mlua::Result<()> {
    let task: Task = deserialize(&to_json(lua, &options)?)?;
    let engine = engine(lua)?;
    let supervisor = engine.inner().supervisor.clone();
    supervisor.spawn(format!("lua: {}", task.event_name), async move {
        if !engine.handles(&task.event_name) {
            tracing::error!(target: "lua", "kumo.spawn_task: event {} has not been registered", task.event_name);
        } else if let Err(error) = engine.call(&task.event_name, vec![Argument::Json(task.args)]).await {
            tracing::error!(target: "lua", "the task '{}' failed: {error}", task.event_name);
        }
    });
    Ok(())
}

/// KumoMTA runs queues in named pools; ours share the runtime, so only the options are checked.
fn spawn_thread_pool(lua: &Lua, options: Value) -> mlua::Result<()> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "deserialized to be checked")]
    struct ThreadPool {
        #[serde(deserialize_with = "text::name")]
        name: String,
        num_threads: NonZeroUsize,
    }
    deserialize::<ThreadPool>(&to_json(lua, &options)?).map(|_| ())
}

fn engine(lua: &Lua) -> mlua::Result<Engine> {
    Engine::of(lua).ok_or_else(|| raise("the policy engine is shutting down"))
}
