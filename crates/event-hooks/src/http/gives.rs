use super::routes::Route;

/// A field of an answer: its name behind those that it stands in (`data[].id`), its type, what it means. A name that may
/// be missing ends with a question mark, the type of a value that may be null with `or null`.
pub type Given = (&'static str, &'static str, &'static str);

const LISTED: Given = ("data", "list of tables", "those that there are, in order");
const NEXT: Given = ("next", "text or null", "`after` of the next page; null at the end");

const STATE: &str = "`active`, `disabled`, or `dormant`: what it is made of is gone, and it waits for that";

/// Of a dormant hook less may be known.
const HOOK: &[Given] = &[
    ("id", "text", "the event hook, a UUID"),
    ("created_at", "number or null", "when it was made, in seconds since the epoch"),
    ("updated_at", "number or null", "when it was last changed, in seconds since the epoch"),
    ("source", "text or null", "where events come from"),
    ("event", "text or null", "which of them; null for all of the source"),
    ("handler", "text or null", "`webhook`, `webhook-custom`, `log` or `lambda`"),
    ("config", "table or null", "what the handler is told; secrets are null"),
    ("enabled", "boolean", "whether it fires"),
    ("state", "text", STATE),
    ("reason", "text or null", "why it does not, where nobody asked for that; else null"),
    ("format", "text or null", "`flat`, `record` or `cloudevents`; null where the handler has none"),
    ("snooze", "integer or null", "after it fired, nothing fires for so many seconds"),
    ("on_change", "boolean or null", "whether it fires only when the event differs from the last"),
    ("filter", "text or null", "the condition in CEL"),
    ("fields", "list of texts or null", "the only fields that are shown to the target"),
    ("hash", "list of texts or null", "fields whose addresses are hashed"),
    ("tenant", "text or null", "only events of this tenant"),
    ("batch", "integer or null", "so many events at most in one body"),
    ("batch_bytes", "integer or null", "so many bytes at most in one body"),
    ("batch_wait", "duration or null", "how long a body waits for more events"),
    ("max_age", "duration or null", "how long an event is tried"),
    ("rate", "text or null", "how many events may be offered in a period"),
    ("connections", "integer or null", "how many requests may be under way"),
    ("secret_overlap", "duration or null", "how long a replaced secret signs on"),
];
const PAGE: &[Given] = &[
    LISTED,
    ("next", "text or null", "the path of the next page; null at the end"),
    ("offset?", "text", "`offset` of the next page"),
];
const SOURCES: &[Given] = &[("data", "table", "events by source, each with `fields`, and `unique` and `description`")];
const SOURCE: &[Given] =
    &[("data", "table", "events of the source, each with `fields`, and `unique` and `description`")];
const EVENT: &[Given] = &[
    ("data", "table", "the event"),
    ("data.fields", "list of texts", "what it has"),
    ("data.unique?", "list of texts", "what tells two of them apart for `on_change`, unless the hook says otherwise"),
    ("data.description?", "text", "when it happens"),
];
const WATCHED: &[Given] = &[
    LISTED,
    ("data[].time", "text", "when it happened"),
    ("data[].source", "text", "its source"),
    ("data[].event", "text", "its name"),
    ("data[].tenant", "text or null", "its tenant, or null"),
    ("data[].data", "table", "its fields"),
    ("next", "text", "`after` of the next question"),
];
const TESTED: &[Given] = &[
    ("data", "table", "the event that it was run with"),
    (
        "result",
        "table",
        "what came of it: `status`, `headers` and `body`, or `line`, or `returned`; `error` where it failed",
    ),
];
const STATUS: &[Given] = &[
    ("id", "text", "the event hook"),
    ("enabled", "boolean", "whether it fires"),
    ("state", "text", STATE),
    ("reason", "text or null", "why it does not, where nobody asked for that; else null"),
    ("lag_events", "integer", "events that happened and are not settled"),
    ("lag_seconds", "number", "age of the oldest of them"),
    ("in_flight", "integer", "events that are being tried, or about to be"),
    ("parked", "integer", "events that wait on disk"),
    ("dead_letters", "integer", "events that were given up and are kept"),
    ("redriving", "boolean", "whether they are being tried again"),
    ("failing_since", "text or null", "since when its target fails, or null"),
    ("last_response", "text or null", "what its target said last, or null"),
    ("last_response_at", "text or null", "when, or null"),
    ("since_start", "table", "what it did since the daemon's start"),
    ("since_start.delivered", "integer", "events that its target has"),
    ("since_start.failed", "integer", "attempts that failed and are made again"),
    ("since_start.refused", "integer", "events that were given up"),
    ("since_start.unchanged", "integer", "events that did not make it fire, as nothing had changed"),
    ("since_start.snoozed", "integer", "events that did not make it fire, as it had not long before"),
    ("replays", "list of tables", "replays that run"),
    ("replays[].name", "text", "its name"),
    ("replays[].progress", "number or null", "how far it is, from 0 to 1; null where that is not known yet"),
];
const ATTEMPTS: &[Given] = &[
    LISTED,
    ("data[].id", "integer", "its number; later ones are greater"),
    ("data[].at", "text", "when it began"),
    ("data[].duration_ms", "integer", "how long it took"),
    ("data[].offsets", "list of numbers", "the places of its events in their stream"),
    ("data[].event_id", "text", "what went with it as `webhook-id`"),
    ("data[].attempts_before", "integer", "attempts at its first event before this one"),
    ("data[].outcome", "text", "`delivered`, `transient`, `permanent`, `disabled` or `blocked`"),
    ("data[].error", "text or null", "why it is no success, or null"),
    ("data[].address", "text or null", "the address that was called, or null"),
    ("data[].request", "table", "how it was called: `method`, `url` and `headers` without secrets"),
    ("data[].status", "integer or null", "the status that came back, or null"),
    ("data[].headers", "list", "headers that came back, each a name and a value; secrets are masked"),
    ("data[].body", "text or null", "the beginning of the body that came back, as one printable line, or null"),
    NEXT,
];
const LETTERS: &[Given] = &[
    LISTED,
    ("data[].offset", "integer", "the place of the event in its stream"),
    ("data[].at", "text", "when it was given up"),
    ("data[].reason", "text", "why, in a word"),
    ("data[].text", "text", "why, in a sentence"),
    ("data[].attempts", "integer", "how often it was tried"),
    ("data[].event", "text or null", "which event it is, or null"),
    ("data[].tenant", "text or null", "its tenant, or null"),
    NEXT,
];
const DRY: &[Given] = &[
    LISTED,
    ("data[].offset", "integer", "the place of the event in its stream"),
    ("data[].time", "text", "when it happened"),
    ("data[].source", "text", "its source"),
    ("data[].event", "text", "its name"),
    ("data[].filtered?", "boolean", "there, and true, where the filter does not want it"),
    ("data[].request?", "table", "what would be sent: `method`, `headers`, `query` and `body`"),
    ("data[].handler?", "text", "the handler, where nothing is sent"),
    ("data[].error?", "text", "what would go wrong"),
];
const REPLAY: &[Given] = &[
    ("replay", "text", "the name of the replay"),
    ("from", "integer", "the offset of its first event"),
    ("until", "integer", "the offset of its last event"),
];

impl Route {
    /// What its answer holds. Nothing where it is empty, or a document of the target's.
    pub fn gives(&self) -> &'static [Given] {
        match (self.method, self.path) {
            ("DELETE", _) => &[],
            ("GET", "/event-hooks") => PAGE,
            (_, "/event-hooks" | "/event-hooks/{id}") => HOOK,
            (_, "/event-hooks/sources") => SOURCES,
            (_, "/event-hooks/sources/{source}") => SOURCE,
            (_, "/event-hooks/sources/{source}/{event}") => EVENT,
            (_, "/event-hooks/events") => WATCHED,
            (_, "/event-hooks/{id}/test") => TESTED,
            (_, "/event-hooks/{id}/status") => STATUS,
            (_, "/event-hooks/{id}/attempts") => ATTEMPTS,
            (_, "/event-hooks/{id}/dead-letters") => LETTERS,
            (_, "/event-hooks/{id}/dry-run") => DRY,
            (_, "/event-hooks/{id}/resend" | "/event-hooks/{id}/replay") => REPLAY,
            _ => &[],
        }
    }

    /// The status of its success.
    pub fn success(&self) -> (u16, &'static str) {
        match (self.method, self.path) {
            ("POST", "/event-hooks") => (201, "it is made"),
            ("DELETE", _) => (204, "it is gone"),
            _ => (200, "done"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::http::ROUTES;

    #[test]
    fn every_answer_with_fixed_names_is_described() {
        let silent: Vec<String> = ROUTES
            .iter()
            .filter(|route| route.gives().is_empty())
            .map(|route| format!("{} {}", route.method, route.path))
            .collect();
        let expected = ["DELETE /event-hooks/{id}", "GET /event-hooks/{id}/ping", "POST /event-hooks/{id}/redrive"];
        assert_eq!(silent, expected);
    }
}
