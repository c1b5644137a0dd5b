//! TLS for whoever listens or connects: certificates and keys that come from files and are read again when they are
//! renewed, whom a client believes, and what records say of a session.
//!
//! It opens no socket: streams come from the caller, and so do time limits. It knows no protocol above TLS.
//!
//! ```
//! # async fn example() -> Result<(), String> {
//! use waybill_tls::{Acceptors, ServerParams};
//! // Without a certificate a listener makes one for its own name.
//! let acceptor = Acceptors::default().get(&ServerParams::default(), "mta.example").await?;
//! # Ok(())
//! # }
//! ```

mod client;
mod facts;
mod pem;
mod server;
mod source;

pub use client::{Association, Check, ClientParams, Connectors, Trust};
pub use facts::{cipher_name, subject, version_name};
pub use server::{Acceptors, ServerParams};
pub use source::KeySource;
