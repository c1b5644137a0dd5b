//! Delivery by SMTP (RFC 5321): the `smtp` protocol, and what a queue without a protocol means.
//!
//! From the outside in: [`SmtpClient`] (`protocol.rs`) asks the DNS who takes a domain's mail (`destination.rs`) and
//! makes a route of that and of the path's settings (`settings.rs`). A session (`session.rs`) asks what the domain wants
//! (`demand.rs`, `guard.rs`, `sts.rs`), makes a plan of addresses (`plan.rs`), opens a connection to one of them
//! (`dial.rs`, `proxy/`, `connection.rs`: banner, greeting, TLS, AUTH) and carries messages over it (`delivery.rs`,
//! `transaction.rs`, `body.rs`); `rewrite.rs` asks policy what the answers count for. `wire.rs` moves bytes, with a time limit and a cap on whatever
//! the other side sends; `reply.rs` reads what it means.
//!
//! Nothing is lost and little comes twice: a message is delivered when the final reply says so, and is tried again
//! whenever that reply did not come.

mod auth;
mod body;
mod connection;
mod delivery;
mod demand;
mod destination;
mod dial;
mod failure;
mod greeting;
mod guard;
mod plan;
mod protocol;
mod proxy;
mod reply;
mod rewrite;
mod secret;
mod session;
mod settings;
mod sts;
mod tls;
mod told;
mod transaction;
mod wire;

pub use protocol::{SmtpClient, SmtpClientOptions};
pub use sts::PolicyFetch;
