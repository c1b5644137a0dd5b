use super::routes::{Route, Takes};
use crate::Streams;
use crate::keys::digest;
use crate::log::Once;
use crate::manager::PATIENCE;
use axum::body::Body;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use waybill_runtime::Lull;
use waybill_streams_core::{Code, Error, Id, IdempotencyKey};

/// A request that may go on.
pub(crate) struct Call {
    pub(crate) streams: Streams,
    id: Option<Id>,
    /// Names and values, decoded.
    pub(crate) query: Vec<(String, String)>,
    /// Empty where the route takes none.
    pub(crate) body: Bytes,
    /// By what a publish is known when it comes again.
    pub(crate) idempotency: Option<IdempotencyKey>,
    /// Where the route is signed: what its signature is in.
    pub(crate) headers: HeaderMap,
    /// Who wants to know that it waits.
    pub(crate) lull: Lull,
}

/// Bytes of a body that says how something is configured.
const CONFIGURATION: usize = 64 << 10;
/// A byte of a text takes up to so many in JSON: `\u0000`.
const SPREAD: usize = 6;

impl Call {
    pub(super) async fn read(
        route: &Route,
        streams: Streams,
        id: Option<Id>,
        parts: &Parts,
        body: Body,
    ) -> Result<Self, Error> {
        if route.takes == Takes::Signed {
            return Call::signed(streams, id, parts, body).await;
        }
        let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let query = query.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let (limit, too_long) = match route.takes {
            Takes::Nothing | Takes::Query | Takes::Signed => (0, Code::JsonInvalid),
            Takes::Configuration | Takes::CleanupRule => (CONFIGURATION, Code::JsonInvalid),
            Takes::Key => (CONFIGURATION + SPREAD * streams.limits().key, Code::MessageKeyLimited),
            Takes::Messages => {
                let own = CONFIGURATION + SPREAD * streams.limits().publish_bytes;
                (own, Code::MessagePublishLimited)
            }
        };
        let lull = parts.extensions.get::<Lull>().cloned().unwrap_or_default();
        let headers = HeaderMap::new();
        let mut call = Call { streams, id, query, body: Bytes::new(), idempotency: None, headers, lull };
        if limit == 0 {
            return Ok(call);
        }
        if route.takes == Takes::Messages {
            let values = parts.headers.get_all(IdempotencyKey::HEADER);
            call.idempotency = IdempotencyKey::read(values.iter().map(HeaderValue::as_bytes))?;
        }
        call.body = whole(body, limit, too_long).await?;
        // A cleanup may say everything in its query.
        if !(call.body.is_empty() && route.takes == Takes::CleanupRule) {
            content_type(parts)?;
        }
        Ok(call)
    }

    /// A request that shows a signature instead of a token: nothing of it is read that cannot be worth it, and not for
    /// longer than its sender may take.
    async fn signed(streams: Streams, id: Option<Id>, parts: &Parts, body: Body) -> Result<Self, Error> {
        let found = id.ok_or_else(|| Error::new(Code::PathNotFound, "the path names nothing"))?;
        streams.expects(found, &parts.headers)?;
        let limits = streams.limits();
        let limit = CONFIGURATION + 2 * (limits.key + limits.value);
        let body = {
            let _place = streams.place_for_body().await?;
            let late = || Error::new(Code::IngressWebhookPayloadInvalid, "the body did not come in time");
            let read = whole(body, limit, Code::MessageValueLimited);
            tokio::time::timeout(PATIENCE, read).await.unwrap_or_else(|_| Err(late()))?
        };
        let headers = parts.headers.clone();
        Ok(Call { streams, id, query: Vec::new(), body, idempotency: None, headers, lull: Lull::default() })
    }

    /// The id in the path.
    pub(crate) fn id(&self) -> Result<Id, Error> {
        self.id.ok_or_else(|| Error::new(Code::PathNotFound, "the path names nothing"))
    }

    /// By what this publish is known when it comes again: its key, and its path and body word for word.
    pub(crate) fn once(&self, path: &str) -> Option<Once> {
        let key = self.idempotency.as_ref()?;
        Some(Once {
            names: vec![digest(&[b"key", key.as_str().as_bytes()])],
            content: digest(&[path.as_bytes(), &self.body]),
        })
    }

    /// The body as JSON.
    pub(crate) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        waybill_streams_core::body(&self.body)
    }

    /// A value of the query; of several with one name the last.
    pub(crate) fn asked(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

async fn whole(body: Body, limit: usize, too_long: Code) -> Result<Bytes, Error> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Error::new(too_long, format!("the body is longer than {limit} bytes")))
        }
        Err(error) => Err(Error::new(Code::JsonInvalid, format!("the body broke off: {error}"))),
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
