//! `apply_supplemental_trace_header`: the header that leads from a complaint back to a message, for mail that policy
//! made. Mail that comes in over a listener gets it there.

use mlua::{Lua, Table, UserDataRef, Value};
use serde::Deserialize;
use waybill_spool::supplemental_trace;
use waybill_types::text;

use super::config::options;
use crate::error::raise;
use crate::message::{MessageObject, body};

const FUNCTION: &str = "apply_supplemental_trace_header";

pub(super) fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    kumo.set(FUNCTION, lua.create_async_function(apply)?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table of header_name, include_meta_names")]
struct Params {
    header_name: String,
    #[serde(deserialize_with = "text::names")]
    include_meta_names: Vec<String>,
}

impl Default for Params {
    fn default() -> Self {
        Params { header_name: "X-KumoRef".to_owned(), include_meta_names: Vec::new() }
    }
}

/// In front of what is there: a second call adds a second header.
async fn apply(lua: Lua, (message, params): (UserDataRef<MessageObject>, Value)) -> mlua::Result<()> {
    let what = format!("kumo.{FUNCTION}");
    let Params { header_name, include_meta_names } = match params {
        Value::Nil => Params::default(),
        given => options(&lua, &what, &given)?,
    };
    // RFC 5322 section 2.2: a name is printable ASCII without a colon.
    if header_name.is_empty() || !header_name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
        return Err(raise(format!(
            "{what}: header_name: {header_name:?} is no name of a header, expected printable ASCII without spaces and colons"
        )));
    }
    let message = message.message().clone();
    body::load(&lua, &message).await?;
    message.prepend(supplemental_trace(&header_name, &include_meta_names, &message).as_bytes());
    Ok(())
}
