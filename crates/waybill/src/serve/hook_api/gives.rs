//! What the answers hold.

use super::HookRoute;
use crate::reference::Field;

/// Name, type and meaning; a name that may be missing ends with a question mark, the type of a value that may be
/// null with `or null`.
type Given = (&'static str, &'static str, &'static str);

const STATUS: &[Given] = &[
    ("name", "text", "the hook, or the replay"),
    ("state", "text", "`active`, `paused`, `replay` or `detached`"),
    ("lag_events", "integer", "events that are not settled"),
    ("lag_seconds", "number", "age of the oldest of them"),
    ("in_flight", "integer", "events that are being tried, or about to be"),
    ("parked", "integer", "events that wait on disk"),
    ("dead_letters", "integer", "events that were given up and are kept"),
    ("redriving", "boolean", "whether they are being tried again"),
    ("progress?", "number", "how far a replay is, from 0 to 1"),
    ("last_response", "text or null", "what its endpoint said last, or null"),
    ("last_response_at", "text or null", "when, or null"),
];
const LANES: &[Given] = &[
    ("cursor", "integer", "the offset up to which everything is settled"),
    ("read", "integer", "the offset up to which it has read"),
    ("lanes", "list of tables", "its queues, where something waits"),
    ("lanes[].lane", "text", "the queue"),
    ("lanes[].waiting", "integer", "events in memory"),
    ("lanes[].in_flight", "integer", "events that are being tried, or about to be"),
    ("lanes[].parked", "integer", "events that wait on disk"),
    ("lanes[].failing", "boolean", "whether the last attempt failed"),
    ("lanes[].suspended", "boolean", "whether an order keeps it back"),
    ("responses", "table", "attempts since the start, by what the endpoints answered"),
    (
        "latency",
        "table or null",
        "how long delivered events took from their append on; null before the first, and of a replay",
    ),
    ("latency.events", "integer", "how many events were delivered"),
    ("latency.p50_seconds", "number", "half of them took no longer than this"),
    ("latency.p99_seconds", "number", "all but one in a hundred took no longer than this"),
];
const LETTERS: &[Given] = &[
    ("dead_letters", "list of tables", "the oldest first"),
    ("dead_letters[].offset", "integer", "the place of the event in the journal"),
    ("dead_letters[].at", "text", "when it was given up"),
    ("dead_letters[].reason", "text", "why, in a word"),
    ("dead_letters[].text", "text", "why, in a sentence"),
    ("dead_letters[].lane", "text or null", "the queue in which it waited, or null"),
    ("dead_letters[].attempts", "integer", "how often it was tried"),
    ("dead_letters[].id", "text or null", "what went with every attempt as `webhook-id`, or null"),
    ("dead_letters[].record", "table or null", "the log record; null where its bytes make no sense"),
    ("next?", "text", "`after` of the next page; absent at the end"),
];
const REPLAY: &[Given] = &[
    ("name", "text", "the replay"),
    ("from", "integer", "the offset of its first event"),
    ("until", "integer", "the offset behind its last event"),
];
const ENDED: &[Given] = &[
    ("cancelled?", "text", "the replay that ends"),
    ("forgotten?", "text", "the hook whose position and dead letters are gone"),
];

/// The fields of an answer.
pub(super) fn gives(route: &HookRoute) -> Vec<Field> {
    let parts: &[&[Given]] = match (route.method, route.path.rsplit('/').next().unwrap_or_default()) {
        // A list of these.
        ("GET", "v1") => return STATUS.iter().map(|given| Field::given("[].", *given)).collect(),
        ("GET", "{name}") => &[STATUS, LANES],
        ("GET", "dead-letters") => &[LETTERS],
        ("DELETE", _) => &[ENDED],
        (_, "replay") => &[REPLAY],
        (_, "redrive") => &[&[("dead_letters", "integer", "how many there are")]],
        _ => &[],
    };
    parts.concat().into_iter().map(|given| Field::given("", given)).collect()
}
