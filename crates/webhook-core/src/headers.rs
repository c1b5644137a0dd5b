//! Headers that an endpoint's owner may set, and values that cannot split a request.

use http::{HeaderName, HeaderValue};

/// A header that is not sent. Values are not repeated: they may be secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderError {
    /// No name of a header.
    #[error("{0:?} is no name of a header")]
    Name(String),
    /// A name whose header is ours to set.
    #[error("the header {0} cannot be set: {1}")]
    Denied(String, &'static str),
    /// A value with something that does not belong into one.
    #[error("the value of the header {0} holds {1:?}; only visible ASCII, spaces and tabs can be sent")]
    Value(String, char),
    /// Too long, alone or together.
    #[error("the value of the header {0} has {1} bytes, at most {LONGEST_VALUE} are sent")]
    TooLong(String, usize),
    /// Too many.
    #[error("there are {0} headers, at most {MOST} are sent")]
    TooMany(usize),
    /// The same name twice.
    #[error("the header {0} is there twice")]
    Twice(String),
}

/// Bytes of one value.
pub(crate) const LONGEST_VALUE: usize = 8192;
/// Headers of an endpoint and a request together.
pub(crate) const MOST: usize = 64;

/// Headers that decide about the message itself or about the connection: with them, two parties could see two
/// different requests.
const FRAMING: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "http2-settings",
    "content-encoding",
    "accept-encoding",
];

/// Beginnings of names under which signatures and the like are sent.
const OURS: &[&str] = &["webhook-", "x-klev-", "x-kong-", "x-waybill-", "proxy-"];

/// Checks a name that somebody wants to set.
///
/// # Errors
/// When it is none, or the header is not theirs to set.
pub fn check_name(name: &str) -> Result<HeaderName, HeaderError> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderError::Name(name.to_owned()))?;
    let lower = parsed.as_str();
    if FRAMING.contains(&lower) {
        return Err(HeaderError::Denied(lower.to_owned(), "the sender decides it"));
    }
    if OURS.iter().any(|ours| lower.starts_with(ours)) {
        return Err(HeaderError::Denied(lower.to_owned(), "names that begin like it are the sender's own"));
    }
    Ok(parsed)
}

/// Checks a value, static or made from a template. A line break in it would begin a header of somebody else's choice.
///
/// # Errors
/// When it cannot be sent.
pub fn check_value(name: &HeaderName, value: &str) -> Result<HeaderValue, HeaderError> {
    let name = || name.as_str().to_owned();
    if value.len() > LONGEST_VALUE {
        return Err(HeaderError::TooLong(name(), value.len()));
    }
    if let Some(wrong) = value.chars().find(|c| !matches!(c, ' '..='~' | '\t')) {
        return Err(HeaderError::Value(name(), wrong));
    }
    HeaderValue::from_str(value).map_err(|_| HeaderError::Value(name(), '?'))
}

/// Checks a whole set: names, values, each name once, not too many.
///
/// # Errors
/// The first that is wrong.
pub fn checked<'a>(
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<(HeaderName, HeaderValue)>, HeaderError> {
    let mut all: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (name, value) in headers {
        let name = check_name(name)?;
        if all.iter().any(|(known, _)| *known == name) {
            return Err(HeaderError::Twice(name.as_str().to_owned()));
        }
        let value = check_value(&name, value)?;
        all.push((name, value));
        if all.len() > MOST {
            return Err(HeaderError::TooMany(all.len()));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_frame_a_message_or_sign_it_cannot_be_set() {
        for name in [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "CONNECTION",
            "webhook-id",
            "Webhook-Anything",
            "x-klev-signature",
            "X-Kong-Signature",
            "proxy-authorization",
            "x-waybill-hops",
            "Accept-Encoding",
            "te",
        ] {
            assert!(matches!(check_name(name), Err(HeaderError::Denied(..))), "{name}");
        }
        for name in ["", "a b", "a:", "a\r\nb", "é", "x-a\0"] {
            assert_eq!(check_name(name), Err(HeaderError::Name(name.to_owned())), "{name:?}");
        }
        assert!(check_name("X-Team").is_ok() && check_name("content-type").is_ok());
    }

    #[test]
    fn a_value_cannot_begin_another_header() {
        let check = |value: &str| check_value(&HeaderName::from_static("x-a"), value);
        for (value, wrong) in [
            ("a\r\nX-Evil: 1", '\r'),
            ("a\nb", '\n'),
            ("a\0", '\0'),
            ("é", 'é'),
            ("\u{7f}", '\u{7f}'),
            ("\u{85}", '\u{85}'),
        ] {
            assert_eq!(check(value), Err(HeaderError::Value("x-a".into(), wrong)));
        }
        assert_eq!(check(&"a".repeat(65_536)), Err(HeaderError::TooLong("x-a".into(), 65_536)));
        assert!(check("a b\tc ~").is_ok() && check("").is_ok());
    }

    #[test]
    fn a_set_has_each_name_once_and_an_end() {
        assert_eq!(checked([("X-A", "1"), ("x-a", "2")]), Err(HeaderError::Twice("x-a".into())));
        let names: Vec<String> = (0..65).map(|n| format!("x-{n}")).collect();
        assert_eq!(checked(names.iter().map(|name| (name.as_str(), ""))), Err(HeaderError::TooMany(65)));
    }
}
