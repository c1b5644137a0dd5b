//! `configure_test_resolver`: zone files instead of the network.

use crate::{raise, resolver};
use mlua::{Lua, LuaString, Value};
use std::sync::Arc;
use waybill_dns::Zones;

const NAME: &str = "configure_test_resolver";

/// From now on every question of the daemon is answered out of these zones: a list of texts, or one text.
pub(crate) fn configure(lua: &Lua, zones: Value) -> mlua::Result<()> {
    let texts = texts(zones)?;
    let wrong = |error| raise(NAME, format_args!("{error}; expected records such as example.com. 60 A 192.0.2.1"));
    let zones = Zones::parse(texts.iter().map(String::as_str)).map_err(wrong)?;
    resolver(lua, NAME)?.set(Arc::new(zones));
    Ok(())
}

fn texts(zones: Value) -> mlua::Result<Vec<String>> {
    match zones {
        Value::String(zone) => Ok(vec![text(&zone, 1)?]),
        Value::Table(list) => {
            let mut texts = Vec::with_capacity(list.raw_len());
            for pair in list.pairs::<Value, Value>() {
                let (key, value) = pair?;
                let place = texts.len() + 1;
                match (key, value) {
                    (Value::Integer(_), Value::String(zone)) => texts.push(text(&zone, place)?),
                    (Value::Integer(_), other) => {
                        let why = format!("zone {place}: expected the text of a zone file, got {}", other.type_name());
                        return Err(raise(NAME, why));
                    }
                    (key, _) => {
                        let key = key.to_string().unwrap_or_else(|_| key.type_name().to_owned());
                        return Err(raise(
                            NAME,
                            format_args!("expected a list of zone files, and {key:?} is no index"),
                        ));
                    }
                }
            }
            Ok(texts)
        }
        other => Err(raise(NAME, format_args!("expected a list of zone files, got {}", other.type_name()))),
    }
}

fn text(zone: &LuaString, place: usize) -> mlua::Result<String> {
    let wrong = |_| raise(NAME, format_args!("zone {place}: it is not UTF-8"));
    zone.to_str().map(|text| text.to_string()).map_err(wrong)
}
