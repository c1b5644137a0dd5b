//! An endpoint that remembers what came and answers as it is told.

use super::wait::{LIMIT, wait_until};
use super::{address, http};
use serde_json::Value;
use std::io::{BufReader, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How many requests a failure message shows.
const LAST_WORDS: usize = 10;
/// However much comes that is not what is waited for.
const LONGEST: Duration = Duration::from_secs(600);

/// A real HTTP server on a loopback address of its own: nobody takes its port while it is down.
pub(crate) struct Receiver {
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// What came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) at: Instant,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    hang: bool,
}

type Program = dyn Fn(&Request, usize) -> Answer + Send + Sync;

struct Shared {
    address: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
    open: AtomicBool,
}

struct State {
    requests: Vec<Request>,
    /// How many came, kept or not.
    count: usize,
    keeps: bool,
    program: Arc<Program>,
    /// Those that somebody serves: each is closed when its thread is done with it.
    connections: Vec<Weak<TcpStream>>,
}

impl Answer {
    pub(crate) fn ok() -> Answer {
        Answer::status(200)
    }

    pub(crate) fn status(status: u16) -> Answer {
        Answer { status, headers: Vec::new(), body: "thanks".into(), hang: false }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Answer {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: &str) -> Answer {
        self.body = body.to_owned();
        self
    }

    /// None at all, for as long as the other side waits.
    pub(crate) fn hang() -> Answer {
        Answer { hang: true, ..Answer::ok() }
    }
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// The records in it: one, or a list.
    pub(crate) fn records(&self) -> Vec<Value> {
        match self.json() {
            Value::Array(records) => records,
            record => vec![record],
        }
    }

    pub(crate) fn webhook_id(&self) -> &str {
        self.header("webhook-id").unwrap_or_else(|| panic!("no webhook-id among {:?}", self.headers))
    }
}

impl Receiver {
    /// One that says 200 to everything.
    pub(crate) fn start() -> Receiver {
        Receiver::start_at_port(0)
    }

    /// The same on a port of one's own choice, at an address that nobody else has.
    pub(crate) fn start_at_port(port: u16) -> Receiver {
        let listener = TcpListener::bind((address::own(), port)).expect("open a port for the receiver");
        let shared = Arc::new(Shared {
            address: listener.local_addr().expect("the receiver's port"),
            state: Mutex::new(State {
                requests: Vec::new(),
                count: 0,
                keeps: true,
                program: Arc::new(|_, _| Answer::ok()),
                connections: Vec::new(),
            }),
            changed: Condvar::new(),
            open: AtomicBool::new(true),
        });
        let accepting = Some(accept(listener, shared.clone()));
        Receiver { shared, accepting }
    }

    /// One that nobody can connect to until it is [`up`](Self::up).
    pub(crate) fn start_down() -> Receiver {
        let mut receiver = Receiver::start();
        receiver.down();
        receiver
    }

    /// `ADDRESS:PORT`.
    pub(crate) fn address(&self) -> SocketAddr {
        self.shared.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/log", self.shared.address)
    }

    /// From now on: the answer to a request, given how many came before it. It may take its time.
    pub(crate) fn answer(&self, program: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) {
        self.shared.state().program = Arc::new(program);
    }

    /// From now on requests are shown to the [`answer`](Self::answer) and not kept: there are too many of them.
    pub(crate) fn keep_none(&self) {
        self.shared.state().keeps = false;
    }

    /// Connections are refused from now on, and those that there are break.
    pub(crate) fn down(&mut self) {
        self.shared.open.store(false, Ordering::SeqCst);
        // Wakes up who waits for connections, so that the port is closed when we return.
        let _ = TcpStream::connect(self.shared.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        for connection in self.shared.state().connections.drain(..).filter_map(|connection| connection.upgrade()) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Back on the same port.
    pub(crate) fn up(&mut self) {
        // A program that another scenario starts has our files open until it runs.
        let listener = wait_until("the receiver's port is free", || match TcpListener::bind(self.shared.address) {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => None,
            bound => Some(bound.expect("open the receiver's port again")),
        });
        self.shared.open.store(true, Ordering::SeqCst);
        self.accepting = Some(accept(listener, self.shared.clone()));
    }

    /// What came so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.clone()
    }

    /// Every record that came so far.
    pub(crate) fn records(&self) -> Vec<Value> {
        self.requests().iter().flat_map(Request::records).collect()
    }

    /// Waits until what came so far gives an answer. Asked again for each request that comes.
    ///
    /// # Panics
    /// When nothing comes for [`LIMIT`], or not what is waited for within [`LONGEST`].
    pub(crate) fn wait<T>(&self, what: &str, mut ask: impl FnMut(&[Request]) -> Option<T>) -> T {
        let begin = Instant::now();
        let mut state = self.shared.state();
        let (mut seen, mut deadline) = (0, begin + LIMIT);
        loop {
            if let Some(answer) = ask(&state.requests) {
                return answer;
            }
            let now = Instant::now();
            if state.requests.len() > seen {
                (seen, deadline) = (state.requests.len(), (now + LIMIT).min(begin + LONGEST));
            }
            if now >= deadline {
                break;
            }
            state = self.shared.changed.wait_timeout(state, deadline - now).expect("no panic while it is held").0;
        }
        let last = state.requests[seen.saturating_sub(LAST_WORDS)..].to_vec();
        drop(state);
        let last = last.iter().map(|request| format!("{} {}", request.path, request.text().trim()));
        panic!("gave up waiting until {what}; {seen} came, the last:\n{}", last.collect::<Vec<_>>().join("\n"))
    }

    /// Waits for this many requests.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Request> {
        self.wait(&format!("{count} requests came"), |requests| (requests.len() >= count).then(|| requests.to_vec()))
    }

    /// Waits for this many records, in however many requests.
    pub(crate) fn wait_for_records(&self, count: usize) -> Vec<Value> {
        self.wait(&format!("{count} records came"), |requests| {
            let records: Vec<_> = requests.iter().flat_map(Request::records).collect();
            (records.len() >= count).then_some(records)
        })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.down();
    }
}

fn accept(listener: TcpListener, shared: Arc<Shared>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            if !shared.open.load(Ordering::SeqCst) {
                return;
            }
            let Ok(connection) = connection.map(Arc::new) else { continue };
            {
                let connections = &mut shared.state().connections;
                connections.retain(|known| known.strong_count() > 0);
                connections.push(Arc::downgrade(&connection));
            }
            let shared = shared.clone();
            std::thread::spawn(move || serve(&connection, &shared));
        }
    })
}

/// Until the other side closes the connection, or something breaks.
fn serve(connection: &TcpStream, shared: &Shared) {
    let _ = connection.set_nodelay(true);
    let mut reader = BufReader::new(connection);
    while let Ok(Some(request)) = http::read_request(&mut reader) {
        let (program, before) = {
            let mut state = shared.state();
            state.count += 1;
            if state.keeps {
                state.requests.push(request.clone());
            }
            (state.program.clone(), state.count - 1)
        };
        shared.changed.notify_all();
        let answer = program(&request, before);
        if answer.hang {
            let _ = reader.read(&mut [0]);
            break;
        }
        if http::answer(connection, answer.status, &answer.headers, &answer.body).is_err() {
            break;
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A scenario that fails still has to end its receivers.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
