//! The content of a message as it goes over the wire (RFC 5321 section 4.5.2).

use bytes::Bytes;

/// So much is written at a time.
const CHUNK: usize = 64 * 1024;
/// Ends the content.
pub(super) const END: &[u8] = b".\r\n";

/// Reads a message and gives it out piece by piece: lines end with CRLF, a dot at the start of a line is doubled, and
/// the end is marked.
///
/// A lone CR or LF becomes CRLF: servers disagree about what such a byte means, and a message that ends for one of them
/// where it goes on for another can smuggle in a second one.
pub(super) struct Content {
    data: Bytes,
    at: usize,
    /// Whether the next byte is the first of a line.
    line_start: bool,
    ended: bool,
}

impl Content {
    pub(super) fn new(data: Bytes) -> Self {
        Content { data, at: 0, line_start: true, ended: false }
    }

    /// The next piece, in `out`. The last one has the end mark in it.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> Piece {
        out.clear();
        if self.ended {
            return Piece::Nothing;
        }
        while out.len() < CHUNK {
            let rest = &self.data[self.at..];
            if rest.is_empty() {
                if !self.line_start {
                    out.extend_from_slice(b"\r\n");
                }
                out.extend_from_slice(END);
                self.ended = true;
                return Piece::Last;
            }
            if self.line_start && rest[0] == b'.' {
                out.push(b'.');
            }
            // Very long lines go in parts.
            let window = &rest[..rest.len().min(CHUNK)];
            match window.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
                Some(end) => {
                    out.extend_from_slice(&rest[..end]);
                    out.extend_from_slice(b"\r\n");
                    let both = rest[end] == b'\r' && rest.get(end + 1) == Some(&b'\n');
                    self.at += end + if both { 2 } else { 1 };
                    self.line_start = true;
                }
                None => {
                    out.extend_from_slice(window);
                    self.at += window.len();
                    self.line_start = false;
                }
            }
        }
        Piece::More
    }
}

/// What [`Content::next`] gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Piece {
    /// There is more to come.
    More,
    /// This is the last one.
    Last,
    /// There was nothing left.
    Nothing,
}

/// Whether it needs 8BITMIME.
pub(super) fn is_eight_bit(data: &[u8]) -> bool {
    !data.is_ascii()
}

/// Whether its headers need SMTPUTF8.
pub(super) fn has_international_headers(data: &[u8]) -> bool {
    let blank = |window: &[u8]| window == b"\n\r\n" || window.starts_with(b"\n\n");
    let end = data.windows(3).position(blank).unwrap_or(data.len());
    !data[..end].is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(data: &[u8]) -> Vec<u8> {
        let mut content = Content::new(Bytes::copy_from_slice(data));
        let (mut all, mut out) = (Vec::new(), Vec::new());
        loop {
            let piece = content.next(&mut out);
            all.extend_from_slice(&out);
            if piece != Piece::More {
                return all;
            }
        }
    }

    #[test]
    fn dots_are_doubled_lines_end_with_crlf_and_the_end_is_marked() {
        for (data, wire) in [
            (&b""[..], &b".\r\n"[..]),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b"a", b"a\r\n.\r\n"),
            (b".", b"..\r\n.\r\n"),
            (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"..a\r\n.b\r\n", b"...a\r\n..b\r\n.\r\n"),
            (b"a.\r\n\r\n.", b"a.\r\n\r\n..\r\n.\r\n"),
        ] {
            assert_eq!(sent(data), wire, "{:?}", String::from_utf8_lossy(data));
        }
    }

    #[test]
    fn no_spelling_of_the_end_gets_through() {
        for data in [&b"a\n.\nb"[..], b"a\r.\rb", b"a\r\n.\nb", b"a\n.\r\nb", b"a\r.\r\nb", b"a\n\n.\n\nMAIL FROM"] {
            let wire = sent(data);
            let inner = &wire[..wire.len() - 3];
            assert!(inner.windows(2).all(|pair| (pair[0] == b'\r') == (pair[1] == b'\n')), "{wire:?}");
            assert!(!inner.windows(5).any(|five| five == b"\r\n.\r\n"), "{wire:?}");
        }
    }

    #[test]
    fn a_large_message_comes_in_pieces_and_whole() {
        let line = [b".".as_slice(), &[b'x'; 99], b"\r\n"].concat();
        let data = line.repeat(5000);
        let expected = [b".".as_slice(), &line].concat().repeat(5000);
        let wire = sent(&data);
        assert_eq!(wire.len(), expected.len() + 3);
        assert!(wire.starts_with(&expected));
        // A line longer than a piece, with a dot where the next piece begins.
        let long = [vec![b'x'; CHUNK], b".y\r\n".to_vec()].concat();
        assert_eq!(sent(&long), [long.as_slice(), b".\r\n"].concat());
    }

    #[test]
    fn headers_are_looked_at_apart_from_the_body() {
        assert!(has_international_headers("Subject: ü\r\n\r\nbody".as_bytes()));
        assert!(!has_international_headers("Subject: u\r\n\r\nbödy".as_bytes()));
        assert!(is_eight_bit("Subject: u\r\n\r\nbödy".as_bytes()) && !is_eight_bit(b"x"));
    }
}
