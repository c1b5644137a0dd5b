//! Durations as scripts write them: `"5 mins"`, `90`, `1.5`.

use std::time::Duration;

use mlua::Value;

/// A duration from text (`"1m 30s"`) or from a number of seconds.
///
/// The error is the middle part of what a script sees when an option is wrong, for example
/// `invalid value: string "soon", expected a duration`. Helper modules match on these words.
pub fn from_lua(value: &Value) -> Result<Duration, String> {
    match value {
        Value::Integer(seconds) => {
            u64::try_from(*seconds).map(Duration::from_secs).map_err(|_| invalid(format!("integer `{seconds}`")))
        }
        Value::Number(seconds) => from_secs(*seconds),
        Value::String(text) => match text.to_str() {
            Ok(text) => parse(&text),
            Err(_) => Err("invalid type: byte array, expected a duration".to_owned()),
        },
        Value::Table(table) if table.raw_len() > 0 => Err("invalid type: sequence, expected a duration".to_owned()),
        Value::Table(_) => Err("invalid type: map, expected a duration".to_owned()),
        Value::Boolean(flag) => Err(format!("invalid type: boolean `{flag}`, expected a duration")),
        Value::Nil => Err("invalid type: unit value, expected a duration".to_owned()),
        other => Err(format!("invalid type: {}, expected a duration", other.type_name())),
    }
}

/// A duration from text alone, in the units of the humantime crate.
pub fn parse(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim()).map_err(|_| invalid(format!("string {text:?}")))
}

fn from_secs(seconds: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(seconds).map_err(|_| invalid(format!("floating point `{seconds:?}`")))
}

fn invalid(what: String) -> String {
    format!("invalid value: {what}, expected a duration")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_numbers_are_durations() {
        let lua = mlua::Lua::new();
        let text = Value::String(lua.create_string("1m 30s").unwrap());
        assert_eq!(from_lua(&text), Ok(Duration::from_secs(90)));
        assert_eq!(from_lua(&Value::Integer(5)), Ok(Duration::from_secs(5)));
        assert_eq!(from_lua(&Value::Number(1.5)), Ok(Duration::from_millis(1500)));
        assert_eq!(parse("5 mins"), Ok(Duration::from_secs(300)));
    }

    #[test]
    fn what_is_no_duration_says_so_in_the_words_that_helpers_expect() {
        let lua = mlua::Lua::new();
        let table = Value::Table(lua.create_table().unwrap());
        assert_eq!(parse("soon").unwrap_err(), "invalid value: string \"soon\", expected a duration");
        assert_eq!(from_lua(&table).unwrap_err(), "invalid type: map, expected a duration");
        assert_eq!(from_lua(&Value::Integer(-1)).unwrap_err(), "invalid value: integer `-1`, expected a duration");
        assert!(from_lua(&Value::Number(f64::NAN)).is_err());
        assert!(from_lua(&Value::Number(f64::INFINITY)).is_err());
    }
}
