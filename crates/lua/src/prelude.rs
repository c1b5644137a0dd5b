//! The Lua that policies get: the safe standard library, minus what could load machine code, plus [`crate::record`].

use std::path::Path;
use std::sync::Arc;

use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, LuaOptions, MultiValue, StdLib, Table, Value, Variadic};

use crate::aside::beside;
use crate::error::{is_stopped, raise};
use crate::location::caller;
use crate::record;
use crate::sources::{self, Sources};

/// Coroutines kept for reuse by async calls.
const THREADS: usize = 4;

/// Where `require` looks besides the file system.
pub(crate) type Embedded = std::collections::HashMap<String, &'static str>;

/// A state with nothing of KumoMTA in it yet.
pub(crate) fn new_state(
    sources: &Arc<Sources>,
    embedded: &Arc<Embedded>,
    package_path: &[String],
) -> mlua::Result<Lua> {
    let lua = Lua::new_with(StdLib::ALL_SAFE, LuaOptions::new().thread_pool_size(THREADS))?;
    let record = record::install(&lua)?;
    let settle = lua.create_function(|lua, table: Table| record::settle(lua, &table))?;
    let watched = sources.clone();
    let note = lua.create_function(move |_, path: Value| {
        if let Value::String(path) = path {
            watched.watch(Path::new(&path.to_string_lossy()));
        }
        Ok(())
    })?;
    let files = sources.clone();
    let compile = lua.create_function(move |lua, (path, env): (Option<String>, Variadic<Value>)| {
        let Some(path) = path else { return Err(raise("a file name is needed: there is no standard input here")) };
        compile_file(lua, &files, &path, env.first())
    })?;
    let beside = lua.create_function(|lua, (function, args): (Function, MultiValue)| {
        beside(|| function.call::<MultiValue>(args)).map_err(|error| placed(lua, error))
    })?;
    let stopped = lua.create_function(|_, error: Value| Ok(error.as_error().is_some_and(is_stopped)))?;
    // "=" keeps the name as it is; frames of this chunk are skipped where a script's place is shown.
    lua.load(include_str!("prelude.lua")).set_name("=[policy]").call::<()>((record, settle, note, compile, stopped))?;
    lua.load(include_str!("beside.lua")).set_name("=[policy]").call::<()>(beside)?;
    package(&lua, sources, embedded, package_path)?;
    Ok(lua)
}

/// An error of Lua's library as the script would have had it from a call of its own: with its place before it.
fn placed(lua: &Lua, error: mlua::Error) -> mlua::Error {
    let mlua::Error::RuntimeError(text) = error else { return error };
    // What follows the text is a list of frames, which the script's own handler makes.
    let text = text.split("\nstack traceback:").next().unwrap_or_default();
    let place = caller(lua);
    if place.is_empty() { raise(text) } else { raise(format!("{place}: {text}")) }
}

/// Compiles a file of a generation as Lua compiles files: errors read `PATH:LINE: ...`.
pub(crate) fn compile(
    lua: &Lua,
    sources: &Sources,
    path: &str,
    text: &[u8],
    env: Option<&Value>,
) -> mlua::Result<Function> {
    let name = format!("@{path}");
    let known = sources.compiled(&name);
    let (code, mode) = match &known {
        Some(code) => (&code[..], ChunkMode::Binary),
        None => (sources::code(text), ChunkMode::Text),
    };
    let chunk = lua.load(code).set_name(&*name).set_mode(mode);
    let function = match env {
        Some(Value::Table(env)) => chunk.set_environment(env.clone()).into_function()?,
        _ => chunk.into_function()?,
    };
    if known.is_none() {
        // With names and lines: errors must tell where they are.
        sources.keep_compiled(&name, function.dump(false));
    }
    Ok(function)
}

/// For `loadfile`: the function, or nil and why not.
fn compile_file(lua: &Lua, sources: &Sources, path: &str, env: Option<&Value>) -> mlua::Result<(Value, Value)> {
    let why = match sources.read(Path::new(path)) {
        None => format!("cannot open {path}"),
        Some(text) => match compile(lua, sources, path, &text, env) {
            Ok(function) => return Ok((Value::Function(function), Value::Nil)),
            Err(mlua::Error::SyntaxError { message, .. }) => message,
            Err(error) => return Err(error),
        },
    };
    Ok((Value::Nil, Value::String(lua.create_string(why)?)))
}

fn package(lua: &Lua, sources: &Arc<Sources>, embedded: &Arc<Embedded>, paths: &[String]) -> mlua::Result<()> {
    let package: Table = lua.globals().get("package")?;
    let own: String = package.get("path")?;
    let path = paths.iter().map(String::as_str).chain([own.as_str()]).collect::<Vec<_>>().join(";");
    package.set("path", path)?;
    package.set("cpath", "")?;
    package.set("loadlib", Value::Nil)?;
    let searchers: Table = package.get("searchers")?;
    let preload: Value = searchers.get(1)?;
    let (sources, embedded) = (sources.clone(), embedded.clone());
    let table = package.clone();
    let search = lua.create_function(move |lua, name: String| find(lua, &table, &sources, &embedded, &name))?;
    package.set("searchers", lua.create_sequence_from([preload, Value::Function(search)])?)
}

/// What `require` calls: a loader and where it comes from, or why there is none.
fn find(lua: &Lua, package: &Table, sources: &Sources, embedded: &Embedded, name: &str) -> mlua::Result<MultiValue> {
    let found = |path: &str, text: &[u8]| -> mlua::Result<MultiValue> {
        let loader = compile(lua, sources, path, text, None).map_err(|error| match error {
            mlua::Error::SyntaxError { message, .. } => {
                raise(format!("error loading module '{name}' from file '{path}':\n\t{message}"))
            }
            other => other,
        })?;
        Ok(MultiValue::from_iter([Value::Function(loader), Value::String(lua.create_string(path)?)]))
    };
    let path: String = package.get("path").map_err(|_| raise("'package.path' must be a string"))?;
    let file_name = name.replace('.', "/");
    let mut tried = Vec::new();
    for candidate in path.split(';').filter(|template| !template.is_empty()).map(|t| t.replace('?', &file_name)) {
        match sources.read(Path::new(&candidate)) {
            Some(text) => return found(&candidate, &text),
            None => tried.push(format!("no file '{candidate}'")),
        }
    }
    match embedded.get(name) {
        Some(text) => found(&format!("{file_name}.lua"), text.as_bytes()),
        None => Ok(MultiValue::from_iter([Value::String(lua.create_string(tried.join("\n\t"))?)])),
    }
}

/// For tests of what does not need an engine.
#[cfg(test)]
pub(crate) fn bare_state_for_tests() -> Lua {
    new_state(&Arc::default(), &Arc::default(), &[]).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_can_load_machine_code_or_bytecode() {
        let lua = bare_state_for_tests();
        lua.load(
            r#"
            assert(debug == nil and package.loadlib == nil and package.cpath == '' and string.dump == nil)
            local f, why = load('\27Lua', 'x')
            assert(f == nil and why:find 'binary chunk')
            assert(load('return 1', 'x', 'b') == nil)
            assert(load('return 1')() == 1 and load('return a', 'x', 't', { a = 2 })() == 2)
            local parts = { 'return ', '3' }
            assert(load(function() return table.remove(parts, 1) end)() == 3)
            local ok, why = pcall(require, 'no.such')
            assert(not ok and why:find "no file '%./no/such%.lua'", why)
            "#,
        )
        .exec()
        .unwrap();
    }

    #[test]
    fn require_prefers_a_file_to_an_embedded_module() {
        let dir = tempfile::tempdir().unwrap();
        let template = format!("{}/?.lua", dir.path().display());
        let embedded =
            Embedded::from([("extras.a".to_owned(), "return 'embedded'"), ("extras.b".to_owned(), "return 'b'")]);
        std::fs::create_dir(dir.path().join("extras")).unwrap();
        std::fs::write(dir.path().join("extras/a.lua"), "return 'file'").unwrap();
        let lua = new_state(&Arc::default(), &Arc::new(embedded), &[template]).unwrap();
        let (a, b): (String, String) = lua.load("return require 'extras.a', (require 'extras.b')").eval().unwrap();
        assert_eq!((a.as_str(), b.as_str()), ("file", "b"));
    }

    #[test]
    fn files_are_loaded_as_text_with_their_name_in_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lua");
        std::fs::write(&path, "#!/bin/lua\nlocal x = ...\nerror('boom')").unwrap();
        let lua = bare_state_for_tests();
        lua.globals().set("path", path.to_str().unwrap()).unwrap();
        lua.load(
            r#"
            local ok, why = pcall(dofile, path)
            assert(not ok and why:find 'a.lua:3: boom', why)
            local f, why = loadfile('/no/such/file')
            assert(f == nil and why == 'cannot open /no/such/file')
            "#,
        )
        .exec()
        .unwrap();
    }
}
