use super::routes::Route;

/// A field of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Given {
    /// Its name, behind those that it stands in: `messages[].offset`.
    pub name: String,
    /// `text`, `number`, `boolean` or `list of tables`.
    pub kind: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Whether it is always there.
    pub always: bool,
}

/// Name, type and meaning; one that may be missing ends with a question mark.
type Field = (&'static str, &'static str, &'static str);

const NOTE: Field = ("metadata", "text", "what its maker says about it");
const LOG_ID: Field = ("log_id", "text", "the log");

const LOG: &[Field] = &[
    LOG_ID,
    NOTE,
    ("compacting", "boolean", "whether it can be asked by key"),
    ("tenant?", "text", "the tenant whose it is, with all that hangs on it; nobody's in particular without it"),
    ("trim_seconds?", "number", "from the front: messages older than this are dropped"),
    ("trim_size?", "number", "from the front: messages are dropped until the rest has no more bytes than this"),
    ("trim_count?", "number", "from the front: messages are dropped until no more than this are left"),
    ("compact_seconds?", "number", "messages older than this are dropped whose key has a later message"),
    ("expire_seconds?", "number", "messages older than this are dropped that have no value"),
];
const STATS: &[Field] = &[
    ("size", "number", "bytes of its messages as they are stored"),
    ("count", "number", "how many messages it holds"),
];
const FREED: &[Field] = &[("size", "number", "bytes that were freed")];
const PUBLISHED: &[Field] = &[("next_offset", "number", "the offset behind what was published")];
const ENCODING: Field = ("encoding", "text", "how keys and values stand here: `string` or `base64`");
const MESSAGE: &[Field] = &[
    ("offset", "number", "its place in the log"),
    ("time", "number", "microseconds since the epoch"),
    ("key?", "text", "its key, if it has one"),
    ("value?", "text", "its value, if it has one"),
];
const STORED: &[Field] = &[
    ("offset_id", "text", "the stored offset"),
    LOG_ID,
    NOTE,
    ("value", "number", "the offset at which to go on"),
    ("value_metadata", "text", "what was said when the value was set"),
];
const EGRESS: &[Field] = &[
    ("webhook_id", "text", "the egress webhook"),
    NOTE,
    LOG_ID,
    ("destination", "text", "the URL that gets the messages"),
    ("payload", "text", "what of a message: `message`, `key` or `value`"),
    ("mode?", "text", "`parallel_by_key` where messages of different keys do not wait for each other"),
];
const SECRET: &[Field] = &[
    ("secret?", "text", "what signs, as klev's clients know it; shown this once"),
    ("standard_secret?", "text", "the same for libraries of Standard Webhooks; shown this once"),
];
const FILTER: &[Field] = &[
    ("filter_id", "text", "the filter"),
    NOTE,
    ("source_id", "text", "the log that it reads"),
    ("target_id", "text", "the log into which it copies"),
    ("expression", "text", "the condition, in CEL"),
    ("mode?", "text", "`last_state` where nothing of a mail is copied behind how it ended"),
];
const INGRESS: &[Field] =
    &[("webhook_id", "text", "the ingress webhook"), NOTE, LOG_ID, ("type", "text", "whose signatures it takes")];
const STANDING: &[Field] = &[
    ("active", "boolean", "whether it goes on by itself"),
    ("inactive_reason?", "text", "why it does not"),
    ("available_offset", "number", "the newest message that there is; -1 for none"),
    ("next_offset", "number", "the message that is next"),
    ("next_deliver_offset", "number", "the same"),
    ("deliver_offset", "number", "the message that was last; -1 for none"),
    ("deliver_time?", "number", "when that was, in seconds since the epoch"),
    ("deliver_error?", "text", "what went wrong last"),
    ("next_deliver_time?", "number", "when it is tried again, in seconds since the epoch"),
    ("lag_count", "number", "messages that wait"),
    ("lag_seconds", "number", "the age of the oldest of them"),
    ("skipped", "number", "messages that were removed before it was their turn"),
];
const DELIVERING: &[Field] = &[
    ("webhook_id", "text", "the egress webhook"),
    ("deliver_resp?", "text", "what came back last, raw: status line, headers, blank line, the beginning of the body"),
    ("attempts", "number", "failed attempts at the message that is next"),
    ("last_success_time?", "number", "when a message last arrived, in seconds since the epoch"),
    ("parked?", "number", "by key: messages that wait behind a failed one with their key"),
    ("parked_offset?", "number", "by key: the first of them"),
    ("parked_keys?", "number", "by key: how many keys these have"),
    ("held_up?", "text", "by key: why nothing more is read"),
];
const COPYING: &[Field] = &[
    ("filter_id", "text", "the filter"),
    ("copied", "number", "messages that were copied"),
    ("failed", "number", "messages that the condition could not tell of"),
    ("late?", "number", "messages that came behind how their mail ended, in the mode `last_state`"),
];

impl Route {
    /// What its answer holds. Nothing where that is not JSON with fixed names: the list of paths, and what a signed
    /// webhook is answered.
    pub fn gives(&self) -> Vec<Given> {
        match (self.method, self.path) {
            ("GET", "/logs") => many("logs", LOG),
            ("GET", "/offsets") => many("offsets", STORED),
            ("GET", "/egress_webhooks") => many("egress_webhooks", EGRESS),
            ("GET", "/filters") => many("filters", FILTER),
            // klev's clients read the second of these names.
            ("GET", "/ingress_webhooks") => [many("ingress_webhooks", INGRESS), many("items", INGRESS)].concat(),
            (_, "/logs" | "/log/{id}") => one(&[LOG]),
            (_, "/log/{id}/stats") => one(&[STATS]),
            ("DELETE", "/messages/{id}") => one(&[FREED]),
            ("POST", "/messages/{id}" | "/message/{id}") => one(&[PUBLISHED]),
            ("GET", "/messages/{id}") => {
                let next = ("next_offset", "number", "where to go on");
                [one(&[&[next, ENCODING]]), many("messages", MESSAGE)].concat()
            }
            (_, "/message/{id}" | "/message/{id}/key") => one(&[&[ENCODING], MESSAGE]),
            (_, "/offsets" | "/offset/{id}") => one(&[STORED]),
            ("POST", "/egress_webhooks") | (_, "/egress_webhook/{id}/secret") => one(&[EGRESS, SECRET]),
            (_, "/egress_webhook/{id}") => one(&[EGRESS]),
            (_, "/egress_webhook/{id}/status") => one(&[DELIVERING, STANDING]),
            (_, "/filters" | "/filter/{id}") => one(&[FILTER]),
            (_, "/filter/{id}/status") => one(&[COPYING, STANDING]),
            ("POST", "/ingress_webhook/{id}") => Vec::new(),
            (_, "/ingress_webhooks" | "/ingress_webhook/{id}") => one(&[INGRESS]),
            _ => Vec::new(),
        }
    }
}

fn one(parts: &[&[Field]]) -> Vec<Given> {
    parts.concat().into_iter().map(|field| given("", field)).collect()
}

fn many(name: &'static str, fields: &[Field]) -> Vec<Given> {
    let list = given("", (name, "list of tables", "those that are meant, in order"));
    std::iter::once(list).chain(fields.iter().map(|field| given(&format!("{name}[]."), *field))).collect()
}

fn given(prefix: &str, (name, kind, meaning): Field) -> Given {
    let bare = name.trim_end_matches('?');
    Given { name: format!("{prefix}{bare}"), kind, meaning, always: bare == name }
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
        assert_eq!(silent, ["GET /", "POST /ingress_webhook/{id}"]);
    }
}
