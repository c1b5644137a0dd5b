//! Envelope addresses.

use mlua::{AnyUserData, MetaMethod, UserData, UserDataFields, UserDataMethods, Value};
use waybill_types::EnvelopeAddress;

use crate::error::raise;

/// An address with the fields `user`, `domain` and `email`.
#[derive(Clone)]
pub(crate) struct AddressObject(pub(crate) EnvelopeAddress);

impl UserData for AddressObject {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("user", |_, this| Ok(this.0.user().to_owned()));
        fields.add_field_method_get("domain", |_, this| Ok(this.0.domain().unwrap_or("").to_owned()));
        fields.add_field_method_get("email", |_, this| Ok(this.0.as_str().to_owned()));
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.0.as_str().to_owned()));
        methods.add_meta_method(MetaMethod::Eq, |_, this, other: AnyUserData| {
            Ok(other.borrow::<AddressObject>().is_ok_and(|other| other.0 == this.0))
        });
    }
}

/// An address from an address or a text.
pub(crate) fn one(value: &Value) -> mlua::Result<EnvelopeAddress> {
    match value {
        Value::UserData(object) => match object.borrow::<AddressObject>() {
            Ok(address) => Ok(address.0.clone()),
            Err(_) => Err(raise("expected an address, got another object")),
        },
        Value::String(text) => {
            let text = text.to_str()?;
            text.parse().map_err(|error| raise(format!("invalid address '{}': {error}", &*text)))
        }
        other => Err(raise(format!("expected an address, got {}", other.type_name()))),
    }
}

/// Addresses from one address or a list of at least one.
pub(crate) fn several(value: &Value) -> mlua::Result<Vec<EnvelopeAddress>> {
    let Value::Table(list) = value else { return Ok(vec![one(value)?]) };
    let addresses: Vec<_> = list.sequence_values::<Value>().map(|value| one(&value?)).collect::<mlua::Result<_>>()?;
    if addresses.is_empty() {
        return Err(raise("expected a list of at least one address"));
    }
    Ok(addresses)
}
