//! Where events go: nginx where only their number matters, a receiver of our own where time does, and places where nobody answers.

mod nginx;
mod receiver;

pub(crate) use nginx::Nginx;
pub(crate) use receiver::Receiver;

use std::net::{SocketAddr, TcpListener};

use anyhow::Result;

/// Takes connections into its backlog and never says a word.
#[derive(Debug)]
pub(crate) struct Silent {
    listener: TcpListener,
}

impl Silent {
    pub(crate) fn start() -> Result<Silent> {
        Ok(Silent { listener: TcpListener::bind("127.0.0.1:0")? })
    }

    pub(crate) fn url(&self) -> Result<String> {
        Ok(format!("http://{}/log", self.listener.local_addr()?))
    }
}

/// An address that nobody listens on: bound a moment ago, and let go.
pub(crate) fn unused() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
