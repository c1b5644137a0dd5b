//! Domains: `example.com` is itself, `*.example.com` is everything below it, `*` is everything else.

use std::collections::BTreeMap;

use mlua::Value;

use super::Keys;

#[derive(Default)]
pub(super) struct Domains(BTreeMap<String, Value>);

fn normal(domain: &str) -> String {
    domain.strip_suffix('.').unwrap_or(domain).to_lowercase()
}

impl Keys for Domains {
    fn set(&mut self, key: &str, value: Value) -> Result<(), String> {
        let key = normal(key);
        if key.strip_prefix('*').unwrap_or(&key).contains('*')
            || (key.starts_with('*') && !matches!(key.as_bytes().get(1), None | Some(b'.')))
        {
            return Err(format!("'{key}' is no domain: a '*' can only stand for what is in front of the first dot"));
        }
        if value.is_nil() {
            self.0.remove(&key);
        } else {
            self.0.insert(key, value);
        }
        Ok(())
    }

    fn find(&self, what: &str) -> Option<Value> {
        let domain = normal(what);
        if let Some(value) = self.0.get(&domain) {
            return Some(value.clone());
        }
        let mut rest = domain.as_str();
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(value) = self.0.get(&format!("*.{parent}")) {
                return Some(value.clone());
            }
            rest = parent;
        }
        self.0.get("*").cloned()
    }

    fn pairs(&self) -> Vec<(String, Value)> {
        self.0.iter().map(|(domain, value)| (domain.clone(), value.clone())).collect()
    }
}
