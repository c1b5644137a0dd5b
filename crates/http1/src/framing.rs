//! How the end of a body is found (RFC 9112, section 6.3).

use super::chunked::Chunked;
use super::trouble::Trouble;

/// What of a body is still to come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Framing {
    /// So many bytes.
    Length(u64),
    Chunked(Chunked),
    /// Whatever comes until the connection is closed.
    ToClose,
}

impl Framing {
    /// Whether nothing is.
    pub(crate) fn is_done(&self) -> bool {
        match self {
            Framing::Length(left) => *left == 0,
            Framing::Chunked(chunked) => chunked.is_done(),
            Framing::ToClose => false,
        }
    }

    /// Appends what of the body is in these bytes, and says how many of them belong to it.
    pub(crate) fn decode(&mut self, bytes: &[u8], body: &mut Vec<u8>) -> Result<usize, Trouble> {
        match self {
            Framing::Length(left) => {
                let here = usize::try_from(*left).ok().and_then(|left| bytes.get(..left)).unwrap_or(bytes);
                body.extend_from_slice(here);
                *left -= here.len() as u64;
                Ok(here.len())
            }
            Framing::Chunked(chunked) => chunked.decode(bytes, body),
            Framing::ToClose => {
                body.extend_from_slice(bytes);
                Ok(bytes.len())
            }
        }
    }

    /// The connection was closed: whether that is the end of the body.
    pub(crate) fn close(&mut self) -> Result<(), Trouble> {
        match self {
            Framing::ToClose => {
                *self = Framing::Length(0);
                Ok(())
            }
            Framing::Length(left) => Err(Trouble::wrong(format!(
                "the connection was closed {left} bytes before the end of the answer's body"
            ))),
            Framing::Chunked(_) => Err(Trouble::wrong("the connection was closed before the answer's last chunk")),
        }
    }
}
