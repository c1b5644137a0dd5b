//! What came of a check, and how a header tells it (RFC 8601).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fold::Folded;

/// What one method of authentication found out: the `resinfo` of RFC 8601.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthenticationResult {
    /// Which method: `dkim`, `spf`, `arc`.
    pub method: String,
    /// Its version, where that is not 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method_version: Option<u32>,
    /// `pass`, `fail` and what else the method knows.
    pub result: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was looked at, such as `header.d`.
    #[serde(default)]
    pub props: BTreeMap<String, String>,
}

impl AuthenticationResult {
    pub(crate) fn new(method: &str, result: &str) -> Self {
        AuthenticationResult {
            method: method.to_owned(),
            method_version: None,
            result: result.to_owned(),
            reason: None,
            props: BTreeMap::new(),
        }
    }

    pub(crate) fn because(self, reason: impl Into<String>) -> Self {
        AuthenticationResult { reason: Some(reason.into()), ..self }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.props.insert(name.to_owned(), value.into());
        self
    }
}

/// Why there is no header of results.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderError {
    /// The name of who checked.
    #[error("the server id {0:?} is no word; expected the name of this host, such as mx.example.com")]
    ServerId(String),
    /// A part of a result that would end it, or the header.
    #[error("result {index}: {field} {value:?} is no word of letters, digits and hyphens")]
    Word {
        /// Which result, counted from 1.
        index: usize,
        /// Which part of it.
        field: &'static str,
        /// What stands there.
        value: String,
    },
}

/// An `Authentication-Results` field with its line end.
///
/// # Errors
/// Names that would break the header. Values are quoted where they have to be, and control characters left out.
pub fn authentication_results(server_id: &str, results: &[AuthenticationResult]) -> Result<String, HeaderError> {
    let mut field = Folded::new("Authentication-Results");
    write(&mut field, server_id, results)?;
    Ok(field.into_text() + "\r\n")
}

/// The value of such a field: who checked, and what came out.
pub(crate) fn write(field: &mut Folded, server_id: &str, results: &[AuthenticationResult]) -> Result<(), HeaderError> {
    if server_id.is_empty() || !server_id.bytes().all(is_token) {
        return Err(HeaderError::ServerId(server_id.to_owned()));
    }
    field.word(&format!("{server_id};"));
    if results.is_empty() {
        field.word("none");
    }
    for (index, result) in results.iter().enumerate() {
        let word = |name, value: &str| match is_word(value) {
            true => Ok(()),
            false => Err(HeaderError::Word { index: index + 1, field: name, value: value.to_owned() }),
        };
        word("method", &result.method)?;
        word("result", &result.result)?;
        let version = result.method_version.map(|version| format!("/{version}")).unwrap_or_default();
        let mut pieces = vec![format!("{}{version}={}", result.method, result.result)];
        if let Some(reason) = result.reason.as_deref().filter(|reason| !reason.is_empty()) {
            pieces.push(format!("reason={}", quoted(reason)));
        }
        for (name, value) in &result.props {
            for part in name.splitn(2, '.') {
                word("prop", part)?;
            }
            pieces.push(format!("{name}={}", property(value)));
        }
        if let Some(last) = pieces.last_mut().filter(|_| index + 1 < results.len()) {
            last.push(';');
        }
        field.next_line();
        let mut pieces = pieces.iter();
        pieces.next().into_iter().for_each(|piece| field.part(piece));
        pieces.for_each(|piece| field.word(piece));
    }
    Ok(())
}

/// RFC 2045, section 5.1: what need not be quoted.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// A value: as it is where it is a word or an address, quoted otherwise.
fn property(value: &str) -> String {
    let (local, domain) = value.split_once('@').unwrap_or(("", value));
    let plain = !domain.is_empty() && domain.bytes().chain(local.bytes()).all(is_token);
    if plain { value.to_owned() } else { quoted(value) }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }) {
        if matches!(letter, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_written_one_a_line() {
        let dkim =
            AuthenticationResult::new("dkim", "pass").with("header.d", "example.com").with("header.i", "@x.example");
        let spf = AuthenticationResult::new("spf", "fail")
            .because("matched '-all' \"so\"\r\nBcc: x")
            .with("smtp.mailfrom", "a b@example.com");
        let text = authentication_results("mx.example.net", &[dkim, spf]).unwrap();
        assert_eq!(
            text,
            "Authentication-Results: mx.example.net;\r\n\tdkim=pass header.d=example.com header.i=@x.example;\r\n\t\
             spf=fail reason=\"matched '-all' \\\"so\\\"  Bcc: x\"\r\n\tsmtp.mailfrom=\"a b@example.com\"\r\n"
        );
        assert_eq!(
            authentication_results("mx.example.net", &[]).unwrap(),
            "Authentication-Results: mx.example.net; none\r\n"
        );
    }

    #[test]
    fn nothing_that_would_break_the_header_gets_in() {
        for (server, method, prop) in [
            ("mx example", "spf", "a.b"),
            ("", "spf", "a.b"),
            ("mx;", "spf", "a.b"),
            ("mx", "sp f", "a.b"),
            ("mx", "spf\r\nX: y", "a.b"),
            ("mx", "spf", "a.b c"),
            ("mx", "spf", ""),
        ] {
            let result = AuthenticationResult::new(method, "pass").with(prop, "x");
            assert!(authentication_results(server, &[result]).is_err(), "{server:?} {method:?} {prop:?}");
        }
    }
}
