//! What is said where there is nothing to ask: in the words of whose clients come there (ARCHITECTURE.md section 8).

use crate::reply::Refusal;
use crate::tokens::Problem;
use axum::Json;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Whose clients come to a path.
enum Voice {
    /// KumoMTA's, who expect a text.
    Text,
    /// Kong's, who expect `{"message"}`.
    Kong,
    /// klev's, who expect `{"code","message"}`.
    Klev,
}

impl Voice {
    fn at(path: &str) -> Self {
        let below = |roots: &[&str]| {
            roots
                .iter()
                .any(|root| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.'])))
        };
        if below(&["/api", "/api-docs", "/metrics", "/rapidoc"]) {
            Voice::Text
        } else if below(&["/event-hooks"]) {
            Voice::Kong
        } else {
            Voice::Klev
        }
    }

    fn say(&self, status: StatusCode, code: &'static str, message: String) -> Response {
        match self {
            Voice::Text => Refusal::new(status, message).into_response(),
            Voice::Kong => (status, Json(json!({ "message": message }))).into_response(),
            Voice::Klev => Problem::new(status, code, message).into_response(),
        }
    }
}

/// 400 for what stands in a query.
pub(crate) fn wrong_query(path: &str, why: String) -> Response {
    let voice = Voice::at(path);
    let why = if matches!(voice, Voice::Text) { format!("Error: {why}") } else { why };
    voice.say(StatusCode::BAD_REQUEST, "json-invalid", why)
}

pub(crate) async fn unknown(uri: Uri) -> Response {
    let path = uri.path();
    Voice::at(path).say(StatusCode::NOT_FOUND, "path-not-found", format!("no such path: {path}"))
}

/// Puts a sentence into the 405 of a path that takes other methods.
pub(crate) async fn wrong_method(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    let silent = !response.headers().contains_key(header::CONTENT_TYPE);
    if response.status() != StatusCode::METHOD_NOT_ALLOWED || !silent {
        return response;
    }
    let (mut head, _) = response.into_parts();
    let allowed = head.headers.get(header::ALLOW).and_then(|value| value.to_str().ok()).unwrap_or("another");
    let message = format!("{method} {path}: no such method here, expected {allowed}");
    let said = Voice::at(&path).say(head.status, "method-not-allowed", message);
    head.headers.remove(header::CONTENT_LENGTH);
    let (words, body) = said.into_parts();
    head.headers.extend(words.headers);
    Response::from_parts(head, Body::new(body))
}
