//! The `TimeDelta` object: a difference between two points in time, with a sign.

use std::time::Duration;

use mlua::{AnyUserData, MetaMethod, UserData, UserDataFields, UserDataMethods, Value};

use crate::duration;
use crate::error::raise;

/// A signed span of time as scripts hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeDelta(pub chrono::TimeDelta);

impl TimeDelta {
    /// From text such as `"5m"`, or from a number of seconds that may be negative.
    pub(super) fn from_lua_value(value: &Value) -> mlua::Result<Self> {
        let positive = match value {
            Value::Integer(seconds) if *seconds < 0 => {
                let span = chrono::TimeDelta::try_seconds(*seconds);
                return span.map(Self).ok_or_else(out_of_range);
            }
            Value::Number(seconds) if *seconds < 0.0 => {
                return Self::from_lua_value(&Value::Number(-seconds))?.negated();
            }
            value => duration::from_lua(value).map_err(raise)?,
        };
        chrono::TimeDelta::from_std(positive).map(Self).map_err(|_| out_of_range())
    }

    pub(super) fn borrowed(userdata: &AnyUserData) -> mlua::Result<Self> {
        userdata.borrow::<Self>().map(|delta| *delta).map_err(|_| raise("expected a TimeDelta"))
    }

    fn negated(self) -> mlua::Result<Self> {
        chrono::TimeDelta::zero().checked_sub(&self.0).map(Self).ok_or_else(out_of_range)
    }

    fn seconds(self) -> f64 {
        self.0.num_seconds() as f64 + f64::from(self.0.subsec_nanos()) / 1e9
    }

    fn human(self) -> String {
        let magnitude = self.0.abs().to_std().unwrap_or(Duration::ZERO);
        let sign = if self.0 < chrono::TimeDelta::zero() { "-" } else { "" };
        format!("{sign}{}", humantime::format_duration(magnitude))
    }
}

impl UserData for TimeDelta {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("seconds", |_, this| Ok(this.seconds()));
        fields.add_field_method_get("milliseconds", |_, this| Ok(this.0.num_milliseconds()));
        fields.add_field_method_get("microseconds", |_, this| this.0.num_microseconds().ok_or_else(out_of_range));
        fields.add_field_method_get("nanoseconds", |_, this| this.0.num_nanoseconds().ok_or_else(out_of_range));
        fields.add_field_method_get("human", |_, this| Ok(this.human()));
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.human()));
        methods.add_meta_function(MetaMethod::Eq, |_, (a, b): (AnyUserData, AnyUserData)| {
            match (a.borrow::<Self>(), b.borrow::<Self>()) {
                (Ok(a), Ok(b)) => Ok(*a == *b),
                _ => Ok(false),
            }
        });
        methods.add_meta_method(MetaMethod::Add, |_, this, other: AnyUserData| {
            this.0.checked_add(&Self::borrowed(&other)?.0).map(Self).ok_or_else(out_of_range)
        });
        methods.add_meta_method(MetaMethod::Sub, |_, this, other: AnyUserData| {
            this.0.checked_sub(&Self::borrowed(&other)?.0).map(Self).ok_or_else(out_of_range)
        });
    }
}

fn out_of_range() -> mlua::Error {
    raise("the duration is out of range")
}
