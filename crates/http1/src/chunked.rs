//! The chunked coding (RFC 9112, section 7.1).

use super::trouble::Trouble;

/// Digits of a size. More would not fit into 64 bits, and leading zeros serve nobody.
const MAX_DIGITS: u8 = 16;
/// Bytes of extensions and trailers in one body, which nobody reads.
const MAX_EXTRAS: usize = 16 * 1024;

/// Takes a body out of its chunks, in whatever pieces they come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunked {
    state: State,
    extras: usize,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size {
        size: u64,
        digits: u8,
    },
    /// Blanks between the size and an extension or the line's end.
    Blank(u64),
    Extension(u64),
    /// The second half of the line's end.
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// A trailer, or the empty line that ends everything.
    Trailer {
        is_empty: bool,
    },
    TrailerLf {
        is_empty: bool,
    },
    Done,
}

const NEXT: State = State::Size { size: 0, digits: 0 };

impl Chunked {
    /// Ahead of the first chunk.
    pub(crate) fn new() -> Chunked {
        Chunked { state: NEXT, extras: 0 }
    }

    /// Whether the body is complete.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Appends what of the body is in these bytes, and says how many of them belong to it.
    pub(crate) fn decode(&mut self, bytes: &[u8], body: &mut Vec<u8>) -> Result<usize, Trouble> {
        let mut at = 0;
        while at < bytes.len() && !self.is_done() {
            if let State::Data(left) = self.state {
                let here = &bytes[at..];
                let here = usize::try_from(left).ok().and_then(|left| here.get(..left)).unwrap_or(here);
                body.extend_from_slice(here);
                at += here.len();
                let left = left - here.len() as u64;
                self.state = if left == 0 { State::DataCr } else { State::Data(left) };
            } else {
                self.state = self.step(bytes[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8) -> Result<State, Trouble> {
        Ok(match (self.state, byte) {
            (State::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if digits == MAX_DIGITS {
                    return Err(wrong("has a size of more than 16 digits"));
                }
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                State::Size { size: size * 16 + digit, digits: digits + 1 }
            }
            (State::Size { digits: 0, .. }, _) => return Err(wrong("does not begin with its size")),
            (State::Size { size, .. } | State::Blank(size) | State::Extension(size), b'\r') => State::SizeLf(size),
            (State::Size { size, .. } | State::Blank(size), b' ' | b'\t') => self.extra(State::Blank(size))?,
            (State::Size { size, .. } | State::Blank(size), b';') => self.extra(State::Extension(size))?,
            (State::Size { .. } | State::Blank(_), _) => return Err(wrong("has a size that is no number")),
            (State::Extension(_), b'\n' | b'\0') => return Err(wrong("has an extension without an end")),
            (State::Extension(size), _) => self.extra(State::Extension(size))?,
            (State::SizeLf(0), b'\n') => State::Trailer { is_empty: true },
            (State::SizeLf(size), b'\n') => State::Data(size),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => NEXT,
            (State::DataCr | State::DataLf, _) => return Err(wrong("is longer than its size")),
            (State::Trailer { is_empty }, b'\r') => State::TrailerLf { is_empty },
            (State::Trailer { .. }, b'\n' | b'\0') => return Err(wrong("is followed by a trailer without an end")),
            (State::Trailer { .. }, _) => self.extra(State::Trailer { is_empty: false })?,
            (State::TrailerLf { is_empty: true }, b'\n') => State::Done,
            (State::TrailerLf { is_empty: false }, b'\n') => State::Trailer { is_empty: true },
            (State::SizeLf(_) | State::TrailerLf { .. }, _) => return Err(wrong("has a CR without its LF")),
            (State::Data(_) | State::Done, _) => self.state,
        })
    }

    fn extra(&mut self, next: State) -> Result<State, Trouble> {
        self.extras += 1;
        if self.extras > MAX_EXTRAS {
            return Err(Trouble::wrong("the extensions and trailers of the answer's chunks are larger than 16 KiB"));
        }
        Ok(next)
    }
}

fn wrong(what: &str) -> Trouble {
    Trouble::wrong(format!("a chunk of the answer {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body, how many bytes it took and whether it is complete; or the error.
    fn decoded(pieces: &[&[u8]]) -> Result<(Vec<u8>, usize, bool), String> {
        let (mut chunked, mut body, mut used) = (Chunked::new(), Vec::new(), 0);
        for piece in pieces {
            used += chunked.decode(piece, &mut body).map_err(|trouble| trouble.to_string())?;
        }
        Ok((body, used, chunked.is_done()))
    }

    const WHOLE: &[u8] =
        b"5\r\nhello\r\n0a ; name=\"value\"\r\n, chunked \r\n005;\r\nworld\r\n0;x\r\nA: b\r\nC: d\r\n\r\n";
    const BODY: &[u8] = b"hello, chunked world";

    #[test]
    fn a_body_is_the_same_wherever_its_chunks_are_cut() {
        assert_eq!(decoded(&[WHOLE]), Ok((BODY.to_vec(), WHOLE.len(), true)));
        for first in 0..=WHOLE.len() {
            for second in first..=WHOLE.len() {
                let pieces = [&WHOLE[..first], &WHOLE[first..second], &WHOLE[second..]];
                assert_eq!(decoded(&pieces), Ok((BODY.to_vec(), WHOLE.len(), true)), "{first} {second}");
            }
        }
        let bytes: Vec<&[u8]> = WHOLE.chunks(1).collect();
        assert_eq!(decoded(&bytes), Ok((BODY.to_vec(), WHOLE.len(), true)));
    }

    #[test]
    fn it_is_complete_at_its_last_byte_and_takes_nothing_behind_it() {
        for end in 0..WHOLE.len() {
            let (_, used, is_done) = decoded(&[&WHOLE[..end]]).unwrap();
            assert_eq!((used, is_done), (end, false));
        }
        let more = [WHOLE, b"HTTP/1.1 200 OK\r\n"].concat();
        assert_eq!(decoded(&[&more]), Ok((BODY.to_vec(), WHOLE.len(), true)));
    }

    #[test]
    fn whatever_leaves_the_length_open_is_refused() {
        for (bytes, expected) in [
            (&b"\r\n"[..], "does not begin with its size"),
            (b"-1\r\n", "does not begin with its size"),
            (b";x\r\n", "does not begin with its size"),
            (b" 5\r\n", "does not begin with its size"),
            (b"5\nhello", "has a size that is no number"),
            (b"5x\r\n", "has a size that is no number"),
            (b"0x5\r\n", "has a size that is no number"),
            (b"5 5\r\n", "has a size that is no number"),
            (b"5;x\nhello", "has an extension without an end"),
            (b"5;\0\r\n", "has an extension without an end"),
            (b"5\rhello", "has a CR without its LF"),
            (b"5;a\rb\r\nhello", "has a CR without its LF"),
            (b"5\r\nhello!\r\n", "is longer than its size"),
            (b"5\r\nhello\n0\r\n\r\n", "is longer than its size"),
            (b"5\r\nhello\r0\r\n\r\n", "is longer than its size"),
            (b"0\r\nA: b\n\r\n", "is followed by a trailer without an end"),
            (b"0\r\n\n", "is followed by a trailer without an end"),
            (b"0\r\n\rx", "has a CR without its LF"),
            (b"00000000000000001\r\n", "has a size of more than 16 digits"),
            (b"10000000000000000\r\n", "has a size of more than 16 digits"),
        ] {
            let expected = format!("a chunk of the answer {expected}");
            assert_eq!(decoded(&[bytes]), Err(expected), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn the_largest_size_does_not_overflow() {
        let (body, _, is_done) = decoded(&[b"FFFFFFFFFFFFFFFF\r\nabc"]).unwrap();
        assert_eq!((body, is_done), (b"abc".to_vec(), false));
    }

    #[test]
    fn extensions_and_trailers_have_an_end() {
        let expected = Err("the extensions and trailers of the answer's chunks are larger than 16 KiB".to_owned());
        let much = [b'x'; MAX_EXTRAS];
        assert_eq!(decoded(&[b"5;", &much]), expected);
        assert_eq!(decoded(&[b"0\r\n", &much, b"x"]), expected);
        // Also when each of them is small.
        let small: Vec<&[u8]> = std::iter::repeat_n(&b"1;x\r\ny\r\n"[..], MAX_EXTRAS / 2 + 1).collect();
        assert_eq!(decoded(&small), expected);
        assert_eq!(decoded(&[b"0\r\n", &much, b"\r\n\r\n"]).unwrap(), (Vec::new(), MAX_EXTRAS + 7, true));
    }
}
