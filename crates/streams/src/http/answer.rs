use super::gate::Denied;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use waybill_streams_core::{Code, Error};

/// A refusal on its way out.
pub(crate) struct Refused {
    error: Error,
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        let Denied { error, status, headers } = denied;
        Refused { error, status, headers }
    }
}

impl Refused {
    /// Not now: the store is not open yet.
    pub(super) fn not_yet() -> Self {
        let error = Error::new(Code::ServerError, "waiting for spool startup");
        Refused { error, status: StatusCode::SERVICE_UNAVAILABLE, headers: Vec::new() }
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = answer(self.status, &self.error);
        response.headers_mut().extend(self.headers);
        response
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused { status: status(&error), error, headers: Vec::new() }
    }
}

fn status(error: &Error) -> StatusCode {
    StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// An error as klev answers it: `{"code","message"}`.
pub fn answer_error(error: &Error) -> Response<Body> {
    answer(status(error), error)
}

/// JSON with this status.
pub(super) fn answer(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    let (status, body) = match serde_json::to_vec(value) {
        Ok(body) => (status, body),
        Err(error) => {
            tracing::error!("an answer could not be written: {error}");
            (StatusCode::INTERNAL_SERVER_ERROR, br#"{"code":"server-error","message":"try again later"}"#.to_vec())
        }
    };
    written(status, Bytes::from(body))
}

/// JSON that is written already, with this status.
pub(super) fn written(status: StatusCode, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// 200 with JSON.
pub(super) fn ok(value: &impl Serialize) -> Response<Body> {
    answer(StatusCode::OK, value)
}

/// 200 with a text.
pub(super) fn plain(text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
