//! Form bodies, from tables of names and values.

use mlua::{LuaString, Table, Value};
use reqwest::multipart::{Form, Part};

use crate::raise;

/// The table's entries as text, in the order of their names: a table has no order of its own, and a
/// request should look the same each time.
pub(crate) fn fields(table: &Table) -> mlua::Result<Vec<(String, String)>> {
    let mut fields = Vec::new();
    table.for_each(|name: String, value: Value| {
        let text = match &value {
            Value::String(text) => text.to_str()?.to_owned(),
            Value::Integer(_) | Value::Number(_) | Value::Boolean(_) => value.to_string()?,
            other => return Err(raise(format!("field {name:?} must be a string, not a {}", other.type_name()))),
        };
        fields.push((name, text));
        Ok(())
    })?;
    fields.sort();
    Ok(fields)
}

/// A multipart form: each entry is a string, or `{ data = string, file_name = string }`.
pub(crate) fn multipart(table: &Table) -> mlua::Result<Form> {
    let mut parts = Vec::new();
    table.for_each(|name: String, value: Value| {
        let part = match &value {
            Value::Table(options) => {
                let part = part(&options.get::<LuaString>("data")?)?;
                match options.get::<Option<String>>("file_name")? {
                    Some(file_name) => part.file_name(file_name),
                    None => part,
                }
            }
            Value::String(data) => part(data)?,
            Value::Integer(_) | Value::Number(_) => Part::text(value.to_string()?),
            other => {
                return Err(raise(format!("part {name:?} must be a string or a table, not a {}", other.type_name())));
            }
        };
        parts.push((name, part));
        Ok(())
    })?;
    parts.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(parts.into_iter().fold(Form::new(), |form, (name, part)| form.part(name, part)))
}

/// Text is sent as text, anything else as a stream of bytes.
fn part(data: &LuaString) -> mlua::Result<Part> {
    match data.to_str() {
        Ok(text) => Ok(Part::text(text.to_owned())),
        Err(_) => {
            Part::bytes(data.as_bytes().to_vec()).mime_str("application/octet-stream").map_err(mlua::Error::external)
        }
    }
}
