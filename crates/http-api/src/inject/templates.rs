//! Templates of one request: compiled once, rendered for each recipient within bounds.

use super::request::Dialect;
use minijinja::value::merge_maps;
use minijinja::{Environment, Error, ErrorKind, Value};
use std::error::Error as _;
use std::io;
use std::sync::Arc;

/// Instructions that one template may execute: far more than any mailing needs, and over in well under a second.
const FUEL: u64 = 2_000_000;
/// A line of a template that is shown in an error is cut here.
const SHOWN: usize = 200;

/// The templates of a request.
pub(crate) struct Templates {
    /// `None` where texts are taken as they are.
    environment: Option<Environment<'static>>,
    limit: usize,
}

/// One text of the request, ready to be rendered.
pub(crate) struct Field {
    /// How the request calls it: `content.text_body`.
    label: String,
    /// How the template is called; an ending such as `.html` decides about escaping.
    name: String,
    source: Arc<str>,
}

/// A text is no template, or could not be rendered.
#[derive(Debug, thiserror::Error)]
#[error("failed {doing} field '{label}' as template: {why}")]
pub(crate) struct TemplateError {
    doing: &'static str,
    label: String,
    why: String,
}

impl Templates {
    /// None yet. A rendered text may have `limit` bytes.
    pub(crate) fn new(dialect: Dialect, limit: usize) -> Self {
        let environment = (dialect == Dialect::Jinja).then(|| {
            let mut environment = Environment::new();
            minijinja_contrib::add_to_environment(&mut environment);
            environment.set_keep_trailing_newline(true);
            environment.set_fuel(Some(FUEL));
            environment
        });
        Templates { environment, limit }
    }

    /// Compiles a text of the request.
    pub(crate) fn add(&mut self, label: &str, name: &str, source: &str) -> Result<Field, TemplateError> {
        let field = Field { label: label.to_owned(), name: name.to_owned(), source: source.into() };
        if let Some(environment) = &mut self.environment {
            let added = environment.add_template_owned(name.to_owned(), source.to_owned());
            added.map_err(|error| field.error("parsing", &error))?;
        }
        Ok(field)
    }

    /// The text for one recipient.
    pub(crate) fn render(&self, field: &Field, variables: &Value) -> Result<String, TemplateError> {
        let Some(environment) = &self.environment else { return Ok(field.source.to_string()) };
        let failed = |error: &Error| field.error("rendering", error);
        let template = environment.get_template(&field.name).map_err(|error| failed(&error))?;
        let mut out = Bounded { bytes: Vec::with_capacity(field.source.len() + 256), limit: self.limit };
        template.render_captured_to(variables, &mut out).map_err(|error| failed(&error))?;
        // Templates and values are UTF-8, so what they write is.
        Ok(String::from_utf8_lossy(&out.bytes).into_owned())
    }
}

impl Field {
    fn error(&self, doing: &'static str, error: &Error) -> TemplateError {
        let mut why = error.kind().to_string();
        if let Some(detail) = error.detail() {
            why = format!("{why}: {detail}");
        }
        if let Some(line) = error.line() {
            let text = self.source.lines().nth(line.saturating_sub(1)).unwrap_or_default();
            let text = &text[..text.floor_char_boundary(SHOWN)];
            why = format!("{why} (in template '{}' line {line}: '{text}')", self.name);
        }
        if let Some(cause) = error.source().filter(|_| error.kind() == ErrorKind::WriteFailure) {
            why = cause.to_string();
        }
        TemplateError { doing, label: self.label.clone(), why }
    }
}

/// The variables of one recipient: its own before what is known of it, and both before those of the whole request.
pub(crate) fn variables(recipient: Value, known: Value, global: Value) -> Value {
    // The last of equal names counts.
    merge_maps([global, known, recipient])
}

/// A writer that refuses to grow beyond a limit: a loop in a template must not fill the memory.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.limit - self.bytes.len() {
            return Err(io::Error::other(format!("the result is longer than {} bytes", self.limit)));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    fn render(dialect: Dialect, name: &str, source: &str) -> Result<String, String> {
        let mut templates = Templates::new(dialect, 10_000);
        let field = templates.add("content.x", name, source).map_err(|error| error.to_string())?;
        let variables = variables(context! { a => "1" }, context! { a => "2", b => "<b>" }, context! { c => "3" });
        templates.render(&field, &variables).map_err(|error| error.to_string())
    }

    #[test]
    fn the_recipients_own_variables_win() {
        assert_eq!(render(Dialect::Jinja, "t", "{{a}}{{b}}{{c}}{{nothing}}\n").unwrap(), "1<b>3\n");
        assert_eq!(render(Dialect::Jinja, "t.html", "{{b}}").unwrap(), "&lt;b&gt;");
        assert_eq!(render(Dialect::Static, "t", "{{a}} {{ oops").unwrap(), "{{a}} {{ oops");
    }

    #[test]
    fn a_syntax_error_names_the_place() {
        assert_eq!(
            render(Dialect::Jinja, "text_body.txt", "hi {{ name }").unwrap_err(),
            "failed parsing field 'content.x' as template: syntax error: unexpected `}`, expected end of variable \
             block (in template 'text_body.txt' line 1: 'hi {{ name }')"
        );
    }

    #[test]
    fn runaway_templates_end() {
        let long = "{% for i in range(1000) %}0123456789{% endfor %}!";
        let error = render(Dialect::Jinja, "t", long).unwrap_err();
        assert_eq!(error, "failed rendering field 'content.x' as template: the result is longer than 10000 bytes");
        let endless =
            "{% for a in range(10000) %}{% for b in range(10000) %}{% if a %}{% endif %}{% endfor %}{% endfor %}";
        let error = render(Dialect::Jinja, "t", endless).unwrap_err();
        assert!(error.contains("fuel"), "{error}");
        let error = render(Dialect::Jinja, "t", "{% include 't' %}").unwrap_err();
        assert!(error.starts_with("failed rendering field"), "{error}");
    }
}
