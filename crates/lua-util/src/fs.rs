//! `kumo.fs`: files and folders.
//!
//! What is read here does not reload the policy when it changes: scripts read spools and logs with it, not
//! configuration. All of it blocks, beside the workers of the runtime (see [`Beside`](crate::Beside)).

mod file;

use std::fs::Metadata;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mlua::{Lua, Table};

use crate::beside::beside;
use crate::error::raise;
use crate::time::Time;

/// How long `glob` gives the same answer.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Patterns that are remembered; with more, all are forgotten.
const MANY: usize = 1000;

/// Adds `kumo.fs`.
pub fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    let module = lua.create_table()?;
    module.raw_set("open", lua.create_function(file::open)?)?;
    module.raw_set("read_dir", lua.create_function(read_dir)?)?;
    module.raw_set("glob", lua.create_function(glob)?)?;
    let uncached_glob = |lua: &Lua, (pattern, base): (String, Option<String>)| uncached(lua, &pattern, base);
    module.raw_set("uncached_glob", lua.create_function(uncached_glob)?)?;
    let follow = |lua: &Lua, path: String| metadata(lua, &path, beside(lua, || std::fs::metadata(&path)));
    module.raw_set("metadata_for_path", lua.create_function(follow)?)?;
    let itself = |lua: &Lua, path: String| metadata(lua, &path, beside(lua, || std::fs::symlink_metadata(&path)));
    module.raw_set("symlink_metadata_for_path", lua.create_function(itself)?)?;
    kumo.raw_set("fs", module)
}

fn failed(what: &str, path: &str, error: &std::io::Error) -> mlua::Error {
    raise(format!("{what} {path}: {error}"))
}

/// The paths of what is in a folder, in order.
fn read_dir(lua: &Lua, path: String) -> mlua::Result<Vec<String>> {
    let read = || -> std::io::Result<Vec<String>> {
        let entries = std::fs::read_dir(&path)?.map(|entry| Ok(entry?.path().to_string_lossy().into_owned()));
        let mut paths = entries.collect::<std::io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    };
    beside(lua, read).map_err(|error| failed("reading", &path, &error))
}

#[derive(Default)]
struct Remembered(std::collections::HashMap<(String, Option<String>), (Instant, Vec<String>)>);

/// As `uncached_glob`, a minute long the same.
fn glob(lua: &Lua, (pattern, base): (String, Option<String>)) -> mlua::Result<Vec<String>> {
    let key = (pattern, base);
    if let Some(known) = lua.app_data_ref::<Remembered>()
        && let Some((since, paths)) = known.0.get(&key)
        && since.elapsed() < REMEMBERED
    {
        return Ok(paths.clone());
    }
    let paths = uncached(lua, &key.0, key.1.clone())?;
    let mut known = lua.remove_app_data::<Remembered>().unwrap_or_default();
    if known.0.len() >= MANY {
        known.0.clear();
    }
    known.0.insert(key, (Instant::now(), paths.clone()));
    lua.set_app_data(known);
    Ok(paths)
}

/// The paths that a pattern fits, in order; a relative one is meant from `base` on.
fn uncached(lua: &Lua, pattern: &str, base: Option<String>) -> mlua::Result<Vec<String>> {
    let whole = base.map_or_else(|| PathBuf::from(pattern), |base| PathBuf::from(base).join(pattern));
    let whole = whole.to_string_lossy().into_owned();
    let found = ::glob::glob(&whole).map_err(|error| raise(format!("'{whole}' is no pattern: {error}")))?;
    // What may not be read is not there.
    let paths = found.filter_map(Result::ok).map(|path| path.to_string_lossy().into_owned());
    Ok(beside(lua, || paths.collect()))
}

fn metadata(lua: &Lua, path: &str, metadata: std::io::Result<Metadata>) -> mlua::Result<Table> {
    let metadata = metadata.map_err(|error| failed("looking at", path, &error))?;
    let table = lua.create_table()?;
    table.raw_set("len", metadata.len())?;
    table.raw_set("is_dir", metadata.is_dir())?;
    table.raw_set("is_file", metadata.is_file())?;
    table.raw_set("is_symlink", metadata.is_symlink())?;
    table.raw_set("readonly", metadata.permissions().readonly())?;
    for (name, moment) in
        [("modified", metadata.modified()), ("accessed", metadata.accessed()), ("created", metadata.created())]
    {
        if let Ok(moment) = moment {
            table.raw_set(name, Time(moment.into()))?;
        }
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use crate::testing::{ask_in, lua};

    fn ask(dir: &tempfile::TempDir, code: &str) -> String {
        let lua = lua();
        lua.globals().set("dir", dir.path().to_str().unwrap()).unwrap();
        ask_in(&lua, code)
    }

    #[test]
    fn files_are_written_and_read() {
        let dir = tempfile::tempdir().unwrap();
        let code = "local f = kumo.fs.open(dir .. '/a', 'w') f:write 'hello ' f:write 'world' f:flush() f:close()
            local f = kumo.fs.open(dir .. '/a', 'a+') f:write '!' f:seek('set', 6)
            local some, rest, more = f:read(3), f:read(), f:read(1)
            local at = f:seek('cur', 0)
            f:close()
            local f <close> = kumo.fs.open(dir .. '/a')
            return table.concat({ some, rest, tostring(more), at, f:seek('end', -1), f:read 'a' }, '|')";
        assert_eq!(ask(&dir, code), "wor|ld!|nil|12|11|!");
    }

    #[test]
    fn what_cannot_be_done_says_what_and_where() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display();
        for (code, expected) in [
            ("kumo.fs.open(dir .. '/none')", format!("opening {path}/none: No such file or directory (os error 2)")),
            (
                "kumo.fs.open(dir .. '/none', 'x')",
                "kumo.fs.open: unknown mode 'x', expected one of r, w, a, r+, w+, a+".to_owned(),
            ),
            ("local f = kumo.fs.open(dir .. '/b', 'w') f:close() f:write 'x'", format!("{path}/b is closed")),
            (
                "kumo.fs.open(dir .. '/b', 'w'):seek('middle', 1)",
                "seek: unknown place 'middle', expected one of set, cur, end".to_owned(),
            ),
            ("kumo.fs.open(dir .. '/b', 'w'):read()", format!("reading {path}/b: Bad file descriptor (os error 9)")),
            (
                "kumo.fs.read_dir(dir .. '/none')",
                format!("reading {path}/none: No such file or directory (os error 2)"),
            ),
            (
                "kumo.fs.metadata_for_path(dir .. '/none')",
                format!("looking at {path}/none: No such file or directory (os error 2)"),
            ),
        ] {
            assert_eq!(ask(&dir, code), format!("!! {expected}"), "{code}");
        }
    }

    #[test]
    fn folders_patterns_and_what_is_known_of_a_path() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.lua", "a.lua", "c.txt"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        std::os::unix::fs::symlink(dir.path().join("c.txt"), dir.path().join("link")).unwrap();
        for (code, expected) in [
            ("return #kumo.fs.read_dir(dir)", "4"),
            ("return kumo.fs.read_dir(dir)[1]:sub(-5)", "a.lua"),
            ("local g = kumo.fs.glob(dir .. '/*.lua') return #g .. g[2]:sub(-5)", "2b.lua"),
            ("return #kumo.fs.uncached_glob('*.lua', dir)", "2"),
            (
                "local n = #kumo.fs.glob('*.lua', dir) os.remove(dir .. '/a.lua')
                 return n .. #kumo.fs.glob('*.lua', dir) .. #kumo.fs.uncached_glob('*.lua', dir)",
                "221",
            ),
            (
                "local m = kumo.fs.metadata_for_path(dir .. '/link') return string.format('%s %s %d', m.is_file, m.is_symlink, m.len)",
                "true false 5",
            ),
            (
                "local m = kumo.fs.symlink_metadata_for_path(dir .. '/link') return string.format('%s %s', m.is_file, m.is_symlink)",
                "false true",
            ),
            ("return kumo.fs.metadata_for_path(dir).is_dir", "true"),
            ("return kumo.fs.metadata_for_path(dir).modified.year > 2000", "true"),
        ] {
            assert_eq!(ask(&dir, code), expected, "{code}");
        }
    }
}
