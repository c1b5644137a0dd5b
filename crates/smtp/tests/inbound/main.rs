//! Whole conversations with a session, over memory and over sockets.

mod auth;
mod common;
mod contract;
mod ends;
mod garbage;
mod intake;
mod limits;
mod listening;
mod messages;
mod peers;
mod pipelining;
mod policy;
mod policy_data;
mod records;
mod relaying;
mod replies;
mod reports;
mod responsibility;
mod samples;
mod shutdown;
mod smuggling;
#[path = "../source/mod.rs"]
mod source;
#[path = "../spelling/mod.rs"]
mod spelling;
mod stage;
mod starttls;
mod swaks;
mod tls_client;
mod told;
mod transcripts;
