//! The header object: a copy of one header field.

use mlua::{Lua, MetaMethod, UserData, UserDataFields, UserDataMethods, Value};
use waybill_mime::headers::Field;

use super::values::{Shape, shape_of};

/// One field, as it was when somebody asked for it.
pub(super) struct HeaderObject {
    name: String,
    raw: Vec<u8>,
}

impl HeaderObject {
    pub(super) fn of(field: &Field<'_>) -> HeaderObject {
        HeaderObject { name: field.name(), raw: field.raw().trim_ascii().to_vec() }
    }

    fn read(&self, lua: &Lua, shape: Shape) -> mlua::Result<Value> {
        shape.read(lua, &self.name, &self.raw)
    }
}

impl UserData for HeaderObject {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("name", |_, this| Ok(this.name.clone()));
        fields.add_field_method_get("raw_value", |lua, this| lua.create_string(&this.raw));
        fields.add_field_method_get("value", |lua, this| this.read(lua, shape_of(&this.name)));
        fields.add_field_method_get("unstructured", |lua, this| this.read(lua, Shape::Text));
        fields.add_field_method_get("address_list", |lua, this| this.read(lua, Shape::Addresses));
        fields.add_field_method_get("mailbox_list", |lua, this| this.read(lua, Shape::Mailboxes));
        fields.add_field_method_get("mailbox", |lua, this| this.read(lua, Shape::Mailbox));
        fields.add_field_method_get("message_id", |lua, this| this.read(lua, Shape::Id));
        fields.add_field_method_get("message_id_list", |lua, this| this.read(lua, Shape::Ids));
        fields.add_field_method_get("mime_params", |lua, this| this.read(lua, Shape::Params));
        fields.add_field_method_get("authentication_results", |lua, this| this.read(lua, Shape::Results));
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |lua, this, ()| {
            lua.create_string([this.name.as_bytes(), b": ", &this.raw[..]].concat())
        });
    }
}
