//! Messages as trees of MIME parts (RFC 2045 to 2049, 2183, 2231): read, changed in place, and written again with every
//! byte that nobody asked to change as it was.
//!
//! Pure. Header values and bodies are decoded by `mail-parser` and headers written by `mail-builder`; where parts begin and
//! end is decided here, by lines, so that a part is a range of the original and a message that was only read comes out
//! identical. Whoever can send mail chooses the input, so all of it is counted: depth ([`MAX_DEPTH`]), parts
//! ([`MAX_PARTS`]), bytes of a header that is taken apart. What is beyond is an error and never a part that nobody sees.
//!
//! It refuses to look into messages within messages (a part of type message/rfc822 has one body, to be parsed again by
//! whoever wants to), and to check signatures.
//!
//! ```
//! use waybill_mime::Part;
//! let mail = "Subject: hi\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
//!     --b\r\n\r\nHello\r\n--b\r\nContent-Type: image/png\r\n\r\n...\r\n--b--\r\n";
//! let mut root = Part::parse(mail.into())?;
//! let text = root.structure().text.unwrap();
//! root.set_body_at(&text, b"Hello, World", None)?;
//! assert_eq!(root.to_bytes()?, mail.replace("Hello", "Hello, World").into_bytes());
//! # Ok::<(), waybill_mime::Error>(())
//! ```

mod body;
mod boundary;
mod build;
mod decode;
mod error;
mod fold;
pub mod headers;
mod ids;
mod mailbox;
mod make;
mod params;
mod part;
mod rebuild;
mod results;
mod structure;

pub use boundary::{Delimited, delimited};
pub use build::{Builder, Origin};
pub use decode::decode;
pub use error::Error;
pub use fold::encode;
pub use ids::{ids, render_ids};
pub use mailbox::{Address, Mailbox, addresses, emails, render_addresses};
pub use make::Attachment;
pub use params::Params;
pub use part::{MAX_BYTES, MAX_DEPTH, MAX_PARTS, Part, Path};
pub use results::{AuthenticationResult, AuthenticationResults};
pub use structure::{Found, Structure};
