//! `make_throttle`: rates that all states share.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mlua::{Lua, Table, UserData, UserDataMethods, UserDataRef};
use parking_lot::Mutex;
use waybill_queue_core::throttle::{Gcra, whole_seconds};
use waybill_types::{ThrottleSpec, Timestamp};

use crate::engine::Engine;
use crate::error::raise;
use crate::location;
use crate::message::{MessageObject, schedule};

/// More names than this, and those that are as if nothing had passed are forgotten.
const MANY: usize = 10_000;

/// Hears the name and the rate of a throttle that let nothing pass.
pub(crate) type Listener = Arc<dyn Fn(&str, &ThrottleSpec) + Send + Sync>;

/// The rates of an engine, by name. A name has one state, whatever rate is asked of it.
#[derive(Default)]
pub(crate) struct Throttles {
    rates: Mutex<HashMap<String, Gcra>>,
    listener: OnceLock<Listener>,
}

impl Throttles {
    /// From now on; set once.
    pub(crate) fn listen(&self, listener: Listener) {
        let _ = self.listener.set(listener);
    }

    fn exceeded(&self, name: &str, spec: &ThrottleSpec) {
        if let Some(listener) = self.listener.get() {
            listener(name, spec);
        }
    }

    fn with<T>(&self, name: &str, now: Timestamp, f: impl FnOnce(&mut Gcra) -> T) -> T {
        let mut all = self.rates.lock();
        if all.len() >= MANY && !all.contains_key(name) {
            all.retain(|_, rate| rate.rested_at() > now);
        }
        f(all.entry(name.to_owned()).or_default())
    }
}

pub(super) fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    kumo.set("make_throttle", lua.create_function(make)?)
}

struct Throttle {
    name: String,
    spec: ThrottleSpec,
}

fn make(lua: &Lua, (name, spec): (String, String)) -> mlua::Result<Throttle> {
    match spec.parse() {
        Ok(spec) => Ok(Throttle { name, spec }),
        Err(error) => Err(raise(format!("{}: kumo.make_throttle('{name}', ..): {error}", location::caller(lua)))),
    }
}

impl Throttle {
    /// Lets one pass, or says how long it has to wait.
    fn check(&self, lua: &Lua) -> mlua::Result<Result<(), Duration>> {
        let engine = engine(lua)?;
        let now = engine.inner().settings.clock.now();
        let throttles = &engine.inner().throttles;
        let checked = throttles.with(&self.name, now, |rate| rate.check(now, &self.spec));
        if checked.is_err() {
            throttles.exceeded(&self.name, &self.spec);
        }
        Ok(checked)
    }

    /// How the rate stands.
    fn state(&self, lua: &Lua) -> mlua::Result<Table> {
        let engine = engine(lua)?;
        let now = engine.inner().settings.clock.now();
        let (available, wait, rested) = engine.inner().throttles.with(&self.name, now, |rate| {
            (rate.available(now, &self.spec), rate.wait(now, &self.spec, 1), rate.rested_at())
        });
        let state = lua.create_table()?;
        state.set("limit", self.spec.burst())?;
        state.set("remaining", available)?;
        state.set("reset_after", rested.since(now).as_secs_f64())?;
        if !wait.is_zero() {
            state.set("retry_after", whole_seconds(wait).as_secs_f64())?;
        }
        Ok(state)
    }
}

impl UserData for Throttle {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("throttle", |lua, this, ()| {
            let wait = this.check(lua)?.err();
            let result = this.state(lua)?;
            result.set("throttled", wait.is_some())?;
            result.set("retry_after", wait.map(|wait| whole_seconds(wait).as_secs_f64()))?;
            Ok(result)
        });
        methods.add_method("explain", |lua, this, ()| {
            let state = this.state(lua)?;
            state.set("name", this.name.as_str())?;
            state.set("spec", this.spec.to_string())?;
            Ok(state)
        });
        methods.add_async_method("sleep_if_throttled", |lua, this, ()| async move {
            let mut slept = false;
            while let Err(wait) = this.check(&lua)? {
                slept = true;
                tokio::time::sleep(wait).await;
            }
            Ok(slept)
        });
        methods.add_method("delay_message_if_throttled", |lua, this, message: UserDataRef<MessageObject>| {
            let Err(wait) = this.check(lua)? else { return Ok(false) };
            let now = engine(lua)?.inner().settings.clock.now();
            schedule::set_due(lua, message.message(), Some(now + whole_seconds(wait)));
            Ok(true)
        });
    }
}

fn engine(lua: &Lua) -> mlua::Result<Engine> {
    Engine::of(lua).ok_or_else(|| raise("the policy engine is shutting down"))
}
