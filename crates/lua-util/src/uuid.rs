//! `kumo.uuid`: identifiers.

use ::uuid::Uuid;
use mlua::{AnyUserData, Lua, MetaMethod, Table, UserData, UserDataFields, UserDataMethods};

use crate::error::raise;

/// Adds `kumo.uuid`.
pub fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    let node = random_node();
    let module = lua.create_table()?;
    module.raw_set("new_v1", lua.create_function(move |_, ()| Ok(UuidObject(Uuid::now_v1(&node))))?)?;
    module.raw_set("new_v4", lua.create_function(|_, ()| Ok(UuidObject(Uuid::new_v4())))?)?;
    module.raw_set("new_v6", lua.create_function(move |_, ()| Ok(UuidObject(Uuid::now_v6(&node))))?)?;
    module.raw_set("new_v7", lua.create_function(|_, ()| Ok(UuidObject(Uuid::now_v7())))?)?;
    let parse = |_: &Lua, text: String| match Uuid::try_parse(&text) {
        Ok(uuid) => Ok(UuidObject(uuid)),
        Err(error) => Err(raise(format!("{text:?} is not a uuid: {error}"))),
    };
    module.raw_set("parse", lua.create_function(parse)?)?;
    kumo.raw_set("uuid", module)
}

/// What stands in for a network card's address: random, and marked so that it can never be one.
fn random_node() -> [u8; 6] {
    let mut node = [0; 6];
    node.copy_from_slice(&Uuid::new_v4().as_bytes()[..6]);
    node[0] |= 1;
    node
}

#[derive(Clone, Copy)]
struct UuidObject(Uuid);

impl UserData for UuidObject {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("hyphenated", |_, this| Ok(this.0.hyphenated().to_string()));
        fields.add_field_method_get("simple", |_, this| Ok(this.0.simple().to_string()));
        fields.add_field_method_get("braced", |_, this| Ok(this.0.braced().to_string()));
        fields.add_field_method_get("urn", |_, this| Ok(this.0.urn().to_string()));
        fields.add_field_method_get("bytes", |lua, this| lua.create_string(this.0.as_bytes()));
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.0.hyphenated().to_string()));
        methods.add_meta_function(MetaMethod::Eq, |_, (a, b): (AnyUserData, AnyUserData)| {
            match (a.borrow::<Self>(), b.borrow::<Self>()) {
                (Ok(a), Ok(b)) => Ok(a.0 == b.0),
                _ => Ok(false),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::ask;

    #[test]
    fn every_form_is_a_field_and_every_form_is_parsed() {
        let code = "local u = kumo.uuid.parse '{69994630-3e27-11ef-91fc-cc28aa0a5c5a}' \
                    assert(u == kumo.uuid.parse(u.simple) and u == kumo.uuid.parse(u.urn)) \
                    return table.concat({ tostring(u), u.simple, u.braced, u.urn, kumo.encode.hex_encode(u.bytes) }, ' ')";
        assert_eq!(
            ask(code),
            "69994630-3e27-11ef-91fc-cc28aa0a5c5a 699946303e2711ef91fccc28aa0a5c5a \
             {69994630-3e27-11ef-91fc-cc28aa0a5c5a} urn:uuid:69994630-3e27-11ef-91fc-cc28aa0a5c5a \
             699946303e2711ef91fccc28aa0a5c5a"
        );
        assert!(ask("return kumo.uuid.parse 'x'").starts_with("!! \"x\" is not a uuid: "));
    }

    #[test]
    fn new_ones_have_the_version_asked_for_and_differ() {
        for version in ["1", "4", "6", "7"] {
            let new = format!("kumo.uuid.new_v{version}()");
            assert_eq!(ask(&format!("return {new}.hyphenated:sub(15, 15)")), version);
            assert_eq!(ask(&format!("return {new} == {new}")), "false");
        }
    }
}
