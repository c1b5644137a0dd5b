use crate::Pattern;
use crate::field::is_name;
use std::fmt;
use std::time::Duration;

/// A policy may not be kept for longer (RFC 8461 section 3.2).
pub const LONGEST_MAX_AGE: Duration = Duration::from_secs(31_557_600);
/// A policy with more hosts is refused: it is kept in memory for as long as its owner says.
pub const MOST_PATTERNS: usize = 64;

/// What a domain wants of those who send it mail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// How serious it is about that.
    pub mode: Mode,
    /// Its hosts. At least one, unless the mode is `none`.
    pub mx: Box<[Pattern]>,
    /// How long this may be remembered, at most [`LONGEST_MAX_AGE`].
    pub max_age: Duration,
}

/// How serious a domain is about its policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Mail goes to hosts of the policy, over TLS with a certificate that is checked, or not at all.
    Enforce,
    /// It goes in any case; what would have failed is worth a line in the log.
    Testing,
    /// The domain has no policy, or none any more.
    None,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Enforce => "enforce",
            Mode::Testing => "testing",
            Mode::None => "none",
        })
    }
}

/// A text that is no policy.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PolicyError {
    /// A line that says nothing, counted from 1.
    #[error("line {0}: {1}")]
    Line(usize, &'static str),
    /// There is no such field.
    #[error("there is no {0}")]
    Missing(&'static str),
    /// It is no text.
    #[error("it is no text in UTF-8")]
    NoText,
}

impl Policy {
    /// Reads the file (RFC 8461 section 3.2): lines `KEY: VALUE`, ended by LF or CRLF. Of a field that comes twice the first
    /// counts, but for `mx`; fields that are not known are passed over. Empty lines at the end are forgiven, others not.
    ///
    /// # Errors
    /// The first line that is wrong, or the field that is missing.
    pub fn parse(text: &[u8]) -> Result<Self, PolicyError> {
        let text = std::str::from_utf8(text).map_err(|_| PolicyError::NoText)?;
        let (mut version, mut mode, mut max_age, mut mx) = (false, None, None, Vec::new());
        for (index, line) in text.trim_end_matches(['\r', '\n']).split('\n').enumerate() {
            let wrong = |why| PolicyError::Line(index + 1, why);
            let line = line.strip_suffix('\r').unwrap_or(line).trim_end_matches([' ', '\t']);
            let (key, value) = line.split_once(':').ok_or_else(|| wrong("expected KEY: VALUE"))?;
            let value = value.trim_start_matches([' ', '\t']);
            if !is_name(key) {
                return Err(wrong("expected a name of letters, digits, '_', '-' and '.' before the colon"));
            }
            if value.is_empty() || value.chars().any(char::is_control) {
                return Err(wrong("expected a value of printable characters behind the colon"));
            }
            match key {
                "version" if value != "STSv1" => return Err(wrong("the version is not STSv1")),
                "version" => version = true,
                "mode" if mode.is_none() => mode = Some(mode_of(value).ok_or_else(|| wrong(MODES))?),
                "max_age" if max_age.is_none() => max_age = Some(seconds(value).ok_or_else(|| wrong(SECONDS))?),
                "mx" if mx.len() == MOST_PATTERNS => return Err(wrong("more than 64 hosts")),
                "mx" => mx.push(Pattern::parse(value).ok_or_else(|| wrong("expected a host, or *. and a name"))?),
                _ => {}
            }
        }
        if !version {
            return Err(PolicyError::Missing("version"));
        }
        let mode = mode.ok_or(PolicyError::Missing("mode"))?;
        let max_age = max_age.ok_or(PolicyError::Missing("max_age"))?;
        if mx.is_empty() && mode != Mode::None {
            return Err(PolicyError::Missing("mx"));
        }
        Ok(Policy { mode, mx: mx.into(), max_age })
    }

    /// Whether a host is one of its hosts.
    pub fn lists(&self, host: &str) -> bool {
        self.mx.iter().any(|pattern| pattern.matches(host))
    }
}

const MODES: &str = "expected enforce, testing or none";
const SECONDS: &str = "expected a number of seconds, of at most ten digits";

fn mode_of(value: &str) -> Option<Mode> {
    [Mode::Enforce, Mode::Testing, Mode::None].into_iter().find(|mode| mode.to_string() == value)
}

fn seconds(value: &str) -> Option<Duration> {
    let digits = (1..=10).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = digits.then_some(value)?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_MAX_AGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: &str =
        "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n";

    #[test]
    fn a_policy_is_its_fields() {
        let policy = Policy::parse(USUAL.as_bytes()).unwrap();
        assert_eq!((policy.mode, policy.max_age), (Mode::Enforce, Duration::from_secs(604_800)));
        let mx: Vec<String> = policy.mx.iter().map(Pattern::to_string).collect();
        assert_eq!(mx, ["mail.example.com", "*.example.net"]);
        assert!(policy.lists("mail.example.com") && policy.lists("a.example.net."));
        assert!(!policy.lists("example.net") && !policy.lists("mx.mail.example.com"));
    }

    #[test]
    fn spellings_that_the_grammar_allows_are_the_same_policy() {
        let policy = Policy::parse(USUAL.as_bytes()).unwrap();
        for text in [
            USUAL.replace("\r\n", "\n"),
            USUAL.replace(": ", ":"),
            USUAL.replace(": ", ":\t  "),
            USUAL.replace("\r\n", " \t\r\n"),
            USUAL.trim_end().to_owned(),
            format!("{USUAL}\r\n\n"),
            format!("x-more: a: b=c\n{USUAL}"),
            format!("{USUAL}mode: none\nmax_age: 1\n"),
        ] {
            assert_eq!(Policy::parse(text.as_bytes()).as_ref(), Ok(&policy), "{text:?}");
        }
    }

    #[test]
    fn the_longest_time_is_a_year_and_none_needs_no_hosts() {
        let policy = Policy::parse(b"version: STSv1\nmode: none\nmax_age: 9999999999\n").unwrap();
        assert_eq!((policy.mode, policy.max_age, policy.mx.len()), (Mode::None, LONGEST_MAX_AGE, 0));
    }

    #[test]
    fn what_is_no_policy_is_refused_with_its_line_or_field() {
        let hosts: String = (0..=MOST_PATTERNS).map(|host| format!("mx: a{host}.example\n")).collect();
        for (text, why) in [
            (String::new(), "line 1: expected KEY: VALUE"),
            ("<html>".into(), "line 1: expected KEY: VALUE"),
            (USUAL.replace("STSv1", "STSv2"), "line 1: the version is not STSv1"),
            (USUAL.replace("enforce", "Enforce"), "line 2: expected enforce, testing or none"),
            (USUAL.replace("mail.example.com", "mail example"), "line 3: expected a host, or *. and a name"),
            (USUAL.replace("604800", "-1"), "line 5: expected a number of seconds, of at most ten digits"),
            (USUAL.replace("604800", "12345678901"), "line 5: expected a number of seconds, of at most ten digits"),
            (USUAL.replace("604800", ""), "line 5: expected a value of printable characters behind the colon"),
            (
                USUAL.replace("mode:", "mode :"),
                "line 2: expected a name of letters, digits, '_', '-' and '.' before the colon",
            ),
            (USUAL.replace("mode:", "\r\nmode:"), "line 2: expected KEY: VALUE"),
            (USUAL.replace("version: STSv1\r\n", ""), "there is no version"),
            (USUAL.replace("mode: enforce\r\n", ""), "there is no mode"),
            (USUAL.replace("max_age: 604800\r\n", ""), "there is no max_age"),
            ("version: STSv1\nmode: testing\nmax_age: 60".into(), "there is no mx"),
            (format!("{hosts}{USUAL}"), "line 65: more than 64 hosts"),
        ] {
            assert_eq!(Policy::parse(text.as_bytes()).unwrap_err().to_string(), why, "{text:?}");
        }
        assert_eq!(Policy::parse(b"\xff"), Err(PolicyError::NoText));
    }
}
