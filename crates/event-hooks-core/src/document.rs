//! What somebody posts, whatever encoding it came in: one JSON object.

mod form;
mod multipart;

use serde_json::{Map, Value};
use std::fmt;

/// A hook as somebody describes it, not checked yet. It may hold secrets: `Debug` shows names only.
#[derive(Clone, PartialEq, Default)]
pub struct Document(pub(crate) Map<String, Value>);

/// A body that is no document.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DocumentError {
    /// No JSON, or no object.
    #[error("Cannot parse JSON body: {0}")]
    Json(String),
    /// A key of a form that makes no sense, or not beside another.
    #[error("Cannot parse form body: {0}")]
    Form(String),
    /// A `Content-Type` that is not taken.
    #[error(
        "Unsupported content type {0:?}: send application/json, application/x-www-form-urlencoded or multipart/form-data"
    )]
    ContentType(String),
}

impl Document {
    /// Reads a body by its content type; without one it is JSON, and an empty body is an empty object.
    ///
    /// # Errors
    /// When it cannot be read. The text is fit for an answer: no value is repeated.
    pub fn parse(content_type: Option<&str>, body: &[u8]) -> Result<(Self, crate::Encoding), DocumentError> {
        let content_type = content_type.unwrap_or("application/json");
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Ok((Self::from_json(body)?, crate::Encoding::Json)),
            "application/x-www-form-urlencoded" => Ok((Self::from_form(body)?, crate::Encoding::Form)),
            "multipart/form-data" => Ok((Self::from_multipart(content_type, body)?, crate::Encoding::Form)),
            _ => Err(DocumentError::ContentType(essence)),
        }
    }

    /// A JSON object; nothing at all is an empty one.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_json(body: &[u8]) -> Result<Self, DocumentError> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Document::default());
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(map)) => Ok(Document(map)),
            Ok(_) => Err(DocumentError::Json("it is no object".to_owned())),
            Err(error) => {
                // serde's words may repeat a value; the place is enough.
                Err(DocumentError::Json(format!("error at line {}, column {}", error.line(), error.column())))
            }
        }
    }

    /// A form: `config.headers.content-type=...`, `config.functions[]=...`.
    ///
    /// # Errors
    /// When a key makes no sense.
    pub fn from_form(body: &[u8]) -> Result<Self, DocumentError> {
        form::parse(url::form_urlencoded::parse(body)).map(Document)
    }

    /// A form in parts (RFC 7578), with the same names.
    ///
    /// # Errors
    /// When it is none, or a name makes no sense.
    pub fn from_multipart(content_type: &str, body: &[u8]) -> Result<Self, DocumentError> {
        let parts = multipart::parse(content_type, body).map_err(|why| DocumentError::Form(why.to_owned()))?;
        form::parse(parts.iter().map(|(name, value)| (name.into(), value.into()))).map(Document)
    }

    /// The object itself.
    pub fn into_object(self) -> Map<String, Value> {
        self.0
    }

    /// Takes a field out.
    pub fn take(&mut self, field: &str) -> Option<Value> {
        self.0.remove(field)
    }

    /// With the fields of `patch` on top, also inside objects: what PATCH does.
    #[must_use]
    pub fn merged(mut self, patch: Document) -> Document {
        merge(&mut self.0, patch.0);
        self
    }
}

impl From<Map<String, Value>> for Document {
    fn from(map: Map<String, Value>) -> Self {
        Document(map)
    }
}

fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (name, value) in from {
        match (into.get_mut(&name), value) {
            (Some(Value::Object(inner)), Value::Object(patch)) => merge(inner, patch),
            (_, value) => {
                into.insert(name, value);
            }
        }
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Encoding;
    use serde_json::json;

    #[test]
    fn the_content_type_says_how_to_read_a_body() {
        let read = |content_type, body: &str| Document::parse(content_type, body.as_bytes());
        assert_eq!(read(None, "").unwrap(), (Document::default(), Encoding::Json));
        let (document, encoding) = read(Some("Application/JSON; charset=utf-8"), r#"{"a":1}"#).unwrap();
        assert_eq!((Value::Object(document.0), encoding), (json!({"a": 1}), Encoding::Json));
        let (document, encoding) = read(Some("application/x-www-form-urlencoded"), "a=1").unwrap();
        assert_eq!((Value::Object(document.0), encoding), (json!({"a": "1"}), Encoding::Form));
        let multipart = "--x\r\nContent-Disposition: form-data; name=\"a.b\"\r\n\r\n1\r\n--x--\r\n";
        let (document, _) = read(Some("multipart/form-data; boundary=x"), multipart).unwrap();
        assert_eq!(Value::Object(document.0), json!({"a": {"b": "1"}}));
        assert_eq!(read(Some("text/xml"), "<a/>"), Err(DocumentError::ContentType("text/xml".into())));
    }

    #[test]
    fn what_is_no_object_is_refused_without_being_repeated() {
        let error = Document::from_json(br#"{"config":{"secret":hunter2}}"#).unwrap_err().to_string();
        assert!(error.starts_with("Cannot parse JSON body: error at line 1") && !error.contains("hunter2"), "{error}");
        assert!(Document::from_json(b"[1]").is_err());
    }

    #[test]
    fn a_patch_merges_inside_objects_and_a_null_takes_the_place_of_a_value() {
        let base = Document::from_json(br#"{"a":1,"config":{"url":"u","headers":{"x":"1"}}}"#).unwrap();
        let patch = Document::from_json(br#"{"a":null,"config":{"headers":{"y":"2"},"secret":"s"}}"#).unwrap();
        let merged = Value::Object(base.merged(patch).0);
        assert_eq!(merged, json!({"a": null, "config": {"url": "u", "headers": {"x": "1", "y": "2"}, "secret": "s"}}));
    }

    #[test]
    fn debug_shows_no_value() {
        let document = Document::from_json(br#"{"config":{"secret":"hunter2"}}"#).unwrap();
        assert_eq!(format!("{document:?}"), r#"{"config"}"#);
    }
}
