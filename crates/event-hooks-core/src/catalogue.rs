//! Which events there are.

mod builtin;

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// An event that can be subscribed to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EventInfo {
    /// What its data holds.
    pub fields: Vec<String>,
    /// Which of them, dotted, tell one from another; unset means all of the data.
    pub unique: Option<Vec<String>>,
    /// In a sentence.
    pub description: Option<String>,
}

/// Sources and their events: ours, and those that policy published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Catalogue {
    sources: BTreeMap<String, BTreeMap<String, EventInfo>>,
}

/// An event that policy cannot publish.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PublishError {
    /// A source of ours.
    #[error("the source {0:?} is Waybill's own: publish under another name")]
    Ours(String),
    /// No name.
    #[error("{0:?} is no name: use 1 to 64 letters, digits, _, -, : and dots")]
    Name(String),
    /// More than anybody can look through.
    #[error("there are {0} events already")]
    TooMany(usize),
}

/// Events that policy may publish.
const MOST: usize = 1000;

impl Default for Catalogue {
    fn default() -> Self {
        Catalogue::new()
    }
}

impl Catalogue {
    /// Our own.
    pub fn new() -> Self {
        Catalogue { sources: builtin::sources() }
    }

    /// The names of all sources.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().map(String::as_str)
    }

    /// The events of a source.
    pub fn events(&self, source: &str) -> Option<&BTreeMap<String, EventInfo>> {
        self.sources.get(source)
    }

    /// One event.
    pub fn event(&self, source: &str, event: &str) -> Option<&EventInfo> {
        self.sources.get(source)?.get(event)
    }

    /// Adds an event of policy's own, or changes it.
    ///
    /// # Errors
    /// When the source is one of ours, or a name is none.
    pub fn publish(&mut self, source: &str, event: &str, info: EventInfo) -> Result<(), PublishError> {
        if builtin::SOURCES.contains(&source) {
            return Err(PublishError::Ours(source.to_owned()));
        }
        let is_name = |name: &str| {
            let fits = (1..=64).contains(&name.len());
            fits && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':' | '.'))
        };
        if let Some(wrong) = [source, event].into_iter().find(|name| !is_name(name)) {
            return Err(PublishError::Name(wrong.to_owned()));
        }
        let count: usize = self.sources.values().map(BTreeMap::len).sum();
        if count >= MOST {
            return Err(PublishError::TooMany(count));
        }
        self.sources.entry(source.to_owned()).or_default().insert(event.to_owned(), info);
        Ok(())
    }

    /// The answer of `/event-hooks/sources`.
    pub fn to_json(&self) -> Value {
        let sources = self.sources.iter().map(|(name, events)| (name.clone(), events_json(events)));
        json!({"data": Value::Object(sources.collect())})
    }

    /// The answer of `/event-hooks/sources/SOURCE`.
    pub fn source_json(&self, source: &str) -> Option<Value> {
        Some(json!({"data": events_json(self.events(source)?)}))
    }

    /// The answer of `/event-hooks/sources/SOURCE/EVENT`.
    pub fn event_json(&self, source: &str, event: &str) -> Option<Value> {
        Some(json!({"data": self.event(source, event)?.to_json()}))
    }
}

impl EventInfo {
    fn to_json(&self) -> Value {
        let mut json = Map::new();
        json.insert("fields".to_owned(), json!(self.fields));
        if let Some(unique) = &self.unique {
            json.insert("unique".to_owned(), json!(unique));
        }
        if let Some(description) = &self.description {
            json.insert("description".to_owned(), json!(description));
        }
        Value::Object(json)
    }
}

fn events_json(events: &BTreeMap<String, EventInfo>) -> Value {
    Value::Object(events.iter().map(|(name, info)| (name.clone(), info.to_json())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_of_the_contract_is_listed_with_its_events() {
        let catalogue = Catalogue::new();
        let sources: Vec<&str> = catalogue.sources().collect();
        assert_eq!(sources, ["crud", "dao:crud", "endpoint", "log", "queue", "throttle"]);
        let events = |source| catalogue.events(source).unwrap().keys().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(events("dao:crud"), ["create", "delete", "update"]);
        assert_eq!(events("endpoint"), ["disabled", "failing", "recovered"]);
        assert_eq!(events("queue"), ["backlog", "ready-queue-full", "resumed", "suspended"]);
        assert_eq!(events("throttle"), ["limit-exceeded"]);
        assert!(events("crud").contains(&"event_hooks:create") && events("crud").contains(&"event_hooks"));
        assert_eq!(events("log").len(), 14);
    }

    #[test]
    fn the_answers_have_kong_s_shape() {
        let catalogue = Catalogue::new();
        let all = catalogue.to_json();
        assert_eq!(all["data"]["log"]["Bounce"]["unique"], json!(["queue", "recipient", "response"]));
        assert_eq!(catalogue.source_json("log").unwrap()["data"], all["data"]["log"]);
        let event = catalogue.event_json("throttle", "limit-exceeded").unwrap();
        assert_eq!(event["data"]["fields"], json!(["name", "limit", "period", "peer", "queue"]));
        assert_eq!(event["data"]["unique"], json!(["name", "peer"]));
        assert_eq!(catalogue.source_json("nothing"), None);
        assert_eq!(catalogue.event_json("log", "Nothing"), None);
    }

    #[test]
    fn policy_publishes_events_of_its_own_but_not_under_our_names() {
        let mut catalogue = Catalogue::new();
        let info = EventInfo { fields: vec!["who".into()], ..EventInfo::default() };
        catalogue.publish("billing", "quota", info.clone()).unwrap();
        assert_eq!(catalogue.event("billing", "quota"), Some(&info));
        assert_eq!(catalogue.publish("log", "Mine", info.clone()), Err(PublishError::Ours("log".into())));
        assert_eq!(catalogue.publish("a b", "c", info.clone()), Err(PublishError::Name("a b".into())));
        assert_eq!(catalogue.publish("a", "", info.clone()), Err(PublishError::Name(String::new())));
        let error = (0..2000).find_map(|n| catalogue.publish("many", &n.to_string(), info.clone()).err());
        assert_eq!(error, Some(PublishError::TooMany(1000)));
    }
}
