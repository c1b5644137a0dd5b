//! `filter`: a condition in CEL over an event.

use crate::Event;
use std::fmt;
use waybill_filter::{Condition, Equality, Fact, FilterError, Language};

/// A condition that was checked. `Debug` shows its text.
#[derive(Clone, PartialEq)]
pub struct Filter(Condition);

/// What a condition may name.
const LANGUAGE: Language = Language::of(&["id", "source", "event", "tenant", "time", "data"]);

/// Those that always stand for a text.
const TEXTS: [&str; 4] = ["id", "source", "event", "tenant"];

impl Filter {
    /// Reads a condition.
    ///
    /// # Errors
    /// When it is no CEL, or could cost too much.
    pub fn parse(source: &str) -> Result<Self, FilterError> {
        Condition::parse(&LANGUAGE, source).map(Filter)
    }

    /// The text.
    pub fn source(&self) -> &str {
        self.0.source()
    }

    /// What one text has to be for an event to be wanted, where that can be told.
    pub fn equality(&self) -> Option<Equality> {
        self.0.equality(&TEXTS)
    }

    /// Whether the event is wanted.
    ///
    /// # Errors
    /// When that cannot be told: a field is missing, types do not go together, it is no condition.
    pub fn matches(&self, event: &Event<'_>) -> Result<bool, FilterError> {
        self.0.matches(&[
            ("id", Fact::Text(event.id)),
            ("source", Fact::Text(event.source)),
            ("event", Fact::Text(event.event)),
            ("tenant", Fact::Text(event.tenant.unwrap_or_default())),
            ("time", Fact::Int(event.time.secs())),
            ("data", Fact::Object(event.data)),
        ])
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filter").field(&self.source()).finish()
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
        let data = json!({"list": vec![0; 10_000]});
        let data = data.as_object().unwrap();
        let event = Event { id: "1", source: "s", event: "e", time: Timestamp::EPOCH, tenant: None, data };
        let filter = Filter::parse("size(data.list) > 1").unwrap();
        assert_eq!(filter.matches(&event), Err(FilterError::TooLarge(10_000)));
    }
}
