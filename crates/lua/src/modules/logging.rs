//! `log_error`, `log_warn`, `log_info`, `log_debug`, `traceback`.

use mlua::{Lua, Table, Value, Variadic};

use crate::location;

pub(super) fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    kumo.set(
        "log_error",
        lua.create_function(|lua, args: Variadic<Value>| {
            tracing::error!(target: "lua", "{}", line(lua, &args)?);
            Ok(())
        })?,
    )?;
    kumo.set(
        "log_warn",
        lua.create_function(|lua, args: Variadic<Value>| {
            tracing::warn!(target: "lua", "{}", line(lua, &args)?);
            Ok(())
        })?,
    )?;
    kumo.set(
        "log_info",
        lua.create_function(|lua, args: Variadic<Value>| {
            tracing::info!(target: "lua", "{}", line(lua, &args)?);
            Ok(())
        })?,
    )?;
    kumo.set(
        "log_debug",
        lua.create_function(|lua, args: Variadic<Value>| {
            if tracing::enabled!(target: "lua", tracing::Level::DEBUG) {
                tracing::debug!(target: "lua", "{}", line(lua, &args)?);
            }
            Ok(())
        })?,
    )?;
    kumo.set("traceback", lua.create_function(traceback)?)
}

/// `FILE:LINE: a b c`, values as `tostring` shows them.
fn line(lua: &Lua, values: &[Value]) -> mlua::Result<String> {
    let mut line = location::caller(lua);
    line.push(':');
    for value in values {
        line.push(' ');
        line.push_str(&value.to_string()?);
    }
    Ok(line)
}

/// The stack from `level` on (1 is the caller): a list of frames with the names that Lua's own `getinfo` uses.
fn traceback(lua: &Lua, level: Option<usize>) -> mlua::Result<Table> {
    let frames = lua.create_table()?;
    for level in level.unwrap_or(1).. {
        let frame = lua.inspect_stack(level, |frame| -> mlua::Result<Option<Table>> {
            let source = frame.source();
            let name = source.source.as_deref().unwrap_or("");
            if location::is_helper(name) {
                return Ok(None);
            }
            let table = lua.create_table()?;
            table.set("name", frame.names().name.as_deref())?;
            table.set("namewhat", frame.names().name_what)?;
            table.set("what", source.what)?;
            table.set("source", name)?;
            table.set("short_src", source.short_src.as_deref())?;
            table.set("linedefined", source.line_defined)?;
            table.set("currentline", frame.current_line())?;
            table.set("curr_line", frame.current_line())?;
            Ok(Some(table))
        });
        match frame {
            None => break,
            Some(frame) => {
                if let Some(frame) = frame? {
                    frames.push(frame)?;
                }
            }
        }
    }
    Ok(frames)
}
