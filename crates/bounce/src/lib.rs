//! What a refusal means: the operator's rules, applied to what servers say.
//!
//! A rule is a category and regular expressions; a response belongs to the first category, in the order of the files
//! and of the rules in them, one of whose expressions is found in it. Matching is linear in the length of the response
//! (the `regex` crate), the response is cut at 4 KiB, and answers are remembered: nobody waits for a classification.
//! This crate reads no files: whoever does hands it their text.
//!
//! ```
//! use waybill_bounce::{Classifier, Rules};
//! use waybill_log_record::RecordType;
//! use waybill_types::Response;
//! let mut rules = Rules::default();
//! rules.add("rules.toml", r#"rules.InvalidRecipient = ["^5\\d\\d 5\\.1\\.1 "]"#).unwrap();
//! let classifier = Classifier::new(&rules, 1000).unwrap();
//! let response = Response::new(550, "5.1.1 no such user");
//! assert_eq!(classifier.classify(RecordType::Bounce, &response).as_deref(), Some("InvalidRecipient"));
//! assert_eq!(classifier.classify(RecordType::Delivery, &response), None);
//! ```

mod classifier;
mod rules;

pub use classifier::Classifier;
pub use rules::{Rules, RulesError};
