use crate::Event;
use serde_json::{Map, Value, json};

/// What the body of the handler `webhook` looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// Kong's: one flat object, the fields with `source` and `event`.
    #[default]
    Flat,
    /// The event's data alone; of the source `log`, the record.
    Record,
    /// A CloudEvents 1.0 event in structured mode.
    CloudEvents,
}

impl Format {
    pub(crate) const WORDS: &'static [(&'static str, Format)] =
        &[("flat", Format::Flat), ("record", Format::Record), ("cloudevents", Format::CloudEvents)];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Flat => "flat",
            Format::Record => "record",
            Format::CloudEvents => "cloudevents",
        }
    }

    /// The media type of one event, or of several in one body.
    pub fn content_type(self, batched: bool) -> &'static str {
        match (self, batched) {
            (Format::Flat | Format::Record, _) => "application/json",
            // CloudEvents, JSON Event Format 1.0, sections 3 and 4.
            (Format::CloudEvents, false) => "application/cloudevents+json",
            (Format::CloudEvents, true) => "application/cloudevents-batch+json",
        }
    }

    /// One event. `origin` is the name of the node.
    pub fn body(self, event: &Event<'_>, origin: &str) -> Value {
        match self {
            Format::Flat => Value::Object(flat(event)),
            Format::Record => Value::Object(event.data.clone()),
            Format::CloudEvents => cloud_event(event, origin),
        }
    }
}

/// Kong's flat object. What templates see, too.
pub(crate) fn flat(event: &Event<'_>) -> Map<String, Value> {
    let mut flat = event.data.clone();
    flat.insert("source".to_owned(), event.source.into());
    flat.insert("event".to_owned(), event.event.into());
    flat
}

/// CloudEvents 1.0, section 3: `source` is a URI reference, here of the page that describes the source.
fn cloud_event(event: &Event<'_>, origin: &str) -> Value {
    let origin = percent_encoding::utf8_percent_encode(origin, percent_encoding::NON_ALPHANUMERIC);
    let source = percent_encoding::utf8_percent_encode(event.source, percent_encoding::NON_ALPHANUMERIC);
    let mut cloud = json!({
        "specversion": "1.0",
        "id": event.id,
        "source": format!("/nodes/{origin}/event-hooks/sources/{source}"),
        "type": format!("waybill.{}.{}", event.source, event.event),
        "time": event.time.to_rfc3339(),
        "datacontenttype": "application/json",
        "data": event.data,
    });
    if let Some(tenant) = event.tenant {
        cloud["tenant"] = tenant.into();
    }
    cloud
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_types::Timestamp;

    fn body(format: Format, tenant: Option<&str>) -> Value {
        let data = json!({"type": "Bounce", "event": "mine", "size": 1});
        let time = Timestamp::from_secs(1_700_000_000);
        let data = data.as_object().unwrap();
        format.body(&Event { id: "e1", source: "log", event: "Bounce", time, tenant, data }, "node 1/é")
    }

    #[test]
    fn flat_is_kong_s_one_object_whose_source_and_event_no_field_can_hide() {
        let expected = json!({"type": "Bounce", "size": 1, "source": "log", "event": "Bounce"});
        assert_eq!(body(Format::Flat, None), expected);
        assert_eq!(Format::Flat.content_type(false), "application/json");
    }

    #[test]
    fn record_is_the_data_alone() {
        assert_eq!(body(Format::Record, None), json!({"type": "Bounce", "event": "mine", "size": 1}));
    }

    #[test]
    fn cloudevents_has_all_required_attributes() {
        let cloud = body(Format::CloudEvents, Some("t1"));
        assert_eq!(
            cloud,
            json!({
                "specversion": "1.0",
                "id": "e1",
                "source": "/nodes/node%201%2F%C3%A9/event-hooks/sources/log",
                "type": "waybill.log.Bounce",
                "time": Timestamp::from_secs(1_700_000_000).to_rfc3339(),
                "datacontenttype": "application/json",
                "tenant": "t1",
                "data": {"type": "Bounce", "event": "mine", "size": 1},
            })
        );
        assert!(body(Format::CloudEvents, None).get("tenant").is_none());
        assert_eq!(Format::CloudEvents.content_type(true), "application/cloudevents-batch+json");
    }
}
