//! What the tests of every namespace need: a state with everything registered, and a way to ask it.

use mlua::{Function, Lua, Value};

/// A fresh state whose global `kumo` has every namespace.
pub(crate) fn lua() -> Lua {
    let lua = Lua::new();
    let kumo = lua.create_table().unwrap();
    crate::register_all(&lua, &kumo).unwrap();
    lua.globals().set("kumo", kumo).unwrap();
    lua
}

/// What `code` returns, as `tostring` shows it; or `!!` and the first line of the error.
pub(crate) fn ask(code: &str) -> String {
    ask_in(&lua(), code)
}

/// [`ask`], in a state that the test has prepared.
pub(crate) fn ask_in(lua: &Lua, code: &str) -> String {
    let tostring: Function = lua.globals().get("tostring").unwrap();
    match lua.load(code).eval::<Value>() {
        Ok(value) => tostring.call(value).unwrap(),
        Err(error) => {
            let text = error.to_string();
            format!("!! {}", text.split("\nstack traceback").next().unwrap_or_default().trim_end())
        }
    }
}
