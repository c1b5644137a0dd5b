//! One TCP server with a thread a connection, for peers that are allowed to be slow.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use anyhow::Result;

/// Serves every connection with `serve` until the process ends; where it is.
pub(crate) fn serve(name: &'static str, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let serve = Arc::new(serve);
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            // A connection that finds no thread is dropped, as a busy server would.
            let _ = thread::Builder::new().name(name.to_owned()).spawn(move || serve(stream));
        }
    })?;
    Ok(address)
}
