//! The file object.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};

use mlua::{Lua, LuaString, MetaMethod, UserData, UserDataMethods, Value};

use super::failed;
use crate::beside::beside;
use crate::error::raise;

/// The most that one call of `read` gives: a large log must not become one string.
const MOST: u64 = 256 * 1024 * 1024;

pub(super) fn open(lua: &Lua, (path, mode): (String, Option<String>)) -> mlua::Result<FileObject> {
    let mode = mode.unwrap_or_else(|| "r".to_owned());
    let mut options = OpenOptions::new();
    match mode.replace('b', "").as_str() {
        "r" => options.read(true),
        "w" => options.write(true).create(true).truncate(true),
        "a" => options.append(true).create(true),
        "r+" => options.read(true).write(true),
        "w+" => options.read(true).write(true).create(true).truncate(true),
        "a+" => options.read(true).append(true).create(true),
        _ => {
            return Err(raise(format!("kumo.fs.open: unknown mode '{mode}', expected one of r, w, a, r+, w+, a+")));
        }
    };
    let file = beside(lua, || options.open(&path)).map_err(|error| failed("opening", &path, &error))?;
    Ok(FileObject { path, file: Some(file) })
}

pub(super) struct FileObject {
    path: String,
    /// `None` once it is closed.
    file: Option<File>,
}

impl FileObject {
    fn with<T>(&mut self, lua: &Lua, what: &str, f: impl FnOnce(&mut File) -> std::io::Result<T>) -> mlua::Result<T> {
        let file = self.file.as_mut().ok_or_else(|| raise(format!("{} is closed", self.path)))?;
        beside(lua, || f(file)).map_err(|error| failed(what, &self.path, &error))
    }

    /// So many bytes, fewer at the end and nil behind it; or all that is left.
    fn read(&mut self, lua: &Lua, count: &Value) -> mlua::Result<Value> {
        let (count, all) = match count {
            Value::Nil => (MOST, true),
            Value::String(word) if matches!(&*word.as_bytes(), b"a" | b"*a") => (MOST, true),
            Value::Integer(count) if *count >= 0 => ((*count).cast_unsigned().min(MOST), false),
            other => {
                let given = other.to_string()?;
                return Err(raise(format!("read: expected a number of bytes or 'a', got {given}")));
            }
        };
        let mut bytes = Vec::new();
        self.with(lua, "reading", |file| file.take(count).read_to_end(&mut bytes))?;
        if bytes.is_empty() && !all && count > 0 {
            return Ok(Value::Nil);
        }
        lua.create_string(bytes).map(Value::String)
    }

    fn seek(&mut self, lua: &Lua, whence: Option<&str>, offset: i64) -> mlua::Result<u64> {
        let place = match whence.unwrap_or("cur") {
            "set" => SeekFrom::Start(offset.max(0).cast_unsigned()),
            "cur" => SeekFrom::Current(offset),
            "end" => SeekFrom::End(offset),
            other => {
                return Err(raise(format!("seek: unknown place '{other}', expected one of set, cur, end")));
            }
        };
        self.with(lua, "seeking in", |file| file.seek(place))
    }
}

impl UserData for FileObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method_mut("read", |lua, this, count: Value| this.read(lua, &count));
        methods.add_method_mut("write", |lua, this, data: LuaString| {
            this.with(lua, "writing", |file| file.write_all(&data.as_bytes()))
        });
        methods.add_method_mut("seek", |lua, this, (whence, offset): (Option<String>, Option<i64>)| {
            this.seek(lua, whence.as_deref(), offset.unwrap_or(0))
        });
        methods.add_method_mut("flush", |lua, this, ()| this.with(lua, "writing", File::flush));
        methods.add_method_mut("close", |_, this, ()| {
            this.file = None;
            Ok(())
        });
        methods.add_meta_method_mut(MetaMethod::Close, |_, this, _: Value| {
            this.file = None;
            Ok(())
        });
    }
}
