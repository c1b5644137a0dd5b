//! Templates of one request: compiled once, rendered for each recipient within bounds.

use super::handlebars::Engine;
use super::request::Dialect;
use minijinja::value::merge_maps;
use minijinja::{Environment, Error, ErrorKind, Value};
use serde_json::{Map, Value as Json};
use std::error::Error as _;
use std::io;
use std::sync::Arc;

/// Instructions that one template may execute: far more than any mailing needs, and over in well under a second.
const FUEL: u64 = 2_000_000;
/// A line of a template that is shown in an error is cut here.
const SHOWN: usize = 200;

/// The templates of a request.
pub(crate) struct Templates {
    language: Language,
    limit: usize,
    /// The substitutions of the whole request.
    global: Variables,
}

/// What the texts of a request are written in.
enum Language {
    Jinja(Box<Environment<'static>>),
    Handlebars(Box<Engine>),
    /// Nothing: they are taken as they are.
    Static,
}

/// Names and values, as the language wants them.
pub(crate) enum Variables {
    Jinja(Value),
    Handlebars(Map<String, Json>),
    Unused,
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
    /// None yet. A rendered text may have `limit` bytes; `global` are the substitutions of the whole request.
    pub(crate) fn new(dialect: Dialect, limit: usize, global: &Map<String, Json>) -> Self {
        let (language, global) = match dialect {
            Dialect::Jinja => {
                let mut environment = Environment::new();
                minijinja_contrib::add_to_environment(&mut environment);
                environment.set_keep_trailing_newline(true);
                environment.set_fuel(Some(FUEL));
                (Language::Jinja(Box::new(environment)), Variables::Jinja(Value::from_serialize(global)))
            }
            Dialect::Handlebars => {
                (Language::Handlebars(Box::new(Engine::new())), Variables::Handlebars(global.clone()))
            }
            Dialect::Static => (Language::Static, Variables::Unused),
        };
        Templates { language, limit, global }
    }

    /// The variables of one recipient: its own before what is known of it, and both before those of the whole request.
    pub(crate) fn variables(&self, own: &Map<String, Json>, known: &[(&str, &str)]) -> Variables {
        match &self.global {
            Variables::Jinja(global) => {
                let known: Value = known.iter().copied().collect();
                // The last of equal names counts.
                Variables::Jinja(merge_maps([global.clone(), known, Value::from_serialize(own)]))
            }
            Variables::Handlebars(global) => {
                let mut all = global.clone();
                all.extend(known.iter().map(|(name, value)| ((*name).to_owned(), Json::from(*value))));
                all.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
                Variables::Handlebars(all)
            }
            Variables::Unused => Variables::Unused,
        }
    }

    /// Compiles a text of the request.
    pub(crate) fn add(&mut self, label: &str, name: &str, source: &str) -> Result<Field, TemplateError> {
        let field = Field { label: label.to_owned(), name: name.to_owned(), source: source.into() };
        match &mut self.language {
            Language::Jinja(environment) => {
                let added = environment.add_template_owned(name.to_owned(), source.to_owned());
                added.map_err(|error| field.error("parsing", &error))?;
            }
            Language::Handlebars(engine) => engine.add(&field).map_err(|why| field.wrong("parsing", why))?,
            Language::Static => {}
        }
        Ok(field)
    }

    /// The text for one recipient.
    pub(crate) fn render(&self, field: &Field, variables: &Variables) -> Result<String, TemplateError> {
        let mut out =
            Bounded { bytes: Vec::with_capacity(field.source.len() + 256), limit: self.limit, overrun: false };
        match (&self.language, variables) {
            (Language::Jinja(environment), Variables::Jinja(variables)) => {
                let failed = |error: &Error| field.error("rendering", error);
                let template = environment.get_template(&field.name).map_err(|error| failed(&error))?;
                template.render_captured_to(variables, &mut out).map_err(|error| failed(&error))?;
            }
            (Language::Handlebars(engine), Variables::Handlebars(variables)) => {
                let variables = Json::Object(variables.clone());
                engine.render(field, &variables, &mut out).map_err(|why| field.wrong("rendering", why))?;
            }
            _ => return Ok(field.source.to_string()),
        }
        // Templates and values are UTF-8, so what they write is.
        Ok(String::from_utf8_lossy(&out.bytes).into_owned())
    }
}

impl Field {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// ` (in template 'text_body.txt' line 1: 'hi {{ name }')`
    pub(crate) fn place(&self, line: usize) -> String {
        let text = self.source.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let text = &text[..text.floor_char_boundary(SHOWN)];
        format!(" (in template '{}' line {line}: '{text}')", self.name)
    }

    fn wrong(&self, doing: &'static str, why: String) -> TemplateError {
        TemplateError { doing, label: self.label.clone(), why }
    }

    fn error(&self, doing: &'static str, error: &Error) -> TemplateError {
        let mut why = error.kind().to_string();
        if let Some(detail) = error.detail() {
            why = format!("{why}: {detail}");
        }
        if let Some(line) = error.line() {
            why.push_str(&self.place(line));
        }
        if let Some(cause) = error.source().filter(|_| error.kind() == ErrorKind::WriteFailure) {
            why = cause.to_string();
        }
        self.wrong(doing, why)
    }
}

/// A writer that refuses to grow beyond a limit: a loop in a template must not fill the memory.
pub(crate) struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
    overrun: bool,
}

impl Bounded {
    /// What is to be said when it was the limit that ended the writing.
    pub(crate) fn overrun(&self) -> Option<String> {
        self.overrun.then(|| format!("the result is longer than {} bytes", self.limit))
    }
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.limit - self.bytes.len() {
            self.overrun = true;
            return Err(io::Error::other(self.overrun().unwrap_or_default()));
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
    use serde_json::json;

    fn render(dialect: Dialect, name: &str, source: &str) -> Result<String, String> {
        let map = |json: Json| json.as_object().unwrap().clone();
        let mut templates = Templates::new(dialect, 10_000, &map(json!({"c": "3", "b": "x", "list": [1, 2]})));
        let field = templates.add("content.x", name, source).map_err(|error| error.to_string())?;
        let variables = templates.variables(&map(json!({"a": "1"})), &[("a", "2"), ("b", "<b>")]);
        templates.render(&field, &variables).map_err(|error| error.to_string())
    }

    #[test]
    fn the_recipients_own_variables_win() {
        assert_eq!(render(Dialect::Jinja, "t", "{{a}}{{b}}{{c}}{{nothing}}\n").unwrap(), "1<b>3\n");
        assert_eq!(render(Dialect::Jinja, "t.html", "{{b}}").unwrap(), "&lt;b&gt;");
        assert_eq!(render(Dialect::Handlebars, "t", "{{a}}{{b}}{{c}}{{nothing}}\n").unwrap(), "1<b>3\n");
        assert_eq!(render(Dialect::Handlebars, "t.html", "{{b}}{{{b}}}").unwrap(), "&lt;b&gt;<b>");
        assert_eq!(render(Dialect::Handlebars, "t", "{{#each list}}[{{this}}]{{/each}}").unwrap(), "[1][2]");
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
    fn a_syntax_error_in_handlebars_names_the_place_too() {
        let error = render(Dialect::Handlebars, "text_body.txt", "one\nhi {{ name }").unwrap_err();
        assert!(error.starts_with("failed parsing field 'content.x' as template: syntax error: "), "{error}");
        assert!(error.contains("(in template 'text_body.txt' line 2: 'hi {{ name }')"), "{error}");
    }

    #[test]
    fn runaway_handlebars_end() {
        let block = |inner: &str| format!("{{{{#each @root.list}}}}{inner}{{{{/each}}}}");
        let deep = (0..30).fold("x".to_owned(), |inner, _| block(&inner));
        let error = render(Dialect::Handlebars, "t", &deep).unwrap_err();
        assert!(error.contains("could take more than"), "{error}");
        let long = block(&"0123456789".repeat(600));
        let error = render(Dialect::Handlebars, "t", &long).unwrap_err();
        assert_eq!(error, "failed rendering field 'content.x' as template: the result is longer than 10000 bytes");
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
