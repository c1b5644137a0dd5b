use crate::{Rules, RulesError};
use parking_lot::Mutex;
use regex::{RegexSet, RegexSetBuilder};
use std::collections::HashMap;
use std::sync::Arc;
use waybill_log_record::RecordType;
use waybill_types::Response;

/// So much of a response is looked at, in bytes.
const LONGEST: usize = 4096;
/// The most memory that the rules together may take, in bytes.
const MOST_MEMORY: usize = 64 * 1024 * 1024;

/// Finds the category of responses.
pub struct Classifier {
    /// One expression for each, in the order of the rules.
    set: RegexSet,
    /// The categories of the expressions.
    categories: Vec<Arc<str>>,
    /// What was found out: servers repeat themselves.
    known: Mutex<HashMap<String, Option<Arc<str>>>>,
    capacity: usize,
}

impl Classifier {
    /// With these rules; remembers so many responses.
    ///
    /// # Errors
    /// When the rules take too much memory.
    pub fn new(rules: &Rules, cache_size: usize) -> Result<Self, RulesError> {
        let patterns = rules.all.iter().map(|rule| &rule.pattern);
        let set = RegexSetBuilder::new(patterns).size_limit(MOST_MEMORY).build();
        let set = set.map_err(|error| RulesError::TooLarge(error.to_string()))?;
        let mut names: HashMap<&str, Arc<str>> = HashMap::new();
        let categories = rules.all.iter().map(|rule| {
            let name = names.entry(&rule.category).or_insert_with(|| rule.category.as_str().into());
            name.clone()
        });
        Ok(Classifier { set, categories: categories.collect(), known: Mutex::default(), capacity: cache_size })
    }

    /// The category of a response in a record of this kind; `None` where no rule fits, or such records have none.
    pub fn classify(&self, kind: RecordType, response: &Response) -> Option<Arc<str>> {
        if !is_classified(kind) {
            return None;
        }
        let mut text = response.to_string();
        if text.len() > LONGEST {
            let mut end = LONGEST;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }
        if let Some(known) = self.known.lock().get(&text) {
            return known.clone();
        }
        // The lowest number is the first rule.
        let first = self.set.matches(&text).into_iter().next();
        let found = first.and_then(|index| self.categories.get(index)).cloned();
        if self.capacity > 0 {
            let mut known = self.known.lock();
            if known.len() >= self.capacity {
                // What comes often is soon known again.
                known.clear();
            }
            known.insert(text, found.clone());
        }
        found
    }
}

/// Contract section 4.1.
fn is_classified(kind: RecordType) -> bool {
    use RecordType::{AdminBounce, Bounce, Expiration, Feedback, OOB, Rejection, TransientFailure};
    matches!(kind, Bounce | TransientFailure | Expiration | AdminBounce | OOB | Feedback | Rejection)
}

impl std::fmt::Debug for Classifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Classifier").field("expressions", &self.categories.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classifier(cache_size: usize) -> Classifier {
        let mut rules = Rules::default();
        let first = "[rules]\nMailboxFull = ['over quota', '^452 4\\.2\\.2']\nInvalidRecipient = ['^550 5\\.1\\.1']\n";
        rules.add("first.toml", first).unwrap();
        rules.add("second.json", r#"{"rules": {"Other": ["^5", "over quota"]}}"#).unwrap();
        Classifier::new(&rules, cache_size).unwrap()
    }

    fn of(classifier: &Classifier, code: u16, text: &str) -> Option<String> {
        classifier.classify(RecordType::Bounce, &Response::new(code, text)).map(|category| category.to_string())
    }

    #[test]
    fn the_first_rule_that_fits_decides_also_when_it_is_known_already() {
        for classifier in [classifier(10), classifier(0)] {
            for _ in 0..2 {
                for (code, text, category) in [
                    (550, "5.1.1 gone", Some("InvalidRecipient")),
                    (550, "5.1.1 over quota", Some("MailboxFull")),
                    (554, "5.7.1 no", Some("Other")),
                    (452, "4.2.2 full", Some("MailboxFull")),
                    (451, "4.3.0 later", None),
                ] {
                    assert_eq!(of(&classifier, code, text).as_deref(), category, "{code} {text}");
                }
            }
        }
    }

    #[test]
    fn only_records_of_failures_are_classified() {
        let classifier = classifier(10);
        let response = Response::new(550, "5.1.1 gone");
        let classified = RecordType::ALL.iter().filter(|kind| classifier.classify(**kind, &response).is_some());
        let names: Vec<&str> = classified.map(|kind| kind.as_str()).collect();
        let expected = ["Bounce", "TransientFailure", "Expiration", "AdminBounce", "OOB", "Feedback", "Rejection"];
        assert_eq!(names.len(), expected.len(), "{names:?}");
        assert!(expected.iter().all(|name| names.contains(name)), "{names:?}");
    }

    #[test]
    fn what_is_remembered_and_what_is_looked_at_is_bounded() {
        let classifier = classifier(3);
        for number in 0..100 {
            assert_eq!(of(&classifier, 550, &format!("5.1.1 user {number}")).as_deref(), Some("InvalidRecipient"));
        }
        assert!(classifier.known.lock().len() <= 3);
        let long = format!("4.0.0 {}over quota", "é".repeat(LONGEST));
        assert_eq!(of(&classifier, 450, &long), None, "what stands so far behind is not looked at");
    }
}
