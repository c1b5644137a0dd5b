//! Senders as fast as they are taken, which remember what they were told.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;

use super::chance::Chance;
use super::ledger::Ledger;
use crate::load::hear;

/// Where all mail goes.
pub(crate) const DOMAIN: &str = "soak.test";
const SESSIONS: usize = 20;
/// Mails of one conversation.
const A_CONVERSATION: u64 = 100;
/// Mails that may be on their way before the senders wait: the end must come within minutes.
const MOST_OPEN: usize = 5_000;
const REST: Duration = Duration::from_millis(20);
const ANSWER_WITHIN: Duration = Duration::from_secs(120);
/// Bodies are up to so many bytes, one in a hundred a hundred times as many.
const BODY: u64 = 4096;

/// Threads that send.
#[derive(Debug)]
pub(crate) struct Senders {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    server: Mutex<Option<SocketAddr>>,
    over: AtomicBool,
    next: AtomicU64,
    chance: Chance,
    ledger: Arc<Ledger>,
}

impl Senders {
    pub(crate) fn start(chance: Chance, ledger: Arc<Ledger>) -> Result<Senders> {
        let shared = Arc::new(Shared {
            server: Mutex::default(),
            over: AtomicBool::new(false),
            next: AtomicU64::new(1),
            chance,
            ledger,
        });
        let mut threads = Vec::new();
        for _ in 0..SESSIONS {
            let shared = Arc::clone(&shared);
            threads.push(thread::Builder::new().name("sender".to_owned()).spawn(move || shared.send())?);
        }
        Ok(Senders { shared, threads })
    }

    /// Where the daemon is now.
    pub(crate) fn onto(&self, server: Option<SocketAddr>) {
        *self.shared.server.lock().unwrap_or_else(PoisonError::into_inner) = server;
    }

    /// No more mail; waits until all have ended.
    pub(crate) fn stop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                self.shared.ledger.nonsense("a sender panicked".to_owned());
            }
        }
    }
}

impl Shared {
    fn send(&self) {
        while !self.over.load(Ordering::SeqCst) {
            let server = *self.server.lock().unwrap_or_else(PoisonError::into_inner);
            match server {
                Some(server) if self.ledger.open().0 < MOST_OPEN => {
                    // A daemon that is killed breaks off anywhere; what that means is noted where it happens.
                    if self.converse(server).is_err() {
                        thread::sleep(REST);
                    }
                }
                _ => thread::sleep(REST),
            }
        }
    }

    fn converse(&self, server: SocketAddr) -> Result<()> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        hear(&mut reader)?;
        let mut ask = |text: &str| -> Result<(u16, String)> {
            writer.write_all(text.as_bytes())?;
            Ok(hear(&mut reader)?)
        };
        ask("EHLO soak.example\r\n")?;
        for _ in 0..A_CONVERSATION {
            if self.over.load(Ordering::SeqCst) {
                break;
            }
            let mail = self.next.fetch_add(1, Ordering::Relaxed);
            let address = address_of(mail);
            for command in [
                "MAIL FROM:<sender@soak.test>\r\n".to_owned(),
                format!("RCPT TO:<{address}>\r\n"),
                "DATA\r\n".to_owned(),
            ] {
                let (code, text) = ask(&command)?;
                if code >= 400 {
                    self.ledger.refused(mail, code, &text);
                    return Ok(());
                }
            }
            // From here on it may be theirs without our hearing of it.
            self.ledger.offered(mail);
            let (code, text) = ask(&self.content(mail))?;
            match text.strip_prefix("OK ids=") {
                Some(id) if code == 250 => self.ledger.accepted(id, mail),
                _ => self.ledger.refused(mail, code, &text),
            }
        }
        ask("QUIT\r\n")?;
        Ok(())
    }

    fn content(&self, mail: u64) -> String {
        let length = self.chance.below("length", mail, BODY) * if mail.is_multiple_of(100) { 100 } else { 1 };
        let line = "The quick brown fox jumps over the lazy dog, again and again.\r\n";
        let body = line.repeat(usize::try_from(length).unwrap_or(0) / line.len() + 1);
        format!("From: <sender@soak.test>\r\nTo: <{}>\r\nSubject: mail {mail}\r\n\r\n{body}.\r\n", address_of(mail))
    }
}

fn address_of(mail: u64) -> String {
    format!("mail{mail}@{DOMAIN}")
}

/// Which mail an address, or a line with one, is about.
pub(crate) fn number_of(text: &str) -> Option<u64> {
    let before = text.split_once(&format!("@{DOMAIN}"))?.0;
    before.rsplit_once("mail")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_known_by_its_address() {
        assert_eq!(number_of(&format!("RCPT TO:<{}>", address_of(17))), Some(17));
        assert_eq!(number_of("RCPT TO:<mail@elsewhere.test>"), None);
    }
}
