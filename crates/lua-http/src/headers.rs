//! The headers of a response: indexed by a name in any case, or walked with `pairs`.

use mlua::{Lua, LuaString, MetaMethod, MultiValue, UserData, UserDataMethods, UserDataRef, Value};
use reqwest::header::HeaderMap;

pub(crate) struct HeaderMapWrapper(pub(crate) HeaderMap);

impl UserData for HeaderMapWrapper {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Index, |lua, this, name: Value| this.first(lua, &name));
        methods.add_meta_function(MetaMethod::Pairs, |lua, this: UserDataRef<Self>| {
            let pairs: Vec<(String, Vec<u8>)> =
                this.0.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
            let mut pairs = pairs.into_iter();
            let next = lua.create_function_mut(move |lua, _: MultiValue| match pairs.next() {
                Some((name, value)) => Ok((Some(name), Some(lua.create_string(value)?))),
                None => Ok((None, None)),
            })?;
            Ok((next, Value::Nil, Value::Nil))
        });
    }
}

impl HeaderMapWrapper {
    /// The first value under that name. A value need not be UTF-8.
    fn first(&self, lua: &Lua, name: &Value) -> mlua::Result<Option<LuaString>> {
        let Value::String(name) = name else { return Ok(None) };
        let Ok(name) = name.to_str() else { return Ok(None) };
        self.0.get::<&str>(&name).map(|value| lua.create_string(value.as_bytes())).transpose()
    }
}
