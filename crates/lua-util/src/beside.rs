//! Where calls that may block run.

use mlua::Lua;

/// Runs what may block, once: a file on a slow disk, a pipe.
///
/// Set it with `lua.set_app_data(Beside(..))`. The daemon uses it to give the thread's worker to another thread first;
/// without it, such calls run as they are.
pub struct Beside(pub fn(&mut dyn FnMut()));

/// Runs `f` where calls that may block run.
pub(crate) fn beside<T>(lua: &Lua, f: impl FnOnce() -> T) -> T {
    // Copied out: `f` may use the state.
    let Some(run) = lua.app_data_ref::<Beside>().map(|beside| beside.0) else { return f() };
    let (mut f, mut result) = (Some(f), None);
    run(&mut || result = f.take().map(|f| f()));
    result.unwrap_or_else(|| unreachable!("`Beside` runs what it is given, once"))
}
