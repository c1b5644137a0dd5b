//! Registrable domains, by the public suffix list that is compiled in.

use ::psl::Psl;
use mlua::{Lua, Table};

pub(super) fn register(lua: &Lua, module: &Table) -> mlua::Result<()> {
    let domain = |_: &Lua, name: String| Ok(::psl::domain_str(&name.to_lowercase()).map(str::to_owned));
    let suffix = |_: &Lua, name: String| Ok(::psl::suffix_str(&name.to_lowercase()).map(str::to_owned));
    let known_domain = |_: &Lua, name: String| {
        let name = name.to_lowercase();
        Ok(::psl::List.domain(name.as_bytes()).is_some_and(|domain| domain.suffix().is_known()))
    };
    let known_suffix = |_: &Lua, name: String| {
        let name = name.to_lowercase();
        Ok(::psl::List.suffix(name.as_bytes()).is_some_and(|suffix| suffix.is_known()))
    };
    module.raw_set("psl_domain", lua.create_function(domain)?)?;
    module.raw_set("psl_suffix", lua.create_function(suffix)?)?;
    module.raw_set("psl_domain_is_known", lua.create_function(known_domain)?)?;
    module.raw_set("psl_suffix_is_known", lua.create_function(known_suffix)?)
}
