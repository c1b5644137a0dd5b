use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use waybill_authorizer::{AclError, Limit, Refusal, TokenError, TokenIdError};

/// An answer that is no success, as klev's clients expect it: `{"code","message"}`.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Seldom any.
    headers: Option<Box<HeaderMap>>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Problem { status, code, message: message.into(), headers: None }
    }

    pub(super) fn wrong(code: &'static str, why: impl std::fmt::Display) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, code, why.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Json(json!({ "code": self.code, "message": self.message }));
        (self.status, self.headers.map_or_else(HeaderMap::new, |headers| *headers), body).into_response()
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let headers = Some(Box::new(refusal.headers()));
        Problem { headers, ..Problem::new(refusal.status(), refusal.code(), refusal.message()) }
    }
}

impl From<AclError> for Problem {
    fn from(error: AclError) -> Self {
        Problem::wrong(error.code(), error)
    }
}

impl From<TokenIdError> for Problem {
    fn from(error: TokenIdError) -> Self {
        Problem::wrong(error.code(), error)
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let (status, code) = match &error {
            TokenError::NotFound(_) => (StatusCode::NOT_FOUND, "token-not-found"),
            TokenError::NotAllowed(_) => (StatusCode::FORBIDDEN, "token-acl-not-allowed"),
            // Ours, after the pattern of the others.
            TokenError::Count => (StatusCode::BAD_REQUEST, "token-count-limited"),
            TokenError::Limit(Limit::Metadata) => (StatusCode::BAD_REQUEST, "token-metadata-limited"),
            TokenError::Limit(Limit::Acl) => (StatusCode::BAD_REQUEST, "token-acl-limited"),
            TokenError::Tenant(_) => (StatusCode::BAD_REQUEST, "json-invalid"),
            TokenError::NotReady => (StatusCode::SERVICE_UNAVAILABLE, "server-error"),
            TokenError::Store(_) | TokenError::Failed(_) => {
                tracing::error!("a token could not be changed: {error}");
                (StatusCode::INTERNAL_SERVER_ERROR, "server-error")
            }
        };
        Problem::new(status, code, error.to_string())
    }
}
