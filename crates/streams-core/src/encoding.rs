use crate::text::Text;
use crate::{Code, Error};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt::Display;

/// How keys and values stand in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As texts: their bytes are UTF-8.
    #[default]
    String,
    /// As padded base64.
    Base64,
}

impl Encoding {
    fn named(text: &str) -> Option<Self> {
        match text {
            "string" => Some(Encoding::String),
            "base64" => Some(Encoding::Base64),
            _ => None,
        }
    }

    /// The encoding of a body; a text where none is named.
    ///
    /// # Errors
    /// `message-encoding-invalid`.
    pub fn of_body(text: Option<&str>) -> Result<Self, Error> {
        let Some(text) = text else { return Ok(Encoding::default()) };
        let why = "encoding: expected \"string\" or \"base64\"";
        Encoding::named(text).ok_or_else(|| Error::new(Code::MessageEncodingInvalid, why))
    }

    /// The encoding that a query asks for.
    ///
    /// # Errors
    /// `message-encoding-parameter-invalid`.
    pub(crate) fn of_query(text: Option<&str>) -> Result<Self, Error> {
        let Some(text) = text else { return Ok(Encoding::default()) };
        let why = "encoding: expected string or base64";
        Encoding::named(text).ok_or_else(|| Error::new(Code::MessageEncodingParameterInvalid, why))
    }

    /// The bytes behind a text of a body. `what` names the field for the error.
    pub(crate) fn decode(self, what: impl Display, text: Text<'_>) -> Result<Bytes, Error> {
        match self {
            Encoding::String => Ok(text.into_bytes()),
            Encoding::Base64 => match STANDARD.decode(text.as_str()) {
                Ok(bytes) => Ok(bytes.into()),
                Err(why) => Err(Error::new(Code::MessageEncodingInvalid, format!("{what} is no padded base64: {why}"))),
            },
        }
    }

    /// The text for these bytes; none where they are no text.
    pub(crate) fn encode(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        match self {
            Encoding::Base64 => Some(STANDARD.encode(bytes).into()),
            Encoding::String => std::str::from_utf8(bytes).ok().map(Cow::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_shown_as_base64_only() {
        let bytes = Encoding::Base64.decode("value", "/w==".into()).unwrap();
        assert_eq!(&bytes[..], [255]);
        assert_eq!(Encoding::Base64.encode(&bytes).as_deref(), Some("/w=="));
        assert_eq!(Encoding::String.encode(&bytes), None);
    }

    #[test]
    fn an_encoding_that_nobody_knows_has_another_code_in_a_body_than_in_a_query() {
        assert_eq!(Encoding::of_body(Some("hex")).unwrap_err().code, Code::MessageEncodingInvalid);
        assert_eq!(Encoding::of_query(Some("hex")).unwrap_err().code, Code::MessageEncodingParameterInvalid);
        assert_eq!(Encoding::of_body(None).unwrap(), Encoding::String);
        assert_eq!(Encoding::of_query(Some("base64")).unwrap(), Encoding::Base64);
        assert!(Encoding::Base64.decode("key", "a".into()).is_err());
    }
}
