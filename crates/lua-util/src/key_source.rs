//! Keys as scripts name them: a file, or the bytes themselves.

use mlua::{Lua, Value};

use crate::error::raise;
use crate::files;

/// Where the bytes of a key come from.
#[derive(Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A plain string is the path of a file, and never the key.
    File(String),
    /// `{ key_data = "..." }`: the key itself.
    Data(Vec<u8>),
}

// Written by hand: a key must not reach a log through `{:?}`.
impl std::fmt::Debug for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Data(bytes) => write!(f, "Data({} bytes)", bytes.len()),
        }
    }
}

impl KeySource {
    /// Understands the two forms above; any other table is an error that names what is known.
    pub fn from_lua(value: &Value) -> mlua::Result<Self> {
        match value {
            Value::String(path) => Ok(Self::File(path.to_str()?.to_owned())),
            Value::Table(table) => match table.raw_get::<Value>("key_data")? {
                Value::String(data) => Ok(Self::Data(data.as_bytes().to_vec())),
                Value::Nil => Err(raise("this kind of key source is not supported: use a file path or {key_data=...}")),
                other => Err(raise(format!("key_data must be a string, not a {}", other.type_name()))),
            },
            other => {
                Err(raise(format!("a key source must be a file path or {{key_data=...}}, not a {}", other.type_name())))
            }
        }
    }

    /// The bytes of the key. A file is read anew each time, so that a replaced key is picked up.
    pub fn load(&self, lua: &Lua) -> mlua::Result<Vec<u8>> {
        match self {
            Self::File(path) => files::read(lua, path),
            Self::Data(bytes) => Ok(bytes.clone()),
        }
    }
}
