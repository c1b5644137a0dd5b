//! Reading the files that scripts name.

use std::path::Path;
use std::sync::Arc;

use mlua::Lua;

use crate::beside::beside;
use crate::error::raise;

/// Told of every file a script reads through this crate, before it is read.
///
/// Set it with `lua.set_app_data(FileReadHook(..))`. The policy engine uses it to know which files
/// decide whether a loaded policy is still current.
pub struct FileReadHook(pub Arc<dyn Fn(&Path) + Send + Sync>);

/// The whole content of `path`.
///
/// This blocks: scripts load data while the policy starts, and a call that waits would not work at
/// the top level of a policy.
pub fn read(lua: &Lua, path: &str) -> mlua::Result<Vec<u8>> {
    let hook = lua.app_data_ref::<FileReadHook>().map(|hook| Arc::clone(&hook.0));
    if let Some(hook) = hook {
        hook(Path::new(path));
    }
    beside(lua, || std::fs::read(path)).map_err(|error| raise(format!("reading {path}: {error}")))
}
