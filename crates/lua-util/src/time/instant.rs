//! The `Time` object: a point in time, always in UTC.

use std::fmt::Write;

use chrono::format::StrftimeItems;
use chrono::{DateTime, Datelike, Timelike, Utc};
use mlua::{AnyUserData, MetaMethod, UserData, UserDataFields, UserDataMethods, Value};

use super::{TimeDelta, now};
use crate::error::raise;

/// A point in time as scripts hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub DateTime<Utc>);

impl UserData for Time {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("year", |_, this| Ok(this.0.year()));
        fields.add_field_method_get("month", |_, this| Ok(this.0.month()));
        fields.add_field_method_get("day", |_, this| Ok(this.0.day()));
        fields.add_field_method_get("hour", |_, this| Ok(this.0.hour()));
        fields.add_field_method_get("minute", |_, this| Ok(this.0.minute()));
        fields.add_field_method_get("second", |_, this| Ok(this.0.second()));
        fields.add_field_method_get("unix_timestamp", |_, this| Ok(this.0.timestamp()));
        fields.add_field_method_get("unix_timestamp_millis", |_, this| Ok(this.0.timestamp_millis()));
        fields.add_field_method_get("rfc2822", |_, this| Ok(this.0.to_rfc2822()));
        fields.add_field_method_get("rfc3339", |_, this| Ok(this.0.to_rfc3339()));
        fields.add_field_method_get("elapsed", |lua, this| Ok(TimeDelta(now(lua) - this.0)));
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("format", |_, this, format: String| this.format(&format));
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.0.to_string()));
        methods.add_meta_function(MetaMethod::Eq, |_, (a, b): (AnyUserData, AnyUserData)| {
            match (a.borrow::<Self>(), b.borrow::<Self>()) {
                (Ok(a), Ok(b)) => Ok(*a == *b),
                _ => Ok(false),
            }
        });
        methods.add_meta_method(MetaMethod::Add, |_, this, delta: AnyUserData| {
            let delta = TimeDelta::borrowed(&delta)?;
            this.0.checked_add_signed(delta.0).map(Self).ok_or_else(out_of_range)
        });
        methods.add_meta_method(MetaMethod::Sub, |lua, this, other: AnyUserData| {
            if let Ok(earlier) = other.borrow::<Self>() {
                return lua.create_userdata(TimeDelta(this.0 - earlier.0)).map(Value::UserData);
            }
            let delta = TimeDelta::borrowed(&other)?;
            let time = this.0.checked_sub_signed(delta.0).map(Self).ok_or_else(out_of_range)?;
            lua.create_userdata(time).map(Value::UserData)
        });
    }
}

impl Time {
    fn format(&self, format: &str) -> mlua::Result<String> {
        let mut text = String::new();
        let formatted = self.0.format_with_items(StrftimeItems::new_lenient(format));
        // Not to_string(): it panics on a format that makes no sense.
        write!(text, "{formatted}").map_err(|_| raise(format!("{format:?} is not a time format")))?;
        Ok(text)
    }
}

fn out_of_range() -> mlua::Error {
    raise("the result is outside the range of dates")
}
