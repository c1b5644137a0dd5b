//! Where calls that may block run.

use mlua::Lua;

/// Runs what may block: a file on a slow disk, a pipe.
///
/// Set it with `lua.set_app_data(Beside(..))`. The daemon uses it to give the thread's worker to another thread first;
/// without it, such calls run as they are.
pub struct Beside(pub fn(&mut dyn FnMut()));

/// Runs `f` where calls that may block run.
pub(crate) fn beside<T>(lua: &Lua, f: impl FnOnce() -> T) -> T {
    // Copied out: `f` may use the state.
    let Some(run) = lua.app_data_ref::<Beside>().map(|beside| beside.0) else { return f() };
    let (mut f, mut result) = (Some(f), None);
    let mut once = || result = f.take().map(|f| f());
    run(&mut once);
    // One that does not run what it is given.
    result.or_else(|| f.map(|f| f())).unwrap_or_else(|| unreachable!("run above, by one or the other"))
}
