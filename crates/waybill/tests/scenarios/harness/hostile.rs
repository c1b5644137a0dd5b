//! Endpoints that take connections and then behave badly.

use super::address;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::wait::pause;
use std::time::Duration;

const MIB: usize = 1 << 20;
/// How much of a request is read before it is answered.
const REQUEST: usize = 64 * 1024;

/// What an endpoint does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Nothing, for ever.
    Silent,
    /// Answers, one byte a second.
    Drips,
    /// Answers 200 with a body of 100 MB, and says so.
    Floods,
    /// The same without saying how much will come.
    FloodsUnannounced,
    /// Breaks the connection off as soon as there is a request.
    Resets,
}

/// A server for any number of paths. It ends with the test's process.
pub(crate) struct Hostile {
    address: SocketAddr,
    /// Connections that were made.
    connections: Arc<AtomicUsize>,
}

impl Hostile {
    pub(crate) fn start(manner: Manner) -> Hostile {
        let listener = TcpListener::bind((address::own(), 0)).expect("open a port for the endpoint");
        let address = listener.local_addr().expect("its port");
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let held: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        if manner == Manner::Drips {
            let dripping = held.clone();
            std::thread::spawn(move || drip(&dripping));
        }
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::SeqCst);
                match manner {
                    Manner::Silent | Manner::Drips => {
                        held.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
                    }
                    Manner::Resets => drop(stream),
                    Manner::Floods => drop(std::thread::spawn(move || flood(&stream, true))),
                    Manner::FloodsUnannounced => drop(std::thread::spawn(move || flood(&stream, false))),
                }
            }
        });
        Hostile { address, connections }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/log", self.address)
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A byte of a head that never ends, on every connection, every second.
fn drip(held: &Mutex<Vec<TcpStream>>) {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nX-Slow: ";
    let mut round = 0;
    loop {
        let byte = HEAD.get(round).copied().unwrap_or(b'x');
        held.lock().unwrap_or_else(PoisonError::into_inner).retain(|mut stream| stream.write_all(&[byte]).is_ok());
        round += 1;
        pause(Duration::from_secs(1));
    }
}

fn flood(mut stream: &TcpStream, announced: bool) {
    let mut request = [0; REQUEST];
    let piece = vec![b'x'; MIB];
    while let Ok(1..) = stream.read(&mut request) {
        let length = if announced { "Content-Length: 104857600\r\n" } else { "Connection: close\r\n" };
        let head = format!("HTTP/1.1 200 OK\r\n{length}\r\n");
        let written =
            stream.write_all(head.as_bytes()).and_then(|()| (0..100).try_for_each(|_| stream.write_all(&piece)));
        if written.is_err() || !announced {
            return;
        }
    }
}
