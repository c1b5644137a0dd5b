//! `memoize`: results of functions, kept for the whole process.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use mlua::{Function, IntoLuaMulti, Lua, MultiValue, Table, Value};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::Instant;
use waybill_policy::{Epoch, PolicyHost};
use waybill_types::{serde_duration, serde_duration_opt, text};

use super::config::{ConfigObject, deserialize};
use crate::convert::{from_lua, to_json, to_lua};
use crate::engine::Engine;
use crate::error::{lua_error, raise};
use crate::hybrid;

pub(super) fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    kumo.set("memoize", lua.create_function(memoize)?)
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(deserialize_with = "text::name")]
    name: String,
    #[serde(with = "serde_duration")]
    ttl: Duration,
    capacity: usize,
    #[serde(default)]
    invalidate_with_epoch: bool,
    /// Accepted: whoever waited for somebody else's result in vain computes its own.
    #[serde(default)]
    #[expect(dead_code, reason = "deserialized to be checked")]
    retry_on_populate_timeout: bool,
    #[serde(default, with = "serde_duration_opt")]
    populate_timeout: Option<Duration>,
    #[serde(default)]
    allow_stale_reads: bool,
}

/// The caches of an engine, by name.
#[derive(Default)]
pub(crate) struct Caches(Mutex<HashMap<String, Arc<Cache>>>);

#[derive(Default)]
struct Cache {
    entries: Mutex<Entries>,
    /// One computes, the others wait for its result.
    computing: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

#[derive(Default)]
struct Entries {
    by_key: HashMap<String, Entry>,
    /// Keys in order of arrival: the first goes when there is no room.
    order: VecDeque<String>,
}

#[derive(Clone)]
struct Entry {
    values: Arc<[Kept]>,
    until: Instant,
    epoch: Epoch,
}

/// A value outside of any state.
#[derive(Clone)]
enum Kept {
    Value(waybill_policy::Value),
    Config(ConfigObject),
}

impl Cache {
    fn get(&self, key: &str, epoch: Option<Epoch>, stale: bool) -> Option<Arc<[Kept]>> {
        let entries = self.entries.lock();
        let entry = entries.by_key.get(key)?;
        let fresh = Instant::now() < entry.until;
        let current = epoch.is_none_or(|epoch| epoch == entry.epoch);
        (current && (fresh || stale)).then(|| entry.values.clone())
    }

    fn put(&self, key: String, entry: Entry, capacity: usize) {
        let mut entries = self.entries.lock();
        if entries.by_key.insert(key.clone(), entry).is_none() {
            entries.order.push_back(key);
        }
        while entries.by_key.len() > capacity.max(1) {
            let Some(oldest) = entries.order.pop_front() else { break };
            entries.by_key.remove(&oldest);
        }
    }

    fn turn(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        self.computing.lock().entry(key.to_owned()).or_default().clone()
    }

    fn turn_over(&self, key: &str, turn: Arc<tokio::sync::Mutex<()>>) {
        let mut computing = self.computing.lock();
        drop(turn);
        if computing.get(key).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            computing.remove(key);
        }
    }
}

/// One memoized function in one state.
#[derive(Clone)]
struct Memo {
    function: Function,
    options: Arc<Options>,
    cache: Arc<Cache>,
}

fn memoize(lua: &Lua, (function, options): (Function, Value)) -> mlua::Result<Value> {
    let options: Options = deserialize(&to_json(lua, &options)?)?;
    let engine = Engine::of(lua).ok_or_else(|| raise("the policy engine is shutting down"))?;
    let cache = engine.inner().caches.0.lock().entry(options.name.clone()).or_default().clone();
    let memo = Memo { function, options: Arc::new(options), cache };
    let waiting = memo.clone();
    let quick = lua.create_function(move |lua, args: MultiValue| memo.cached(lua, &args))?;
    let slow = lua.create_async_function(move |lua, args: MultiValue| waiting.clone().compute(lua, args))?;
    hybrid::function(lua, quick, slow).map(Value::Function)
}

impl Memo {
    /// True and the values, or false.
    fn cached(&self, lua: &Lua, args: &MultiValue) -> mlua::Result<MultiValue> {
        let key = key(lua, args)?;
        match self.cache.get(&key, self.epoch(lua), false) {
            None => false.into_lua_multi(lua),
            Some(values) => {
                let mut result = restore(lua, &values)?;
                result.push_front(Value::Boolean(true));
                Ok(result)
            }
        }
    }

    async fn compute(self, lua: Lua, args: MultiValue) -> mlua::Result<MultiValue> {
        let key = key(&lua, &args)?;
        let turn = self.cache.turn(&key);
        if self.options.allow_stale_reads && turn.try_lock().is_err() {
            // Somebody is at it: until then the old result will do.
            if let Some(values) = self.cache.get(&key, self.epoch(&lua), true) {
                return restore(&lua, &values);
            }
        }
        // A function that calls itself with the same arguments would wait for itself: the time limit ends that.
        let limit = self.options.populate_timeout.unwrap_or(Duration::from_secs(120));
        let guard = tokio::time::timeout(limit, turn.lock()).await;
        let result = match self.cache.get(&key, self.epoch(&lua), false) {
            Some(values) => restore(&lua, &values),
            None => self.call(&lua, &key, args).await,
        };
        drop(guard);
        self.cache.turn_over(&key, turn);
        result
    }

    async fn call(&self, lua: &Lua, key: &str, args: MultiValue) -> mlua::Result<MultiValue> {
        // The generation that computes owns the result, also if it is outdated by the time it has it.
        let epoch = self.epoch(lua).unwrap_or_default();
        let result = self.function.call_async::<MultiValue>(args).await?;
        let values = result.iter().map(|value| keep(lua, value)).collect::<mlua::Result<Vec<_>>>()?;
        let until = Instant::now() + self.options.ttl;
        self.cache.put(key.to_owned(), Entry { values: values.into(), until, epoch }, self.options.capacity);
        Ok(result)
    }

    fn epoch(&self, lua: &Lua) -> Option<Epoch> {
        if self.options.invalidate_with_epoch { Engine::of(lua).map(|engine| engine.epoch()) } else { None }
    }
}

fn key(lua: &Lua, args: &MultiValue) -> mlua::Result<String> {
    let args: Vec<_> = args.iter().map(|value| to_json(lua, value)).collect::<mlua::Result<_>>()?;
    Ok(serde_json::Value::Array(args).to_string())
}

fn keep(lua: &Lua, value: &Value) -> mlua::Result<Kept> {
    match value {
        Value::UserData(object) => match object.borrow::<ConfigObject>() {
            Ok(config) => Ok(Kept::Config(config.clone())),
            Err(_) => Err(raise("a value of type 'userdata' cannot be memoized")),
        },
        Value::Nil | Value::Boolean(_) | Value::Integer(_) | Value::Number(_) | Value::String(_) | Value::Table(_) => {
            from_lua(lua, value).map(Kept::Value).map_err(lua_error)
        }
        other => Err(raise(format!("a value of type '{}' cannot be memoized", other.type_name()))),
    }
}

fn restore(lua: &Lua, values: &[Kept]) -> mlua::Result<MultiValue> {
    let values = values.iter().map(|value| match value {
        Kept::Value(value) => to_lua(lua, value.clone()),
        Kept::Config(config) => lua.create_userdata(config.clone()).map(Value::UserData),
    });
    values.collect::<mlua::Result<Vec<_>>>().map(MultiValue::from_vec)
}
