use regex::Regex;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use toml::Spanned;

/// Categories and their expressions, in order.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub(crate) all: Vec<Rule>,
}

#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) category: String,
    pub(crate) pattern: String,
}

/// What is wrong with a file of rules.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RulesError {
    /// Neither JSON nor TOML by its name.
    #[error("{file}: rules are read from files whose names end with .json or .toml")]
    Name {
        /// The file.
        file: String,
    },
    /// It cannot be read as what it is called.
    #[error("{file}: {why}")]
    Syntax {
        /// The file.
        file: String,
        /// What the reader said, with the line.
        why: String,
    },
    /// One of its expressions makes no sense.
    #[error("{file}: rule {category}, expression {number}, {pattern:?}: {why}")]
    Pattern {
        /// The file.
        file: String,
        /// The category.
        category: String,
        /// Which of its expressions, from one.
        number: usize,
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// All of them together are more than can be held.
    #[error("the rules together: {0}")]
    TooLarge(String),
}

impl Rules {
    /// Adds the rules of a file: a table `rules` with a list of expressions for each category.
    ///
    /// # Errors
    /// Names the file and, where it is about one, the rule.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), RulesError> {
        let named = file.to_ascii_lowercase();
        let syntax = |why: String| RulesError::Syntax { file: file.to_owned(), why: why.trim_end().to_owned() };
        let rules = if named.ends_with(".json") {
            serde_json::from_str::<Json>(text).map_err(|error| syntax(error.to_string()))?.rules.0
        } else if named.ends_with(".toml") {
            in_toml(text).map_err(|error| syntax(error.to_string()))?
        } else {
            return Err(RulesError::Name { file: file.to_owned() });
        };
        for (category, patterns) in rules {
            for (index, pattern) in patterns.into_iter().enumerate() {
                if let Err(error) = Regex::new(&pattern) {
                    let why = error.to_string();
                    // The last line says what, those before it show where.
                    let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                    let file = file.to_owned();
                    return Err(RulesError::Pattern { file, category, number: index + 1, pattern, why });
                }
                self.all.push(Rule { category: category.clone(), pattern });
            }
        }
        Ok(())
    }
}

type Listed = Vec<(String, Vec<String>)>;

fn in_toml(text: &str) -> Result<Listed, toml::de::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Toml {
        rules: BTreeMap<Spanned<String>, Vec<String>>,
    }
    let mut rules: Vec<_> = toml::from_str::<Toml>(text)?.rules.into_iter().collect();
    // In the order of the file, which decides.
    rules.sort_by_key(|(category, _)| category.span().start);
    Ok(rules.into_iter().map(|(category, patterns)| (category.into_inner(), patterns)).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    rules: InOrder,
}

/// A map whose order is kept.
struct InOrder(Listed);

impl<'de> Deserialize<'de> for InOrder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = InOrder;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table with a list of expressions for each category")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<InOrder, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    all.push(entry);
                }
                Ok(InOrder(all))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str, text: &str) -> Result<Vec<(String, String)>, String> {
        let mut rules = Rules::default();
        rules.add(file, text).map_err(|error| error.to_string())?;
        Ok(rules.all.into_iter().map(|rule| (rule.category, rule.pattern)).collect())
    }

    #[test]
    fn rules_stand_in_the_order_of_the_file_in_both_formats() {
        let expected = [("Zeta", "a"), ("Zeta", "b"), ("Alpha", "c")].map(|(c, p)| (c.to_owned(), p.to_owned()));
        let toml = "[rules]\nZeta = ['a', 'b']\nAlpha = ['c']\n";
        assert_eq!(read("r.toml", toml).unwrap(), expected);
        assert_eq!(read("r.json", r#"{"rules": {"Zeta": ["a", "b"], "Alpha": ["c"]}}"#).unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_is_named_with_file_and_rule() {
        let wrong = "[rules]\nFine = ['x']\nMailboxFull = ['over quota', '(']\n";
        assert_eq!(read("r.toml", wrong).unwrap_err(), "r.toml: rule MailboxFull, expression 2, \"(\": unclosed group");
        let error = read("r.json", "{\"rules\": {\"A\": [\"x\"]},\n \"colour\": 1}").unwrap_err();
        assert!(error.starts_with("r.json: unknown field `colour`") && error.contains("line 2"), "{error}");
        let error = read("r.toml", "[rules]\nA = 'x'\n").unwrap_err();
        assert!(error.starts_with("r.toml: ") && error.contains("line 2"), "{error}");
        assert!(read("r.yaml", "").unwrap_err().contains(".json or .toml"));
    }
}
