//! Message data on its way in: dots, line ends, limits. Pure; it is handed bytes in whatever pieces they come.
//!
//! Only CRLF `.` CRLF ends the data, whatever the policy says about line ends: a server that also takes LF `.` LF
//! lets a sender hide a second message from the server before it (SMTP smuggling).

use super::config::{InvalidLineEndings, SessionParams};
use super::reply::Reply;

/// A client that was told no only after its dot may send this much at least before we hang up.
const PATIENCE: u64 = 256 * 1024;

/// Why the data will be refused once it has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flaw {
    /// A line is longer than the limit.
    LineTooLong,
    /// There is a CR without LF, or a LF without CR.
    LineEndings,
    /// The message is bigger than the limit.
    TooBig,
}

impl Flaw {
    pub(crate) fn reply(self) -> Reply {
        match self {
            Flaw::LineTooLong => Reply::new(500, "5.2.3 line too long"),
            Flaw::LineEndings => Reply::new(552, "5.6.0 message data must use CRLF for line endings"),
            Flaw::TooBig => Reply::new(552, "5.3.4 message too big"),
        }
    }
}

/// How far it got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// The end has not come yet.
    More,
    /// CRLF `.` CRLF was read.
    Done,
    /// The message is refused and the client does not stop sending: hang up.
    GiveUp,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Behind a CRLF, or at the very start.
    LineStart,
    /// Within a line.
    Middle,
    /// Behind a CR within a line.
    Cr,
    /// Behind the dot that began a line.
    Dot,
    /// Behind the dot and a CR.
    DotCr,
}

/// Collects the data. At most `max_message_size` bytes are held; from the first flaw on, none.
#[derive(Debug)]
pub(crate) struct Decoder {
    line_endings: InvalidLineEndings,
    max_line: usize,
    max_size: usize,
    state: State,
    line: usize,
    seen: u64,
    data: Vec<u8>,
    flaw: Option<Flaw>,
    progress: Progress,
}

impl Decoder {
    pub(crate) fn new(params: &SessionParams) -> Self {
        Decoder {
            line_endings: params.invalid_line_endings,
            max_line: params.line_length_hard_limit,
            max_size: params.max_message_size,
            state: State::LineStart,
            line: 0,
            seen: 0,
            data: Vec::new(),
            flaw: None,
            progress: Progress::More,
        }
    }

    /// Takes bytes and tells how many; what follows the end is left alone, it is the next command.
    pub(crate) fn feed(&mut self, input: &[u8]) -> usize {
        let mut at = 0;
        while at < input.len() && self.progress == Progress::More {
            at += match self.state {
                State::Middle => self.run(&input[at..]),
                _ => {
                    self.step(input[at]);
                    1
                }
            };
        }
        self.seen += at as u64;
        let limit = (self.max_size as u64).saturating_mul(4).max(PATIENCE);
        if self.progress == Progress::More && self.flaw.is_some() && self.seen > limit {
            self.progress = Progress::GiveUp;
        }
        at
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress
    }

    /// The message, dots removed, or why there is none.
    pub(crate) fn finish(self) -> Result<Vec<u8>, Flaw> {
        self.flaw.map_or(Ok(self.data), Err)
    }

    /// The fast path: everything up to the next CR or LF.
    fn run(&mut self, input: &[u8]) -> usize {
        let len = input.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(input.len());
        self.text(&input[..len]);
        match input.get(len) {
            None => len,
            Some(byte) => {
                self.step(*byte);
                len + 1
            }
        }
    }

    fn step(&mut self, byte: u8) {
        self.state = match (self.state, byte) {
            // A dot at the start of a line: the end, or one that hides another.
            (State::LineStart, b'.') => State::Dot,
            (State::Dot, b'\r') => State::DotCr,
            (State::DotCr, b'\n') => {
                self.progress = Progress::Done;
                State::LineStart
            }
            // The dot is dropped (RFC 5321 section 4.5.2) and the CR behind it turned out to be a bare one.
            (State::DotCr, _) => return self.behind_bare_cr(byte),
            (State::LineStart | State::Middle, b'\r') => State::Cr,
            (State::LineStart | State::Dot | State::Middle, b'\n') => {
                self.bare(b'\n');
                State::Middle
            }
            (State::LineStart | State::Dot | State::Middle, _) => {
                self.text(&[byte]);
                State::Middle
            }
            (State::Cr, b'\n') => {
                self.keep(b"\r\n");
                self.line = 0;
                State::LineStart
            }
            (State::Cr, _) => return self.behind_bare_cr(byte),
        };
    }

    fn behind_bare_cr(&mut self, byte: u8) {
        self.bare(b'\r');
        self.state = State::Middle;
        self.step(byte);
    }

    /// A CR or LF that stands alone. It ends a line for whoever shows the message, so the length counts anew.
    fn bare(&mut self, byte: u8) {
        self.line = 0;
        match self.line_endings {
            InvalidLineEndings::Deny => self.fail(Flaw::LineEndings),
            InvalidLineEndings::Allow => self.keep(&[byte]),
            InvalidLineEndings::Fix => self.keep(b"\r\n"),
        }
    }

    fn text(&mut self, text: &[u8]) {
        // Of two limits in one piece the one that its bytes meet first, so that pieces make no difference.
        let line_room = self.max_line.saturating_sub(self.line);
        if text.len() > line_room && line_room <= self.max_size - self.data.len() {
            self.fail(Flaw::LineTooLong);
        }
        self.line = self.line.saturating_add(text.len());
        self.keep(text);
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.flaw.is_some() {
            return;
        }
        if self.data.len() + bytes.len() > self.max_size {
            self.fail(Flaw::TooBig);
        } else {
            self.data.extend_from_slice(bytes);
        }
    }

    fn fail(&mut self, flaw: Flaw) {
        // The first flaw is the one that we tell.
        self.flaw.get_or_insert(flaw);
        self.data = Vec::new();
    }
}

#[cfg(test)]
mod tests;
