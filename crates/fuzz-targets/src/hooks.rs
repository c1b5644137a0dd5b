//! What people write into event hooks: templates, filters, headers.

use serde_json::{Map, Value, json};
use waybill_event_hooks_core::{Catalogue, Document, Draft, Encoding, Escape, Event, Filter, Index, Template};
use waybill_types::Timestamp;
use waybill_webhook_core::{check_name, check_value, checked};

pub(crate) const TEMPLATE_WORDS: &[&str] = &[
    "{{ a }}",
    "{{ a.b.0 }}",
    "{* a.b *}",
    "{{",
    "}}",
    "{*",
    "*}",
    "{%",
    "{[ ",
    "{(",
    "{#",
    "{{ tag }}",
    "\\u0000",
    "\n\n",
];

/// What a template may show: texts that would be tags, JSON or headers of their own if anything were rendered twice.
fn fields() -> Value {
    json!({
        "a": {"b": ["x\"\r\n\u{0}", 7, null, true]}, "tag": "{{ a.b.0 }}", "raw": "{* tag *}", "text": "\\\"}\u{2028}",
        "number": 1.5, "nothing": null,
    })
}

/// A template is refused with a reason, or renders the same each time, within its limit. Within JSON it is one text whatever
/// the fields hold; what fields hold is rendered by nobody.
pub(crate) fn template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(error) => return assert!(!error.to_string().is_empty() && error.to_string().len() < 300, "{error}"),
    };
    const LIMIT: usize = 64 * 1024;
    let fields = fields();
    let Ok(plain) = template.render(&fields, Escape::None, LIMIT) else { return };
    assert_eq!(template.render(&fields, Escape::None, LIMIT).as_deref(), Ok(plain.as_str()));
    assert!(plain.len() <= LIMIT);
    // A text without tags is what comes out; with one, what a field holds stays a text.
    if !text.contains('{') {
        assert_eq!(plain, text);
    }
    let inside = !text.contains("{*") && !text.contains(['"', '\\']) && !text.contains(|c: char| c.is_control());
    if inside && let Ok(escaped) = template.render(&fields, Escape::Json, LIMIT) {
        let quoted = format!("\"{escaped}\"");
        assert_eq!(serde_json::from_str::<String>(&quoted).ok().as_deref(), Some(plain.as_str()), "{quoted}");
    }
}

pub(crate) const FILTER_WORDS: &[&str] = &[
    "data.queue == 'a'",
    "data.meta.customer in ['a', 'b']",
    "event == 'Bounce'",
    "tenant == 't'",
    "source",
    "time",
    "id",
    " && ",
    " || ",
    "has(data.queue)",
    "!(",
    ".exists(x, x == 'a')",
    ".matches('^a+$')",
    "size(data.list) > 1",
    "data.response.code >= 550",
    "'a' == data.queue",
];

/// A filter is refused with a reason, or says the same of an event each time; and the index never misses a hook whose filter
/// holds or cannot be told.
pub(crate) fn filter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let filter = match Filter::parse(text) {
        Ok(filter) => filter,
        Err(error) => return assert!(!error.to_string().is_empty(), "{text:?}"),
    };
    let hook = json!({"source": "log", "handler": "log", "filter": filter.source()});
    let document = Document::from(hook.as_object().cloned().unwrap_or_default());
    let draft = Draft::read(&document, Encoding::Json, &Catalogue::new()).expect("its filter was read before");
    let mut index = Index::default();
    index.set(1, draft.interest());
    for value in [
        json!({"queue": "a", "meta": {"customer": "b"}, "response": {"code": 550}, "list": ["a", 1]}),
        json!({"queue": 7, "meta": "a", "response": null}),
        json!({}),
    ] {
        let fields: &Map<String, Value> = value.as_object().expect("an object");
        for (name, tenant) in [("Bounce", None), ("Delivery", Some("t"))] {
            let (id, time) = ("0123", Timestamp::from_secs(1_700_000_000));
            let event = Event { id, source: "log", event: name, time, tenant, data: fields };
            let said = filter.matches(&event);
            assert_eq!(said, filter.matches(&event), "{text:?}");
            let found = index.find(&event, Some(fields)).contains(&1);
            assert!(found || said == Ok(false), "{text:?} of {value}: {said:?}, and the index does not know it");
        }
    }
}

pub(crate) const HEADER_WORDS: &[&str] = &[
    "x-a: b",
    "content-type: application/json",
    "host: evil.example",
    "webhook-id: 1",
    "transfer-encoding: chunked",
    "\r\n",
    "\u{0}",
    ": ",
    "\n",
    "authorization: Bearer x",
    "é",
    "\t",
];

/// Lines of `name: value`. A set of headers is refused with the name at fault, or each of them is one header that a request
/// can carry and that decides nothing about the request itself.
pub(crate) fn headers(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lines = text.split('\n').map(|line| line.split_once(": ").unwrap_or((line, "")));
    let lines: Vec<(&str, &str)> = lines.collect();
    match checked(lines.iter().copied()) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(headers) => {
            assert_eq!(headers.len(), lines.len());
            for ((name, value), (_, given)) in headers.iter().zip(&lines) {
                assert!(!["host", "content-length", "transfer-encoding", "connection"].contains(&name.as_str()));
                assert!(!name.as_str().starts_with("webhook-"), "{name}");
                assert_eq!(value.to_str().ok(), Some(*given));
                assert!(!value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "{value:?}");
            }
        }
    }
    for (name, value) in lines {
        if let Ok(name) = check_name(name) {
            let fits = check_value(&name, value).is_ok();
            assert!(!fits || value.chars().all(|c| matches!(c, ' '..='~' | '\t')), "{value:?}");
        }
    }
}
