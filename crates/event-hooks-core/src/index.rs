//! Which hooks an event may be for, found without asking each of them.

use crate::{Draft, Event};
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// What an event has to be for a hook to look at it at all: what can be told of its description.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interest {
    source: String,
    event: Option<String>,
    tenant: Option<String>,
    /// A field of the data that has to be one of these texts where it is a text.
    field: Option<(Vec<String>, Vec<String>)>,
}

impl Draft {
    /// What an event has to be for this hook.
    pub fn interest(&self) -> Interest {
        let mut interest = Interest {
            source: self.source.clone(),
            event: self.event.clone(),
            tenant: self.tenant.clone(),
            field: None,
        };
        let equality = self.filter.as_ref().and_then(crate::Filter::equality);
        let Some(mut equality) = equality else { return interest };
        let only = match equality.values.as_slice() {
            [one] if !one.is_empty() => Some(one.clone()),
            _ => None,
        };
        match equality.path.first().map(String::as_str) {
            Some("data") if equality.path.len() > 1 => {
                equality.path.remove(0);
                interest.field = Some((equality.path, equality.values));
            }
            Some("tenant") if equality.path.len() == 1 => interest.tenant = interest.tenant.or(only),
            Some("event") if equality.path.len() == 1 => interest.event = interest.event.or(only),
            _ => {}
        }
        interest
    }
}

/// Hooks by what they are for. It finds more than those whose filter holds, and none less: where a filter would fail, its
/// hook is found too.
#[derive(Clone, Debug)]
pub struct Index<K> {
    sources: HashMap<String, Source<K>>,
    interests: HashMap<K, Interest>,
}

#[derive(Clone, Debug)]
struct Source<K> {
    every: Group<K>,
    by_event: HashMap<String, Group<K>>,
}

/// Hooks on one event, or on all of a source.
#[derive(Clone, Debug)]
struct Group<K> {
    all: BTreeSet<K>,
    by_tenant: HashMap<String, BTreeSet<K>>,
    by_field: HashMap<Vec<String>, Field<K>>,
}

#[derive(Clone, Debug)]
struct Field<K> {
    all: BTreeSet<K>,
    by_value: HashMap<String, BTreeSet<K>>,
}

impl<K> Default for Index<K> {
    fn default() -> Self {
        Index { sources: HashMap::new(), interests: HashMap::new() }
    }
}

impl<K> Default for Group<K> {
    fn default() -> Self {
        Group { all: BTreeSet::new(), by_tenant: HashMap::new(), by_field: HashMap::new() }
    }
}

impl<K> Group<K> {
    fn is_empty(&self) -> bool {
        self.all.is_empty() && self.by_tenant.is_empty() && self.by_field.is_empty()
    }
}

impl<K: Copy + Ord + Hash> Index<K> {
    /// From now on this hook is for that.
    pub fn set(&mut self, hook: K, interest: Interest) {
        self.remove(hook);
        let source = self.sources.entry(interest.source.clone());
        let source = source.or_insert_with(|| Source { every: Group::default(), by_event: HashMap::new() });
        let group = match &interest.event {
            Some(event) => source.by_event.entry(event.clone()).or_default(),
            None => &mut source.every,
        };
        match (&interest.field, &interest.tenant) {
            (Some((path, values)), _) => {
                let field = group.by_field.entry(path.clone());
                let field = field.or_insert_with(|| Field { all: BTreeSet::new(), by_value: HashMap::new() });
                field.all.insert(hook);
                for value in values {
                    field.by_value.entry(value.clone()).or_default().insert(hook);
                }
            }
            (None, Some(tenant)) => {
                group.by_tenant.entry(tenant.clone()).or_default().insert(hook);
            }
            (None, None) => {
                group.all.insert(hook);
            }
        }
        self.interests.insert(hook, interest);
    }

    /// The hook is gone.
    pub fn remove(&mut self, hook: K) {
        let Some(interest) = self.interests.remove(&hook) else { return };
        let Some(source) = self.sources.get_mut(&interest.source) else { return };
        let group = match &interest.event {
            Some(event) => source.by_event.get_mut(event),
            None => Some(&mut source.every),
        };
        let Some(group) = group else { return };
        group.all.remove(&hook);
        if let Some(tenant) = &interest.tenant {
            remove_from(&mut group.by_tenant, tenant, hook);
        }
        if let Some((path, values)) = &interest.field
            && let Some(field) = group.by_field.get_mut(path)
        {
            field.all.remove(&hook);
            values.iter().for_each(|value| remove_from(&mut field.by_value, value, hook));
            if field.all.is_empty() {
                group.by_field.remove(path);
            }
        }
        if let Some(event) = &interest.event
            && group.is_empty()
        {
            source.by_event.remove(event);
        }
    }

    fn groups(&self, event: &Event<'_>) -> impl Iterator<Item = &Group<K>> {
        let source = self.sources.get(event.source);
        source.into_iter().flat_map(move |source| source.by_event.get(event.event).into_iter().chain([&source.every]))
    }

    /// Whether what is found hangs on the data.
    pub fn asks_for_data(&self, event: &Event<'_>) -> bool {
        self.groups(event).any(|group| !group.by_field.is_empty())
    }

    /// The hooks that an event may be for; `data` is that of the event, where it can be had.
    pub fn find(&self, event: &Event<'_>, data: Option<&Map<String, Value>>) -> BTreeSet<K> {
        let mut found = BTreeSet::new();
        for group in self.groups(event) {
            found.extend(&group.all);
            if let Some(tenant) = event.tenant {
                found.extend(group.by_tenant.get(tenant).into_iter().flatten());
            }
            for (path, field) in &group.by_field {
                match data.and_then(|data| text_at(data, path)) {
                    Some(text) => found.extend(field.by_value.get(text).into_iter().flatten()),
                    // What comes of such a filter is not known.
                    None => found.extend(&field.all),
                }
            }
        }
        found
    }
}

fn remove_from<K: Ord>(map: &mut HashMap<String, BTreeSet<K>>, key: &str, hook: K) {
    if let Some(hooks) = map.get_mut(key) {
        hooks.remove(&hook);
        if hooks.is_empty() {
            map.remove(key);
        }
    }
}

/// The text at a path; nothing where there is none or something else.
fn text_at<'a>(data: &'a Map<String, Value>, path: &[String]) -> Option<&'a str> {
    let (last, parents) = path.split_last()?;
    let mut map = data;
    for parent in parents {
        map = map.get(parent)?.as_object()?;
    }
    map.get(last)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Catalogue, Document, Encoding};
    use serde_json::json;
    use waybill_types::Timestamp;

    fn draft(more: &Value) -> Draft {
        let mut hook = json!({"source": "log", "handler": "log"});
        hook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Draft::read(&Document::from(hook.as_object().unwrap().clone()), Encoding::Json, &Catalogue::new()).unwrap()
    }

    fn event<'a>(name: &'a str, tenant: Option<&'a str>, data: &'a Value) -> Event<'a> {
        let data = data.as_object().unwrap();
        Event { id: "1", source: "log", event: name, time: Timestamp::EPOCH, tenant, data }
    }

    /// Descriptions that differ in everything that the index looks at.
    fn drafts() -> Vec<Draft> {
        let filters = [
            None,
            Some("data.queue == 'a'"),
            Some("data.queue in ['a', 'b']"),
            Some("'b' == data.queue && data.size > 5"),
            Some("data.meta.customer == 'a'"),
            Some("tenant == 't' && data.queue == 'a'"),
            Some("event == 'Bounce'"),
            Some("tenant == 't'"),
            Some("tenant == ''"),
            Some("data.size == 'a'"),
            Some("data.size > 5 && data.queue == 'a'"),
            Some("data.queue != 'a'"),
        ];
        let mut drafts = Vec::new();
        for filter in filters {
            for kind in [None, Some("Bounce")] {
                for tenant in [None, Some("t")] {
                    drafts.push(draft(&json!({"filter": filter, "event": kind, "tenant": tenant})));
                }
            }
        }
        drafts
    }

    fn events() -> Vec<(&'static str, Option<&'static str>, Value)> {
        let mut events = Vec::new();
        for name in ["Bounce", "Delivery"] {
            for tenant in [None, Some("t"), Some("u")] {
                for data in [
                    json!({"queue": "a", "size": 9, "meta": {"customer": "a"}}),
                    json!({"queue": "b", "size": 9, "meta": {"customer": 7}}),
                    json!({"queue": null, "meta": "a"}),
                    json!({"queue": ["a"], "size": "a", "meta": {}}),
                    json!({}),
                ] {
                    events.push((name, tenant, data));
                }
            }
        }
        events
    }

    #[test]
    fn no_hook_is_missed_that_would_fire_or_fail() {
        let drafts = drafts();
        let mut index = Index::default();
        drafts.iter().enumerate().for_each(|(number, draft)| index.set(number, draft.interest()));
        let (mut asked, mut fits) = (0, 0);
        for (name, tenant, data) in &events() {
            let event = event(name, *tenant, data);
            let found = index.find(&event, data.as_object());
            asked += found.len();
            for (number, draft) in drafts.iter().enumerate().filter(|(_, draft)| draft.takes(&event)) {
                let skipped = draft.filter.as_ref().is_some_and(|filter| filter.matches(&event) == Ok(false));
                fits += usize::from(!skipped);
                assert!(skipped || found.contains(&number), "{:?} of {name} {tenant:?} {data}", draft.filter);
            }
            let without = index.find(&event, None);
            assert!(without.is_superset(&found), "data that cannot be had rules nobody out");
        }
        assert!(asked < drafts.len() * events().len() && asked >= fits, "{asked} {fits}");
    }

    #[test]
    fn of_a_thousand_hooks_on_a_value_each_one_is_found() {
        let mut index = Index::default();
        for number in 0..1000 {
            index.set(number, draft(&json!({"filter": format!("data.queue == 'q{number}'")})).interest());
        }
        let data = json!({"queue": "q7"});
        let event = event("Bounce", None, &data);
        assert!(index.asks_for_data(&event));
        assert_eq!(index.find(&event, data.as_object()), [7].into());
        index.set(7, draft(&json!({"filter": "data.queue == 'other'"})).interest());
        assert_eq!(index.find(&event, data.as_object()), [].into());
        index.set(7, draft(&json!({"filter": "event == 'Delivery'", "tenant": "t"})).interest());
        (0..1000).for_each(|number| index.remove(number));
        assert!(index.sources["log"].every.is_empty() && index.sources["log"].by_event.is_empty(), "nothing is left");
        assert!(!index.asks_for_data(&event) && index.find(&event, None).is_empty());
    }
}
