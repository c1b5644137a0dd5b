use waybill_policy::Ending;
use waybill_spool::IntakeError;
use waybill_types::Response;

/// Text bytes of one reply line. RFC 5321 section 4.5.3.1.5 allows 512 with code and CRLF.
const MAX_TEXT: usize = 500;

/// What becomes of the connection behind a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Then {
    /// The next command.
    GoOn,
    /// It is closed.
    Close,
    /// A 421 of its own says that it is closed.
    CloseWith421,
}

/// What we answer: a code and one or more lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    /// Lines are separated by `\n`.
    pub(crate) text: String,
    /// What becomes of the connection.
    pub(crate) then: Then,
}

impl Reply {
    /// 221 and 421 end the connection, nothing else does.
    pub(crate) fn new(code: u16, text: impl Into<String>) -> Self {
        let then = if matches!(code, 221 | 421) { Then::Close } else { Then::GoOn };
        Reply { code, text: text.into(), then }
    }

    /// The script failed, or something that only we can mend.
    pub(crate) fn technical_difficulties(host: &str) -> Self {
        Reply::new(421, format!("4.3.0 {host} technical difficulties"))
    }

    /// There is such a command, but not in this form.
    pub(crate) fn syntax() -> Self {
        Reply::new(501, "cannot make sense of this command or its arguments")
    }

    /// What the intake's error means to the client. A 421 names the host (RFC 5321 section 4.2.3).
    pub(crate) fn from_intake(host: &str, error: &IntakeError) -> Self {
        let response = Response::from(error);
        match &response.enhanced_code {
            Some(enhanced) if response.code == 421 => {
                Reply::new(421, format!("{enhanced} {host} {}", response.content))
            }
            _ => Reply::new(response.code, response.text()),
        }
    }

    /// The same as the last word on this connection.
    #[must_use]
    pub(crate) fn closing(self) -> Self {
        let then = if self.then == Then::GoOn { Then::Close } else { self.then };
        Reply { then, ..self }
    }

    /// The same, and policy's wish for the connection. What ends it anyway is not undone.
    #[must_use]
    pub(crate) fn ending(self, ending: Ending) -> Self {
        match ending {
            Ending::Force => self.closing(),
            Ending::FollowWith421 if self.then == Then::GoOn => Reply { then: Then::CloseWith421, ..self },
            Ending::FollowWith421 | Ending::If421 => self,
        }
    }

    pub(crate) fn is_refusal(&self) -> bool {
        self.code >= 400
    }

    /// As log records show it.
    pub(crate) fn response(&self) -> Response {
        Response::new(self.code, &self.text)
    }

    /// As it goes over the wire. Nothing that a script put into the text can end a line early.
    pub(crate) fn write(&self, out: &mut impl bytes::BufMut) {
        let lines: Vec<&str> = self.text.split('\n').flat_map(|line| Wrapped(Some(line))).collect();
        for (i, line) in lines.iter().enumerate() {
            let separator = if i + 1 == lines.len() { ' ' } else { '-' };
            out.put_slice(format!("{:03}{separator}", self.code).as_bytes());
            let clean: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            out.put_slice(clean.trim_end().as_bytes());
            out.put_slice(b"\r\n");
        }
    }
}

/// Pieces of a line that fit, cut at a space where there is one. A thousand ids are one line in the text only.
struct Wrapped<'a>(Option<&'a str>);

impl<'a> Iterator for Wrapped<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let line = self.0.take()?;
        if line.len() <= MAX_TEXT {
            return Some(line);
        }
        let most = &line[..line.floor_char_boundary(MAX_TEXT)];
        let (piece, rest) = match most.rfind(' ').filter(|at| *at > 0) {
            Some(space) => (&line[..space], &line[space + 1..]),
            None => line.split_at(most.len()),
        };
        self.0 = Some(rest);
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_continued_with_a_dash() {
        assert_eq!(wire(&Reply::new(250, "one\ntwo\nthree")), "250-one\r\n250-two\r\n250 three\r\n");
        assert_eq!(wire(&Reply::new(250, "")), "250 \r\n");
    }

    #[test]
    fn a_script_cannot_forge_a_second_reply() {
        assert_eq!(wire(&Reply::new(550, "no\r\n250 OK\0\u{1b}[31m")), "550-no\r\n550 250 OK  [31m\r\n");
    }

    #[test]
    fn long_lines_are_wrapped_at_spaces() {
        let ids = vec!["be5ce59be75811f1aba9ee449cbbeaa0"; 100].join(" ");
        let out = wire(&Reply::new(250, format!("OK ids={ids}")));
        assert!(out.lines().all(|line| line.len() <= 510), "{out}");
        let joined: Vec<&str> = out.lines().map(|line| &line[4..]).collect();
        assert_eq!(joined.join(" "), format!("OK ids={ids}"));
        let solid = wire(&Reply::new(550, "é".repeat(600)));
        assert_eq!(solid.lines().map(|line| line[4..].chars().count()).sum::<usize>(), 600);
    }

    #[test]
    fn a_421_of_the_intake_names_the_host() {
        let reply = Reply::from_intake("mta.example", &IntakeError::ShuttingDown);
        assert_eq!(wire(&reply), "421 4.3.2 mta.example shutting down\r\n");
        assert_eq!(reply.then, Then::Close);
        let reply = Reply::from_intake("mta.example", &IntakeError::Overloaded("busy".into()));
        assert_eq!(wire(&reply), "451 4.3.1 busy\r\n");
        assert_eq!(reply.then, Then::GoOn);
    }
}
