//! Senders that do not stop, and remember what they were told: every 250 with its id, and every refusal.

use super::wait::{LIMIT, pause, wait_for_count};
use super::{Daemon, Mail, Smtp};
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Who was refused comes back after this.
const REST: Duration = Duration::from_millis(5);

/// Some senders at work, through one daemon after the other.
pub(crate) struct Load {
    shared: Arc<Shared>,
    senders: Vec<JoinHandle<()>>,
}

struct Shared {
    /// Where to send to; nothing while there is no daemon.
    server: Mutex<Option<SocketAddr>>,
    changed: Condvar,
    told: Mutex<Told>,
    count: AtomicUsize,
    over: AtomicBool,
    domains: Vec<String>,
    body: String,
}

/// What the senders were told.
#[derive(Clone, Default)]
pub(crate) struct Told {
    /// Ids and recipients that got a 250.
    pub(crate) accepted: HashMap<String, String>,
    /// What was said instead of a 250.
    pub(crate) refusals: Vec<String>,
}

impl Load {
    /// So many senders, each with mail to these domains in turn, with this body. They wait for a daemon.
    pub(crate) fn start(senders: usize, domains: &[&str], body: &str) -> Load {
        let shared = Arc::new(Shared {
            server: Mutex::default(),
            changed: Condvar::new(),
            told: Mutex::default(),
            count: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
            body: body.to_owned(),
        });
        let start = |sender| {
            let shared = shared.clone();
            std::thread::spawn(move || shared.send(sender))
        };
        let senders = (0..senders).map(start).collect();
        Load { shared, senders }
    }

    /// From now on mail goes there.
    pub(crate) fn onto(&self, daemon: &Daemon) {
        self.set_server(Some(daemon.smtp()));
    }

    /// Nobody connects any more; conversations that there are go on.
    pub(crate) fn off(&self) {
        self.set_server(None);
    }

    fn set_server(&self, server: Option<SocketAddr>) {
        *self.shared.server() = server;
        self.shared.changed.notify_all();
    }

    /// How many mails were accepted.
    pub(crate) fn count(&self) -> usize {
        self.shared.count.load(Ordering::SeqCst)
    }

    /// Waits until so many more were accepted.
    pub(crate) fn accepts(&self, more: usize) {
        let goal = self.count() + more;
        wait_for_count(&format!("{more} more mails are accepted"), goal, || self.count());
    }

    /// How many were refused.
    pub(crate) fn refusals(&self) -> usize {
        self.shared.told().refusals.len()
    }

    /// What they were told so far.
    pub(crate) fn told(&self) -> Told {
        self.shared.told().clone()
    }

    /// Ends it: what they were told.
    pub(crate) fn end(self) -> Told {
        self.shared.over.store(true, Ordering::SeqCst);
        self.shared.changed.notify_all();
        self.senders.into_iter().for_each(|sender| sender.join().expect("a sender without panic"));
        self.shared.told().clone()
    }
}

impl Shared {
    /// Sends mail after mail.
    fn send(&self, sender: usize) {
        let mut number = 0;
        while !self.is_over() {
            let Some(server) = self.wait_for_server() else { continue };
            let Ok(mut smtp) = Smtp::connect(server).map_err(|error| self.refused(&error)) else { continue };
            while !self.is_over() {
                number += 1;
                let domain = &self.domains[number % self.domains.len()];
                let recipient = format!("sender{sender}-{number}@{domain}");
                let header = format!("X-Recipient: <{recipient}>");
                match smtp.offer(&Mail::to(&recipient).header(&header).body(self.body.as_str())) {
                    Ok(reply) if reply.code == 250 => {
                        self.told().accepted.insert(reply.ids().remove(0), recipient);
                        self.count.fetch_add(1, Ordering::SeqCst);
                    }
                    Ok(reply) => self.refused(&io::Error::other(reply.text())),
                    Err(error) => {
                        self.refused(&error);
                        break;
                    }
                }
            }
        }
    }

    /// Without an answer a mail may be there or not, and that is no refusal.
    fn refused(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::Other {
            self.told().refusals.push(error.to_string());
        }
        pause(REST);
    }

    fn wait_for_server(&self) -> Option<SocketAddr> {
        let server = self.server();
        let waited = self.changed.wait_timeout_while(server, LIMIT, |server| server.is_none() && !self.is_over());
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn server(&self) -> MutexGuard<'_, Option<SocketAddr>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    /// Insists that nobody was refused for good: a sender that hears 5xx gives its mail up.
    pub(crate) fn was_never_refused_for_good(&self) {
        let for_now = |text: &&String| text.split([' ', ':']).any(|word| word.len() == 3 && word.starts_with('4'));
        let for_good: Vec<_> = self.refusals.iter().filter(|text| !for_now(text)).collect();
        assert!(for_good.is_empty(), "refused for good: {for_good:?}");
    }

    /// Insists that all that was accepted is delivered, as its header says, among these mails.
    pub(crate) fn is_among(&self, delivered: &str) {
        let reached: HashSet<_> =
            delivered.split("\r\n").filter_map(|line| line.strip_prefix("X-Recipient: ")).collect();
        for recipient in self.accepted.values() {
            assert!(reached.contains(format!("<{recipient}>").as_str()), "{recipient} got nothing");
        }
    }
}
