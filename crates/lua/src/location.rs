//! Where in the policy a call comes from.

use mlua::Lua;
use mlua::debug::Debug;

/// `FILE:LINE` of the script code that called the running Rust function; empty when there is none.
///
/// Frames of the interpreter's own helpers are passed over.
pub fn caller(lua: &Lua) -> String {
    const DEEPEST: usize = 200;
    (1..DEEPEST).map_while(|level| lua.inspect_stack(level, script_place)).flatten().next().unwrap_or_default()
}

/// The place of a frame, when it is one of script code.
fn script_place(frame: &Debug) -> Option<String> {
    let line = frame.current_line()?;
    let source = frame.source();
    let name = source.source.as_deref().unwrap_or("");
    if is_helper(name) {
        return None;
    }
    let shown = match name.strip_prefix('@') {
        Some(path) => path,
        // A chunk made of a string: Lua's own short form, without the line ends of the string.
        None => source.short_src.as_deref().unwrap_or("?"),
    };
    Some(format!("{shown}:{line}"))
}

/// Chunks that are part of the engine.
pub(crate) fn is_helper(source: &str) -> bool {
    matches!(source, "=[policy]" | "=__mlua_async_poll")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_that_of_the_script_that_called() {
        let lua = Lua::new();
        let place = lua.create_function(|lua, ()| Ok(caller(lua))).unwrap();
        lua.globals().set("place", place).unwrap();
        let at: String = lua.load("\nlocal p = place() return p").set_name("@/etc/init.lua").eval().unwrap();
        assert_eq!(at, "/etc/init.lua:2");
        let at: String = lua.load("local p = place() return p").set_name("s.lua").eval().unwrap();
        assert_eq!(at, "[string \"s.lua\"]:1");
        assert_eq!(caller(&lua), "");
    }
}
