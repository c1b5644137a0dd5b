//! What an expression gives, as far as it can be told without asking it about anything.

use cel::common::ast::{Expr, LiteralValue};

/// What it gives when that is certainly neither true nor false.
pub(crate) fn never_bool(expr: &Expr) -> Option<&'static str> {
    match expr {
        Expr::Literal(LiteralValue::Boolean(_)) => None,
        Expr::Literal(LiteralValue::Null) => Some("null"),
        Expr::Literal(LiteralValue::String(_)) => Some("a text"),
        Expr::Literal(_) => Some("a value"),
        // None of the names is a condition by itself.
        Expr::Ident(name) if !name.starts_with(crate::condition::READ) => Some("a value"),
        Expr::List(_) => Some("a list"),
        Expr::Map(_) => Some("a map"),
        Expr::Call(call) => match call.func_name.as_str() {
            "_?_:_" => call.args.iter().skip(1).find_map(|branch| never_bool(&branch.expr)),
            "_+_" | "_-_" | "_*_" | "_/_" | "_%_" | "-_" => Some("a value"),
            "size" | "string" | "int" | "uint" | "double" | "bytes" | "type" => Some("a value"),
            _ => None,
        },
        _ => None,
    }
}
