//! Whole conversations with a session, over memory and over sockets.

mod auth;
mod common;
mod ends;
mod garbage;
mod intake;
mod limits;
mod messages;
mod peers;
mod pipelining;
mod policy;
mod policy_data;
mod records;
mod relaying;
mod reports;
mod responsibility;
mod shutdown;
mod smuggling;
mod starttls;
mod tls_client;
mod transcripts;
