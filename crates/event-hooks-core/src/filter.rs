//! `filter`: a condition in CEL (the Common Expression Language, <https://cel.dev>) over an event.
//!
//! What one may cost is bounded before it runs: the text's length and depth, the nodes, no loop within a loop, no list made
//! by a loop, patterns that are written out and compiled once. What an event may hold is bounded too.

mod check;

use crate::Event;
use cel::extractors::This;
use cel::objects::{Key, Map};
use cel::parser::{Expression, Parser};
use cel::{Context, Env, Value};
use regex::Regex;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// A condition that was checked. `Debug` shows its text.
#[derive(Clone)]
pub struct Filter(Arc<Inner>);

struct Inner {
    source: String,
    expression: Expression,
    env: Arc<Env>,
    patterns: Arc<HashMap<String, Regex>>,
}

/// A condition that is refused, or gave none of true and false.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FilterError {
    /// It cannot be read.
    #[error("this is no CEL: {0}")]
    Syntax(String),
    /// It could cost too much, or names something that is not there.
    #[error("{0}")]
    Refused(String),
    /// It could not be told for this event, a field that it names is missing, say.
    #[error("it cannot be told: {0}")]
    Failed(String),
    /// The event is too large to be looked at.
    #[error("the event has more than {0} values")]
    TooLarge(usize),
}

/// What a condition may name.
const NAMES: &[&str] = &["id", "source", "event", "tenant", "time", "data"];
/// Values within an event.
const MOST_VALUES: usize = 10_000;
/// Recursion of the parser.
const DEEPEST: u16 = 24;

impl Filter {
    /// Reads a condition.
    ///
    /// # Errors
    /// When it is no CEL, or could cost too much.
    pub fn parse(source: &str) -> Result<Self, FilterError> {
        check::text(source)?;
        let parsed = Parser::new().max_recursion_depth(DEEPEST).parse(source);
        let expression = parsed.map_err(|errors| FilterError::Syntax(first_line(&errors.to_string())))?;
        let patterns = check::expression(&expression)?;
        let env = Arc::new(Env::stdlib());
        Ok(Filter(Arc::new(Inner { source: source.to_owned(), expression, env, patterns: Arc::new(patterns) })))
    }

    /// The text.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Whether the event is wanted.
    ///
    /// # Errors
    /// When that cannot be told: a field is missing, types do not go together, it is no condition.
    pub fn matches(&self, event: &Event<'_>) -> Result<bool, FilterError> {
        let mut room = MOST_VALUES;
        let data = object(event.data, &mut room).ok_or(FilterError::TooLarge(MOST_VALUES))?;
        let mut context = Context::with_env(Arc::clone(&self.0.env));
        context.add_variable_from_value("id", event.id);
        context.add_variable_from_value("source", event.source);
        context.add_variable_from_value("event", event.event);
        context.add_variable_from_value("tenant", event.tenant.unwrap_or_default());
        context.add_variable_from_value("time", event.time.secs());
        context.add_variable_from_value("data", data);
        let patterns = Arc::clone(&self.0.patterns);
        let matches = move |This(text): This<Arc<String>>, pattern: Arc<String>| {
            patterns.get(pattern.as_str()).is_some_and(|regex| regex.is_match(&text))
        };
        context.add_function("matches", matches).map_err(|error| FilterError::Failed(format!("{error:?}")))?;
        match context.resolve(&self.0.expression) {
            Ok(Value::Bool(yes)) => Ok(yes),
            Ok(other) => Err(FilterError::Failed(format!("it gives a {:?}, not true or false", other.type_of()))),
            Err(error) => Err(FilterError::Failed(first_line(&error.to_string()))),
        }
    }
}

/// Our own way into CEL's values: whole numbers are `int`, whatever their sign.
fn value(json: &serde_json::Value, room: &mut usize) -> Option<Value> {
    *room = room.checked_sub(1)?;
    Some(match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(yes) => Value::Bool(*yes),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(int), ..) => Value::Int(int),
            (None, Some(uint), _) => Value::UInt(uint),
            (None, None, float) => Value::Float(float.unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => {
            let items: Option<Vec<Value>> = items.iter().map(|item| value(item, room)).collect();
            Value::List(Arc::new(items?))
        }
        serde_json::Value::Object(map) => object(map, room)?,
    })
}

fn object(map: &serde_json::Map<String, serde_json::Value>, room: &mut usize) -> Option<Value> {
    let fields: Option<HashMap<Key, Value>> =
        map.iter().map(|(name, inner)| Some((Key::from(name.as_str()), value(inner, room)?))).collect();
    Some(Value::Map(Map { map: Arc::new(fields?) }))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filter").field(&self.0.source).finish()
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.0.source == other.0.source
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use waybill_types::Timestamp;

    fn matches(filter: &str) -> Result<bool, FilterError> {
        let data = json!({
            "recipient": "ada@example.com", "num_attempts": 3, "size": 1.5, "tls_cipher": null,
            "response": {"code": 550, "content": "no such user"}, "list": ["a", "b"],
        });
        let data = data.as_object().unwrap();
        let time = Timestamp::from_secs(1_700_000_000);
        let event = Event { id: "1", source: "log", event: "Bounce", time, tenant: Some("t1"), data };
        Filter::parse(filter)?.matches(&event)
    }

    #[test]
    fn a_condition_sees_the_event_and_its_data() {
        for (filter, expected) in [
            ("data.response.code >= 500 && data.num_attempts == 3", true),
            ("data.recipient.endsWith('@example.com')", true),
            ("event == 'Delivery' || tenant == 't2'", false),
            ("has(data.nothing)", false),
            ("has(data.response) && data.response.content.contains('user')", true),
            ("data.recipient in ['x@y', 'ada@example.com']", true),
            ("data.list.exists(item, item == 'b')", true),
            ("data.tls_cipher == null", true),
            ("time > 1600000000 && source == 'log'", true),
            ("data.size > 1.0", true),
            ("data['response']['code'] < 500", false),
            ("data.response.content.matches('^no such (user|mailbox)$')", true),
        ] {
            assert_eq!(matches(filter), Ok(expected), "{filter}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_an_error_and_no_verdict() {
        for filter in ["data.nothing == 1", "data.recipient", "1 + 'a' == 2", "data.response.code"] {
            assert!(matches!(matches(filter), Err(FilterError::Failed(_))), "{filter}: {:?}", matches(filter));
        }
    }

    #[test]
    fn what_is_no_cel_is_refused() {
        for filter in ["", "a ==", "1 +* 2", "'open", "data..x", "((("] {
            assert!(Filter::parse(filter).is_err(), "{filter}");
        }
    }

    #[test]
    fn an_event_that_is_too_large_is_not_looked_at() {
        let data = json!({"list": vec![0; MOST_VALUES]});
        let data = data.as_object().unwrap();
        let event = Event { id: "1", source: "s", event: "e", time: Timestamp::EPOCH, tenant: None, data };
        let filter = Filter::parse("size(data.list) > 1").unwrap();
        assert_eq!(filter.matches(&event), Err(FilterError::TooLarge(MOST_VALUES)));
    }
}
