use serde_json::{Map, Value, json};
use std::fmt;

/// What is wrong with one field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Dotted, `config.url`.
    pub field: String,
    /// As it stands behind the field's name. It repeats no value: that may be secret.
    pub why: String,
}

/// Everything that is wrong with a hook that somebody wants to create: Kong's "schema violation".
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// One more.
    pub(crate) fn add(&mut self, field: impl Into<String>, why: impl Into<String>) {
        self.0.push(Violation { field: field.into(), why: why.into() });
    }

    /// `value`, where nothing is wrong.
    pub(crate) fn or<T>(self, value: Option<T>) -> Result<T, Violations> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self),
        }
    }

    /// Each of them, by field.
    pub fn sorted(&self) -> Vec<&Violation> {
        let mut sorted: Vec<_> = self.0.iter().collect();
        sorted.sort_by(|a, b| a.field.cmp(&b.field));
        sorted
    }

    /// The body of the answer 400.
    pub fn to_json(&self) -> Value {
        let mut fields = Map::new();
        for violation in &self.0 {
            insert(&mut fields, &violation.field, &violation.why);
        }
        json!({"message": self.to_string(), "name": "schema violation", "fields": fields})
    }
}

/// `a.b` stands as `b` within `a`; where `a` is wrong itself, that is enough.
fn insert(fields: &mut Map<String, Value>, path: &str, why: &str) {
    match path.split_once('.') {
        None => {
            fields.entry(path).or_insert_with(|| why.into());
        }
        Some((first, rest)) => {
            if let Value::Object(inner) = fields.entry(first).or_insert_with(|| json!({})) {
                insert(inner, rest, why);
            }
        }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("schema violation (")?,
            many => write!(f, "{many} schema violations (")?,
        }
        for (index, violation) in self.sorted().into_iter().enumerate() {
            let joint = if index == 0 { "" } else { "; " };
            write!(f, "{joint}{}: {}", violation.field, violation.why)?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for Violations {}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(field: &str, why: &str) -> Violations {
        let mut violations = Violations::default();
        violations.add(field, why);
        violations
    }

    #[test]
    fn one_violation_is_told_as_kong_tells_it() {
        let violations = one("config.url", "required field missing");
        assert_eq!(
            violations.to_json(),
            json!({
                "message": "schema violation (config.url: required field missing)",
                "name": "schema violation",
                "fields": {"config": {"url": "required field missing"}},
            })
        );
    }

    #[test]
    fn several_violations_are_counted_and_sorted() {
        let mut violations = one("source", "required field missing");
        violations.add("config.url", "required field missing");
        violations.add("config.method", "expected a string");
        assert_eq!(
            violations.to_string(),
            "3 schema violations (config.method: expected a string; config.url: required field missing; source: required \
             field missing)"
        );
        assert_eq!(violations.to_json()["fields"]["config"]["method"], "expected a string");
    }
}
