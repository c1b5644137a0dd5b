//! What everybody was told: the senders, the next hop, the endpoints. Small, as there are millions of entries.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

/// Endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    Steady,
    Moody,
}

impl Hook {
    pub(crate) const ALL: [Hook; 2] = [Hook::Steady, Hook::Moody];
}

/// Types of records that mail here can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Kind {
    Reception,
    TransientFailure,
    Delivery,
    Bounce,
    /// A full ready queue sends a mail back.
    Delayed,
    #[serde(other)]
    Other,
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub(crate) fn has(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    pub(crate) fn add(&mut self, kind: Kind) {
        self.0 |= 1 << kind as u8;
    }

    pub(crate) fn is_final(self) -> bool {
        self.has(Kind::Delivery) || self.has(Kind::Bounce)
    }
}

/// A mail that the daemon has, or had.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mail {
    /// Ours.
    pub(crate) number: u64,
    /// In which life of the daemon the sender heard 250; `None` where the answer got lost.
    pub(crate) accepted: Option<u32>,
    /// What each endpoint has heard of it.
    pub(crate) heard: [Kinds; 2],
}

impl Mail {
    fn is_open(&self) -> bool {
        !self.heard.iter().all(|heard| heard.is_final() && heard.has(Kind::Reception))
    }
}

/// An event at an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    body: u64,
    /// How often it came.
    pub(crate) times: u32,
}

/// An event that has just arrived.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) webhook_id: &'a str,
    pub(crate) body: &'a [u8],
    pub(crate) message_id: &'a str,
    pub(crate) mail: u64,
    pub(crate) kind: Kind,
}

/// Everything.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// By [`key`] of the daemon's id.
    pub(crate) mails: HashMap<u64, Mail>,
    /// Numbers of mails whose content was sent, and no answer heard so far.
    pub(crate) unanswered: HashSet<u64>,
    /// Numbers of mails that the senders were told to keep.
    pub(crate) refused: HashSet<u64>,
    /// What was refused for good, which nothing here should be.
    pub(crate) refused_for_good: Vec<String>,
    /// How often the next hop took each mail.
    pub(crate) taken: HashMap<u64, u32>,
    /// By [`key`] of the hook message's id.
    pub(crate) events: [HashMap<u64, Event>; 2],
    /// Final events, each counted once.
    pub(crate) ends: [usize; 2],
    by_body: HashMap<u64, u64>,
    /// One id with two bodies, one body with two ids, and what makes no sense at all.
    pub(crate) nonsense: Vec<String>,
    /// The daemon was started so many times before.
    pub(crate) life: u32,
    open: usize,
    arrivals: usize,
}

/// The book, open to all who write into it.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Book>);

/// A text in 64 bits.
pub(crate) fn key(text: impl AsRef<[u8]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.as_ref().hash(&mut hasher);
    hasher.finish()
}

impl Ledger {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of it; an empty one stays.
    pub(crate) fn take(&self) -> Book {
        std::mem::take(&mut *self.book())
    }

    pub(crate) fn next_life(&self) {
        self.book().life += 1;
    }

    pub(crate) fn offered(&self, mail: u64) {
        self.book().unanswered.insert(mail);
    }

    pub(crate) fn accepted(&self, id: &str, mail: u64) {
        let mut book = self.book();
        book.unanswered.remove(&mail);
        let life = book.life;
        book.change(id, mail, |mail| mail.accepted = Some(life));
    }

    pub(crate) fn refused(&self, mail: u64, code: u16, text: &str) {
        let mut book = self.book();
        book.unanswered.remove(&mail);
        book.refused.insert(mail);
        if code >= 500 {
            book.refused_for_good.push(format!("mail {mail}: {code} {text}"));
        }
    }

    pub(crate) fn taken(&self, mail: u64) {
        *self.book().taken.entry(mail).or_default() += 1;
    }

    pub(crate) fn arrived(&self, hook: Hook, arrival: &Arrival<'_>) {
        self.book().arrived(hook, arrival);
    }

    pub(crate) fn nonsense(&self, what: String) {
        self.book().nonsense.push(what);
    }

    /// Mails that have not come to their end at both endpoints, and how many events have come.
    pub(crate) fn open(&self) -> (usize, usize) {
        let book = self.book();
        (book.open, book.arrivals)
    }

    /// A line about how it goes.
    pub(crate) fn summary(&self) -> String {
        let book = self.book();
        let refused = book.refused.len();
        format!(
            "{} mails, {} of them open, {refused} refused for now, {} events",
            book.mails.len(),
            book.open,
            book.arrivals
        )
    }
}

impl Book {
    fn change(&mut self, id: &str, number: u64, change: impl FnOnce(&mut Mail)) {
        let mut was_open = false;
        let mail = self.mails.entry(key(id)).and_modify(|mail| was_open = mail.is_open()).or_default();
        mail.number = number;
        change(mail);
        self.open = self.open + usize::from(mail.is_open()) - usize::from(was_open);
    }

    fn arrived(&mut self, hook: Hook, arrival: &Arrival<'_>) {
        let (id, body) = (key(arrival.webhook_id), key(arrival.body));
        self.arrivals += 1;
        self.change(arrival.message_id, arrival.mail, |mail| mail.heard[hook as usize].add(arrival.kind));
        let event = self.events[hook as usize].entry(id).or_insert(Event { body, times: 0 });
        event.times += 1;
        let (first, is_same) = (event.times == 1, event.body == body);
        if first && matches!(arrival.kind, Kind::Delivery | Kind::Bounce) {
            self.ends[hook as usize] += 1;
        }
        if !is_same {
            self.nonsense.push(format!("one id, two events: {} at {hook:?}", arrival.webhook_id));
        }
        // For one of them, as it takes room.
        if hook == Hook::Steady && *self.by_body.entry(body).or_insert(id) != id {
            self.nonsense.push(format!("one event, two ids: {}", arrival.webhook_id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrive(ledger: &Ledger, hook: Hook, webhook_id: &str, body: &str, kind: Kind) {
        let arrival = Arrival { webhook_id, body: body.as_bytes(), message_id: "m", mail: 1, kind };
        ledger.arrived(hook, &arrival);
    }

    #[test]
    fn a_mail_is_open_until_both_endpoints_know_how_it_began_and_ended() {
        let ledger = Ledger::default();
        ledger.accepted("m", 1);
        assert_eq!(ledger.open(), (1, 0));
        for hook in Hook::ALL {
            arrive(&ledger, hook, "r", "Reception", Kind::Reception);
            assert_eq!(ledger.open().0, 1);
            arrive(&ledger, hook, "d", "Delivery", Kind::Delivery);
        }
        assert_eq!(ledger.open(), (0, 4));
        assert_eq!(ledger.take().nonsense, Vec::<String>::new());
    }

    #[test]
    fn one_id_for_two_events_and_two_ids_for_one_are_noticed() {
        let ledger = Ledger::default();
        arrive(&ledger, Hook::Steady, "a", "one", Kind::Reception);
        arrive(&ledger, Hook::Steady, "a", "two", Kind::Delivery);
        arrive(&ledger, Hook::Steady, "b", "one", Kind::Reception);
        let book = ledger.take();
        assert_eq!(book.nonsense.len(), 2, "{:?}", book.nonsense);
        assert_eq!(book.events[0].values().map(|event| event.times).max(), Some(2));
    }
}
