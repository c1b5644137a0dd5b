//! Authentication-Results (RFC 8601): what an authentication service says of a message.

use crate::error::Error;

/// Bytes of a header that are taken apart.
const LONGEST: usize = 64 * 1024;

/// The header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthenticationResults {
    /// Who says so.
    pub serv_id: String,
    /// The version of the header's grammar; 1 where it is not said.
    pub version: Option<u32>,
    /// What was found; nothing for `none`.
    pub results: Vec<AuthenticationResult>,
}

/// What one method found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct AuthenticationResult {
    /// `dkim`, `spf`, in lower case.
    pub method: String,
    /// Of the method.
    pub method_version: Option<u32>,
    /// `pass`, `fail`, in lower case.
    pub result: String,
    /// Why.
    pub reason: Option<String>,
    /// `header.d` and its kin.
    pub props: Vec<(String, String)>,
}

impl AuthenticationResults {
    /// Reads the value of the header.
    ///
    /// # Errors
    /// When it does not follow the grammar; the text says where.
    pub fn parse(raw: &[u8]) -> Result<AuthenticationResults, Error> {
        if raw.len() > LONGEST {
            return Err(wrong(format!("longer than the {LONGEST} bytes that are read of it")));
        }
        let text = String::from_utf8_lossy(raw);
        let mut sections = sections(&text)?.into_iter();
        let mut head = sections.next().unwrap_or_default().into_iter();
        let serv_id = head.next().ok_or_else(|| wrong("it does not say whose results these are"))?.text;
        let version = head.next().map(|version| number(&version.text)).transpose()?;
        let mut results = Vec::new();
        for section in sections {
            match &section[..] {
                [] => {}
                [only] if only.text.eq_ignore_ascii_case("none") && !only.quoted => {}
                section => results.push(result(section)?),
            }
        }
        Ok(AuthenticationResults { serv_id, version, results })
    }
}

fn wrong(what: impl std::fmt::Display) -> Error {
    Error::value(format!("Authentication-Results: {what}"))
}

fn number(text: &str) -> Result<u32, Error> {
    text.parse().map_err(|_| wrong(format!("'{}' is no version", text.escape_debug())))
}

/// A word, a text in quotes, or `=`.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Word {
    text: String,
    quoted: bool,
}

/// What stands between semicolons, in words. Comments are left out.
fn sections(text: &str) -> Result<Vec<Vec<Word>>, Error> {
    let mut sections = vec![Vec::new()];
    let mut chars = text.chars().peekable();
    while let Some(next) = chars.next() {
        let section = sections.last_mut().ok_or_else(|| wrong("nothing"))?;
        match next {
            ';' => sections.push(Vec::new()),
            '=' => section.push(Word { text: "=".into(), quoted: false }),
            '(' => comment(&mut chars)?,
            '"' => section.push(Word { text: quoted(&mut chars)?, quoted: true }),
            next if next.is_whitespace() => {}
            next => {
                let mut text = String::from(next);
                while let Some(more) = chars.next_if(|c| !c.is_whitespace() && !";=(\"".contains(*c)) {
                    text.push(more);
                }
                section.push(Word { text, quoted: false });
            }
        }
    }
    Ok(sections)
}

fn comment(chars: &mut impl Iterator<Item = char>) -> Result<(), Error> {
    let mut depth = 1_usize;
    while depth > 0 {
        match chars.next().ok_or_else(|| wrong("a comment has no end"))? {
            '(' => depth += 1,
            ')' => depth -= 1,
            '\\' => drop(chars.next()),
            _ => {}
        }
    }
    Ok(())
}

fn quoted(chars: &mut impl Iterator<Item = char>) -> Result<String, Error> {
    let mut text = String::new();
    loop {
        match chars.next().ok_or_else(|| wrong("a text in quotes has no end"))? {
            '"' => return Ok(text),
            '\\' => text.extend(chars.next()),
            '\r' | '\n' => {}
            other => text.push(other),
        }
    }
}

/// `method[/version]=result [reason=text] [type.property=value]…`
fn result(words: &[Word]) -> Result<AuthenticationResult, Error> {
    let mut found = AuthenticationResult::default();
    let mut rest = words;
    while let [name, sign, value, more @ ..] = rest {
        let is_sign = sign.text == "=" && !sign.quoted && name.text != "=";
        if !is_sign {
            break;
        }
        rest = more;
        let value = value.text.clone();
        if found.method.is_empty() {
            let (method, version) = match name.text.split_once('/') {
                Some((method, version)) => (method, Some(number(version)?)),
                None => (name.text.as_str(), None),
            };
            found.method = method.to_ascii_lowercase();
            found.method_version = version;
            found.result = value.to_ascii_lowercase();
        } else if name.text.eq_ignore_ascii_case("reason") {
            found.reason = Some(value);
        } else {
            found.props.push((name.text.clone(), value));
        }
    }
    match rest.first() {
        Some(odd) => Err(wrong(format!("expected name=value, got '{}'", odd.text.escape_debug()))),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_apart() {
        let raw = " mx.example (our own) 1;\r\n dkim=pass (good; really)\r\n header.d=a.example header.b=\"x=y\";\r\n spf/1=Fail reason=\"no \\\"way\\\"\" smtp.mailfrom=b@b.example";
        let found = AuthenticationResults::parse(raw.as_bytes()).unwrap();
        assert_eq!((found.serv_id.as_str(), found.version), ("mx.example", Some(1)));
        let dkim = &found.results[0];
        assert_eq!((dkim.method.as_str(), dkim.result.as_str(), &dkim.reason), ("dkim", "pass", &None));
        assert_eq!(dkim.props, [("header.d".into(), "a.example".into()), ("header.b".into(), "x=y".into())]);
        let spf = &found.results[1];
        assert_eq!((spf.method.as_str(), spf.method_version, spf.result.as_str()), ("spf", Some(1), "fail"));
        assert_eq!(spf.reason.as_deref(), Some("no \"way\""));
        let none = AuthenticationResults::parse(b"mx.example; none").unwrap();
        assert_eq!(none.results, []);
    }

    #[test]
    fn what_follows_no_grammar_is_refused_with_a_reason() {
        for (raw, reason) in [
            ("", "it does not say whose"),
            ("mx (", "a comment has no end"),
            ("mx; spf=\"", "a text in quotes has no end"),
            ("mx; pass", "expected name=value, got 'pass'"),
            ("mx; spf=pass odd", "expected name=value, got 'odd'"),
            ("mx x; none", "'x' is no version"),
        ] {
            let error = AuthenticationResults::parse(raw.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("Authentication-Results: ") && error.contains(reason), "{raw}: {error}");
        }
    }
}
