//! Dotted paths into JSON.

use serde_json::Value;

/// What a path leads to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Found<'a> {
    Value(&'a Value),
    /// Nothing there; its parent is an object, a list, or missing too.
    Missing,
    /// It goes through something that has no fields: the path up to there.
    Through(usize),
}

/// Follows `steps`; a list's items have numbers, the first is 0.
pub(crate) fn follow<'a>(root: &'a Value, steps: &[String]) -> Found<'a> {
    let mut value = root;
    for (depth, step) in steps.iter().enumerate() {
        let next = match value {
            Value::Object(map) => map.get(step),
            Value::Array(list) => step.parse::<usize>().ok().and_then(|index| list.get(index)),
            Value::Null => None,
            _ => return Found::Through(depth),
        };
        match next {
            Some(next) => value = next,
            None => return Found::Missing,
        }
    }
    Found::Value(value)
}

/// `a.b.c` in steps; `None` where one of them is empty or has other characters than names of fields.
pub(crate) fn steps(path: &str) -> Option<Vec<String>> {
    let is_step = |step: &str| {
        !step.is_empty() && step.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ':' | '$'))
    };
    let steps: Vec<String> = path.split('.').map(str::to_owned).collect();
    (steps.len() <= DEEPEST && steps.iter().all(|step| is_step(step))).then_some(steps)
}

/// Steps of a path.
const DEEPEST: usize = 16;
