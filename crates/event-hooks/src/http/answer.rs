use crate::HookError;
use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value, json};
use waybill_authorizer::Refusal;
use waybill_event_hooks_core::DocumentError;

/// A refusal on its way out, in Kong's words: `{"message"}`.
pub(crate) struct Refused {
    status: StatusCode,
    body: Value,
    headers: HeaderMap,
}

impl Refused {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Refused { status, body: json!({ "message": message.into() }), headers: HeaderMap::new() }
    }

    /// Not now: the store is not open yet.
    pub(super) fn not_yet() -> Self {
        let mut refused = Refused::new(StatusCode::SERVICE_UNAVAILABLE, "waiting for spool startup");
        refused.headers.insert(header::RETRY_AFTER, HeaderValue::from(1));
        refused
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = answer(self.status, &self.body);
        response.headers_mut().extend(self.headers);
        response
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Refused { headers: refusal.headers(), ..Refused::new(refusal.status(), refusal.message()) }
    }
}

impl From<HookError> for Refused {
    fn from(error: HookError) -> Self {
        let message = error.to_string();
        match error {
            HookError::NotFound => Refused::new(StatusCode::NOT_FOUND, message),
            HookError::Schema(violations) => {
                Refused { body: violations.to_json(), ..Refused::new(StatusCode::BAD_REQUEST, message) }
            }
            HookError::Field { field, why } => {
                let mut fields = Value::from(why);
                for name in field.rsplit('.') {
                    fields = Value::Object(Map::from_iter([(name.to_owned(), fields)]));
                }
                let body = json!({ "message": message, "name": "schema violation", "fields": fields });
                Refused { body, ..Refused::new(StatusCode::BAD_REQUEST, "") }
            }
            HookError::Document(DocumentError::ContentType(_)) => {
                Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
            }
            HookError::Document(_) | HookError::Asked(_) | HookError::Count(_) => {
                Refused::new(StatusCode::BAD_REQUEST, message)
            }
            HookError::NotAllowed(needs) => Refusal::NotAllowed { needs }.into(),
            HookError::TooMany(wait) => {
                let mut refused = Refused::new(StatusCode::TOO_MANY_REQUESTS, message);
                refused.headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
                refused
            }
            HookError::NotReady(_) => Refused::new(StatusCode::SERVICE_UNAVAILABLE, message),
            HookError::Store(_) => {
                tracing::error!("an event hook was not stored or read: {message}");
                Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "An unexpected error occurred")
            }
        }
    }
}

/// JSON with this status.
pub(super) fn answer(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    let (status, body) = match serde_json::to_vec(value) {
        Ok(body) => (status, body),
        Err(error) => {
            tracing::error!("an answer could not be written: {error}");
            (StatusCode::INTERNAL_SERVER_ERROR, br#"{"message":"An unexpected error occurred"}"#.to_vec())
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// 200 with JSON.
pub(super) fn ok(value: &impl Serialize) -> Response<Body> {
    answer(StatusCode::OK, value)
}

/// 204.
pub(super) fn nothing() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
