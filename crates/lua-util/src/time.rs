//! `kumo.time`: points in time, differences between them, waiting and measuring.

mod delta;
mod instant;
mod timer;

use std::sync::Arc;

use chrono::{DateTime, TimeZone, Utc};
use mlua::{Lua, Table, Value};

use crate::error::raise;

pub use delta::TimeDelta;
pub use instant::Time;
pub use timer::{Measured, TimerHook};

/// Says what time it is, in place of the system's clock.
///
/// Set it with `lua.set_app_data(NowHook(..))`, so that a whole daemon can run on a clock that a
/// test moves by hand.
pub struct NowHook(pub Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

pub(crate) fn now(lua: &Lua) -> DateTime<Utc> {
    let hook = lua.app_data_ref::<NowHook>().map(|hook| Arc::clone(&hook.0));
    match hook {
        Some(hook) => hook(),
        #[expect(clippy::disallowed_methods, reason = "a state that nobody gave a clock has the system's")]
        None => std::time::SystemTime::now().into(),
    }
}

/// Adds `kumo.time`.
pub fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    let module = lua.create_table()?;
    module.raw_set("now", lua.create_function(|lua, ()| Ok(Time(now(lua))))?)?;
    module.raw_set("from_unix_timestamp", lua.create_function(|_, seconds| from_unix_timestamp(&seconds))?)?;
    module.raw_set("parse_rfc3339", lua.create_function(|_, text: String| parse_rfc3339(&text))?)?;
    module.raw_set("parse_rfc2822", lua.create_function(|_, text: String| parse_rfc2822(&text))?)?;
    module.raw_set("with_ymd_hms", lua.create_function(with_ymd_hms)?)?;
    module.raw_set("parse_duration", lua.create_function(|_, value| TimeDelta::from_lua_value(&value))?)?;
    module.raw_set("sleep", lua.create_async_function(sleep)?)?;
    module.raw_set("start_timer", lua.create_function(timer::start)?)?;
    kumo.raw_set("time", module)
}

/// Waits without holding up anything but the calling script. Cancelling the call ends the wait.
async fn sleep(_: Lua, value: Value) -> mlua::Result<()> {
    let duration = crate::duration::from_lua(&value).map_err(raise)?;
    tokio::time::sleep(duration).await;
    Ok(())
}

fn from_unix_timestamp(seconds: &Value) -> mlua::Result<Time> {
    let outside = || raise("the unix timestamp is outside the range of dates");
    let delta = TimeDelta::from_lua_value(seconds)?;
    DateTime::UNIX_EPOCH.checked_add_signed(delta.0).map(Time).ok_or_else(outside)
}

fn parse_rfc3339(text: &str) -> mlua::Result<Time> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) => Ok(Time(time.with_timezone(&Utc))),
        Err(error) => Err(raise(format!("{text:?} is not an RFC 3339 time: {error}"))),
    }
}

fn parse_rfc2822(text: &str) -> mlua::Result<Time> {
    match DateTime::parse_from_rfc2822(text) {
        Ok(time) => Ok(Time(time.with_timezone(&Utc))),
        Err(error) => Err(raise(format!("{text:?} is not an RFC 2822 time: {error}"))),
    }
}

fn with_ymd_hms(
    _: &Lua,
    (year, month, day, hour, minute, second): (i32, u32, u32, u32, u32, u32),
) -> mlua::Result<Time> {
    let time = Utc.with_ymd_and_hms(year, month, day, hour, minute, second).single();
    time.map(Time).ok_or_else(|| {
        raise(format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} is not a date and time"))
    })
}

#[cfg(test)]
mod tests;
