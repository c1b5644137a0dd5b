//! Whatever comes in, nothing panics, and what comes out stays within its bounds.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use waybill_event_hooks_core::{
    Catalogue, Document, Draft, Encoding, Escape, Event, Filter, Handler, Template, log_line,
};
use waybill_types::Timestamp;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "\\PC{0,8}(\\{\\{ ?[a-c.0-9]{0,6} ?\\}\\})?[\r\n]?".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c]{1,2}|\\PC{0,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_data() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::btree_map("[a-c]|recipient|response", any_json(), 0..5).prop_map(|map| map.into_iter().collect())
}

/// Texts that look like templates, conditions and forms more often than chance would have it.
fn any_text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("{{".to_owned()),
        Just("}}".to_owned()),
        Just("{*".to_owned()),
        Just("*}".to_owned()),
        Just("{%".to_owned()),
        Just(" a.b ".to_owned()),
        Just("data.a".to_owned()),
        Just("(".to_owned()),
        Just(")".to_owned()),
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just("==".to_owned()),
        Just("&&".to_owned()),
        Just("!".to_owned()),
        Just("-".to_owned()),
        Just("?".to_owned()),
        Just(":".to_owned()),
        Just(".all(x, ".to_owned()),
        Just(".exists(y, ".to_owned()),
        Just(".matches('".to_owned()),
        Just("'".to_owned()),
        Just("1u".to_owned()),
        Just("9223372036854775807".to_owned()),
        Just("size(".to_owned()),
        Just("has(".to_owned()),
        Just("=".to_owned()),
        Just("&".to_owned()),
        Just("config.".to_owned()),
        Just("[]".to_owned()),
        Just(" in ".to_owned()),
        "\\PC{0,4}",
    ];
    prop::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

fn event<'a>(data: &'a Map<String, Value>) -> Event<'a> {
    Event { id: "1", source: "log", event: "Bounce", time: Timestamp::EPOCH, tenant: None, data }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_template_renders_within_its_limit_or_says_why_not(text in any_text(), data in any_data()) {
        if let Ok(template) = Template::parse(&text) {
            let fields = Value::Object(data);
            for escape in [Escape::None, Escape::Json] {
                if let Ok(out) = template.render(&fields, escape, 500) {
                    prop_assert!(out.len() <= 500);
                }
            }
        }
    }

    #[test]
    fn whatever_a_value_holds_a_json_template_stays_json(value in any::<String>()) {
        let template = Template::parse(r#"{"a":"{{ v }}"}"#).unwrap();
        let out = template.render(&json!({"v": value}), Escape::Json, 1_000_000).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), json!({"a": value}));
    }

    #[test]
    fn a_condition_is_refused_or_judges(text in any_text(), data in any_data()) {
        if let Ok(filter) = Filter::parse(&text) {
            let _ = filter.matches(&event(&data));
        }
    }

    #[test]
    fn a_header_that_was_rendered_is_one_header(value in any::<String>()) {
        let document = json!({
            "source": "log", "handler": "webhook-custom",
            "config": {"url": "https://h.example/", "method": "POST", "headers": {"x-a": "{{ v }}"}, "headers_format": true},
        });
        let document = Document::from(document.as_object().cloned().unwrap());
        let draft = Draft::read(&document, Encoding::Json, &Catalogue::new()).unwrap();
        let Handler::Custom(custom) = draft.handler else { panic!("a custom one") };
        let data = json!({"v": value});
        if let Ok(request) = custom.request(&event(data.as_object().unwrap())) {
            for (_, value) in &request.headers {
                prop_assert!(value.chars().all(|c| matches!(c, ' '..='~' | '\t')));
            }
        }
    }

    #[test]
    fn a_log_line_is_one_line(data in any_data()) {
        let line = log_line(&event(&data), 1);
        prop_assert!(line.chars().all(|c| !c.is_control() && !('\u{2028}'..='\u{202e}').contains(&c)), "{}", line);
    }

    #[test]
    fn bodies_are_documents_or_refused(body in prop::collection::vec(any::<u8>(), 0..200), text in any_text()) {
        for body in [body.as_slice(), text.as_bytes()] {
            let types = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=-", "x"];
            for content_type in types {
                if let Ok((document, encoding)) = Document::parse(Some(content_type), body) {
                    let _ = Draft::read(&document, encoding, &Catalogue::new());
                }
            }
        }
    }

    #[test]
    fn a_description_of_anything_is_a_hook_or_refused(
        config in any_json(), field in "filter|fields|hash|batch|max_age|rate|format|snooze|on_change|tenant", value in any_json(),
    ) {
        for handler in ["webhook", "webhook-custom", "log", "lambda"] {
            let mut map = json!({"source": "log", "handler": handler, "config": config}).as_object().cloned().unwrap();
            map.insert(field.clone(), value.clone());
            let _ = Draft::read(&Document::from(map), Encoding::Form, &Catalogue::new());
        }
    }
}
