//! HTTP/1.1, as a client speaks it (RFC 9112), for exchanges that one task waits for (ADR 0047).
//!
//! A [`Request`] is written into a buffer that the connection keeps; a [`Line`] sends it and reads the [`Head`] of its
//! answer, then the body by its framing. Nothing has a task of its own. Whatever a server sends is bounded: heads,
//! interim answers, what stands around chunks. Where a server's words leave open how long its answer is, that is an error,
//! and where they leave open whether the connection can be used again, it is not. It refuses to open sockets, to keep
//! connections, to follow and to try again: that is up to whoever asks.
//!
//! ```
//! use http::{HeaderMap, Method, uri::PathAndQuery};
//! use std::future::poll_fn;
//! use waybill_http1::{Asked, Line, Request, Start};
//! # async fn ask(stream: tokio::net::TcpStream) -> Option<(u16, Vec<u8>)> {
//! let start = Start::new(&Method::POST, &PathAndQuery::from_static("/log"), &HeaderMap::new())?;
//! let mut line = Line::new(Box::new(stream));
//! let request = Request { start: &start, own: &[], body: "{}".into() };
//! let Asked::Answered(head) = line.ask(&request).await else { return None };
//! line.open_body(&head);
//! let mut body = Vec::new();
//! while poll_fn(|cx| line.poll_body(&mut body, cx)).await.ok()? {}
//! # Some((head.status.as_u16(), body))
//! # }
//! ```

mod charset;
mod chunked;
mod framing;
#[cfg(feature = "test-util")]
pub mod fuzz;
mod head;
mod inbox;
mod line;
mod outbox;
mod request;
#[cfg(any(test, feature = "test-util"))]
mod script;
mod trouble;

pub use charset::charset;
pub use head::{Head, fields};
pub use line::{Asked, Line, Stream};
pub use request::{Request, Start};
pub use trouble::Trouble;
