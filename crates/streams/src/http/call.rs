use super::routes::{Route, Takes};
use crate::Streams;
use axum::body::Body;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use waybill_streams_core::{Code, Error, Id};

/// A request that may go on.
pub(crate) struct Call {
    pub(crate) streams: Streams,
    id: Option<Id>,
    /// Names and values, decoded.
    pub(crate) query: Vec<(String, String)>,
    /// Empty where the route takes none.
    pub(crate) body: Bytes,
}

/// Bytes of a body that says how something is configured.
const CONFIGURATION: usize = 64 << 10;
/// A text in JSON may be longer than its bytes: base64, and escapes.
const SPREAD: usize = 4;

impl Call {
    pub(super) async fn read(
        route: &Route,
        streams: Streams,
        id: Option<Id>,
        parts: &Parts,
        body: Body,
    ) -> Result<Self, Error> {
        let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let query = query.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let (limit, too_long) = match route.takes {
            Takes::Nothing | Takes::Query => (0, Code::JsonInvalid),
            Takes::Configuration | Takes::CleanupRule => (CONFIGURATION, Code::JsonInvalid),
            Takes::Key => (CONFIGURATION + SPREAD * streams.limits().key, Code::MessageKeyLimited),
            Takes::Messages => {
                let own = CONFIGURATION + SPREAD * streams.limits().publish_bytes;
                (own, Code::MessagePublishLimited)
            }
        };
        if limit == 0 {
            return Ok(Call { streams, id, query, body: Bytes::new() });
        }
        let body = match Limited::new(body, limit).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(Error::new(too_long, format!("the body is longer than {limit} bytes")));
            }
            Err(error) => return Err(Error::new(Code::JsonInvalid, format!("the body broke off: {error}"))),
        };
        // A cleanup may say everything in its query.
        if !(body.is_empty() && route.takes == Takes::CleanupRule) {
            content_type(parts)?;
        }
        Ok(Call { streams, id, query, body })
    }

    /// The id in the path.
    pub(crate) fn id(&self) -> Result<Id, Error> {
        self.id.ok_or_else(|| Error::new(Code::PathNotFound, "the path names nothing"))
    }

    /// The body as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        waybill_streams_core::body(&self.body)
    }

    /// A value of the query; of several with one name the last.
    pub(crate) fn asked(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn content_type(parts: &Parts) -> Result<(), Error> {
    let Some(value) = parts.headers.get(CONTENT_TYPE) else {
        return Err(Error::new(Code::ContentTypeMissing, "Content-Type: expected application/json"));
    };
    let text = value.to_str().unwrap_or_default();
    let kind = text.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let shown: String = kind.chars().take(80).collect();
    Err(Error::new(Code::ContentTypeInvalid, format!("Content-Type: expected application/json, not {shown:?}")))
}
