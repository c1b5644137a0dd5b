use super::answer::{ok, plain, written};
use super::call::Call;
use crate::log::Stored;
use crate::manager::Receipt;
use axum::body::Body;
use axum::response::Response;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use std::collections::BTreeMap;
use waybill_streams_core::{
    Cleanup, Code, EgressCreate, EgressUpdate, Error, FilterCreate, FilterUpdate, Id, IngressCreate, IngressUpdate,
    Kind, LogCreate, LogUpdate, NextOffset, OffsetCreate, OffsetUpdate, Publish, PublishOne, Rotate, WithKey,
    consume_query, get_query,
};
use waybill_tokens::{Action, Subject};

/// A call that is answered, for whoever serves it and for whoever describes it.
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path; `{id}` stands for the id of what it is about.
    pub path: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// About what an ACL entry must be.
    pub subject: Subject,
    /// What it must allow.
    pub action: Action,
    /// What stands behind the question mark or in the body.
    pub takes: Takes,
    kind: Option<Kind>,
    pub(super) handler: fn(Call) -> Answered,
}

/// What a call takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// Only a query.
    Query,
    /// A small body.
    Configuration,
    /// A small body, or a query that says the same.
    CleanupRule,
    /// A body with a key.
    Key,
    /// A body with messages.
    Messages,
    /// Whatever a sender signs. Its signature stands for a token: the gate is not asked.
    Signed,
}

type Answered = BoxFuture<'static, Result<Response<Body>, Error>>;

impl Route {
    /// Whether it wants a body, and that to be JSON.
    pub fn has_body(&self) -> bool {
        matches!(self.takes, Takes::Configuration | Takes::Key | Takes::Messages)
    }

    /// What the path is about: the id, if the path has one, and its text.
    pub(super) fn object(&self, path: &str) -> (Option<Result<Id, Error>>, Option<String>) {
        let Some(kind) = self.kind else { return (None, None) };
        let mut places = self.path.split('/').zip(path.split('/'));
        let text = places.find(|(place, _)| *place == "{id}").map(|(_, text)| text.to_owned());
        (text.as_deref().map(|text| Id::parse(kind, text)), text)
    }
}

#[expect(clippy::too_many_arguments, reason = "a row of a table, read as one")]
const fn at(
    method: &'static str,
    path: &'static str,
    kind: Option<Kind>,
    subject: Subject,
    action: Action,
    takes: Takes,
    summary: &'static str,
    handler: fn(Call) -> Answered,
) -> Route {
    Route { method, path, summary, subject, action, takes, kind, handler }
}

use Action::{Cleanup as Clean, Consume, Create, Delete, Get, List, Publish as Add, Rotate as Renew, Status, Update};
use Subject::{EgressWebhooks, Filters, IngressWebhooks, Logs, Messages, Offsets};
use Takes::{CleanupRule, Configuration, Key, Messages as Several, Nothing, Query, Signed};

const LOG: Option<Kind> = Some(Kind::Log);
const OFFSET: Option<Kind> = Some(Kind::Offset);
const EGRESS: Option<Kind> = Some(Kind::Egress);
const FILTER: Option<Kind> = Some(Kind::Filter);
const INGRESS: Option<Kind> = Some(Kind::Ingress);

/// Every call.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    at("GET", "/", None, Logs, Get, Nothing, "List the paths that there are", |call| index(call).boxed()),
    at("GET", "/logs", None, Logs, List, Query, "List logs", |call| list_logs(call).boxed()),
    at("POST", "/logs", None, Logs, Create, Configuration, "Make a log", |call| create_log(call).boxed()),
    at("GET", "/log/{id}", LOG, Logs, Get, Nothing, "Show a log", |call| get_log(call).boxed()),
    at("PATCH", "/log/{id}", LOG, Logs, Update, Configuration, "Change a log", |call| update_log(call).boxed()),
    at("DELETE", "/log/{id}", LOG, Logs, Delete, Nothing, "Delete a log with its messages, offsets, webhooks and filters", |call| delete_log(call).boxed()),
    at("GET", "/log/{id}/stats", LOG, Logs, Get, Nothing, "Tell how much a log holds", |call| stats(call).boxed()),
    at("POST", "/messages/{id}", LOG, Messages, Add, Several, "Publish messages", |call| publish(call).boxed()),
    at("GET", "/messages/{id}", LOG, Messages, Consume, Query, "Consume messages, waiting for the first", |call| consume(call).boxed()),
    at("DELETE", "/messages/{id}", LOG, Messages, Clean, CleanupRule, "Drop messages", |call| clean_up(call).boxed()),
    at("POST", "/message/{id}", LOG, Messages, Add, Several, "Publish one message", |call| publish_one(call).boxed()),
    at("GET", "/message/{id}", LOG, Messages, Consume, Query, "Show one message", |call| message(call).boxed()),
    at("POST", "/message/{id}/key", LOG, Messages, Consume, Key, "Show the newest message with a key", |call| by_key(call).boxed()),
    at("GET", "/offsets", None, Offsets, List, Query, "List stored offsets", |call| list_offsets(call).boxed()),
    at("POST", "/offsets", None, Offsets, Create, Configuration, "Make a stored offset", |call| create_offset(call).boxed()),
    at("GET", "/offset/{id}", OFFSET, Offsets, Get, Nothing, "Show a stored offset", |call| get_offset(call).boxed()),
    at("PATCH", "/offset/{id}", OFFSET, Offsets, Update, Configuration, "Move a stored offset", |call| update_offset(call).boxed()),
    at("DELETE", "/offset/{id}", OFFSET, Offsets, Delete, Nothing, "Delete a stored offset", |call| delete_offset(call).boxed()),
    at("GET", "/egress_webhooks", None, EgressWebhooks, List, Query, "List egress webhooks", |call| list_egress(call).boxed()),
    at("POST", "/egress_webhooks", None, EgressWebhooks, Create, Configuration, "Make an egress webhook", |call| create_egress(call).boxed()),
    at("GET", "/egress_webhook/{id}", EGRESS, EgressWebhooks, Get, Nothing, "Show an egress webhook", |call| get_egress(call).boxed()),
    at("PATCH", "/egress_webhook/{id}", EGRESS, EgressWebhooks, Update, Configuration, "Change, pause, move or wake an egress webhook", |call| update_egress(call).boxed()),
    at("DELETE", "/egress_webhook/{id}", EGRESS, EgressWebhooks, Delete, Nothing, "Delete an egress webhook", |call| delete_egress(call).boxed()),
    at("PATCH", "/egress_webhook/{id}/secret", EGRESS, EgressWebhooks, Renew, Configuration, "Give an egress webhook a new secret", |call| rotate_egress(call).boxed()),
    at("GET", "/egress_webhook/{id}/status", EGRESS, EgressWebhooks, Status, Nothing, "Tell how an egress webhook stands", |call| egress_status(call).boxed()),
    at("GET", "/filters", None, Filters, List, Query, "List filters", |call| list_filters(call).boxed()),
    at("POST", "/filters", None, Filters, Create, Configuration, "Make a filter", |call| create_filter(call).boxed()),
    at("GET", "/filter/{id}", FILTER, Filters, Get, Nothing, "Show a filter", |call| get_filter(call).boxed()),
    at("PATCH", "/filter/{id}", FILTER, Filters, Update, Configuration, "Change, pause or wake a filter", |call| update_filter(call).boxed()),
    at("DELETE", "/filter/{id}", FILTER, Filters, Delete, Nothing, "Delete a filter", |call| delete_filter(call).boxed()),
    at("GET", "/filter/{id}/status", FILTER, Filters, Status, Nothing, "Tell how a filter stands", |call| filter_status(call).boxed()),
    at("GET", "/ingress_webhooks", None, IngressWebhooks, List, Query, "List ingress webhooks", |call| list_ingress(call).boxed()),
    at("POST", "/ingress_webhooks", None, IngressWebhooks, Create, Configuration, "Make an ingress webhook", |call| create_ingress(call).boxed()),
    at("GET", "/ingress_webhook/{id}", INGRESS, IngressWebhooks, Get, Nothing, "Show an ingress webhook", |call| get_ingress(call).boxed()),
    at("PATCH", "/ingress_webhook/{id}", INGRESS, IngressWebhooks, Update, Configuration, "Change an ingress webhook or its secret", |call| update_ingress(call).boxed()),
    at("DELETE", "/ingress_webhook/{id}", INGRESS, IngressWebhooks, Delete, Nothing, "Delete an ingress webhook", |call| delete_ingress(call).boxed()),
    at("POST", "/ingress_webhook/{id}", INGRESS, Messages, Add, Signed, "Receive a signed webhook into the log", |call| receive(call).boxed()),
];

/// What is at the root of a listener too, and answered by others: klev's clients find every path in one list.
const OTHERS: [(&str, &str); 2] = [
    ("/token/{id}", "GET: Show a token; PATCH: Change what a token allows; DELETE: Delete a token"),
    ("/tokens", "GET: List tokens; POST: Make a token"),
];

/// Says that a publish had been stored before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A list under its name.
fn named(name: &'static str, list: &impl Serialize) -> Response<Body> {
    ok(&BTreeMap::from([(name, list)]))
}

async fn index(_call: Call) -> Result<Response<Body>, Error> {
    let others = OTHERS.map(|(path, text)| (path, text.to_owned()));
    let mut paths: BTreeMap<&str, String> = BTreeMap::from(others);
    for route in ROUTES {
        let text = paths.entry(route.path).or_default();
        let mark = if text.is_empty() { "" } else { "; " };
        text.push_str(&format!("{mark}{}: {}", route.method, route.summary));
    }
    Ok(ok(&paths))
}

async fn list_logs(call: Call) -> Result<Response<Body>, Error> {
    Ok(named("logs", &call.streams.logs(call.asked("metadata"))))
}

async fn create_log(call: Call) -> Result<Response<Body>, Error> {
    Ok(ok(&call.streams.create_log(call.json::<LogCreate>()?).await?))
}

async fn get_log(call: Call) -> Result<Response<Body>, Error> {
    Ok(ok(&call.streams.log(call.id()?)?))
}

async fn update_log(call: Call) -> Result<Response<Body>, Error> {
    Ok(ok(&call.streams.update_log(call.id()?, call.json::<LogUpdate>()?).await?))
}

async fn delete_log(call: Call) -> Result<Response<Body>, Error> {
    Ok(ok(&call.streams.delete_log(call.id()?).await?))
}

async fn stats(call: Call) -> Result<Response<Body>, Error> {
    Ok(ok(&call.streams.stats(call.id()?).await?))
}

async fn publish(call: Call) -> Result<Response<Body>, Error> {
    let messages = call.json::<Publish<'_>>()?.messages(call.streams.now(), call.streams.limits())?;
    let once = call.once("messages");
    published(call.streams.publish(call.id()?, messages, once).await?)
}

async fn publish_one(call: Call) -> Result<Response<Body>, Error> {
    let message = call.json::<PublishOne<'_>>()?.message(call.streams.now(), call.streams.limits())?;
    let once = call.once("message");
    published(call.streams.publish(call.id()?, vec![message], once).await?)
}

/// The same answer, whether it was stored now or before; a header tells which.
fn published(stored: Stored) -> Result<Response<Body>, Error> {
    let mut answer = ok(&NextOffset { next_offset: stored.next });
    if stored.again {
        answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(answer)
}

async fn consume(call: Call) -> Result<Response<Body>, Error> {
    let (id, query) = (call.id()?, consume_query(&call.query, call.streams.limits())?);
    let (streams, lull) = (call.streams.clone(), call.lull.clone());
    // It may wait long, and needs no more than these.
    drop(call);
    Ok(written(StatusCode::OK, streams.consume(id, query, &lull).await?))
}

async fn message(call: Call) -> Result<Response<Body>, Error> {
    let (offset, encoding) = get_query(&call.query)?;
    Ok(ok(&call.streams.message(call.id()?, offset, encoding).await?.shown()?))
}

async fn by_key(call: Call) -> Result<Response<Body>, Error> {
    let (key, encoding) = call.json::<WithKey<'_>>()?.key()?;
    Ok(ok(&call.streams.by_key(call.id()?, key, encoding).await?.shown()?))
}

async fn clean_up(call: Call) -> Result<Response<Body>, Error> {
    let rule = if call.body.is_empty() { cleanup_query(&call)? } else { call.json()? };
    Ok(ok(&call.streams.clean_up(call.id()?, rule).await?))
}

/// The rule of a cleanup from its query.
fn cleanup_query(call: &Call) -> Result<Cleanup, Error> {
    let number = |name: &str| match call.asked(name) {
        None => Ok(0),
        Some(text) => {
            text.parse::<u64>().map_err(|_| Error::new(Code::JsonInvalid, format!("{name}: expected a whole number")))
        }
    };
    Ok(Cleanup {
        trim_seconds: number("trim_seconds")?,
        trim_size: number("trim_size")?,
        trim_count: number("trim_count")?,
        compact_seconds: number("compact_seconds")?,
        expire_seconds: number("expire_seconds")?,
    })
}

async fn list_offsets(call: Call) -> Result<Response<Body>, Error> {
    Ok(named("offsets", &call.streams.offsets(call.asked("metadata")).await?))
}

async fn create_offset(call: Call) -> Result<Response<Body>, Error> {
    Ok(ok(&call.streams.create_offset(call.json::<OffsetCreate>()?).await?))
}

async fn get_offset(call: Call) -> Result<Response<Body>, Error> {
    Ok(ok(&call.streams.offset(call.id()?).await?))
}

async fn update_offset(call: Call) -> Result<Response<Body>, Error> {
    Ok(ok(&call.streams.update_offset(call.id()?, call.json::<OffsetUpdate>()?).await?))
}

async fn delete_offset(call: Call) -> Result<Response<Body>, Error> {
    Ok(ok(&call.streams.delete_offset(call.id()?).await?))
}

async fn list_egress(call: Call) -> Result<Response<Body>, Error> {
    Ok(named("egress_webhooks", &call.streams.egress_webhooks(call.asked("metadata"))))
}

async fn create_egress(call: Call) -> Result<Response<Body>, Error> {
    let (egress, keys) = call.streams.create_egress(call.json::<EgressCreate>()?).await?;
    Ok(ok(&egress.with_secret(&keys)))
}

async fn get_egress(call: Call) -> Result<Response<Body>, Error> {
    Ok(ok(&call.streams.egress_webhook(call.id()?)?.shown()))
}

async fn update_egress(call: Call) -> Result<Response<Body>, Error> {
    let egress = call.streams.update_egress(call.id()?, call.json::<EgressUpdate>()?).await?;
    Ok(ok(&egress.shown()))
}

async fn delete_egress(call: Call) -> Result<Response<Body>, Error> {
    Ok(ok(&call.streams.delete_egress(call.id()?).await?.shown()))
}

async fn rotate_egress(call: Call) -> Result<Response<Body>, Error> {
    let (egress, keys) = call.streams.rotate_egress(call.id()?, call.json::<Rotate>()?).await?;
    Ok(ok(&egress.with_secret(&keys)))
}

async fn egress_status(call: Call) -> Result<Response<Body>, Error> {
    Ok(ok(&call.streams.egress_status(call.id()?).await?))
}

async fn list_filters(call: Call) -> Result<Response<Body>, Error> {
    Ok(named("filters", &call.streams.filters(call.asked("metadata"))))
}

async fn create_filter(call: Call) -> Result<Response<Body>, Error> {
    Ok(ok(&call.streams.create_filter(call.json::<FilterCreate>()?).await?))
}

async fn get_filter(call: Call) -> Result<Response<Body>, Error> {
    Ok(ok(&call.streams.filter(call.id()?)?))
}

async fn update_filter(call: Call) -> Result<Response<Body>, Error> {
    Ok(ok(&call.streams.update_filter(call.id()?, call.json::<FilterUpdate>()?).await?))
}

async fn delete_filter(call: Call) -> Result<Response<Body>, Error> {
    Ok(ok(&call.streams.delete_filter(call.id()?).await?))
}

async fn filter_status(call: Call) -> Result<Response<Body>, Error> {
    Ok(ok(&call.streams.filter_status(call.id()?).await?))
}

async fn list_ingress(call: Call) -> Result<Response<Body>, Error> {
    let found = call.streams.ingress_webhooks(call.asked("metadata"));
    // klev's clients read the second of these names.
    Ok(ok(&BTreeMap::from([("ingress_webhooks", &found), ("items", &found)])))
}

async fn create_ingress(call: Call) -> Result<Response<Body>, Error> {
    Ok(ok(&call.streams.create_ingress(call.json::<IngressCreate>()?).await?))
}

async fn get_ingress(call: Call) -> Result<Response<Body>, Error> {
    Ok(ok(&call.streams.ingress_webhook(call.id()?)?))
}

async fn update_ingress(call: Call) -> Result<Response<Body>, Error> {
    Ok(ok(&call.streams.update_ingress(call.id()?, call.json::<IngressUpdate>()?).await?))
}

async fn delete_ingress(call: Call) -> Result<Response<Body>, Error> {
    Ok(ok(&call.streams.delete_ingress(call.id()?).await?))
}

async fn receive(call: Call) -> Result<Response<Body>, Error> {
    Ok(match call.streams.receive(call.id()?, &call.headers, &call.body).await? {
        Receipt::Stored(next) => ok(&next),
        Receipt::Challenge(challenge) => plain(challenge),
    })
}
