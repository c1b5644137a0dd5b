//! What every scenario needs: a daemon in a folder of its own, an endpoint, somebody who sends mail.
//!
//! Waiting is always for a condition, with a limit that only a broken daemon reaches.

pub(crate) mod address;
pub(crate) mod api;
pub(crate) mod client;
pub(crate) mod daemon;
pub(crate) mod home;
pub(crate) mod hostile;
pub(crate) mod hosts;
pub(crate) mod http;
pub(crate) mod limited;
pub(crate) mod load;
pub(crate) mod mount;
pub(crate) mod peer;
pub(crate) mod policy;
pub(crate) mod postfix;
pub(crate) mod receiver;
pub(crate) mod record;
pub(crate) mod sink;
pub(crate) mod skip;
pub(crate) mod smtp;
pub(crate) mod swaks;
pub(crate) mod tenants;
pub(crate) mod tunnel;
pub(crate) mod wait;

pub(crate) use daemon::{Daemon, Refusal};
pub(crate) use home::Home;
pub(crate) use limited::output_of;
pub(crate) use load::Load;
pub(crate) use mount::Mount;
pub(crate) use peer::Peer;
pub(crate) use policy::Policy;
pub(crate) use postfix::Postfix;
pub(crate) use receiver::{Answer, Receiver, Request};
pub(crate) use sink::Sink;
pub(crate) use smtp::{Mail, Smtp};
pub(crate) use swaks::Swaks;
pub(crate) use tenants::Tenants;
pub(crate) use tunnel::Tunnel;
pub(crate) use wait::wait_until;
