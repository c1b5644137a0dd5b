//! Reads our own source for what it can say, so that a test can ask whether every word of it was heard.

use std::fs;
use std::path::Path;

/// What the source says, with `{}` where something of the moment stands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Said(pub(crate) String);

impl Said {
    /// Whether a whole line can be this.
    pub(crate) fn is(&self, line: &str) -> bool {
        let mut rest = line.trim_end();
        let mut parts = self.0.trim_end().split("{}").peekable();
        let begins = parts.next().unwrap_or_default();
        let Some(behind) = rest.strip_prefix(begins) else { return false };
        rest = behind;
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            let found = if last { rest.ends_with(part).then(|| rest.len() - part.len()) } else { rest.find(part) };
            let Some(at) = found else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.is_empty()
    }

    /// Whether it can stand somewhere in a line.
    pub(crate) fn stands_in(&self, line: &str) -> bool {
        let mut rest = line;
        self.0.split("{}").all(|part| match rest.find(part) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
    }
}

/// Every file under a folder, without its tests and remarks.
pub(crate) fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name == "tests" {
            continue;
        }
        if path.is_dir() {
            sources.extend(self::sources(&path));
        } else if name != "tests.rs" {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            // A quotation mark that is a character begins no literal.
            sources.push((name, lines.join("\n").replace("'\"'", "' '")));
        }
    }
    sources.sort();
    sources
}

/// What stands between the brackets of every call.
pub(crate) fn calls<'a>(source: &'a str, name: &str) -> Vec<&'a str> {
    source.match_indices(name).map(|(at, _)| arguments(&source[at + name.len()..])).collect()
}

/// The source without these calls.
pub(crate) fn without_calls(source: &str, name: &str) -> String {
    let mut left = String::new();
    let mut rest = source;
    while let Some(at) = rest.find(name) {
        left.push_str(&rest[..at]);
        let behind = &rest[at + name.len()..];
        rest = &behind[arguments(behind).len()..];
    }
    left + rest
}

/// Everything up to the bracket that closes the one before.
fn arguments(rest: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (1, false, false);
    for (end, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &rest[..end];
        }
    }
    panic!("a call without an end: {}", &rest[..rest.len().min(80)]);
}

/// The text of a literal, or of the first one in `format!`, with `{}` for everything that is put into it.
pub(crate) fn literal(code: &str) -> Option<String> {
    let inner = code.trim_start();
    let inner = inner.strip_prefix("format!(").unwrap_or(inner).trim_start().strip_prefix('"')?;
    Some(with_holes(&inner[..inner.find('"')?]))
}

/// All literals, in order.
pub(crate) fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find('"') {
        let inner = &rest[at + 1..];
        let mut escaped = false;
        let end = inner.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.unwrap_or_else(|| panic!("a literal without an end: {}", &inner[..inner.len().min(80)]));
        found.push(with_holes(&inner[..end]));
        rest = &inner[end + 1..];
    }
    found
}

/// `{}` for everything that is put in, and a line that goes on in the next one as one.
fn with_holes(literal: &str) -> String {
    let mut pieces = literal.split("\\\n");
    let first = pieces.next().unwrap_or_default().to_owned();
    let joined = pieces.fold(first, |text, piece| text + piece.trim_start());
    let (mut text, mut depth) = (String::new(), 0);
    for c in joined.chars() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                text.push_str("{}");
            }
            c if depth == 0 => text.push(c),
            _ => {}
        }
    }
    text
}

/// What stands in code on a page of the reference.
pub(crate) fn on_the_page(name: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
    let page = fs::read_to_string(page).unwrap();
    page.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[test]
fn what_the_source_says_is_found_in_all_its_forms() {
    let source = "Err(Reply::new(501, \"5.5.4 XCLIENT (x): {\")).closing(); Reply::new(code, text)";
    assert_eq!(calls(source, "Reply::new("), ["501, \"5.5.4 XCLIENT (x): {\"", "code, text"]);
    assert_eq!(without_calls("a(b(\")\\\")\"), c) d(e)", "b("), "a(), c) d(e)");
    assert_eq!(literal("format!(\"4.3.2 {} busy {why}\", self.host)"), Some("4.3.2 {} busy {}".into()));
    assert_eq!(literal("\"OK\""), Some("OK".into()));
    assert_eq!(literal("response.text()"), None);
    assert_eq!(literals("x(\"a {b} \\\n    c\", \"d\\\"e\")"), ["a {} c", "d\\\"e"]);
    let said = Said("421 4.3.2 {} busy".into());
    assert!(said.is("421 4.3.2 mta.example busy") && !said.is("421 4.3.2 mta.example idle") && !said.is("421 4.3.2"));
    assert!(said.stands_in("it said 421 4.3.2 mta.example busy, then") && !said.stands_in("busy 421 4.3.2 "));
    assert!(Said("250 OK".into()).is("250 OK") && !Said("250 OK".into()).is("250 OK <a>"));
    assert!(Said("334 ".into()).is("334"));
}
