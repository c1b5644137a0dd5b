use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// A header or meta name, or with a trailing `*` the beginning of one.
#[derive(Clone, PartialEq, Eq, Debug, Hash, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct Pattern {
    name: Box<str>,
    prefix: bool,
}

impl Pattern {
    /// Case matters (meta names).
    pub fn matches_exactly(&self, name: &str) -> bool {
        if self.prefix { name.starts_with(&*self.name) } else { *self.name == *name }
    }

    /// Case does not matter (header names, which are ASCII: RFC 5322 section 2.2).
    pub fn matches_any_case(&self, name: &str) -> bool {
        if self.prefix {
            name.get(..self.name.len()).is_some_and(|start| start.eq_ignore_ascii_case(&self.name))
        } else {
            name.eq_ignore_ascii_case(&self.name)
        }
    }
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(start) => Pattern { name: start.into(), prefix: true },
            None => Pattern { name: text.into(), prefix: false },
        }
    }
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() || text.contains(char::is_control) {
            let expected = "expected a name, or the beginning of names with a `*` behind it";
            return Err(D::Error::custom(format_args!("{expected}, got {text:?}")));
        }
        Ok(text.into())
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        format!("{}{}", pattern.name, if pattern.prefix { "*" } else { "" })
    }
}

/// What a sink wants of a message: which headers and which meta fields stand in its records.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Capture {
    headers: Vec<Pattern>,
    meta: Vec<Pattern>,
}

impl Capture {
    /// No header, no meta field.
    pub const fn nothing() -> Self {
        Capture { headers: Vec::new(), meta: Vec::new() }
    }

    /// These headers and meta fields.
    pub fn new<P: Into<Pattern>>(headers: impl IntoIterator<Item = P>, meta: impl IntoIterator<Item = P>) -> Self {
        let sorted = |patterns: Vec<Pattern>| {
            let mut patterns = patterns;
            patterns.sort();
            patterns.dedup();
            patterns
        };
        Capture {
            headers: sorted(headers.into_iter().map(Into::into).collect()),
            meta: sorted(meta.into_iter().map(Into::into).collect()),
        }
    }

    /// What both ask for.
    #[must_use]
    pub fn union(&self, other: &Capture) -> Capture {
        Capture::new(self.headers.iter().chain(&other.headers).cloned(), self.meta.iter().chain(&other.meta).cloned())
    }

    /// Whether any header is wanted at all: when not, nobody needs to parse the message.
    pub fn wants_headers(&self) -> bool {
        !self.headers.is_empty()
    }

    /// Whether this header is wanted, in any case.
    pub fn wants_header(&self, name: &str) -> bool {
        self.headers.iter().any(|pattern| pattern.matches_any_case(name))
    }

    /// Whether this meta field is wanted, by its exact name.
    pub fn wants_meta(&self, name: &str) -> bool {
        self.meta.iter().any(|pattern| pattern.matches_exactly(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_match_in_any_case_and_meta_exactly() {
        let capture = Capture::new(["Subject", "X-*"], ["tenant", "x_*"]);
        assert!(capture.wants_header("subject") && capture.wants_header("x-customer-id"));
        assert!(!capture.wants_header("Subjects"));
        assert!(capture.wants_meta("tenant") && capture.wants_meta("x_num"));
        assert!(!capture.wants_meta("Tenant") && !capture.wants_meta("X_num"));
        assert!(!capture.wants_header("é"));
    }

    #[test]
    fn the_union_wants_what_either_wants() {
        let both = Capture::new(["A"], []).union(&Capture::new(["B"], ["m"]));
        assert!(both.wants_header("a") && both.wants_header("b") && both.wants_meta("m"));
    }
}
