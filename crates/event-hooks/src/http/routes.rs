use super::answer::Refused;
use super::call::Call;
use super::{actions, entities, sources};
use axum::body::Body;
use axum::response::Response;
use futures::FutureExt;
use futures::future::BoxFuture;
use waybill_authorizer::Action;

/// A call that is answered, for whoever serves it and for whoever describes it.
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path, with names in braces.
    pub path: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// What an ACL entry about `event_hooks` must allow.
    pub action: Action,
    /// What may stand in its query or body, with its type.
    pub takes: &'static [(&'static str, &'static str)],
    pub(super) handler: fn(Call) -> Answered,
}

pub(super) type Answered = BoxFuture<'static, Result<Response<Body>, Refused>>;

impl Route {
    /// Whether the first name in its path is a hook's id.
    pub(super) fn is_about_one(&self) -> bool {
        self.path.starts_with("/event-hooks/{id}")
    }
}

const fn at(
    method: &'static str,
    path: &'static str,
    action: Action,
    takes: &'static [(&'static str, &'static str)],
    summary: &'static str,
    handler: fn(Call) -> Answered,
) -> Route {
    Route { method, path, summary, action, takes, handler }
}

use Action::{Consume, Create, Delete, Get, List, Status, Update};

const NOTHING: &[(&str, &str)] = &[];
const PAGE: &[(&str, &str)] = &[("size", "integer"), ("offset", "text")];
const HOOK: &[(&str, &str)] = &[
    ("source", "text"),
    ("event", "text"),
    ("handler", "text"),
    ("config", "table"),
    ("snooze", "integer"),
    ("on_change", "boolean"),
    ("enabled", "boolean"),
    ("filter", "text"),
    ("fields", "list of texts"),
    ("hash", "list of texts"),
    ("tenant", "text"),
    ("format", "text"),
    ("batch", "integer"),
    ("batch_bytes", "integer"),
    ("batch_wait", "duration"),
    ("max_age", "duration"),
    ("rate", "text"),
    ("connections", "integer"),
    ("secret_overlap", "duration"),
];
const WATCH: &[(&str, &str)] =
    &[("source", "text"), ("event", "text"), ("filter", "text"), ("after", "text"), ("wait", "duration")];
const LIMIT: &[(&str, &str)] = &[("limit", "integer"), ("after", "text")];
const REDRIVE: &[(&str, &str)] = &[("reason", "text"), ("offset", "integer")];
const RESEND: &[(&str, &str)] = &[("attempt", "integer"), ("from", "integer"), ("until", "integer")];
const REPLAY: &[(&str, &str)] = &[("since", "text"), ("until", "text")];

/// Every call.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    at("GET", "/event-hooks", List, PAGE, "List event hooks, the oldest first", |call| entities::list(call).boxed()),
    at("POST", "/event-hooks", Create, HOOK, "Make an event hook", |call| entities::create(call).boxed()),
    at("GET", "/event-hooks/sources", List, NOTHING, "List sources with their events", |call| sources::all(call).boxed()),
    at("GET", "/event-hooks/sources/{source}", List, NOTHING, "List the events of a source", |call| sources::of_source(call).boxed()),
    at("GET", "/event-hooks/sources/{source}/{event}", List, NOTHING, "Show an event", |call| sources::one(call).boxed()),
    at("GET", "/event-hooks/events", Consume, WATCH, "Watch events as they happen", |call| sources::watch(call).boxed()),
    at("GET", "/event-hooks/{id}", Get, NOTHING, "Show an event hook", |call| entities::get(call).boxed()),
    at("PATCH", "/event-hooks/{id}", Update, HOOK, "Change an event hook", |call| entities::patch(call).boxed()),
    at("PUT", "/event-hooks/{id}", Update, HOOK, "Replace an event hook, or make one with this id", |call| entities::put(call).boxed()),
    at("DELETE", "/event-hooks/{id}", Delete, NOTHING, "Delete an event hook", |call| entities::delete(call).boxed()),
    at("GET", "/event-hooks/{id}/ping", Update, NOTHING, "Ping the target of a webhook", |call| actions::ping(call).boxed()),
    at("POST", "/event-hooks/{id}/test", Update, &[("*", "any")], "Run an event hook once with an event of yours", |call| actions::test(call).boxed()),
    at("GET", "/event-hooks/{id}/status", Status, NOTHING, "Tell how an event hook stands", |call| actions::status(call).boxed()),
    at("GET", "/event-hooks/{id}/attempts", Status, LIMIT, "List attempts, the oldest first", |call| actions::attempts(call).boxed()),
    at("GET", "/event-hooks/{id}/dead-letters", Status, LIMIT, "List what was given up", |call| actions::dead_letters(call).boxed()),
    at("GET", "/event-hooks/{id}/dry-run", Get, &[("last", "integer")], "Show what the last events would be sent as", |call| actions::dry_run(call).boxed()),
    at("POST", "/event-hooks/{id}/resend", Update, RESEND, "Send the events of an attempt or of a range again", |call| actions::resend(call).boxed()),
    at("POST", "/event-hooks/{id}/replay", Update, REPLAY, "Send events since a time again", |call| actions::replay(call).boxed()),
    at("POST", "/event-hooks/{id}/redrive", Update, REDRIVE, "Try dead letters again", |call| actions::redrive(call).boxed()),
];
