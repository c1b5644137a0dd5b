//! HTTP/1.1, as a client speaks it (RFC 9112), for exchanges that one task waits for.
//!
//! A [`Request`] is written into a buffer that the connection keeps; a [`Line`] sends it and reads the [`Head`] of its
//! answer, then the body by its framing. Nothing has a task of its own. Whatever a server sends is bounded: heads,
//! interim answers, what stands around chunks. Where a server's words leave open how long its answer is, that is an error,
//! and where they leave open whether the connection can be used again, it is not.

mod chunked;
mod framing;
mod head;
mod inbox;
mod line;
mod outbox;
mod request;
#[cfg(any(test, feature = "test-util"))]
pub(crate) mod script;
mod trouble;

pub(crate) use head::{Head, fields};
pub(crate) use line::{Asked, Line, Stream};
pub(crate) use request::{Request, Start};
pub(crate) use trouble::Trouble;
