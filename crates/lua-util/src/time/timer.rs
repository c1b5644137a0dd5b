//! `start_timer`: how long a part of a policy takes, for the metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mlua::{Lua, MetaMethod, UserData, UserDataMethods, Value};

/// Receives what timers measured: the label and the time taken, once for each timer.
///
/// Set it with `lua.set_app_data(TimerHook(..))`; the daemon feeds the histogram
/// `user_lua_latency` with it.
pub struct TimerHook(pub Arc<Measured>);

/// Takes a label and how long what it names took.
pub type Measured = dyn Fn(&str, Duration) + Send + Sync;

pub(super) fn start(_: &Lua, label: String) -> mlua::Result<Timer> {
    Ok(Timer { label: Some(label), started: Instant::now() })
}

/// A running timer. It reports when `done` is called or when its `<close>` variable goes out of scope.
pub(super) struct Timer {
    // Taken by the first report, so that `done` in a `<close>` scope does not count twice.
    label: Option<String>,
    started: Instant,
}

impl Timer {
    fn report(&mut self, lua: &Lua) -> f64 {
        let elapsed = self.started.elapsed();
        let hook = lua.app_data_ref::<TimerHook>().map(|hook| Arc::clone(&hook.0));
        if let (Some(label), Some(hook)) = (self.label.take(), hook) {
            hook(&label, elapsed);
        }
        elapsed.as_secs_f64()
    }
}

impl UserData for Timer {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method_mut("done", |lua, this, ()| Ok(this.report(lua)));
        methods.add_meta_method_mut(MetaMethod::Close, |lua, this, _: Value| {
            this.report(lua);
            Ok(())
        });
    }
}
