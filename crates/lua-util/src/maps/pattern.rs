//! Patterns: the first that matches, in the order of their texts, wins.

use std::collections::BTreeMap;

use fancy_regex::Regex;
use mlua::Value;

use super::Keys;

#[derive(Default)]
pub(super) struct Patterns(BTreeMap<String, (Regex, Value)>);

impl Keys for Patterns {
    fn set(&mut self, key: &str, value: Value) -> Result<(), String> {
        if value.is_nil() {
            self.0.remove(key);
            return Ok(());
        }
        let pattern = Regex::new(key).map_err(|error| format!("'{key}' is no regular expression: {error}"))?;
        self.0.insert(key.to_owned(), (pattern, value));
        Ok(())
    }

    fn find(&self, what: &str) -> Option<Value> {
        // One that gives up has not matched.
        let matches = |pattern: &Regex| pattern.is_match(what).unwrap_or(false);
        self.0.values().find(|(pattern, _)| matches(pattern)).map(|(_, value)| value.clone())
    }

    fn pairs(&self) -> Vec<(String, Value)> {
        self.0.iter().map(|(text, (_, value))| (text.clone(), value.clone())).collect()
    }
}
