//! Headers that hold addresses: `From`, `To` and their kin.

use bytes::Bytes;
use mlua::{IntoLua, Lua, MetaMethod, Table, UserData, UserDataFields, UserDataMethods, Value};
use waybill_mime::headers;
use waybill_spool::Message;

/// One address with the name in front of it.
struct Mailbox {
    name: Option<String>,
    email: String,
}

impl Mailbox {
    fn parts(&self) -> (&str, &str) {
        self.email.rsplit_once('@').unwrap_or((&self.email, ""))
    }

    fn table(&self, lua: &Lua) -> mlua::Result<Table> {
        let (user, domain) = self.parts();
        let table = lua.create_table()?;
        table.raw_set("name", self.name.as_deref())?;
        table.raw_set("email", self.email.as_str())?;
        table.raw_set("user", user)?;
        table.raw_set("domain", domain)?;
        Ok(table)
    }
}

/// The addresses of a header; `user`, `domain`, `email` and `name` are those of the first.
pub(super) struct Mailboxes(Vec<Mailbox>);

impl Mailboxes {
    /// The addresses of the first header of that name; `None` when there is none, or none in it.
    fn of(data: &[u8], name: &str) -> Option<Mailboxes> {
        let field = headers::first(data, name)?;
        let found = waybill_mime::emails(field.raw()).into_iter();
        let mailboxes: Vec<Mailbox> = found.map(|(name, email)| Mailbox { name, email }).collect();
        (!mailboxes.is_empty()).then_some(Mailboxes(mailboxes))
    }

    fn first<T>(&self, part: impl Fn(&Mailbox) -> T) -> Option<T> {
        self.0.first().map(part)
    }
}

impl UserData for Mailboxes {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("user", |_, this| Ok(this.first(|first| first.parts().0.to_owned())));
        fields.add_field_method_get("domain", |_, this| Ok(this.first(|first| first.parts().1.to_owned())));
        fields.add_field_method_get("email", |_, this| Ok(this.first(|first| first.email.clone())));
        fields.add_field_method_get("name", |_, this| Ok(this.first(|first| first.name.clone()).flatten()));
        fields.add_field_method_get("list", |lua, this| {
            let tables = this.0.iter().map(|mailbox| mailbox.table(lua)).collect::<mlua::Result<Vec<_>>>()?;
            lua.create_sequence_from(tables)
        });
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| {
            Ok(this.0.iter().map(|mailbox| mailbox.email.as_str()).collect::<Vec<_>>().join(", "))
        });
    }
}

pub(super) fn named(lua: &Lua, _: &Message, data: &Bytes, name: String) -> mlua::Result<Value> {
    Mailboxes::of(data, &name).into_lua(lua)
}

pub(super) fn from(lua: &Lua, _: &Message, data: &Bytes, (): ()) -> mlua::Result<Value> {
    Mailboxes::of(data, "From").into_lua(lua)
}

pub(super) fn to(lua: &Lua, _: &Message, data: &Bytes, (): ()) -> mlua::Result<Value> {
    Mailboxes::of(data, "To").into_lua(lua)
}
