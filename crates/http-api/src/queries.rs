//! A name in a query that a route does not know is a mistake of whoever typed it, and is told so: what was meant would
//! silently not count. Known is what the description says. A route that takes any body takes any query: its URL is its
//! sender's. So does the one that Prometheus reads.

use crate::body;
use crate::openapi::Description;
use crate::voice;
use axum::extract::{MatchedPath, Query, Request, State};
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::Response;
use std::collections::HashMap;
use std::sync::Arc;

/// A scraper has parameters of its own (`params` of a scrape job, or what a proxy of metrics adds), which were given for
/// all that it reads and mean nothing to most: an answer of 400 would lose all numbers of the daemon for them.
const SCRAPED: &str = "/metrics";
/// So much of a name is repeated to whoever sent it.
const SHOWN: usize = 80;

/// The names that each route knows, by `METHOD PATH`.
pub(crate) struct Known(HashMap<String, Vec<String>>);

impl Known {
    pub(crate) fn of(description: &Description) -> Self {
        let strict = description.operations().filter(|(_, path, operation)| {
            let content = operation.pointer("/requestBody/content");
            *path != SCRAPED && content.is_none_or(|content| content.get("*/*").is_none())
        });
        let names = strict.map(|(method, path, operation)| {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let names = parameters.filter(|one| one["in"] == "query").filter_map(|one| one["name"].as_str());
            (format!("{} {path}", method.to_uppercase()), names.map(str::to_owned).collect())
        });
        Known(names.collect())
    }

    /// Whether everything in the query is known there. A route that is not described has its own say.
    fn check(&self, method: &Method, path: &str, uri: &Uri) -> Result<(), String> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let Some(known) = self.0.get(&format!("{method} {path}")) else { return Ok(()) };
        let wrong = |why: String| Err(format!("the query: {why}"));
        let given = match Query::<Vec<(String, String)>>::try_from_uri(uri) {
            Ok(Query(given)) => given,
            Err(error) => return wrong(error.to_string()),
        };
        let Some((name, _)) = given.iter().find(|(name, _)| !known.contains(name)) else { return Ok(()) };
        let name: String = name.chars().take(SHOWN).collect();
        let expected = match known.as_slice() {
            [] => "no query".to_owned(),
            names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        };
        wrong(format!("unknown field {name:?}, expected {expected}"))
    }
}

/// Lets a request through, or says which name is not known.
pub(crate) async fn known(State(known): State<Arc<Known>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>();
    let checked = path.map_or(Ok(()), |path| known.check(request.method(), path.as_str(), request.uri()));
    match checked {
        Ok(()) => next.run(request).await,
        Err(why) => {
            let (head, body) = request.into_parts();
            body::discard(&head.headers, body).await;
            voice::wrong_query(head.uri.path(), why)
        }
    }
}
