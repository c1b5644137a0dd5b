//! Answers that are text.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// A request that ends here, with a status and a sentence.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Refusal { status, text: text.into() }
    }

    /// In the form that KumoMTA gives its own errors: `Error: TEXT`.
    pub(crate) fn error(status: StatusCode, text: impl std::fmt::Display) -> Self {
        Refusal { status, text: format!("Error: {text}") }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, self.text).into_response()
    }
}
