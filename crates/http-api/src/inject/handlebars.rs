//! The Handlebars dialect, within bounds.

use super::templates::{Bounded, Field};
use handlebars::{Handlebars, no_escape};
use serde_json::Value;

/// Passes through loops that one template may make: far more than any mailing needs, and over in well under a second.
const PASSES: u64 = 2_000_000;

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
        let depth = u32::try_from(deepest(field.source())).unwrap_or(u32::MAX);
        if depth > 1 && longest(variables).checked_pow(depth).is_none_or(|passes| passes > PASSES) {
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

/// How deep blocks stand in each other.
fn deepest(source: &str) -> usize {
    let (mut depth, mut most) = (0_usize, 0);
    let mut rest = source;
    while let Some(at) = rest.find("{{") {
        rest = rest[at + 2..].trim_start_matches(['{', '~']);
        if rest.starts_with('#') {
            depth += 1;
            most = most.max(depth);
        } else if rest.starts_with('/') {
            depth = depth.saturating_sub(1);
        }
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
    fn depth_and_length_are_measured() {
        assert_eq!(deepest("{{#each a}}{{#if b}}x{{/if}}{{/each}}{{#each c}}{{/each}}"), 2);
        assert_eq!(deepest("{{~#each a~}}{{{ b }}}{{/each}}"), 1);
        assert_eq!(longest(&json!({"a": [1, [2, 3, 4, 5]], "b": 1})), 4);
    }
}
