//! The meta of a connection.

use mlua::{UserData, UserDataMethods, Value};
use waybill_policy::ConnMeta;

use crate::convert::{from_json, to_json};

/// `conn_meta`: shared with the listener, so that what a script sets is seen there.
pub(crate) struct ConnMetaObject(pub(crate) ConnMeta);

impl UserData for ConnMetaObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("get_meta", |lua, this, name: String| match this.0.get(&name) {
            Some(value) => from_json(lua, &value),
            None => Ok(Value::Nil),
        });
        methods.add_method("set_meta", |lua, this, (name, value): (String, Value)| {
            this.0.set(&name, to_json(lua, &value)?);
            Ok(())
        });
        methods.add_method("auth_info", |lua, this, ()| match this.0.get("auth_info") {
            Some(value) => from_json(lua, &value),
            None => Ok(Value::Nil),
        });
    }
}
