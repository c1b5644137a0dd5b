//! Our own sources (contract/kong-event-hooks.md section 4).

use super::EventInfo;
use std::collections::BTreeMap;

/// Their names.
pub(super) const SOURCES: &[&str] = &["log", "queue", "throttle", "endpoint", "crud", "dao:crud"];

/// The keys of a record (contract/kumomta.md section 4.1).
const RECORD: &[&str] = &[
    "type",
    "id",
    "sender",
    "recipient",
    "queue",
    "site",
    "size",
    "response",
    "peer_address",
    "timestamp",
    "event_time",
    "created",
    "created_time",
    "num_attempts",
    "bounce_classification",
    "egress_pool",
    "egress_source",
    "source_address",
    "feedback_report",
    "meta",
    "headers",
    "delivery_protocol",
    "reception_protocol",
    "nodeid",
    "tls_cipher",
    "tls_protocol_version",
    "tls_peer_subject_name",
    "provider_name",
    "session_id",
];

/// What a record tells, and which of its fields tell one from another where a repetition is no news.
const RECORDS: &[(&str, &[&str], &str)] = &[
    ("Reception", &[], "A message was accepted"),
    ("Delivery", &[], "A message was delivered"),
    ("Bounce", &["queue", "recipient", "response"], "A message failed for good"),
    ("TransientFailure", &["queue", "recipient", "response"], "A delivery failed and will be tried again"),
    ("Expiration", &["queue", "recipient"], "A message grew too old"),
    ("AdminBounce", &["queue", "response"], "An operator bounced a message"),
    ("OOB", &["recipient", "response"], "A report of a failed delivery came back"),
    ("Feedback", &["feedback_report.original_rcpt_to", "feedback_report.feedback_type"], "A complaint came in"),
    ("Rejection", &["peer_address.addr", "response"], "A command or message was refused"),
    ("AdminRebind", &["id", "queue"], "An operator moved a message to another queue"),
    ("DeferredInjectionRebind", &["id"], "A message accepted into the deferred queue was routed"),
    ("Delayed", &["id"], "A message went to the scheduled queue without having failed"),
    ("XferOut", &["id"], "A message left for another node"),
    ("XferIn", &["id"], "A message came from another node"),
];

/// What we manage over the API.
const ENTITIES: &[&str] = &["event_hooks", "logs", "egress_webhooks", "tokens"];
const CRUD: &[&str] = &["operation", "entity", "old_entity", "schema"];

fn info(fields: &[&str], unique: &[&str], description: impl Into<String>) -> EventInfo {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    EventInfo {
        fields: owned(fields),
        unique: (!unique.is_empty()).then(|| owned(unique)),
        description: Some(description.into()),
    }
}

pub(super) fn sources() -> BTreeMap<String, BTreeMap<String, EventInfo>> {
    let mut sources: BTreeMap<String, BTreeMap<String, EventInfo>> = BTreeMap::new();
    let mut add = |source: &str, event: &str, info: EventInfo| {
        sources.entry(source.to_owned()).or_default().insert(event.to_owned(), info);
    };
    for (event, unique, description) in RECORDS {
        add("log", event, info(RECORD, unique, *description));
    }
    for (event, description) in [
        ("ready-queue-full", "A ready queue has no room for a message that is due"),
        ("suspended", "A queue rests"),
        ("resumed", "A queue works again"),
        ("backlog", "A queue has grown beyond its configured age or size"),
    ] {
        add("queue", event, info(&["queue", "size", "oldest_age", "reason"], &["queue"], description));
    }
    let limit = info(&["name", "limit", "period", "peer", "queue"], &["name", "peer"], "A limit has been exceeded");
    add("throttle", "limit-exceeded", limit);
    for (event, description) in [
        ("failing", "A webhook's target fails"),
        ("disabled", "A webhook's target answered 410 and is called no more"),
        ("recovered", "A webhook's target works again"),
    ] {
        let fields = ["endpoint", "url", "since", "attempts", "last_response"];
        add("endpoint", event, info(&fields, &["endpoint"], description));
    }
    for entity in ENTITIES {
        add("crud", entity, info(CRUD, &[], format!("Something happened to one of {entity}")));
        for (operation, done) in [("create", "created"), ("update", "changed"), ("delete", "deleted")] {
            add("crud", &format!("{entity}:{operation}"), info(CRUD, &[], format!("One of {entity} was {done}")));
        }
    }
    for (operation, done) in [("create", "created"), ("update", "changed"), ("delete", "deleted")] {
        add("dao:crud", operation, info(CRUD, &[], format!("Something that is managed was {done}")));
    }
    sources
}
