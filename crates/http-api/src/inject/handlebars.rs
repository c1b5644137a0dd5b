//! The Handlebars dialect, within bounds.

use super::templates::{Bounded, Field};
use handlebars::{Handlebars, no_escape};
use serde_json::Value;

/// Passes through loops that one template may make: far more than any mailing needs, and over in well under a second.
const PASSES: u64 = 2_000_000;
/// So deep may blocks stand in each other, and parentheses within a tag: the engine goes down into each by recursion,
/// and a stack that overflows ends the daemon.
const DEPTH: usize = 32;
/// Blocks that pass through their inside once at most.
const ONCE: [&str; 3] = ["if", "unless", "with"];

/// Two engines, for texts and for HTML: Handlebars escapes either everything or nothing.
pub(crate) struct Engine {
    text: Handlebars<'static>,
    html: Handlebars<'static>,
}

impl Engine {
    pub(crate) fn new() -> Self {
        let mut text = Handlebars::new();
        text.register_escape_fn(no_escape);
        Engine { text, html: Handlebars::new() }
    }

    fn of(&self, field: &Field) -> &Handlebars<'static> {
        if is_html(field) { &self.html } else { &self.text }
    }

    /// Compiles a text of the request.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub(crate) fn add(&mut self, field: &Field) -> Result<(), String> {
        measure(field.source())?;
        let engine = if is_html(field) { &mut self.html } else { &mut self.text };
        engine.register_template_string(field.name(), field.source()).map_err(|error| {
            let place = error.pos().map(|(line, _)| field.place(line)).unwrap_or_default();
            format!("syntax error: {}{place}", error.reason())
        })
    }

    /// The text for one recipient.
    ///
    /// # Errors
    /// What went wrong, and where.
    pub(crate) fn render(&self, field: &Field, variables: &Value, out: &mut Bounded) -> Result<(), String> {
        // An engine without fuel: what its loops could cost is known from how deep they stand in each other.
        let loops = u32::try_from(measure(field.source())?).unwrap_or(u32::MAX);
        if loops > 1 && longest(variables).checked_pow(loops).is_none_or(|passes| passes > PASSES) {
            return Err(format!("its loops over these substitutions could take more than {PASSES} passes"));
        }
        self.of(field).render_to_write(field.name(), variables, &mut *out).map_err(|error| match out.overrun() {
            Some(why) => why,
            None => {
                let place = error.line_no.map(|line| field.place(line)).unwrap_or_default();
                format!("{}{place}", error.reason())
            }
        })
    }
}

fn is_html(field: &Field) -> bool {
    field.name().ends_with(".html")
}

/// How deep loops stand in each other.
///
/// # Errors
/// When blocks or parentheses stand too deep in each other, or a partial is used: there are none here but the texts
/// themselves, which could include each other without end.
fn measure(source: &str) -> Result<usize, String> {
    // Of each open block: whether it loops, and how many `else if` it is deep by now.
    let mut open: Vec<(bool, usize)> = Vec::new();
    let mut most = 0;
    let mut rest = source;
    while let Some(at) = rest.find("{{") {
        rest = &rest[at + 2..];
        let tag = &rest[..rest.find("}}").unwrap_or(rest.len())];
        let inner = tag.trim_start_matches(['{', '~', ' ', '\t', '\r', '\n']);
        let word =
            |text: &str| text.split(|c: char| c.is_whitespace() || c == '~').find(|w| !w.is_empty()).map(str::to_owned);
        match inner.chars().next() {
            Some('>' | '*') => return Err("partials are not supported".to_owned()),
            Some(mark @ ('#' | '^')) => {
                let name = inner[1..].trim_start();
                if name.starts_with(['>', '*']) {
                    return Err("partials are not supported".to_owned());
                }
                // A bare `{{^}}` is an else.
                if mark == '#' || !name.is_empty() {
                    open.push((word(name).is_none_or(|name| !ONCE.contains(&name.as_str())), 1));
                }
            }
            Some('/') => drop(open.pop()),
            _ => {
                // `else if …` is a block of its own within the first.
                let more = inner.strip_prefix("else").filter(|more| more.starts_with(char::is_whitespace));
                if let (Some((_, depth)), Some(more)) = (open.last_mut(), more) {
                    *depth += usize::from(!more.trim_matches(['~', ' ', '\t', '\r', '\n']).is_empty());
                }
            }
        }
        if open.iter().map(|(_, depth)| depth).sum::<usize>() > DEPTH || nesting(tag) > DEPTH {
            return Err(format!("something in it stands more than {DEPTH} deep"));
        }
        most = most.max(open.iter().filter(|(loops, _)| *loops).count());
    }
    Ok(most)
}

/// How deep parentheses of any kind stand in each other.
fn nesting(tag: &str) -> usize {
    let (mut depth, mut most) = (0_usize, 0);
    for byte in tag.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        most = most.max(depth);
    }
    most
}

/// The length of the longest list or object anywhere in it.
fn longest(value: &Value) -> u64 {
    match value {
        Value::Array(list) => list.iter().map(longest).max().unwrap_or(0).max(list.len() as u64),
        Value::Object(map) => map.values().map(longest).max().unwrap_or(0).max(map.len() as u64),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn loops_and_lengths_are_measured() {
        assert_eq!(measure("{{#each a}}{{#if b}}{{#each c}}x{{/each}}{{/if}}{{/each}}{{#each d}}{{/each}}"), Ok(2));
        assert_eq!(measure("{{~#each a~}}{{{ b }}}{{else}}{{^}}{{/each}}{{#if c}}{{else if d}}{{/if}}"), Ok(1));
        assert_eq!(measure("{{^list}}none{{/list}} {{ unterminated"), Ok(1));
        assert_eq!(measure(&format!("{{{{#if a}}}}{}{{{{/if}}}}", "{{elsewhere}}".repeat(99))), Ok(0));
        assert_eq!(longest(&json!({"a": [1, [2, 3, 4, 5]], "b": 1})), 4);
    }

    #[test]
    fn what_the_engine_would_go_down_into_without_end_is_refused() {
        let many = 100_000;
        for source in [
            "{{> text_body.txt}}".to_owned(),
            "{{~ > x }}".to_owned(),
            "{{#> x}}{{/x}}".to_owned(),
            "{{#*inline \"x\"}}{{/inline}}".to_owned(),
            "{{#if a}}".repeat(many),
            format!("{{{{#if a}}}}{}", "{{else if b}}".repeat(many)),
            format!("{{{{a {}", "(b ".repeat(many)),
            format!("{{{{a {}", "[".repeat(many)),
        ] {
            assert!(measure(&source).is_err(), "{source:.60}");
        }
        assert!(measure(&"{{#if a}}x{{else}}y{{/if}}".repeat(many)).is_ok(), "many beside each other are fine");
    }
}
