use crate::armed::Armed;
use crate::counts::Counts;
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;
use uuid::Uuid;
use waybill_types::Timestamp;
use waybill_webhook_core::{BreakerConfig, Pace, Signal, Ticket, Turn};

/// A hook, for all who read events for it: itself and its replays.
pub(crate) struct Shared {
    pub(crate) id: Uuid,
    armed: RwLock<Arc<Armed>>,
    /// When the next attempt may begin; a hook that calls nobody has none.
    pace: Mutex<Option<Pace>>,
    /// Its target wants nothing any more, which is being written down.
    is_gone: AtomicBool,
    /// Counts what others may wait for: another description, an attempt that ended.
    changes: watch::Sender<u64>,
    pub(crate) counts: Counts,
    health: Mutex<Health>,
}

/// How its target is.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Health {
    /// Since when it fails.
    pub(crate) failing_since: Option<Timestamp>,
    /// Attempts that failed in a row.
    pub(crate) failures: u64,
    /// What it said last, or why it said nothing.
    pub(crate) last_response: Option<String>,
    /// When.
    pub(crate) last_at: Option<Timestamp>,
}

/// What may be done now.
pub(crate) enum Leave {
    /// An attempt.
    Go(Option<Ticket>),
    /// Nothing before then.
    At(Timestamp),
    /// Nothing before something changes.
    Wait,
}

/// What an attempt did to the target's standing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turned {
    /// It is no longer called but to see whether it works again.
    Failing,
    /// It works again.
    Recovered,
}

impl Shared {
    pub(crate) fn new(armed: Armed) -> Self {
        Shared {
            id: armed.hook.id,
            pace: Mutex::new(pace(&armed)),
            armed: RwLock::new(Arc::new(armed)),
            is_gone: AtomicBool::new(false),
            changes: watch::channel(0).0,
            counts: Counts::default(),
            health: Mutex::default(),
        }
    }

    pub(crate) fn armed(&self) -> Arc<Armed> {
        self.armed.read().clone()
    }

    /// From now on it is this one.
    pub(crate) fn rearm(&self, armed: Armed) {
        self.repace(&armed);
        *self.armed.write() = Arc::new(armed);
        self.is_gone.store(false, Ordering::Release);
        self.touch();
    }

    fn repace(&self, armed: &Armed) {
        let mut before = self.pace.lock();
        let mut next = pace(armed);
        // What is under way still takes its places.
        if let (Some(before), Some(next)) = (&*before, &mut next) {
            next.follow(before);
        }
        *before = next;
    }

    /// Nothing is sent any more: connections that nobody uses must not hold up the end of the daemon.
    pub(crate) fn close(&self) {
        let closed = self.armed().closed();
        *self.armed.write() = Arc::new(closed);
    }

    /// Its target wants nothing any more.
    pub(crate) fn set_gone(&self) {
        self.is_gone.store(true, Ordering::Release);
    }

    /// Whether nothing is to be sent.
    pub(crate) fn rests(&self) -> bool {
        self.is_gone.load(Ordering::Acquire) || !self.armed.read().hook.draft.enabled
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn touch(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Asks for an attempt.
    pub(crate) fn ask(&self, now: Timestamp) -> Leave {
        match self.pace.lock().as_mut().map(|pace| pace.ask(now)) {
            None => Leave::Go(None),
            Some(Turn::Go(ticket)) => Leave::Go(Some(ticket)),
            Some(Turn::At(time)) => Leave::At(time),
            Some(Turn::Full) => Leave::Wait,
        }
    }

    /// The attempt that was asked for is not made.
    pub(crate) fn give_back(&self, ticket: Option<Ticket>, now: Timestamp) {
        if let (Some(pace), Some(ticket)) = (self.pace.lock().as_mut(), ticket) {
            pace.cancelled(ticket, now);
        }
    }

    /// An attempt has ended. `random` is in `0..1`.
    pub(crate) fn ended(
        &self,
        ticket: Option<Ticket>,
        signal: Signal,
        said: String,
        now: Timestamp,
        random: f64,
    ) -> Option<Turned> {
        let turned = match (self.pace.lock().as_mut(), ticket) {
            (Some(pace), Some(ticket)) => pace.ended(ticket, signal, now, random),
            _ => false,
        };
        let mut health = self.health.lock();
        health.last_response = Some(said);
        health.last_at = Some(now);
        let well = signal == Signal::Well;
        if !well {
            health.failures += 1;
            health.failing_since.get_or_insert(now);
        } else if !turned {
            // It was never told that it fails.
            health.failures = 0;
            health.failing_since = None;
        }
        let turned = turned.then_some(if well { Turned::Recovered } else { Turned::Failing });
        drop(health);
        self.touch();
        turned
    }

    /// Its target works; what it looked like before.
    pub(crate) fn mended(&self) -> Health {
        let mut health = self.health.lock();
        let before = health.clone();
        health.failing_since = None;
        health.failures = 0;
        before
    }

    pub(crate) fn health(&self) -> Health {
        self.health.lock().clone()
    }
}

fn pace(armed: &Armed) -> Option<Pace> {
    armed.config.as_ref().map(|config| Pace::new(config, BreakerConfig::default()))
}
