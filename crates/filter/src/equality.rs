//! What of a condition can be told without evaluating it: that one text has to be one of a few.

use cel::common::ast::operators::{EQUALS, IN, LOGICAL_AND};
use cel::common::ast::{CallExpr, Expr, LiteralValue};

/// A condition that certainly does not hold, and is no error, where the text at a path is there and none of these.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Equality {
    /// The name and the fields below it: `data`, `response`, `content`.
    pub path: Vec<String>,
    /// The texts.
    pub values: Vec<String>,
}

/// Of what is joined by `&&`, the first part counts that compares a field, and only what cannot fail may stand before it:
/// a part that fails makes the condition fail, whatever stands behind it. `texts` are names that always stand for a text.
pub(crate) fn of(expr: &Expr, texts: &[&str]) -> Option<Equality> {
    let mut parts = Vec::new();
    flatten(expr, &mut parts);
    let mut certain = None;
    for part in parts {
        let Some(equality) = compared(part) else { break };
        if !(equality.path.len() == 1 && texts.contains(&equality.path[0].as_str())) {
            return Some(equality);
        }
        certain.get_or_insert(equality);
    }
    certain
}

/// The parts in the order in which they are evaluated.
fn flatten<'a>(expr: &'a Expr, parts: &mut Vec<&'a Expr>) {
    match expr {
        Expr::Call(call) if call.func_name == LOGICAL_AND && call.target.is_none() => {
            call.args.iter().for_each(|arg| flatten(&arg.expr, parts));
        }
        other => parts.push(other),
    }
}

fn compared(expr: &Expr) -> Option<Equality> {
    let Expr::Call(CallExpr { func_name, target: None, args }) = expr else { return None };
    let [left, right] = args.as_slice() else { return None };
    let (left, right) = (&left.expr, &right.expr);
    if func_name == IN {
        let Expr::List(list) = right else { return None };
        let values = list.elements.iter().map(|item| text(&item.expr)).collect::<Option<Vec<_>>>()?;
        return Some(Equality { path: path(left)?, values });
    }
    if func_name != EQUALS {
        return None;
    }
    let (path, value) = match (path(left), text(right)) {
        (Some(path), Some(value)) => (path, value),
        _ => (path(right)?, text(left)?),
    };
    Some(Equality { path, values: vec![value] })
}

fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_string()),
        _ => None,
    }
}

fn path(expr: &Expr) -> Option<Vec<String>> {
    match expr {
        Expr::Ident(name) => Some(vec![name.clone()]),
        Expr::Select(select) if !select.test => {
            let mut path = path(&select.operand.expr)?;
            path.push(select.field.clone());
            Some(path)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Condition, Language};

    const WORDS: Language = Language::of(&["event", "tenant", "data"]);

    fn found(condition: &str) -> Option<(String, Vec<String>)> {
        let found = Condition::parse(&WORDS, condition).unwrap().equality(&["event", "tenant"])?;
        Some((found.path.join("."), found.values))
    }

    #[test]
    fn the_first_comparison_with_a_text_is_found() {
        let one =
            |path: &str, values: &[&str]| Some((path.to_owned(), values.iter().map(|v| (*v).to_owned()).collect()));
        assert_eq!(found("data.queue == 'a'"), one("data.queue", &["a"]));
        assert_eq!(found("'a' == data.meta.customer && data.size > 5"), one("data.meta.customer", &["a"]));
        assert_eq!(found("data.queue in ['a', 'b']"), one("data.queue", &["a", "b"]));
        assert_eq!(found("event == 'Bounce' && tenant == 't' && data.queue == 'a'"), one("data.queue", &["a"]));
        assert_eq!(found("tenant == 't' && data.size > 5"), one("tenant", &["t"]));
    }

    #[test]
    fn what_might_fail_before_it_or_is_no_text_is_not() {
        for condition in [
            "data.size > 5 && data.queue == 'a'",
            "data.code == 550",
            "data.queue != 'a'",
            "data.queue == 'a' || data.queue == 'b'",
            "!(data.queue == 'a')",
            "has(data.queue)",
            "data.queue.startsWith('a')",
            "data.queue == data.site",
            "data.queue in ['a', data.site]",
            "data['queue'] == 'a'",
            "data.list.exists(x, x == 'a')",
        ] {
            assert_eq!(found(condition), None, "{condition}");
        }
    }
}
