//! `kumo.cidr`, `kumo.domain_map`, `kumo.regex_set_map`: tables whose keys are networks, domains or patterns.
//!
//! A map is read and written with `map[key]`, walked with `pairs`, and its values are whatever Lua has.

mod cidr;
mod domain;
mod pattern;
#[cfg(test)]
mod tests;

use mlua::{Lua, MetaMethod, MultiValue, Table, UserData, UserDataMethods, UserDataRef, Value};

use crate::error::raise;

/// Adds the three namespaces.
pub fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    namespace::<cidr::Networks>(lua, kumo, "cidr", "make_map")?;
    namespace::<domain::Domains>(lua, kumo, "domain_map", "new")?;
    namespace::<pattern::Patterns>(lua, kumo, "regex_set_map", "new")
}

/// How keys are kept and found.
trait Keys: Default + Send + Sync + 'static {
    /// Sets the value of a key as it is written; nil removes it.
    fn set(&mut self, key: &str, value: Value) -> Result<(), String>;

    /// The value for something that is looked up.
    fn find(&self, what: &str) -> Option<Value>;

    /// Keys as they are written, with their values.
    fn pairs(&self) -> Vec<(String, Value)>;
}

fn namespace<K: Keys>(lua: &Lua, kumo: &Table, name: &'static str, constructor: &'static str) -> mlua::Result<()> {
    let make = move |_: &Lua, content: Option<Table>| {
        let mut keys = K::default();
        if let Some(content) = content {
            content.for_each(|key: Value, value: Value| {
                let Value::String(key) = &key else {
                    let kind = key.type_name();
                    return Err(raise(format!("kumo.{name}.{constructor}: expected texts as keys, got a {kind}")));
                };
                let set = keys.set(&key.to_str()?, value);
                set.map_err(|why| raise(format!("kumo.{name}.{constructor}: {why}")))
            })?;
        }
        Ok(Map(keys))
    };
    let module = lua.create_table()?;
    module.raw_set(constructor, lua.create_function(make)?)?;
    kumo.raw_set(name, module)
}

struct Map<K>(K);

impl<K: Keys> UserData for Map<K> {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Index, |_, this, key: Value| match &key {
            Value::String(key) => Ok(key.to_str().ok().and_then(|key| this.0.find(&key))),
            // Nothing but a text can be in it; asking does no harm.
            _ => Ok(None),
        });
        methods.add_meta_method_mut(MetaMethod::NewIndex, |_, this, (key, value): (String, Value)| {
            this.0.set(&key, value).map_err(raise)
        });
        methods.add_meta_function(MetaMethod::Pairs, |lua, this: UserDataRef<Self>| {
            let mut pairs = this.0.pairs().into_iter();
            let next = lua.create_function_mut(move |_, _: MultiValue| Ok(pairs.next().unzip()))?;
            Ok((next, Value::Nil, Value::Nil))
        });
    }
}
