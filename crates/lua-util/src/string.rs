//! `kumo.string`: what Lua's own string library leaves out.
//!
//! Patterns here are plain text, never Lua patterns or regular expressions.

mod normalize;
mod psl;
mod template;
mod wrap;

use mlua::{Lua, Table};

pub use normalize::normalize_smtp_response;
pub use template::template_environment;
pub use wrap::wrap;

/// Columns that [`wrap()`] aims for when a script does not say.
const SOFT_LIMIT: usize = 75;

/// Columns that [`wrap()`] never exceeds when a script does not say.
const HARD_LIMIT: usize = 900;

/// Adds `kumo.string`.
pub fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    let module = lua.create_table()?;
    splitting(lua, &module)?;
    trimming(lua, &module)?;
    psl::register(lua, &module)?;
    template::register(lua, &module)?;
    let wrap = |_: &Lua, (text, soft, hard): (String, Option<usize>, Option<usize>)| {
        Ok(wrap(&text, soft.unwrap_or(SOFT_LIMIT), hard.unwrap_or(HARD_LIMIT)))
    };
    module.raw_set("wrap", lua.create_function(wrap)?)?;
    let normalize = |_: &Lua, text: String| Ok(normalize_smtp_response(&text));
    module.raw_set("normalize_smtp_response", lua.create_function(normalize)?)?;
    kumo.raw_set("string", module)
}

fn splitting(lua: &Lua, module: &Table) -> mlua::Result<()> {
    type Two = (String, String);
    type Limited = (String, usize, String);
    let split = |lua: &Lua, (text, by): Two| lua.create_sequence_from(text.split(&by));
    let rsplit = |lua: &Lua, (text, by): Two| lua.create_sequence_from(text.rsplit(by.as_str()));
    let splitn = |lua: &Lua, (text, limit, by): Limited| lua.create_sequence_from(text.splitn(limit, &by));
    let rsplitn = |lua: &Lua, (text, limit, by): Limited| lua.create_sequence_from(text.rsplitn(limit, by.as_str()));
    let whitespace = |lua: &Lua, text: String| lua.create_sequence_from(text.split_whitespace());
    let ascii_whitespace = |lua: &Lua, text: String| lua.create_sequence_from(text.split_ascii_whitespace());
    let replace = |_: &Lua, (text, from, to): (String, String, String)| Ok(text.replace(&from, &to));
    let replacen =
        |_: &Lua, (text, from, to, count): (String, String, String, usize)| Ok(text.replacen(&from, &to, count));
    module.raw_set("split", lua.create_function(split)?)?;
    module.raw_set("rsplit", lua.create_function(rsplit)?)?;
    module.raw_set("splitn", lua.create_function(splitn)?)?;
    module.raw_set("rsplitn", lua.create_function(rsplitn)?)?;
    module.raw_set("split_whitespace", lua.create_function(whitespace)?)?;
    module.raw_set("split_ascii_whitespace", lua.create_function(ascii_whitespace)?)?;
    module.raw_set("replace", lua.create_function(replace)?)?;
    module.raw_set("replacen", lua.create_function(replacen)?)
}

fn trimming(lua: &Lua, module: &Table) -> mlua::Result<()> {
    let trim = |_: &Lua, text: String| Ok(text.trim().to_owned());
    let trim_start = |_: &Lua, text: String| Ok(text.trim_start().to_owned());
    let trim_end = |_: &Lua, text: String| Ok(text.trim_end().to_owned());
    let starts_with = |_: &Lua, (text, prefix): (String, String)| Ok(text.starts_with(&prefix));
    let ends_with = |_: &Lua, (text, suffix): (String, String)| Ok(text.ends_with(&suffix));
    module.raw_set("trim", lua.create_function(trim)?)?;
    module.raw_set("trim_start", lua.create_function(trim_start)?)?;
    module.raw_set("trim_end", lua.create_function(trim_end)?)?;
    module.raw_set("starts_with", lua.create_function(starts_with)?)?;
    module.raw_set("ends_with", lua.create_function(ends_with)?)
}

#[cfg(test)]
mod tests;
