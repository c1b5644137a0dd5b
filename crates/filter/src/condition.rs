use crate::check::{self, Checked};
use crate::json::{self, MOST_VALUES};
use crate::kind::never_bool;
use crate::{Equality, Fact, FilterError, Language, equality};
use cel::common::ast::{EntryExpr, Expr};
use cel::extractors::This;
use cel::parser::{Expression, Parser};
use cel::{Context, Env, ExecutionError, Value};
use regex::Regex;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// A condition that was checked. `Debug` shows its text; two are equal when their texts are.
#[derive(Clone)]
pub struct Condition(Arc<Inner>);

struct Inner {
    source: String,
    expression: Expression,
    env: Arc<Env>,
    patterns: Arc<HashMap<String, Regex>>,
    read: Vec<&'static str>,
}

/// Recursion of the parser.
const DEEPEST: u16 = 24;
/// `toJson(name)` becomes a name of its own, read once however often it stands there. No condition can spell it.
pub(crate) const READ: &str = "@json ";

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// When it is no CEL, could cost too much, or is certainly no condition.
    pub fn parse(language: &Language, source: &str) -> Result<Self, FilterError> {
        check::text(source)?;
        let parsed = Parser::new().max_recursion_depth(DEEPEST).parse(source);
        let mut expression = parsed.map_err(|errors| FilterError::Syntax(first_line(&errors.to_string())))?;
        name_what_is_read(&mut expression.expr, language);
        let Checked { patterns, read } = check::expression(language, &expression)?;
        if let Some(what) = never_bool(&expression.expr) {
            return Err(FilterError::NotBool(what));
        }
        let (source, env, patterns) = (source.to_owned(), Arc::new(Env::stdlib()), Arc::new(patterns));
        Ok(Condition(Arc::new(Inner { source, expression, env, patterns, read })))
    }

    /// The text.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// What one text has to be for it to hold, where that can be told. `texts` are names that always stand for a text.
    pub fn equality(&self, texts: &[&str]) -> Option<Equality> {
        equality::of(&self.0.expression.expr, texts)
    }

    /// Whether it holds, the names of its language standing for these.
    ///
    /// # Errors
    /// When that cannot be told: a field is missing, types do not go together, it is no condition.
    pub fn matches(&self, facts: &[(&'static str, Fact<'_>)]) -> Result<bool, FilterError> {
        let inner = &*self.0;
        let mut room = MOST_VALUES;
        let mut context = Context::with_env(Arc::clone(&inner.env));
        for (name, fact) in facts {
            context.add_variable_from_value(*name, value_of(*fact, &mut room)?);
            if let Some(json) = inner.read.contains(name).then(|| as_json(*fact)).flatten() {
                let json = json::value(&json, &mut room).ok_or(FilterError::TooLarge(MOST_VALUES))?;
                context.add_variable_from_value(format!("{READ}{name}"), json);
            }
        }
        let patterns = Arc::clone(&inner.patterns);
        let matches = move |This(text): This<Arc<String>>, pattern: Arc<String>| {
            patterns.get(pattern.as_str()).is_some_and(|regex| regex.is_match(&text))
        };
        context.add_function("matches", matches).map_err(|error| FilterError::Failed(format!("{error:?}")))?;
        match context.resolve(&inner.expression) {
            Ok(Value::Bool(yes)) => Ok(yes),
            Ok(other) => Err(FilterError::Failed(format!("it gives a {:?}, not true or false", other.type_of()))),
            Err(error) => Err(FilterError::Failed(told(&error))),
        }
    }
}

fn value_of(fact: Fact<'_>, room: &mut usize) -> Result<Value, FilterError> {
    Ok(match fact {
        Fact::Int(number) => Value::Int(number),
        Fact::Text(text) => Value::from(text),
        Fact::Object(map) => json::object(map, room).ok_or(FilterError::TooLarge(MOST_VALUES))?,
        Fact::Bytes(None) => Value::Null,
        Fact::Bytes(Some(bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::from(text),
            Err(_) => Value::Bytes(Arc::new(bytes.to_vec())),
        },
    })
}

fn as_json(fact: Fact<'_>) -> Option<serde_json::Value> {
    match fact {
        Fact::Text(text) => serde_json::from_str(text).ok(),
        Fact::Bytes(Some(bytes)) => serde_json::from_slice(bytes).ok(),
        Fact::Int(_) | Fact::Object(_) | Fact::Bytes(None) => None,
    }
}

/// Why it cannot be told, in words that name nothing of ours.
fn told(error: &ExecutionError) -> String {
    match error {
        ExecutionError::UndeclaredReference(name) if name.starts_with(READ) => {
            format!("{} is no JSON", name.trim_start_matches(READ))
        }
        error => first_line(&error.to_string()),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}

/// Replaces `toJson(name)` by the name that stands for what was read.
fn name_what_is_read(expr: &mut Expr, language: &Language) {
    if let Expr::Call(call) = expr
        && call.func_name == "toJson"
        && call.target.is_none()
        && let [arg] = call.args.as_slice()
        && let Expr::Ident(name) = &arg.expr
        && language.long.contains(&name.as_str())
    {
        *expr = Expr::Ident(format!("{READ}{name}"));
        return;
    }
    match expr {
        Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) | Expr::Struct(_) => {}
        Expr::Select(select) => name_what_is_read(&mut select.operand.expr, language),
        Expr::List(list) => list.elements.iter_mut().for_each(|item| name_what_is_read(&mut item.expr, language)),
        Expr::Map(map) => map.entries.iter_mut().for_each(|entry| match &mut entry.expr {
            EntryExpr::StructField(field) => name_what_is_read(&mut field.value.expr, language),
            EntryExpr::MapEntry(entry) => {
                name_what_is_read(&mut entry.key.expr, language);
                name_what_is_read(&mut entry.value.expr, language);
            }
        }),
        Expr::Call(call) => {
            if let Some(target) = &mut call.target {
                name_what_is_read(&mut target.expr, language);
            }
            call.args.iter_mut().for_each(|arg| name_what_is_read(&mut arg.expr, language));
        }
        Expr::Comprehension(inner) => {
            let inner = &mut **inner;
            let parts = [
                &mut inner.iter_range,
                &mut inner.accu_init,
                &mut inner.loop_cond,
                &mut inner.loop_step,
                &mut inner.result,
            ];
            parts.into_iter().for_each(|part| name_what_is_read(&mut part.expr, language));
        }
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.0.source).finish()
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.0.source == other.0.source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: Language = Language::with_long(&["offset", "time", "key", "value"], &["key", "value"]);

    fn ask(filter: &str, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<bool, FilterError> {
        let facts = [
            ("offset", Fact::Int(7)),
            ("time", Fact::Int(1_700_000_000_000_000)),
            ("key", Fact::Bytes(key)),
            ("value", Fact::Bytes(value)),
        ];
        Condition::parse(&MESSAGE, filter)?.matches(&facts)
    }

    #[test]
    fn a_message_is_asked_for_its_place_its_key_and_what_is_in_its_value() {
        let value = br#"{"type":"Bounce","n":{"code":550},"list":["a","b"]}"#;
        for (filter, expected) in [
            ("offset == 7 && time > 0", true),
            ("key == 'k'", true),
            ("toJson(value).type == 'Bounce' && toJson(value).n.code >= 500", true),
            ("toJson(value).type == 'Delivery'", false),
            ("'a' in toJson(value).list", true),
            ("toJson(value).list.exists(x, x == 'b')", true),
            ("has(toJson(value).nothing)", false),
            ("value.contains('Bounce')", true),
            ("toJson(value).type == 'x' ? false : true", true),
            ("true", true),
        ] {
            assert_eq!(ask(filter, Some(b"k"), Some(value)), Ok(expected), "{filter}");
        }
    }

    #[test]
    fn no_key_is_null_and_bytes_that_are_no_text_are_bytes() {
        assert_eq!(ask("key == null && value != null", None, Some(b"")), Ok(true));
        assert_eq!(ask(r"value == b'\xff'", None, Some(&[255])), Ok(true));
    }

    #[test]
    fn what_is_no_json_is_told_only_where_the_answer_hangs_on_it() {
        let failed = |result| matches!(result, Err(FilterError::Failed(why)) if why.contains("value is no JSON"));
        assert!(failed(ask("toJson(value).x == 1", None, Some(b"hello"))));
        assert!(failed(ask("toJson(value).x == 1", None, None)));
        assert_eq!(ask("key == 'k' || toJson(value).x == 1", Some(b"k"), Some(b"hello")), Ok(true));
        assert_eq!(ask("key == 'z' && toJson(value).x == 1", Some(b"k"), Some(b"hello")), Ok(false));
    }

    #[test]
    fn what_can_never_be_true_or_false_is_refused_when_it_is_read() {
        for filter in
            ["1", "'x'", "key", "[true]", "{'a': true}", "size(value)", "offset + 1", "-offset", "true ? 1 : 2", "null"]
        {
            let error = Condition::parse(&MESSAGE, filter).unwrap_err();
            assert!(matches!(error, FilterError::NotBool(_)), "{filter}: {error:?}");
        }
        assert!(matches!(ask("toJson(value)", None, Some(b"1")), Err(FilterError::Failed(_))));
        assert_eq!(ask("toJson(value)", None, Some(b"true")), Ok(true));
    }

    #[test]
    fn what_is_no_cel_is_refused() {
        for filter in ["", "a ==", "1 +* 2", "'open", "data..x", "(((", "@json value"] {
            assert!(Condition::parse(&MESSAGE, filter).is_err(), "{filter}");
        }
    }

    #[test]
    fn json_with_too_many_values_is_not_looked_at() {
        let value = serde_json::to_vec(&vec![0; MOST_VALUES]).unwrap();
        assert_eq!(ask("toJson(value)[0] == 0", None, Some(&value)), Err(FilterError::TooLarge(MOST_VALUES)));
        assert_eq!(ask("offset == 7", None, Some(&value)), Ok(true), "only where somebody asks for it");
    }
}
