//! What a condition may look like, so that it cannot cost much.

use crate::condition::READ;
use crate::{FilterError, Language};
use cel::common::ast::{EntryExpr, Expr, LiteralValue};
use cel::parser::Expression;
use regex::{Regex, RegexBuilder};
use std::collections::HashMap;

/// Bytes of a condition.
const LONGEST: usize = 2000;
/// Brackets within each other, and signs or conditions that follow each other.
const NESTED: usize = 16;
/// Dots, indexes and operators: a chain of them makes a tree as deep as it is long.
const LINKS: usize = 150;
/// Nodes of what was read.
const MOST_NODES: usize = 500;
/// Additions where texts may be long: each may make a text as long as all before it.
const ADDITIONS: usize = 8;
/// Bytes of a compiled pattern.
const PATTERN: usize = 256 * 1024;

/// Before it is parsed: the parser recurses.
pub(super) fn text(source: &str) -> Result<(), FilterError> {
    if source.len() > LONGEST {
        return refused(format!("the condition has {} bytes, at most {LONGEST} are taken", source.len()));
    }
    let (mut depth, mut deepest, mut prefixes, mut most_prefixes, mut choices) = (0_usize, 0, 0_usize, 0, 0_usize);
    let links = source.chars().filter(|c| ".[+-*/%=<>&|".contains(*c)).count();
    for c in source.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '?' => choices += 1,
            _ => {}
        }
        prefixes = match c {
            '!' | '-' => prefixes + 1,
            c if c.is_whitespace() => prefixes,
            _ => 0,
        };
        deepest = deepest.max(depth);
        most_prefixes = most_prefixes.max(prefixes);
    }
    if deepest > NESTED || most_prefixes > NESTED || choices > NESTED {
        return refused(format!("the condition is nested more than {NESTED} deep"));
    }
    if links > LINKS {
        return refused(format!("the condition has {links} dots, brackets and operators, at most {LINKS} are taken"));
    }
    Ok(())
}

/// What was found in a condition.
pub(super) struct Checked {
    /// The patterns of `matches`, compiled.
    pub(super) patterns: HashMap<String, Regex>,
    /// The names that are read as JSON.
    pub(super) read: Vec<&'static str>,
}

/// After it was parsed.
pub(super) fn expression(language: &Language, expression: &Expression) -> Result<Checked, FilterError> {
    let bound = language.names.iter().map(|name| (*name).into()).collect();
    let mut walk = Walk { language, nodes: 0, additions: 0, patterns: HashMap::new(), read: Vec::new(), bound };
    walk.visit(&expression.expr, Loop::Outside)?;
    Ok(Checked { patterns: walk.patterns, read: walk.read })
}

#[derive(Clone, Copy, PartialEq)]
enum Loop {
    Outside,
    /// In what a loop goes over.
    Range,
    /// In what a loop does each time.
    Body,
}

struct Walk<'a> {
    language: &'a Language,
    nodes: usize,
    additions: usize,
    patterns: HashMap<String, Regex>,
    read: Vec<&'static str>,
    /// Names that stand for something here.
    bound: Vec<String>,
}

impl Walk<'_> {
    fn visit(&mut self, expr: &Expr, within: Loop) -> Result<(), FilterError> {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            return refused(format!("the condition has more than {MOST_NODES} parts"));
        }
        match expr {
            Expr::Unspecified => refused("the condition is empty"),
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.name(name, within),
            Expr::Select(select) => self.visit(&select.operand.expr, within),
            Expr::List(list) => list.elements.iter().try_for_each(|item| self.visit(&item.expr, within)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| self.entry(&entry.expr, within)),
            Expr::Struct(_) => refused("a condition makes no messages"),
            Expr::Call(call) => {
                match call.func_name.as_str() {
                    "matches" => self.pattern(call.args.last().map(|arg| &arg.expr))?,
                    "toJson" => return refused(format!("toJson reads {}, and nothing else", self.long())),
                    "_+_" if !self.language.long.is_empty() => {
                        self.additions += 1;
                        if self.additions > ADDITIONS {
                            return refused(format!("the condition has more than {ADDITIONS} additions"));
                        }
                    }
                    _ => {}
                }
                if let Some(target) = &call.target {
                    self.visit(&target.expr, within)?;
                }
                call.args.iter().try_for_each(|arg| self.visit(&arg.expr, within))
            }
            Expr::Comprehension(inner) => {
                if within != Loop::Outside {
                    return refused("a loop (all, exists, exists_one) cannot stand within another");
                }
                self.visit(&inner.iter_range.expr, Loop::Range)?;
                if matches!(inner.accu_init.expr, Expr::List(_) | Expr::Map(_)) {
                    return refused("map and filter make lists, which a condition does not need: use exists or all");
                }
                let before = self.bound.len();
                self.bound.extend([inner.iter_var.clone(), inner.accu_var.clone()]);
                self.bound.extend(inner.iter_var2.clone());
                let parts = [&inner.accu_init, &inner.loop_cond, &inner.loop_step, &inner.result];
                parts.into_iter().try_for_each(|part| self.visit(&part.expr, Loop::Body))?;
                self.bound.truncate(before);
                Ok(())
            }
        }
    }

    fn name(&mut self, name: &str, within: Loop) -> Result<(), FilterError> {
        let (plain, read) = name.strip_prefix(READ).map_or((name, false), |name| (name, true));
        let long = self.language.long.iter().find(|long| **long == plain);
        match long {
            Some(_) if within == Loop::Body => {
                refused(format!("{plain} may be long: a loop cannot look at it each time"))
            }
            Some(long) if read => {
                if !self.read.contains(long) {
                    self.read.push(*long);
                }
                Ok(())
            }
            _ if self.bound.iter().any(|bound| bound == name) => Ok(()),
            _ => {
                let names = self.language.names.join(", ");
                refused(format!("{name:?} is unknown; a condition can name {names}"))
            }
        }
    }

    fn long(&self) -> String {
        if self.language.long.is_empty() { "nothing here".to_owned() } else { self.language.long.join(" or ") }
    }

    fn entry(&mut self, entry: &EntryExpr, within: Loop) -> Result<(), FilterError> {
        match entry {
            EntryExpr::StructField(field) => self.visit(&field.value.expr, within),
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key.expr, within)?;
                self.visit(&entry.value.expr, within)
            }
        }
    }

    fn pattern(&mut self, pattern: Option<&Expr>) -> Result<(), FilterError> {
        let Some(Expr::Literal(LiteralValue::String(pattern))) = pattern else {
            return refused("the pattern of matches must be written out as a text");
        };
        let pattern = pattern.inner();
        let compiled = RegexBuilder::new(pattern).size_limit(PATTERN).dfa_size_limit(PATTERN).build();
        match compiled {
            Ok(regex) => {
                self.patterns.insert(pattern.to_owned(), regex);
                Ok(())
            }
            Err(_) => refused("a pattern of matches is no regular expression, or too large a one"),
        }
    }
}

fn refused<T>(why: impl Into<String>) -> Result<T, FilterError> {
    Err(FilterError::Refused(why.into()))
}

#[cfg(test)]
mod tests {
    use crate::{Condition, FilterError, Language};

    const EVENT: Language = Language::of(&["id", "source", "data"]);
    const MESSAGE: Language = Language::with_long(&["offset", "key", "value"], &["key", "value"]);

    fn why(filter: &str) -> String {
        refusal(&EVENT, filter)
    }

    fn refusal(language: &Language, filter: &str) -> String {
        match Condition::parse(language, filter) {
            Err(FilterError::Refused(why)) => why,
            other => panic!("{filter}: {other:?}"),
        }
    }

    #[test]
    fn a_condition_that_could_cost_much_is_refused_before_it_runs() {
        assert!(why(&"x".repeat(2001)).contains("2001 bytes"));
        for deep in ["(".repeat(500), "[".repeat(500), "!".repeat(500), "-".repeat(500), "true?".repeat(300)] {
            assert!(why(&deep).contains("deep"), "{deep}");
        }
        assert!(why("data.a.all(x, data.b.all(y, x == y))").contains("within another"));
        assert!(why("data.a.map(x, x + x) == []").contains("make lists"));
        assert!(why("data.a.filter(x, x > 1) == []").contains("make lists"));
        assert!(why("data.a.matches(data.b)").contains("written out"));
        assert!(why("data.a.matches('(')").contains("regular expression"));
        assert!(why(r"data.a.matches('(\\w{200}){200}')").contains("too large"));
        assert!(why(&format!("1 in [1{}]", ",1".repeat(600))).contains("more than 500 parts"));
        assert!(why("toJson(data.a).b == 1").contains("nothing here"));
    }

    #[test]
    fn what_may_be_long_is_looked_at_a_few_times_and_never_in_a_loop() {
        for filter in [
            "toJson(value).list.exists(x, value.contains(x))",
            "toJson(value).list.exists(x, toJson(value).big.contains(x))",
            "toJson(value).list.all(x, x == key)",
        ] {
            assert!(refusal(&MESSAGE, filter).contains("may be long"), "{filter}");
        }
        assert!(refusal(&MESSAGE, &format!("value{} == ''", "+value".repeat(9))).contains("8 additions"));
        assert!(refusal(&MESSAGE, "toJson(value + value).x == 1").contains("key or value"));
        assert!(refusal(&MESSAGE, "toJson(offset) == 1").contains("key or value"));
        assert!(refusal(&MESSAGE, "[1].exists(x, toJson(x) == 1)").contains("key or value"));
        assert!(
            Condition::parse(&MESSAGE, "toJson(value).list.exists(x, x == 1) && value.contains('a' + key)").is_ok()
        );
    }

    #[test]
    fn a_long_chain_is_refused_before_the_parser_recurses_and_one_at_the_limit_is_read() {
        for link in [".a", "[0]", "+1", "||true", "==1"] {
            let per = link.chars().filter(|c| ".[+|=".contains(*c)).count();
            let chain = |links: usize| format!("data{} == 1", link.repeat(links));
            assert!(why(&chain(super::LINKS / per + 1)).contains("dots, brackets and operators"), "{link}");
            assert!(is_read_or_too_deep(&chain(super::LINKS / per - 2)), "{link}");
        }
    }

    /// Read, or refused by the parser's own limit, which says so.
    fn is_read_or_too_deep(filter: &str) -> bool {
        match Condition::parse(&EVENT, filter) {
            Ok(_) => true,
            Err(FilterError::Syntax(why)) => why.contains("Recursion limit"),
            Err(_) => false,
        }
    }

    #[test]
    fn a_name_that_stands_for_nothing_is_told_at_once() {
        assert!(why("recipient == 'a@b'").starts_with(r#""recipient" is unknown; a condition can name id, source"#));
        assert!(why("data.l.exists(x, x == 1) && x == 1").contains(r#""x" is unknown"#));
    }
}
