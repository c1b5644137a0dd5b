//! An HTTP proxy that opens ways (`CONNECT`, RFC 9110, section 9.3.6) and remembers who asked for which.

use super::receiver::Request;
use super::{address, http};
use std::io::{self, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// A proxy on a loopback address of its own. It ends with the test's process.
pub(crate) struct Tunnel {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Tunnel {
    pub(crate) fn start() -> Tunnel {
        let listener = TcpListener::bind((address::own(), 0)).expect("open a port for the proxy");
        let address = listener.local_addr().expect("its port");
        let asked: Arc<Mutex<Vec<Request>>> = Arc::default();
        let seen = asked.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let seen = seen.clone();
                std::thread::spawn(move || serve(&client, &seen));
            }
        });
        Tunnel { address, asked }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked for so far; the path of each is the other end of the way.
    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Until one of both ends closes.
fn serve(client: &TcpStream, seen: &Mutex<Vec<Request>>) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    let Some(request) = http::read_request(&mut reader)? else { return Ok(()) };
    let behind = TcpStream::connect(&request.path);
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    let (mut client, mut behind) = (client.try_clone()?, behind?);
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let mut back = behind.try_clone()?;
    std::thread::spawn(move || {
        let _ = io::copy(&mut back, &mut client);
        let _ = client.shutdown(Shutdown::Both);
    });
    io::copy(&mut reader, &mut behind)?;
    behind.shutdown(Shutdown::Both)
}
