use super::answer::Refused;
use crate::{EventHooks, HookError};
use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use std::str::FromStr;
use uuid::Uuid;
use waybill_authorizer::Caller;
use waybill_event_hooks_core::{Document, Encoding};
use waybill_types::Objects;

/// A description with the largest functions that there may be, however JSON spells them.
const BODY_LIMIT: usize = 4 << 20;

/// What a body is without a word about it.
const JSON: &str = "application/json";

/// A request that may go on.
pub(crate) struct Call {
    pub(crate) hooks: EventHooks,
    pub(crate) caller: Caller,
    /// What stands in the path where the route has a name in braces.
    pub(crate) places: Vec<String>,
    query: Vec<(String, String)>,
    content_type: Option<String>,
    body: Bytes,
}

/// What a path has where its pattern has a name in braces.
pub(super) fn places(pattern: &str, path: &str) -> Vec<String> {
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pairs = pattern.split('/').zip(path.split('/'));
    pairs.filter(|(place, _)| place.starts_with('{')).map(|(_, text)| decoded(text)).collect()
}

impl Call {
    pub(super) async fn read(
        hooks: EventHooks,
        caller: Caller,
        places: Vec<String>,
        head: &Parts,
        body: Body,
    ) -> Result<Self, Refused> {
        let query = url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
        let query = query.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let content_type = head.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let body = match Limited::new(body, BODY_LIMIT).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let why = format!("the body is longer than {BODY_LIMIT} bytes");
                return Err(Refused::new(StatusCode::PAYLOAD_TOO_LARGE, why));
            }
            Err(error) => return Err(Refused::new(StatusCode::BAD_REQUEST, format!("the body broke off: {error}"))),
        };
        Ok(Call { hooks, caller, places, query, content_type, body })
    }

    /// The id in the path.
    pub(super) fn id(&self) -> Result<Uuid, HookError> {
        self.places.first().and_then(|id| id.parse().ok()).ok_or(HookError::NotFound)
    }

    /// A place of the path.
    pub(super) fn place(&self, at: usize) -> &str {
        self.places.get(at).map_or("", String::as_str)
    }

    /// The body as a description.
    pub(super) fn document(&self) -> Result<(Document, Encoding), HookError> {
        Ok(Document::parse(self.content_type.as_deref(), &self.body)?)
    }

    /// The body as JSON; nothing at all is an empty object.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, HookError> {
        let essence = self.content_type.as_deref().unwrap_or(JSON).split(';').next().unwrap_or_default().trim();
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return read(b"{}").map_err(HookError::Asked);
        }
        if !essence.eq_ignore_ascii_case(JSON) {
            return Err(HookError::Asked("the body: expected Content-Type: application/json".to_owned()));
        }
        read(&self.body).map_err(HookError::Asked)
    }

    /// A value of the query; of several with one name the last.
    pub(super) fn asked(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A number of the query, no more than `most`.
    pub(super) fn number<T: FromStr + Ord>(&self, name: &str, default: T, most: T) -> Result<T, HookError> {
        match self.asked(name) {
            None => Ok(default.min(most)),
            Some(text) => match text.parse::<T>() {
                Ok(number) => Ok(number.min(most)),
                Err(_) => Err(HookError::Asked(format!("{name}: expected a whole number"))),
            },
        }
    }
}

/// An object; what is wrong with it names the field.
fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(Objects::new(&mut reader)).map_err(|error| {
        let (path, why) = (error.path().to_string(), error.inner().to_string());
        // Of a field that is not known, serde tells the name itself.
        if path == "." || why.contains(&format!("`{path}`")) {
            format!("the body: {why}")
        } else {
            format!("{path}: {why}")
        }
    })?;
    reader.end().map_err(|error| format!("the body: {error}"))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_a_path_are_found_and_decoded() {
        let found = places("/event-hooks/sources/{source}/{event}", "/event-hooks/sources/dao%3Acrud/create");
        assert_eq!(found, ["dao:crud", "create"]);
        assert_eq!(places("/event-hooks/{id}/ping", "/event-hooks/7/ping"), ["7"]);
        assert!(places("/event-hooks", "/event-hooks").is_empty());
    }
}
