use crate::serve::Probe;
use anyhow::{Context, Result};
use std::collections::BTreeMap;

/// Walks `kumo` as a policy sees it. Whatever is the same function as one found before is told as its other name.
const WALK: &str = r"
local kumo = require 'kumo'
local found, seen = {}, {}
local function walk(prefix, from)
  local names = {}
  for name in pairs(from) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local value, full = from[name], prefix .. '.' .. name
    if type(value) == 'table' then
      walk(full, value)
    elseif type(value) == 'function' then
      found[full] = seen[value] or 'function'
      seen[value] = seen[value] or full
    else
      found[full] = type(value)
    end
  end
end
walk('kumo', kumo)
kumo.on('reference', function() return kumo.serde.json_encode(found) end)
";

/// The members of `kumo`: each with `function`, the type of a value, or the name of the function that it also is.
pub(super) fn all() -> Result<BTreeMap<String, String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let text = runtime.block_on(Probe { text: WALK, event: "reference" }.run())?;
    serde_json::from_str(&text).context("what the walk found")
}

#[cfg(test)]
mod tests {
    #[test]
    fn functions_of_every_crate_are_found_by_their_full_names() {
        let all = super::all().unwrap();
        for name in [
            "kumo.on",
            "kumo.define_spool",
            "kumo.http.build_client",
            "kumo.dns.lookup_mx",
            "kumo.api.inject.inject_v1",
        ] {
            assert_eq!(all.get(name).map(String::as_str), Some("function"), "{name}");
        }
        assert_eq!(all["kumo.version"], "string");
    }
}
