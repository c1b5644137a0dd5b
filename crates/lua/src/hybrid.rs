//! Functions that rarely have to wait.
//!
//! Waiting costs a function a few microseconds even when it does not come to that, and cannot be done inside
//! `table.sort` or while a module is loaded. So such a function comes in two parts: `quick` answers at once with true and
//! the results, or with false, and only then `slow` is called, which may wait.

use mlua::{Function, Lua};

/// Both parts as one function with any number of arguments and results.
pub(crate) fn function(lua: &Lua, quick: Function, slow: Function) -> mlua::Result<Function> {
    let code = "local quick, slow = ...
        local function decide(args, done, ...)
          if done then
            return ...
          end
          return slow(table.unpack(args, 1, args.n))
        end
        return function(...)
          return decide(table.pack(...), quick(...))
        end";
    join(lua, code, quick, slow)
}

/// Both parts as one method with at most three arguments besides the object, and one result.
pub(crate) fn method(lua: &Lua, quick: Function, slow: Function) -> mlua::Result<Function> {
    let code = "local quick, slow = ...
        return function(this, a, b, c)
          local done, result = quick(this, a, b, c)
          if done then
            return result
          end
          return slow(this, a, b, c)
        end";
    join(lua, code, quick, slow)
}

fn join(lua: &Lua, code: &str, quick: Function, slow: Function) -> mlua::Result<Function> {
    lua.load(code).set_name("=[policy]").call((quick, slow))
}
