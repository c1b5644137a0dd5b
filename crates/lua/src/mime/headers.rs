//! The headers of a part.

use bytes::Bytes;
use mlua::{Function, Lua, MetaMethod, UserData, UserDataMethods, Value};
use waybill_mime::{Part, headers};

use super::header::HeaderObject;
use super::part::PartObject;
use super::values::Shape;
use crate::error::raise;

/// The headers of this part, to be read and changed.
pub(super) struct HeadersObject(pub(super) PartObject);

impl HeadersObject {
    fn section(&self) -> mlua::Result<Bytes> {
        self.0.read(|part| Ok(part.headers().clone()))
    }

    fn get(&self, lua: &Lua, name: &str, shape: Shape) -> mlua::Result<Value> {
        match headers::first(&self.section()?, name) {
            Some(field) => shape.read(lua, name, field.raw()),
            None => Ok(Value::Nil),
        }
    }

    fn set(&self, name: &str, shape: Shape, value: &Value) -> mlua::Result<()> {
        let value = shape.write(name, value)?;
        self.0.change(|part| {
            part.set_header(name, &value);
            Ok(())
        })
    }

    /// With one field more, in front or at the end.
    fn add(&self, name: &str, value: &str, place: Place) -> mlua::Result<()> {
        let value = Part::header_text(name, value).map_err(|error| raise(format!("headers: {error}")))?;
        self.0.change(|part| {
            part.set_headers(match place {
                Place::Front => headers::prepend(part.headers(), name, &value),
                Place::End => headers::behind(part.headers(), name, &value),
            });
            Ok(())
        })
    }

    /// The fields that there are now, one after the other.
    fn iter(&self, lua: &Lua, name: Option<String>) -> mlua::Result<Function> {
        let section = self.section()?;
        let mut at = 0;
        lua.create_function_mut(move |_, ()| {
            let rest = &section[at..];
            let wanted = |field: &headers::Field<'_>| name.as_deref().is_none_or(|name| field.is(name));
            let field = headers::fields(rest).find(wanted);
            at += field.as_ref().map_or(rest.len(), |field| field.whole().end);
            Ok(field.as_ref().map(HeaderObject::of))
        })
    }
}

#[derive(Clone, Copy)]
enum Place {
    Front,
    End,
}

impl UserData for HeadersObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("append", |_, this, (name, value): (String, String)| this.add(&name, &value, Place::End));
        methods.add_method("prepend", |_, this, (name, value): (String, String)| this.add(&name, &value, Place::Front));
        methods.add_method("get_first_named", |_, this, name: String| {
            Ok(headers::first(&this.section()?, &name).as_ref().map(HeaderObject::of))
        });
        methods.add_method("iter", |lua, this, name: Option<String>| this.iter(lua, name));
        methods.add_method("remove_all_named", |_, this, name: String| {
            this.0.change(|part| {
                if let Some(rest) = headers::without(part.headers(), |field| field.is(&name)) {
                    part.set_headers(rest);
                }
                Ok(())
            })
        });
        methods.add_method("bcc", |lua, this, ()| this.get(lua, "Bcc", Shape::Addresses));
        methods.add_method("cc", |lua, this, ()| this.get(lua, "Cc", Shape::Addresses));
        methods.add_method("comments", |lua, this, ()| this.get(lua, "Comments", Shape::Text));
        methods.add_method("content_disposition", |lua, this, ()| this.get(lua, "Content-Disposition", Shape::Params));
        methods.add_method("content_id", |lua, this, ()| this.get(lua, "Content-ID", Shape::Id));
        methods.add_method("content_transfer_encoding", |lua, this, ()| {
            this.get(lua, "Content-Transfer-Encoding", Shape::Params)
        });
        methods.add_method("content_type", |lua, this, ()| this.get(lua, "Content-Type", Shape::Params));
        methods.add_method("from", |lua, this, ()| this.get(lua, "From", Shape::Mailboxes));
        methods.add_method("message_id", |lua, this, ()| this.get(lua, "Message-ID", Shape::Id));
        methods.add_method("mime_version", |lua, this, ()| this.get(lua, "MIME-Version", Shape::Text));
        methods.add_method("references", |lua, this, ()| this.get(lua, "References", Shape::Ids));
        methods.add_method("reply_to", |lua, this, ()| this.get(lua, "Reply-To", Shape::Addresses));
        methods.add_method("resent_bcc", |lua, this, ()| this.get(lua, "Resent-Bcc", Shape::Addresses));
        methods.add_method("resent_cc", |lua, this, ()| this.get(lua, "Resent-Cc", Shape::Addresses));
        methods.add_method("resent_from", |lua, this, ()| this.get(lua, "Resent-From", Shape::Mailboxes));
        methods.add_method("resent_sender", |lua, this, ()| this.get(lua, "Resent-Sender", Shape::Mailbox));
        methods.add_method("resent_to", |lua, this, ()| this.get(lua, "Resent-To", Shape::Addresses));
        methods.add_method("sender", |lua, this, ()| this.get(lua, "Sender", Shape::Mailbox));
        methods.add_method("subject", |lua, this, ()| this.get(lua, "Subject", Shape::Text));
        methods.add_method("to", |lua, this, ()| this.get(lua, "To", Shape::Addresses));

        methods.add_method("set_bcc", |_, this, value: Value| this.set("Bcc", Shape::Addresses, &value));
        methods.add_method("set_cc", |_, this, value: Value| this.set("Cc", Shape::Addresses, &value));
        methods.add_method("set_comments", |_, this, value: Value| this.set("Comments", Shape::Text, &value));
        methods.add_method("set_content_disposition", |_, this, value: Value| {
            this.set("Content-Disposition", Shape::Params, &value)
        });
        methods.add_method("set_content_id", |_, this, value: Value| this.set("Content-ID", Shape::Id, &value));
        methods.add_method("set_content_transfer_encoding", |_, this, value: Value| {
            this.set("Content-Transfer-Encoding", Shape::Params, &value)
        });
        methods.add_method("set_content_type", |_, this, value: Value| this.set("Content-Type", Shape::Params, &value));
        methods.add_method("set_from", |_, this, value: Value| this.set("From", Shape::Mailboxes, &value));
        methods.add_method("set_message_id", |_, this, value: Value| this.set("Message-ID", Shape::Id, &value));
        methods.add_method("set_mime_version", |_, this, value: Value| this.set("MIME-Version", Shape::Text, &value));
        methods.add_method("set_references", |_, this, value: Value| this.set("References", Shape::Ids, &value));
        methods.add_method("set_reply_to", |_, this, value: Value| this.set("Reply-To", Shape::Addresses, &value));
        methods.add_method("set_resent_bcc", |_, this, value: Value| this.set("Resent-Bcc", Shape::Addresses, &value));
        methods.add_method("set_resent_cc", |_, this, value: Value| this.set("Resent-Cc", Shape::Addresses, &value));
        methods
            .add_method("set_resent_from", |_, this, value: Value| this.set("Resent-From", Shape::Mailboxes, &value));
        methods
            .add_method("set_resent_sender", |_, this, value: Value| this.set("Resent-Sender", Shape::Mailbox, &value));
        methods.add_method("set_resent_to", |_, this, value: Value| this.set("Resent-To", Shape::Addresses, &value));
        methods.add_method("set_sender", |_, this, value: Value| this.set("Sender", Shape::Mailbox, &value));
        methods.add_method("set_subject", |_, this, value: Value| this.set("Subject", Shape::Text, &value));
        methods.add_method("set_to", |_, this, value: Value| this.set("To", Shape::Addresses, &value));
        methods.add_meta_method(MetaMethod::ToString, |lua, this, ()| lua.create_string(this.section()?));
    }
}
