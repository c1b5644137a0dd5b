//! Makes a state: the interpreter, the modules, the policy's top level.

use std::path::Path;
use std::sync::Arc;

use mlua::{Function, Lua, MultiValue, Table};
use waybill_policy::PolicyError;

use crate::engine::Inner;
use crate::error::policy_error;
use crate::events::Handlers;
use crate::generation::Generation;
use crate::modules;
use crate::prelude;
use crate::state::{Here, State, TOP_LEVEL};
use crate::watchdog::Watch;

/// A state of this generation, its policy run.
pub(crate) async fn new_state(engine: &Arc<Inner>, generation: &Arc<Generation>) -> Result<State, PolicyError> {
    let permit = engine.pool.permit()?;
    let (lua, watch, policy) = prepare(engine, generation)?;
    let mut state = State::new(lua, watch, generation.clone(), permit);
    state.enter(&TOP_LEVEL.into()).map_err(|error| policy_error(&error))?;
    engine.timed("the policy's top level", state.run(&policy, MultiValue::new())).await?;
    engine.settings.observer.loaded();
    if let Some(handlers) = state.lua().app_data_ref::<Handlers>() {
        generation.set_events(&handlers);
    }
    Ok(state)
}

/// The sources do not keep why a file could not be read: asked again, the system says it.
fn unreadable(policy: &Path) -> PolicyError {
    let why = std::fs::read(policy).err().map_or_else(String::new, |error| format!(": {error}"));
    PolicyError::Failed(format!("cannot read the policy {}{why}", policy.display()).into())
}

fn prepare(engine: &Arc<Inner>, generation: &Arc<Generation>) -> Result<(Lua, Arc<Watch>, Function), PolicyError> {
    let settings = &engine.settings;
    if let Some(text) = &settings.text {
        generation.sources.give(&settings.policy, text);
    }
    let source = generation.sources.read(&settings.policy).ok_or_else(|| unreadable(&settings.policy))?;
    let build = || {
        let lua = prelude::new_state(&generation.sources, &settings.embedded, &settings.package_path)?;
        lua.set_memory_limit(engine.pool.reuse.max_memory())?;
        let watch = engine.watchdog.watch(&lua)?;
        lua.set_app_data(Here { engine: Arc::downgrade(engine), generation: generation.clone(), watch: watch.clone() });
        lua.set_app_data(Handlers::default());
        register(engine, &lua)?;
        let policy =
            prelude::compile(&lua, &generation.sources, &settings.policy.display().to_string(), &source, None)?;
        Ok((lua, watch, policy))
    };
    build().map_err(|error| policy_error(&error))
}

fn register(engine: &Inner, lua: &Lua) -> mlua::Result<()> {
    let kumo: Table = lua.create_table()?;
    modules::register(engine, lua, &kumo)?;
    for module in &engine.settings.modules {
        module.register(lua, &kumo).map_err(|error| {
            mlua::Error::runtime(format_args!("the Lua module {} cannot be registered: {error}", module.name()))
        })?;
    }
    if engine.settings.validating {
        lua.globals().set("_VALIDATING_CONFIG", true)?;
    }
    lua.register_module("kumo", &kumo)?;
    // Some examples use it without `require`.
    lua.globals().set("kumo", kumo)
}
