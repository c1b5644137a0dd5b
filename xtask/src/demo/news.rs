//! One channel for all that happens while the demo waits: the daemon's words and end, and the events.

use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::event::Arrival;
use super::readiness::Notice;

/// Room for what happens while the demo is busy sending. Full: the reporter waits, and with it the webhook request or the daemon's
/// stderr that it reports.
const CAPACITY: usize = 1024;

/// Something that happened.
#[derive(Debug)]
pub(super) enum News {
    /// The daemon said one of the lines that tools depend on.
    Notice(Notice),
    /// The daemon is gone.
    Stopped(ExitStatus),
    /// A webhook brought an event.
    Event(Arrival),
    /// A request that was no webhook of ours.
    Trouble(String),
}

/// Where the demo waits.
pub(super) struct Newsroom {
    sender: SyncSender<News>,
    receiver: Receiver<News>,
}

/// A way to tell the newsroom, for a thread of its own.
#[derive(Clone, Debug)]
pub(super) struct Reporter(SyncSender<News>);

impl Newsroom {
    /// An empty one.
    pub(super) fn open() -> Newsroom {
        let (sender, receiver) = sync_channel(CAPACITY);
        Newsroom { sender, receiver }
    }

    /// A way to tell this newsroom.
    pub(super) fn reporter(&self) -> Reporter {
        Reporter(self.sender.clone())
    }

    /// The next piece of news, or nothing if the deadline comes first.
    pub(super) fn next(&self, deadline: Instant) -> Option<News> {
        self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
    }

    /// The next piece of news, however long it takes.
    pub(super) fn next_whenever(&self) -> News {
        // The newsroom keeps a sender itself, so the channel cannot be closed.
        self.receiver.recv().unwrap_or_else(|_| unreachable!("the newsroom holds a sender"))
    }
}

/// The moment at which a wait that starts now gives up.
pub(super) fn deadline(limit: Duration) -> Instant {
    Instant::now() + limit
}

impl Reporter {
    /// Tells the newsroom. It may have closed already: then nobody wants to know.
    pub(super) fn tell(&self, news: News) {
        let _ = self.0.send(news);
    }
}
