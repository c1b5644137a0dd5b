//! The message object.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use mlua::{
    AnyUserData, FromLuaMulti, Function, IntoLua, IntoLuaMulti, Lua, LuaString, MetaMethod, MultiValue, ObjectLike,
    Table, UserData, UserDataFields, UserDataMethods, UserDataRef, Value,
};
use waybill_log_record::RecordView;
use waybill_mime::headers;
use waybill_reports::Report;
use waybill_spool::Message;
use waybill_types::{EnvelopeAddress, Timestamp};

use super::address::{self, AddressObject};
use super::{auth, body, conformance, import, mailboxes, meta, schedule, text};
use crate::convert::from_json;
use crate::error::raise;
use crate::mime::PartObject;
use crate::{hybrid, record};

/// A message, shared with the daemon.
pub(crate) struct MessageObject {
    message: Message,
    force_sync: AtomicBool,
    /// The JSON of its record, once a script has looked into that.
    record: OnceLock<Vec<u8>>,
}

impl MessageObject {
    pub(crate) fn new(message: Message) -> Self {
        MessageObject { message, force_sync: AtomicBool::new(false), record: OnceLock::new() }
    }

    pub(crate) fn message(&self) -> &Message {
        &self.message
    }

    /// The JSON of the record that it tells of, null members left out; nothing where it tells of none.
    pub(crate) fn record_json(&self) -> &[u8] {
        let record = || self.message.record().map(RecordView::json_without_nulls).unwrap_or_default();
        self.record.get_or_init(record)
    }

    /// Whether anybody asked for that.
    pub(crate) fn is_record_read(&self) -> bool {
        self.record.get().is_some()
    }

    /// Appends it, without keeping it. False where it tells of no record.
    pub(crate) fn write_record(&self, out: &mut Vec<u8>) -> bool {
        let record = self.message.record();
        record.inspect(|record| record.write_json_without_nulls(out)).is_some()
    }
}

impl UserData for MessageObject {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field("get_meta", GetMeta);
        // Methods that need the body, which may have to be loaded.
        fields.add_field("get_data", OnBody(|lua, _, data, ()| lua.create_string(data).map(Value::String)));
        fields.add_field("get_first_named_header_value", OnBody(first_header));
        fields.add_field("get_all_named_header_values", OnBody(all_headers_of));
        fields.add_field("get_all_headers", OnBody(all_headers));
        fields.add_field("parse_mime", OnBody(|lua, _, data, ()| PartObject::parse(data)?.into_lua(lua)));
        fields.add_field("parse_rfc3464", OnBody(parse_rfc3464));
        fields.add_field("parse_rfc5965", OnBody(parse_rfc5965));
        fields.add_field("append_header", OnBody(append_header));
        fields.add_field("prepend_header", OnBody(prepend_header));
        fields.add_field("remove_all_named_headers", OnBody(remove_all_named_headers));
        fields.add_field("remove_x_headers", OnBody(remove_x_headers));
        fields.add_field("import_scheduling_header", OnBody(schedule::import));
        fields.add_field("check_fix_conformance", OnBody(conformance::check_fix));
        fields.add_field("import_headers", OnBody(import::headers));
        fields.add_field("get_address_header", OnBody(mailboxes::named));
        fields.add_field("from_header", OnBody(mailboxes::from));
        fields.add_field("to_header", OnBody(mailboxes::to));
        fields.add_field("append_text_plain", OnBody(text::append_plain));
        fields.add_field("append_text_html", OnBody(text::append_html));
        fields.add_field("dkim_sign", OnBody(auth::dkim_sign));
        fields.add_field("add_authentication_results", OnBody(auth::add_results));
        fields.add_field(
            "import_x_headers",
            OnBody(|_, message, data, names: Option<Vec<String>>| {
                meta::import_x_headers(message, data, names.as_deref());
                Ok(Value::Nil)
            }),
        );
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("id", |_, this, ()| Ok(this.message.id().to_string()));
        methods.add_method("sender", |_, this, ()| Ok(AddressObject(this.message.sender())));
        methods.add_method("set_sender", |_, this, sender: Value| {
            this.message.set_sender(address::one(&sender)?);
            Ok(())
        });
        methods.add_method("recipient", |lua, this, ()| {
            let mut recipients = this.message.recipients();
            match recipients.len() {
                0 => Ok(Value::Nil),
                1 => AddressObject(recipients.remove(0)).into_lua(lua),
                _ => address_list(lua, recipients),
            }
        });
        methods.add_method("recipient_list", |lua, this, ()| address_list(lua, this.message.recipients()));
        methods.add_method("set_recipient", |_, this, recipients: Value| {
            this.message.set_recipients(address::several(&recipients)?);
            Ok(())
        });
        methods.add_method("set_data", |_, this, data: LuaString| {
            this.message.set_data(Bytes::copy_from_slice(&data.as_bytes()));
            Ok(())
        });
        methods.add_method("set_meta", |lua, this, (name, value): (String, Value)| {
            meta::set(lua, &this.message, &name, &value)
        });
        methods.add_method("queue_name", |_, this, ()| meta::queue_name(&this.message));
        methods.add_method("webhook_hops", |_, this, ()| Ok(this.message.hops()));
        methods.add_method("num_attempts", |_, this, ()| Ok(this.message.attempts()));
        methods.add_method("increment_num_attempts", |_, this, ()| {
            this.message.set_attempts(this.message.attempts().saturating_add(1));
            Ok(())
        });
        methods.add_method("set_due", |lua, this, due: Value| {
            let due = schedule::set_due(lua, &this.message, moment(&due)?);
            Ok(due.map(Timestamp::to_rfc3339))
        });
        methods.add_method("set_scheduling", |lua, this, table: Value| schedule::set(lua, &this.message, &table));
        methods.add_method("shrink", |_, this, ()| Ok(shrink(&this.message)));
        methods.add_method("shrink_data", |_, this, ()| Ok(shrink(&this.message)));
        methods.add_method("set_force_sync", |_, this, force: bool| {
            this.force_sync.store(force, Ordering::Relaxed);
            Ok(())
        });
        methods.add_async_method("save", |lua, this, ()| async move {
            let (message, synced) = (this.message.clone(), this.force_sync.load(Ordering::Relaxed));
            drop(this);
            body::save(&lua, &message, synced).await
        });
        methods.add_async_method("dkim_verify", auth::dkim_verify);
        methods.add_async_method("arc_verify", auth::arc_verify);
        methods.add_async_method("arc_seal", auth::arc_seal);
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("Message({})", this.message.id())));
        methods.add_meta_method(MetaMethod::Eq, |_, this, other: AnyUserData| {
            Ok(other.borrow::<MessageObject>().is_ok_and(|other| other.message.id() == this.message.id()))
        });
    }
}

/// The method that gives a meta value.
struct GetMeta;

impl IntoLua for GetMeta {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        let get = |lua: &Lua, (this, name): (UserDataRef<MessageObject>, String)| meta::get(lua, &this.message, &name);
        record::getter(lua, lua.create_function(get)?).map(Value::Function)
    }
}

/// A method that needs headers and body. It answers at once when they are in memory.
struct OnBody<A>(fn(&Lua, &Message, &Bytes, A) -> mlua::Result<Value>);

impl<A: FromLuaMulti + 'static> IntoLua for OnBody<A> {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        let run = self.0;
        let quick =
            lua.create_function(move |lua, (this, args): (UserDataRef<MessageObject>, MultiValue)| {
                match this.message.data() {
                    Some(data) => {
                        let args = A::from_lua_multi(args, lua)?;
                        (true, run(lua, &this.message, &data, args)?).into_lua_multi(lua)
                    }
                    None => false.into_lua_multi(lua),
                }
            })?;
        let slow: Function =
            lua.create_async_function(move |lua, (this, args): (UserDataRef<MessageObject>, MultiValue)| async move {
                let message = this.message.clone();
                drop(this);
                let data = body::load(&lua, &message).await?;
                run(&lua, &message, &data, A::from_lua_multi(args, &lua)?)
            })?;
        hybrid::method(lua, quick, slow).map(Value::Function)
    }
}

fn address_list(lua: &Lua, addresses: Vec<EnvelopeAddress>) -> mlua::Result<Value> {
    lua.create_sequence_from(addresses.into_iter().map(AddressObject)).map(Value::Table)
}

/// Whether the body is out of memory now.
fn shrink(message: &Message) -> bool {
    message.shrink();
    !message.has_data()
}

/// A time: nil, RFC 3339, or an object that has it as `rfc3339`.
fn moment(value: &Value) -> mlua::Result<Option<Timestamp>> {
    let text = match value {
        Value::Nil => return Ok(None),
        Value::String(text) => text.to_str()?.to_owned(),
        Value::UserData(time) => time.get("rfc3339").map_err(|_| raise("expected a time"))?,
        other => return Err(raise(format!("expected a time, got {}", other.type_name()))),
    };
    match Timestamp::parse_rfc3339(&text) {
        Some(moment) => Ok(Some(moment)),
        None => Err(raise(format!("expected a time such as 2026-01-31T23:59:59Z, got '{text}'"))),
    }
}

fn first_header(lua: &Lua, _: &Message, data: &Bytes, name: String) -> mlua::Result<Value> {
    headers::first(data, &name).map(|field| field.value()).into_lua(lua)
}

fn all_headers_of(lua: &Lua, _: &Message, data: &Bytes, name: String) -> mlua::Result<Value> {
    let values = headers::fields(data).filter(|field| field.is(&name)).map(|field| field.value());
    lua.create_sequence_from(values).map(Value::Table)
}

fn all_headers(lua: &Lua, _: &Message, data: &Bytes, (): ()) -> mlua::Result<Value> {
    let pairs = headers::fields(data).map(|field| [field.name(), field.value()]);
    let pairs: Vec<Table> = pairs.map(|pair| lua.create_sequence_from(pair)).collect::<mlua::Result<_>>()?;
    lua.create_sequence_from(pairs).map(Value::Table)
}

/// What became of a message, when this is a bounce message.
fn parse_rfc3464(lua: &Lua, _: &Message, data: &Bytes, (): ()) -> mlua::Result<Value> {
    match waybill_reports::parse(data) {
        Some(Report::Delivery(report)) => table(lua, serde_json::to_value(report)),
        _ => Ok(Value::Nil),
    }
}

/// What somebody thinks of a message, when this is a complaint.
fn parse_rfc5965(lua: &Lua, _: &Message, data: &Bytes, (): ()) -> mlua::Result<Value> {
    match waybill_reports::parse(data) {
        Some(Report::Feedback(report)) => table(lua, serde_json::to_value(report)),
        _ => Ok(Value::Nil),
    }
}

fn table(lua: &Lua, json: serde_json::Result<serde_json::Value>) -> mlua::Result<Value> {
    from_json(lua, &json.map_err(mlua::Error::external)?)
}

type NewHeader = (String, String, Option<bool>);

/// What goes behind the colon: as given, or encoded when asked for. A line end that is no folding would begin another
/// header.
fn header_value(name: &str, value: String, encoded: Option<bool>) -> mlua::Result<String> {
    let line = headers::unfolded(name, &value).map_err(|error| raise(error.to_string()))?;
    Ok(if encoded == Some(true) { waybill_mime::encode(name, &line) } else { value })
}

fn append_header(_: &Lua, message: &Message, data: &Bytes, new: NewHeader) -> mlua::Result<Value> {
    let (name, value, encoded) = new;
    let value = header_value(&name, value, encoded)?;
    let data = headers::append(data, &name, &value);
    message.set_data(data.ok_or_else(|| raise("append_header: no empty line ends the headers of this message"))?);
    Ok(Value::Nil)
}

fn prepend_header(_: &Lua, message: &Message, data: &Bytes, new: NewHeader) -> mlua::Result<Value> {
    let (name, value, encoded) = new;
    let value = header_value(&name, value, encoded)?;
    message.set_data(headers::prepend(data, &name, &value));
    Ok(Value::Nil)
}

fn remove_all_named_headers(_: &Lua, message: &Message, data: &Bytes, name: String) -> mlua::Result<Value> {
    if let Some(data) = headers::without(data, |field| field.is(&name)) {
        message.set_data(data);
    }
    Ok(Value::Nil)
}

fn remove_x_headers(_: &Lua, message: &Message, data: &Bytes, names: Option<Vec<String>>) -> mlua::Result<Value> {
    let unwanted = |field: &headers::Field<'_>| match &names {
        Some(names) if !names.is_empty() => names.iter().any(|name| field.is(name)),
        _ => meta::is_x(field),
    };
    if let Some(data) = headers::without(data, unwanted) {
        message.set_data(data);
    }
    Ok(Value::Nil)
}
