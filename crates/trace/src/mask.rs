use std::borrow::Cow;

/// What stands in place of a password.
const HIDDEN: &str = "(hidden)";
/// Commands of SMTP: a line that begins with one of them is no password.
const VERBS: [&str; 16] = [
    "EHLO", "HELO", "LHLO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "QUIT", "VRFY", "EXPN", "HELP", "STARTTLS",
    "XCLIENT", "ETRN",
];

/// Takes passwords out of the lines of one client.
///
/// Hidden are: what follows AUTH and its mechanism, the answer to a challenge, and after any AUTH every line that is no
/// command, because a client that was refused a mechanism may send its password all the same.
#[derive(Clone, Debug, Default)]
pub struct Mask {
    /// An AUTH was said, and no command since.
    after_auth: bool,
}

impl Mask {
    /// The line as others may see it; `answers` when it answers a challenge.
    pub fn line<'a>(&mut self, line: &'a str, answers: bool) -> Cow<'a, str> {
        let trimmed = line.trim_start();
        let verb = trimmed.split_ascii_whitespace().next().unwrap_or_default();
        if !answers && verb.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("AUTH")) {
            self.after_auth = true;
            let mut words = trimmed.split_ascii_whitespace();
            let (verb, mechanism) = (words.next().unwrap_or_default(), words.next());
            // Without a space between them nobody knows where the password begins.
            let verb = if verb.len() == 4 { verb } else { return Cow::Owned(format!("AUTH{HIDDEN}")) };
            return match (mechanism, words.next()) {
                (None, _) => Cow::Borrowed(line),
                (Some(mechanism), None) if is_mechanism(mechanism) => Cow::Owned(format!("{verb} {mechanism}")),
                (Some(mechanism), Some(_)) if is_mechanism(mechanism) => {
                    Cow::Owned(format!("{verb} {mechanism} {HIDDEN}"))
                }
                (Some(_), _) => Cow::Owned(format!("{verb} {HIDDEN}")),
            };
        }
        if !answers && (!self.after_auth || VERBS.iter().any(|known| known.eq_ignore_ascii_case(verb))) {
            self.after_auth = false;
            return Cow::Borrowed(line);
        }
        self.after_auth = true;
        Cow::Borrowed(HIDDEN)
    }
}

/// RFC 4422 section 3.1: up to 20 capital letters, digits, `-` and `_`. Passwords in base64 are longer or look otherwise.
fn is_mechanism(word: &str) -> bool {
    word.len() <= 20 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_auth_lines_are_hidden() {
        for (line, shown) in [
            ("AUTH PLAIN AGEAYg==", "AUTH PLAIN (hidden)"),
            ("auth plain AGEAYg== x", "auth plain (hidden)"),
            (" AUTH\tLOGIN  dGlt", "AUTH LOGIN (hidden)"),
            ("AUTH PLAIN", "AUTH PLAIN"),
            ("AUTH", "AUTH"),
            ("AUTH AGFubgBwZW5ndWlucyBhcmUgYmlyZHM=", "AUTH (hidden)"),
            ("AUTHPLAIN AGEAYg==", "AUTH(hidden)"),
            ("MAIL FROM:<auth@x>", "MAIL FROM:<auth@x>"),
            ("FOO bar", "FOO bar"),
        ] {
            assert_eq!(Mask::default().line(line, false), shown);
        }
    }

    #[test]
    fn answers_to_challenges_and_what_a_confused_client_says_after_auth_are_hidden() {
        let mut mask = Mask::default();
        assert_eq!(mask.line("AUTH PLAIN", false), "AUTH PLAIN");
        assert_eq!(mask.line("AGEAYg==", true), "(hidden)");
        assert_eq!(mask.line("RCPT TO:<a@x>", true), "(hidden)", "a password may look like anything");
        assert_eq!(mask.line("AUTH LOGIN", false), "AUTH LOGIN");
        assert_eq!(mask.line("dGlt", false), "(hidden)");
        assert_eq!(mask.line("cGFzcw==", false), "(hidden)");
        assert_eq!(mask.line("EHLO x", false), "EHLO x");
        assert_eq!(mask.line("FOO bar", false), "FOO bar", "the client speaks commands again");
    }
}
