//! What a server says.

use super::failure::judged;
use std::borrow::Cow;
use waybill_delivery::Outcome;
use waybill_types::Response;

/// A reply of one or several lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Reply {
    /// 200 to 599.
    pub(super) code: u16,
    /// The lines without code and line end.
    pub(super) lines: Vec<String>,
}

/// One line of a reply.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Line {
    pub(super) code: u16,
    pub(super) last: bool,
    pub(super) text: String,
}

impl Line {
    /// Reads `250-text` or `250 text`, without its line end.
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        let shown = || String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned();
        let digits = line.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit));
        let code = digits.map(|digits| digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0')));
        let code = code.filter(|code| (200..600).contains(code)).ok_or_else(|| format!("no reply: {:?}", shown()))?;
        let last = match line.get(3) {
            None | Some(b' ') => true,
            Some(b'-') => false,
            Some(_) => return Err(format!("no reply: {:?}", shown())),
        };
        let text = String::from_utf8_lossy(line.get(4..).unwrap_or_default()).into_owned();
        Ok(Line { code, last, text })
    }
}

impl Reply {
    /// Done, or as good as.
    pub(super) fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// It says no, for now or for good.
    pub(super) fn is_negative(&self) -> bool {
        (400..600).contains(&self.code)
    }

    /// The server is about to close the connection.
    pub(super) fn ends_session(&self) -> bool {
        self.code == 421
    }

    /// As records show it: one line, with the command that it answers.
    pub(super) fn response(&self, command: impl Into<String>) -> Response {
        Response::new(self.code, self.text()).to_command(command)
    }

    /// What it means for those whom the command was about. A reply that is neither yes nor no is no outcome.
    pub(super) fn outcome(&self, command: impl Into<String>) -> Option<Outcome> {
        judged(self.response(command))
    }

    /// All lines as one. An enhanced code that every line repeats (RFC 2034) is kept once.
    fn text(&self) -> Cow<'_, str> {
        let [first, rest @ ..] = self.lines.as_slice() else { return Cow::Borrowed("") };
        if rest.is_empty() {
            return Cow::Borrowed(first);
        }
        let enhanced = first.split(' ').next().filter(|word| Response::new(self.code, word).enhanced_code.is_some());
        let mut text = first.clone();
        for line in rest {
            let line = enhanced.and_then(|code| line.strip_prefix(code)).map_or(line.as_str(), str::trim_start);
            text.push(' ');
            text.push_str(line);
        }
        Cow::Owned(text)
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.code, self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_types::EnhancedCode;

    fn reply(code: u16, lines: &[&str]) -> Reply {
        Reply { code, lines: lines.iter().map(|line| (*line).to_owned()).collect() }
    }

    #[test]
    fn a_line_has_a_code_and_says_whether_it_is_the_last() {
        let line = |line: &str| Line::parse(line.as_bytes());
        assert_eq!(line("250-SIZE 10"), Ok(Line { code: 250, last: false, text: "SIZE 10".into() }));
        assert_eq!(line("250 ok"), Ok(Line { code: 250, last: true, text: "ok".into() }));
        assert_eq!(line("354"), Ok(Line { code: 354, last: true, text: String::new() }));
        for nonsense in ["", "25", "hello", "2500 x", "250_x", "150 x", "600 x", "HTTP/1.1 400 Bad Request"] {
            assert!(line(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn a_response_is_one_line_with_its_enhanced_code_once() {
        let response = reply(550, &["5.7.1 not here", "5.7.1 ask elsewhere", "ever"]).response("DATA\r\n");
        assert_eq!(response.enhanced_code, Some(EnhancedCode { class: 5, subject: 7, detail: 1 }));
        assert_eq!(response.content, "not here ask elsewhere ever");
        assert_eq!(response.command.as_deref(), Some("DATA\r\n"));
        assert_eq!(reply(250, &["OK ids=1"]).response(".\r\n").content, "OK ids=1");
        assert_eq!(reply(250, &["one", "two"]).response(".\r\n").content, "one two");
    }

    #[test]
    fn what_is_neither_yes_nor_no_is_no_outcome() {
        assert!(matches!(reply(250, &[""]).outcome("x"), Some(Outcome::Delivered(_))));
        assert!(matches!(reply(451, &[""]).outcome("x"), Some(Outcome::Transient(_, None))));
        assert!(matches!(reply(550, &[""]).outcome("x"), Some(Outcome::Permanent(_))));
        assert_eq!(reply(354, &[""]).outcome("x"), None);
    }
}
