//! SMTP reception (RFC 5321): one file per verb, one session per connection.
//!
//! [`run`] serves a bound listener, [`serve`] one connection over any stream. A session turns lines into replies
//! (`session.rs`) and knows no socket; the connection (`connection.rs`) moves bytes and knows no command.

mod auth;
mod batch;
mod body;
mod command;
mod config;
mod connection;
mod control;
mod data;
mod deferred;
mod ehlo;
mod listener;
mod mail;
pub(crate) mod proxy_header;
mod rcpt;
mod record;
mod relay;
mod reply;
mod reports;
mod session;
mod shared;
mod starttls;
mod stats;
mod tls;
mod told;
mod trace;
mod wire;
mod xclient;

pub use config::{
    BatchHandling, CidrMap, CidrSet, DEFAULT_LISTEN, DEFAULT_MAX_CONNECTIONS, InvalidLineEndings, ListenerConfig,
    ListenerOptions, SessionParams, TraceHeaders,
};
pub use connection::serve;
pub use deferred::DeferredInjection;
pub use listener::run;
pub use relay::{ListenerDomain, ReportHandling};
pub use shared::{Ends, Shared};
pub use stats::Stats;
pub(crate) use told::disposition;
