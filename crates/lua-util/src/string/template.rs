//! `eval_template`: a template and a context to text.

use std::error::Error;

use minijinja::Environment;
use mlua::{Lua, Table, Value};

use super::normalize_smtp_response;
use crate::error::raise;
use crate::json;

/// The languages a template can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    /// Jinja, as minijinja speaks it: the default.
    Jinja,
    /// No language: the template is the result.
    Static,
}

impl Dialect {
    fn named(name: Option<&str>) -> mlua::Result<Self> {
        match name {
            None | Some("Jinja") => Ok(Self::Jinja),
            Some("Static") => Ok(Self::Static),
            Some("Handlebars") => Err(raise("template dialect Handlebars is not supported yet: use Jinja or Static")),
            Some(other) => Err(raise(format!("unknown template dialect {other:?}: use Jinja or Static"))),
        }
    }
}

pub(super) fn register(lua: &Lua, module: &Table) -> mlua::Result<()> {
    module.raw_set("eval_template", lua.create_function(eval_template)?)
}

/// Jinja with the filters and functions that templates may count on: minijinja's own, the dates and
/// counters of minijinja-contrib, and `normalize_smtp_response`.
pub fn template_environment() -> Environment<'static> {
    let mut environment = Environment::new();
    minijinja_contrib::add_to_environment(&mut environment);
    environment.add_filter("normalize_smtp_response", |text: &str| normalize_smtp_response(text));
    environment
}

fn eval_template(
    lua: &Lua,
    (name, source, context, dialect): (String, String, Value, Option<String>),
) -> mlua::Result<String> {
    match Dialect::named(dialect.as_deref())? {
        Dialect::Static => Ok(source),
        Dialect::Jinja => {
            let context = json::to_json(lua, &context)?;
            template_environment().render_named_str(&name, &source, context).map_err(|error| raise(with_causes(&error)))
        }
    }
}

/// The error and what led to it, on one line: minijinja keeps the useful half in the cause.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
