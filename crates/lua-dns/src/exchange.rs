//! `lookup_mx`: who takes the mail of a domain.

use crate::{asked, raise, within_limit};
use mlua::{Lua, Table};
use std::collections::BTreeMap;
use waybill_dns::name::ascii;
use waybill_dns::{ExchangeKind, MailExchange, NoExchange};

const NAME: &str = "lookup_mx";

/// Hosts by preference and in a row, with a dot at the end, as KumoMTA's scripts know them.
pub(crate) async fn lookup_mx(lua: Lua, (domain, resolver): (String, Option<String>)) -> mlua::Result<Table> {
    let resolver = asked(&lua, NAME, resolver.as_deref())?;
    let found = within_limit(NAME, async { Ok(MailExchange::find(&resolver, &domain).await) }).await?;
    match found {
        Ok(found) => shown(&lua, &found),
        // An answer like any other: the one host is the root, and nobody lives there.
        Err(NoExchange::NullMx(_)) => null_mx(&lua, &domain),
        Err(error) => Err(raise(NAME, error)),
    }
}

fn shown(lua: &Lua, found: &MailExchange) -> mlua::Result<Table> {
    let is_literal = matches!(found.kind, ExchangeKind::Literal(_));
    let is_mx = found.kind == ExchangeKind::Mx;
    let full = |name: &str| if is_literal { name.to_owned() } else { format!("{name}.") };
    let hosts: Vec<String> = found.hosts.iter().map(|host| full(&host.name)).collect();
    let mut by_pref: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    // A domain that is its own host has no preferences.
    for (host, name) in found.hosts.iter().zip(&hosts).filter(|_| is_mx) {
        by_pref.entry(host.preference).or_default().push(name.clone());
    }
    let domain = full(&found.domain);
    table(lua, &Shown { domain, hosts, by_pref, site: &found.site_name, is_literal, is_mx, is_secure: found.secure })
}

fn null_mx(lua: &Lua, domain: &str) -> mlua::Result<Table> {
    let domain = ascii(domain).map_err(|error| raise(NAME, error))?;
    let nobody = vec![".".to_owned()];
    let by_pref = BTreeMap::from([(0, nobody.clone())]);
    let domain = format!("{domain}.");
    table(lua, &Shown { domain, hosts: nobody, by_pref, site: "", is_literal: false, is_mx: true, is_secure: false })
}

struct Shown<'a> {
    domain: String,
    hosts: Vec<String>,
    by_pref: BTreeMap<u16, Vec<String>>,
    site: &'a str,
    is_literal: bool,
    is_mx: bool,
    is_secure: bool,
}

fn table(lua: &Lua, shown: &Shown<'_>) -> mlua::Result<Table> {
    let by_pref = lua.create_table()?;
    for (preference, hosts) in &shown.by_pref {
        by_pref.raw_set(*preference, hosts.clone())?;
    }
    let table = lua.create_table()?;
    table.raw_set("by_pref", by_pref)?;
    table.raw_set("hosts", shown.hosts.clone())?;
    table.raw_set("site_name", shown.site)?;
    table.raw_set("domain_name", shown.domain.as_str())?;
    table.raw_set("is_domain_literal", shown.is_literal)?;
    table.raw_set("is_mx", shown.is_mx)?;
    table.raw_set("is_secure", shown.is_secure)?;
    Ok(table)
}
