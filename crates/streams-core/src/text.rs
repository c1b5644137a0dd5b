use bytes::Bytes;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;

/// A text of a body: the bytes that stand there, unless something in them is escaped. Serde copies an optional text
/// always.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        match self.0 {
            Cow::Borrowed(text) => Bytes::copy_from_slice(text.as_bytes()),
            Cow::Owned(text) => text.into_bytes().into(),
        }
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text(text.into())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(text.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Text<'de>, E> {
        Ok(Text(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body;

    #[test]
    fn only_what_is_escaped_is_copied() {
        let found: Vec<Option<Text<'_>>> = body(br#"["plain", "\u00e9\n", null, ""]"#).unwrap();
        let texts: Vec<_> = found.iter().map(|text| text.as_ref().map(Text::as_str)).collect();
        assert_eq!(texts, [Some("plain"), Some("\u{e9}\n"), None, Some("")]);
        let copied = |text: &Text<'_>| matches!(text.0, Cow::Owned(_));
        assert_eq!(found.iter().flatten().map(copied).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!(found[0].clone().unwrap().into_bytes(), found[0].clone().unwrap().as_str());
    }
}
