//! Header values as scripts read and write them.

use mlua::{Lua, Table, Value};
use waybill_mime::{
    Address, AuthenticationResult, AuthenticationResults, Error, Mailbox, Params, Part, addresses, decode, headers,
    ids, render_addresses, render_ids,
};

use crate::error::raise;

/// What the value of a header is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// A text.
    Text,
    /// `{ name, address = { local_part, domain } }`
    Mailbox,
    /// A list of those.
    Mailboxes,
    /// A list of those and of groups: `{ name, entries }`.
    Addresses,
    /// `{ value, parameters }`
    Params,
    /// An id, without its brackets.
    Id,
    /// A list of those.
    Ids,
    /// `{ serv_id, version, results }`
    Results,
}

/// The shape of a header of this name.
pub(super) fn shape_of(name: &str) -> Shape {
    match name.to_ascii_lowercase().as_str() {
        "authentication-results" => Shape::Results,
        "bcc" | "cc" | "reply-to" | "resent-bcc" | "resent-cc" | "resent-to" | "to" => Shape::Addresses,
        "content-disposition" | "content-transfer-encoding" | "content-type" => Shape::Params,
        "content-id" | "message-id" => Shape::Id,
        "from" | "resent-from" => Shape::Mailboxes,
        "references" => Shape::Ids,
        "resent-sender" | "sender" => Shape::Mailbox,
        _ => Shape::Text,
    }
}

fn told(error: Error) -> mlua::Error {
    raise(format!("headers: {error}"))
}

impl Shape {
    /// The value as a script sees it.
    pub(super) fn read(self, lua: &Lua, name: &str, raw: &[u8]) -> mlua::Result<Value> {
        match self {
            Shape::Text => lua.create_string(decode(raw)).map(Value::String),
            Shape::Params => {
                let params = Params::parse(name, raw).map_err(told)?;
                let table = lua.create_table()?;
                table.raw_set("value", params.value)?;
                table.raw_set("parameters", lua.create_table_from(params.parameters)?)?;
                Ok(Value::Table(table))
            }
            Shape::Id => lua.create_string(one_id(name, ids(name, raw))?).map(Value::String),
            Shape::Ids => lua.create_sequence_from(ids(name, raw).map_err(told)?).map(Value::Table),
            Shape::Results => AuthenticationResults::parse(raw).map_err(told).and_then(|found| results(lua, &found)),
            Shape::Mailbox | Shape::Mailboxes | Shape::Addresses => {
                let found = self.fitting(name, addresses(name, raw).map_err(told)?)?;
                if self == Shape::Mailbox {
                    return found.first().map_or(Ok(Value::Nil), |only| address_table(lua, only).map(Value::Table));
                }
                let tables = found.iter().map(|one| address_table(lua, one)).collect::<mlua::Result<Vec<_>>>()?;
                lua.create_sequence_from(tables).map(Value::Table)
            }
        }
    }

    /// A script's value as it stands in the header.
    pub(super) fn write(self, name: &str, value: &Value) -> mlua::Result<String> {
        if let Value::String(text) = value {
            let text = text.to_str().map_err(|_| raise(format!("headers: the value of {name} is not UTF-8")))?;
            let text = headers::unfolded(name, &text).map_err(told)?;
            return self.write_text(name, &text);
        }
        let Value::Table(table) = value else { return Err(self.unfit(name, value)) };
        match self {
            Shape::Params => params(table).and_then(|params| params.render(name).map_err(told)),
            Shape::Ids => render_ids(name, &list(table)?).map_err(told),
            Shape::Mailbox => {
                let mailbox = mailbox(name, table)?;
                render_addresses(name, &[Address::Mailbox(mailbox)]).map_err(told)
            }
            Shape::Mailboxes | Shape::Addresses => {
                let tables: Vec<Table> = list(table).map_err(|_| self.unfit(name, value))?;
                let found = tables.iter().map(|one| address(name, one)).collect::<mlua::Result<Vec<_>>>()?;
                render_addresses(name, &self.fitting(name, found)?).map_err(told)
            }
            Shape::Text | Shape::Id | Shape::Results => Err(self.unfit(name, value)),
        }
    }

    /// From a text that is to read as such a value.
    fn write_text(self, name: &str, text: &str) -> mlua::Result<String> {
        match self {
            Shape::Text => Part::header_text(name, text).map_err(told),
            Shape::Params => Params::parse(name, text.as_bytes()).and_then(|params| params.render(name)).map_err(told),
            Shape::Id => {
                let id = one_id(name, ids(name, text.as_bytes()))?;
                render_ids(name, &[id]).map_err(told)
            }
            Shape::Ids => ids(name, text.as_bytes()).and_then(|ids| render_ids(name, &ids)).map_err(told),
            Shape::Results => {
                AuthenticationResults::parse(text.as_bytes()).map_err(told)?;
                Part::header_text(name, text).map_err(told)
            }
            Shape::Mailbox | Shape::Mailboxes | Shape::Addresses => {
                let found = self.fitting(name, addresses(name, text.as_bytes()).map_err(told)?)?;
                render_addresses(name, &found).map_err(told)
            }
        }
    }

    /// Addresses, when a header of this shape may have them.
    fn fitting(self, name: &str, found: Vec<Address>) -> mlua::Result<Vec<Address>> {
        let has_group = found.iter().any(|one| matches!(one, Address::Group { .. }));
        if self != Shape::Addresses && has_group {
            return Err(raise(format!("headers: {name} may not hold a group of addresses")));
        }
        if self == Shape::Mailbox && found.len() != 1 {
            return Err(raise(format!("headers: {name} holds {} addresses, expected one", found.len())));
        }
        Ok(found)
    }

    fn unfit(self, name: &str, value: &Value) -> mlua::Error {
        let expected = match self {
            Shape::Text => "a string",
            Shape::Mailbox => "a string or { name = …, address = { local_part = …, domain = … } }",
            Shape::Mailboxes => "a string or a list of { name = …, address = { local_part = …, domain = … } }",
            Shape::Addresses => {
                "a string or a list of { name = …, address = { local_part = …, domain = … } } and { name = …, entries = { … } }"
            }
            Shape::Params => "a string or { value = …, parameters = { … } }",
            Shape::Id => "a string such as part@domain",
            Shape::Ids => "a string or a list of strings such as part@domain",
            Shape::Results => "a string",
        };
        raise(format!("headers: {name}: expected {expected}, got a {}", value.type_name()))
    }
}

fn one_id(name: &str, found: Result<Vec<String>, Error>) -> mlua::Result<String> {
    let mut found = found.map_err(told)?;
    if found.len() > 1 {
        return Err(raise(format!("headers: {name} holds {} ids, expected one", found.len())));
    }
    Ok(found.pop().unwrap_or_default())
}

fn list<T: mlua::FromLua>(table: &Table) -> mlua::Result<Vec<T>> {
    table.sequence_values().collect()
}

fn params(table: &Table) -> mlua::Result<Params> {
    let mut params = Params::new(table.get::<String>("value")?);
    let given: Option<Table> = table.get("parameters")?;
    let mut pairs = Vec::new();
    for pair in given.iter().flat_map(Table::pairs::<String, String>) {
        pairs.push(pair?);
    }
    // A table of Lua has no order; the same table is the same header each time.
    pairs.sort();
    params.parameters = pairs;
    Ok(params)
}

fn address(name: &str, table: &Table) -> mlua::Result<Address> {
    let Some(entries): Option<Table> = table.get("entries")? else { return mailbox(name, table).map(Address::Mailbox) };
    let entries = list::<Table>(&entries)?.iter().map(|one| mailbox(name, one)).collect::<mlua::Result<_>>()?;
    Ok(Address::Group { name: table.get("name")?, entries })
}

fn mailbox(name: &str, table: &Table) -> mlua::Result<Mailbox> {
    let address: Option<Table> = table.get("address")?;
    let address = address.ok_or_else(|| {
        raise(format!("headers: {name}: an address without 'address', expected {{ local_part = …, domain = … }}"))
    })?;
    Ok(Mailbox { name: table.get("name")?, local_part: address.get("local_part")?, domain: address.get("domain")? })
}

fn address_table(lua: &Lua, address: &Address) -> mlua::Result<Table> {
    match address {
        Address::Mailbox(mailbox) => mailbox_table(lua, mailbox),
        Address::Group { name, entries } => {
            let table = lua.create_table()?;
            table.raw_set("name", name.as_str())?;
            let entries = entries.iter().map(|one| mailbox_table(lua, one)).collect::<mlua::Result<Vec<_>>>()?;
            table.raw_set("entries", lua.create_sequence_from(entries)?)?;
            Ok(table)
        }
    }
}

fn mailbox_table(lua: &Lua, mailbox: &Mailbox) -> mlua::Result<Table> {
    let address = lua.create_table()?;
    address.raw_set("local_part", mailbox.local_part.as_str())?;
    address.raw_set("domain", mailbox.domain.as_str())?;
    let table = lua.create_table()?;
    table.raw_set("name", mailbox.name.as_deref())?;
    table.raw_set("address", address)?;
    Ok(table)
}

fn results(lua: &Lua, found: &AuthenticationResults) -> mlua::Result<Value> {
    let table = lua.create_table()?;
    table.raw_set("serv_id", found.serv_id.as_str())?;
    table.raw_set("version", found.version)?;
    let results = found.results.iter().map(|one| result(lua, one)).collect::<mlua::Result<Vec<_>>>()?;
    table.raw_set("results", lua.create_sequence_from(results)?)?;
    Ok(Value::Table(table))
}

fn result(lua: &Lua, found: &AuthenticationResult) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("method", found.method.as_str())?;
    table.raw_set("method_version", found.method_version)?;
    table.raw_set("result", found.result.as_str())?;
    table.raw_set("reason", found.reason.as_deref())?;
    table.raw_set(
        "props",
        lua.create_table_from(found.props.iter().map(|(name, value)| (name.as_str(), value.as_str())))?,
    )?;
    Ok(table)
}
