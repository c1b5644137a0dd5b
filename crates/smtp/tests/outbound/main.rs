//! Delivery by SMTP, against servers that are scripted step by step, over real sockets.

mod auth;
mod breaks;
mod common;
mod content;
mod dane;
mod hosts;
mod lmtp;
mod outcomes;
mod plain;
mod proxies;
mod recipients;
mod replies;
mod reuse;
mod rewrite;
mod server;
#[path = "../source/mod.rs"]
mod source;
#[path = "../spelling/mod.rs"]
mod spelling;
mod sts;
mod tls;
mod told;
mod transcripts;
