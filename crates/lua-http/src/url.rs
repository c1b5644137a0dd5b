//! `build_url`: parameters onto a URL.

use mlua::{Lua, Table};
use reqwest::Url;

use crate::{forms, raise};

/// `base` with the parameters added to its query, in the order of their names.
pub(crate) fn build(_: &Lua, (base, parameters): (String, Option<Table>)) -> mlua::Result<String> {
    let mut url = Url::parse(&base).map_err(|error| raise(format!("{base:?} is not a URL: {error}")))?;
    let parameters = parameters.map_or_else(|| Ok(Vec::new()), |table| forms::fields(&table))?;
    // Asking for the pairs of a URL without a query would leave a lone `?` behind.
    if !parameters.is_empty() {
        url.query_pairs_mut().extend_pairs(parameters);
    }
    Ok(url.into())
}
