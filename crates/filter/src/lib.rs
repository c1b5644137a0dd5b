//! Conditions in CEL (the Common Expression Language, <https://cel.dev>) over an event or a message, whose cost is bounded
//! before they run: the text's length and depth, the nodes, no loop within a loop, no list made by a loop, patterns that
//! are written out and compiled once. What a condition looks at is bounded too.
//!
//! Pure, and the only door to the library that reads CEL. What a condition may name is a [`Language`]; it refuses to know
//! what the names mean.
//!
//! ```
//! use waybill_filter::{Condition, Fact, Language};
//! const WORDS: Language = Language::of(&["number", "word"]);
//! let condition = Condition::parse(&WORDS, "number > 3 && word.startsWith('b')").unwrap();
//! assert_eq!(condition.matches(&[("number", Fact::Int(5)), ("word", Fact::Text("bee"))]), Ok(true));
//! assert!(Condition::parse(&WORDS, "colour == 'red'").is_err());
//! ```

mod check;
mod condition;
mod equality;
mod error;
mod json;
mod kind;
mod language;

pub use condition::Condition;
pub use equality::Equality;
pub use error::FilterError;
pub use language::{Fact, Language};
