use serde::{Deserialize, Serialize};
use std::fmt;

/// An enhanced status code (RFC 3463 section 2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct EnhancedCode {
    /// 2, 4 or 5.
    pub class: u8,
    /// Which part failed.
    pub subject: u16,
    /// What exactly.
    pub detail: u16,
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// What a peer, a script or we ourselves said about a message: code, optional enhanced code, one line of text.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Response {
    /// SMTP-like status, 200 to 599 for anything that makes sense.
    pub code: u16,
    /// The enhanced code, when the text began with one.
    pub enhanced_code: Option<EnhancedCode>,
    /// The text, line ends folded to a space, without the enhanced code.
    pub content: String,
    /// The command it answers, if any.
    pub command: Option<String>,
}

impl Response {
    /// A response whose text is kept as it is (line ends folded); nothing is parsed out of it.
    pub fn plain(code: u16, content: impl AsRef<str>) -> Self {
        Response { code, enhanced_code: None, content: fold(content.as_ref()), command: None }
    }

    /// A response whose text may begin with an enhanced code: `Response::new(550, "5.1.1 user unknown")`.
    pub fn new(code: u16, text: impl AsRef<str>) -> Self {
        let text = fold(text.as_ref());
        match parse_enhanced(&text) {
            Some((enhanced, rest)) => {
                Response { code, enhanced_code: Some(enhanced), content: rest.to_owned(), command: None }
            }
            None => Response { code, enhanced_code: None, content: text, command: None },
        }
    }

    /// The same with the command that it answers.
    #[must_use]
    pub fn to_command(mut self, command: impl Into<String>) -> Self {
        self.command = Some(command.into());
        self
    }

    /// 400 to 499.
    pub fn is_transient(&self) -> bool {
        (400..500).contains(&self.code)
    }

    /// 500 to 599.
    pub fn is_permanent(&self) -> bool {
        (500..600).contains(&self.code)
    }

    /// Text behind the code, enhanced code included: what stands on the wire after `550 `.
    pub fn text(&self) -> String {
        match &self.enhanced_code {
            Some(enhanced) => format!("{enhanced} {}", self.content),
            None => self.content.clone(),
        }
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text())
    }
}

/// Line ends become one space each; text at the ends is kept.
fn fold(text: &str) -> String {
    let (mut folded, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'\r' | b'\n')) {
        folded.push_str(&rest[..at]);
        folded.push(' ');
        rest = rest[at..].strip_prefix("\r\n").unwrap_or_else(|| &rest[at + 1..]);
    }
    folded.push_str(rest);
    if rest.len() < text.len() {
        folded.truncate(folded.trim_end().len());
    }
    folded
}

fn parse_enhanced(text: &str) -> Option<(EnhancedCode, &str)> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut parts = word.split('.');
    let class = parts.next()?;
    let subject = number(parts.next()?)?;
    let detail = number(parts.next()?)?;
    if parts.next().is_some() || !matches!(class, "2" | "4" | "5") {
        return None;
    }
    Some((EnhancedCode { class: class.parse().ok()?, subject, detail }, rest))
}

/// 1 to 3 digits (RFC 3463 section 2).
fn number(text: &str) -> Option<u16> {
    let ok = (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if ok { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enhanced_code_is_taken_from_the_text_only_where_asked() {
        let parsed = Response::new(550, "5.1.1 no such user");
        assert_eq!(parsed.enhanced_code, Some(EnhancedCode { class: 5, subject: 1, detail: 1 }));
        assert_eq!(parsed.content, "no such user");
        assert_eq!(parsed.to_string(), "550 5.1.1 no such user");
        assert_eq!(Response::plain(550, "5.1.1 no such user").enhanced_code, None);
        assert_eq!(Response::new(250, "1.2.3.4 is an address").enhanced_code, None);
        assert_eq!(Response::new(250, "3.1.1 odd").enhanced_code, None);
    }

    #[test]
    fn line_ends_become_spaces() {
        for (text, folded) in
            [("a\r\nb\nc\r", "a b c"), ("\n\r a", "   a"), ("a \n", "a"), ("a ", "a "), ("é\r\r\nb", "é  b"), ("", "")]
        {
            assert_eq!(Response::plain(400, text).content, folded, "{text:?}");
        }
    }
}
