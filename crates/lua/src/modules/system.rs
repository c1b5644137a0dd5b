//! About the daemon: version, parallelism, validation, reloading, and the tuning knobs.

use std::num::NonZero;
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mlua::{Lua, Table, Value, Variadic};
use waybill_runtime::MemoryLimits;
use waybill_types::{ThrottleSpec, parse_duration};

use crate::engine::{Engine, Inner};
use crate::error::raise;
use crate::location;
use crate::state::Here;

/// Thread knobs of KumoMTA. Our pools size themselves; the calls are accepted and checked.
const KNOBS: [&str; 7] = [
    "set_httpinject_threads",
    "set_smtpsrv_threads",
    "set_readyq_threads",
    "set_qmaint_threads",
    "set_ready_qmaint_threads",
    "set_spoolin_threads",
    "set_logging_threads",
];

/// A limit of memory: its name, how it is read and set.
type Limit = (&'static str, fn(&MemoryLimits) -> Option<u64>, fn(&MemoryLimits, Option<u64>));

const MEMORY: [Limit; 3] = [
    ("memory_hard_limit", MemoryLimits::hard, MemoryLimits::set_hard),
    ("memory_soft_limit", MemoryLimits::soft, MemoryLimits::set_soft),
    ("memory_low_thresh", MemoryLimits::low_thresh, MemoryLimits::set_low_thresh),
];

pub(super) fn register(engine: &Inner, lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    kumo.set("version", engine.settings.version.as_str())?;
    kumo.set("available_parallelism", lua.create_function(|_, ()| Ok(parallelism()))?)?;
    kumo.set(
        "validation_failed",
        lua.create_function(|lua, ()| {
            with_engine(lua, |engine| engine.validation_failed.store(true, Ordering::Relaxed))
        })?,
    )?;
    kumo.set(
        "set_config_monitor_globs",
        lua.create_function(|lua, globs: Vec<String>| with_engine(lua, |engine| *engine.globs.lock() = globs))?,
    )?;
    kumo.set(
        "bump_config_epoch",
        lua.create_function(|lua, ()| {
            let engine = Engine::of(lua).ok_or_else(gone)?;
            engine.request_reload();
            Ok(())
        })?,
    )?;
    kumo.set(
        "set_max_lua_context_age",
        lua.create_function(|lua, age: Value| {
            let age = duration(lua, age)?;
            with_engine(lua, |engine| engine.pool.reuse.set_max_age(age))
        })?,
    )?;
    kumo.set(
        "set_max_lua_context_use_count",
        lua.create_function(|lua, uses: u32| with_engine(lua, |engine| engine.pool.reuse.set_max_uses(uses)))?,
    )?;
    kumo.set(
        "set_max_spare_lua_contexts",
        lua.create_function(|lua, spare: usize| with_engine(lua, |engine| engine.pool.reuse.set_max_spare(spare)))?,
    )?;
    kumo.set(
        "set_max_lua_context_memory",
        lua.create_function(|lua, bytes: f64| {
            let bytes = state_memory(bytes)?;
            lua.set_memory_limit(bytes)?;
            with_engine(lua, |engine| engine.pool.reuse.set_max_memory(bytes))
        })?,
    )?;
    kumo.set(
        "set_lua_gc_on_put",
        lua.create_function(|lua, percent: u32| {
            if percent > 100 {
                return Err(raise(format!("kumo.set_lua_gc_on_put: expected 0 to 100, got {percent}")));
            }
            with_engine(lua, |engine| engine.pool.reuse.set_gc_percent(percent))
        })?,
    )?;
    for knob in KNOBS {
        kumo.set(knob, lua.create_function(|_, _: Option<f64>| Ok(()))?)?;
    }
    kumo.set(
        "set_httpinject_recipient_rate_limit",
        lua.create_function(|lua, spec: Option<String>| {
            let spec = spec.map(|spec| {
                let wrong = |error| {
                    let name = "kumo.set_httpinject_recipient_rate_limit";
                    raise(format!("{}: {name}('{spec}'): {error}", location::caller(lua)))
                };
                spec.parse::<ThrottleSpec>().map_err(wrong)
            });
            let spec = spec.transpose()?;
            with_engine(lua, |engine| engine.injection_pace.set(spec))
        })?,
    )?;
    for (name, get, set) in MEMORY {
        let (read, changed) = (engine.settings.memory.clone(), engine.settings.memory.clone());
        kumo.set(format!("get_{name}"), lua.create_function(move |_, ()| Ok(get(&read)))?)?;
        let change = move |_: &Lua, bytes: Option<f64>| {
            set(&changed, bytes.map(|bytes| whole_bytes(name, bytes)).transpose()?);
            Ok(())
        };
        kumo.set(format!("set_{name}"), lua.create_function(change)?)?;
    }
    kumo.set("set_lruttl_cache_capacity", lua.create_function(|_, _: Variadic<Value>| Ok(()))?)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be above zero; it saturates")]
fn whole_bytes(name: &str, bytes: f64) -> mlua::Result<u64> {
    if bytes >= 1.0 {
        return Ok(bytes as u64);
    }
    Err(raise(format!("kumo.set_{name}: expected a number of bytes above zero, or nil, got {bytes}")))
}

/// What a state may hold: as much as a policy needs that does nothing, and less than machines have.
fn state_memory(bytes: f64) -> mlua::Result<usize> {
    const LEAST: f64 = 8.0 * 1024.0 * 1024.0;
    const MOST: f64 = 64.0 * 1024.0 * 1024.0 * 1024.0;
    if !(LEAST..=MOST).contains(&bytes) {
        return Err(raise(format!(
            "kumo.set_max_lua_context_memory: expected {LEAST} (8 MiB) to {MOST} (64 GiB) bytes, got {bytes}"
        )));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within the bounds above; it saturates"
    )]
    let whole = bytes as usize;
    Ok(whole)
}

fn with_engine(lua: &Lua, f: impl FnOnce(&Inner)) -> mlua::Result<()> {
    let engine = lua.app_data_ref::<Here>().map(|here| here.engine.clone());
    let engine = engine.as_ref().and_then(Weak::upgrade).ok_or_else(gone)?;
    f(&engine);
    Ok(())
}

fn gone() -> mlua::Error {
    raise("the policy engine is shutting down")
}

fn parallelism() -> usize {
    let told = std::env::var("KUMO_AVAILABLE_PARALLELISM").ok().and_then(|text| text.parse().ok());
    told.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get))
}

/// `"5 mins"` or a number of seconds.
pub(super) fn duration(lua: &Lua, value: Value) -> mlua::Result<Duration> {
    let text = match &value {
        Value::String(text) => text.to_string_lossy(),
        _ => match lua.coerce_number(value)? {
            Some(number) => number.to_string(),
            None => return Err(raise("expected a duration such as '5 mins' or a number of seconds")),
        },
    };
    parse_duration(&text).map_err(|error| raise(error.to_string()))
}
