//! Endpoints of hooks that remember every event: one that always answers, and one that fails, hangs and breaks off by chance.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::chance::Chance;
use super::flow;
use super::ledger::{Arrival, Hook, Kind, Ledger};
use super::sender;

/// Longer than the hook waits.
const HANGS_FOR: Duration = Duration::from_secs(7);
const READ_WITHIN: Duration = Duration::from_secs(300);
/// A mood lasts so long; one in so many is a bad one, in which everything is refused.
const MOOD: Duration = Duration::from_secs(4);
const BAD_MOODS: u64 = 4;

/// How it treats events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Every event is taken.
    Steady,
    /// By chance.
    Moody,
}

/// What is done with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Ok,
    Busy,
    Hang,
    Break,
}

/// A running endpoint. It ends with the process.
#[derive(Debug)]
pub(crate) struct Endpoint {
    address: SocketAddr,
}

struct Manner {
    mood: Mood,
    chance: Chance,
    ledger: Arc<Ledger>,
    count: AtomicU64,
    begun: Instant,
}

/// What is read of a record.
#[derive(Deserialize)]
struct Record {
    id: String,
    #[serde(rename = "type")]
    kind: Kind,
    recipient: String,
}

struct Request {
    webhook_id: String,
    body: Vec<u8>,
}

impl Endpoint {
    pub(crate) fn start(mood: Mood, chance: Chance, ledger: Arc<Ledger>) -> Result<Endpoint> {
        let manner = Manner { mood, chance, ledger, count: AtomicU64::new(0), begun: Instant::now() };
        let address = flow::serve("endpoint", move |stream| {
            // A daemon that is killed breaks off anywhere.
            let _ = manner.serve(stream);
        })?;
        Ok(Endpoint { address })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/log", self.address)
    }
}

impl Manner {
    fn serve(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_WITHIN))?;
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        while let Some(request) = read_request(&mut reader)? {
            match self.answer() {
                Answer::Ok => {
                    self.note(&request);
                    writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
                }
                Answer::Busy => {
                    writer.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy")?;
                }
                Answer::Hang => {
                    std::thread::sleep(HANGS_FOR);
                    return Ok(());
                }
                Answer::Break => return Ok(()),
            }
        }
        Ok(())
    }

    fn answer(&self) -> Answer {
        if self.mood == Mood::Steady {
            return Answer::Ok;
        }
        let mood = self.begun.elapsed().as_secs() / MOOD.as_secs();
        if self.chance.below("mood", mood, BAD_MOODS) == 0 {
            return Answer::Busy;
        }
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        match self.chance.below("answer", number, 1000) {
            0..975 => Answer::Ok,
            975..990 => Answer::Busy,
            990..992 => Answer::Hang,
            _ => Answer::Break,
        }
    }

    /// Only what it says 200 to counts as having come.
    fn note(&self, request: &Request) {
        let hook = match self.mood {
            Mood::Steady => Hook::Steady,
            Mood::Moody => Hook::Moody,
        };
        let record: Result<Record, _> = serde_json::from_slice(&request.body);
        let mail = record.as_ref().ok().and_then(|record| sender::number_of(&record.recipient));
        match (record, mail) {
            (Ok(record), Some(mail)) => self.ledger.arrived(
                hook,
                &Arrival {
                    webhook_id: &request.webhook_id,
                    body: &request.body,
                    message_id: &record.id,
                    mail,
                    kind: record.kind,
                },
            ),
            _ => self.ledger.nonsense(format!("an event: {}", String::from_utf8_lossy(&request.body))),
        }
    }
}

/// The next request; nothing once the other side is done.
fn read_request(reader: &mut impl BufRead) -> Result<Option<Request>> {
    let (mut line, mut length, mut webhook_id) = (String::new(), 0, String::new());
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            anyhow::bail!("broken off in the head");
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().context("a length")?;
        } else if name.eq_ignore_ascii_case("webhook-id") {
            value.trim().clone_into(&mut webhook_id);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { webhook_id, body }))
}
