use crate::manager::Shared;
use crate::records::Noted;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, oneshot};

/// Records on their way to the sinks. When it is full they wait with the driver.
const RECORDS: usize = 1024;
/// The driver takes no outcomes and starts nothing new while so many records wait with it: the back-pressure of slow
/// sinks. It still takes news, for a sink may call policy, which may inject a message, which waits for the driver.
const BACKLOG: usize = 4096;

/// Bodies that are in memory for a record alone.
#[derive(Default)]
pub(crate) struct Held {
    bytes: AtomicU64,
    /// Some have gone.
    eased: Notify,
}

impl Held {
    /// Waits until there are fewer. Cancel safe.
    pub(crate) async fn eased(&self) {
        self.eased.notified().await;
    }

    fn give_back(&self, bytes: u64) {
        if bytes > 0 {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.eased.notify_one();
        }
    }
}

/// Hands records to the sinks beside the driver, in order.
pub(crate) struct Writer {
    backlog: VecDeque<Noted>,
    sender: mpsc::Sender<Noted>,
    held: Arc<Held>,
    ended: oneshot::Receiver<()>,
}

impl Writer {
    pub(crate) fn start(shared: &Arc<Shared>) -> Self {
        let (sender, mut inbox) = mpsc::channel::<Noted>(RECORDS);
        let (done, ended) = oneshot::channel();
        let sink = shared.options.sink.clone();
        let held = Arc::<Held>::default();
        let holding = held.clone();
        shared.options.supervisor.spawn("records", async move {
            while let Some(Noted { entry, message, held, .. }) = inbox.recv().await {
                sink.write(&entry, Some(&message)).await;
                drop(message);
                holding.give_back(held);
            }
            let _ = done.send(());
        });
        Writer { backlog: VecDeque::new(), sender, held, ended }
    }

    /// Takes records. Never waits.
    pub(crate) fn write(&mut self, noted: Vec<Noted>) {
        self.backlog.extend(noted);
        while let Some(noted) = self.backlog.pop_front() {
            match self.sender.try_send(noted) {
                Ok(()) => {}
                Err(TrySendError::Full(noted)) => return self.backlog.push_front(noted),
                Err(TrySendError::Closed(_)) => self.give_up(),
            }
        }
    }

    /// A body came into memory for a record that has not been written yet.
    pub(crate) fn hold(&self, bytes: u64) {
        self.held.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// There is no such record after all.
    pub(crate) fn let_go(&self, bytes: u64) {
        self.held.give_back(bytes);
    }

    /// Bytes of bodies that are in memory for a record alone.
    pub(crate) fn held(&self) -> u64 {
        self.held.bytes.load(Ordering::Relaxed)
    }

    /// For whoever waits until there are fewer of them.
    pub(crate) fn holding(&self) -> Arc<Held> {
        self.held.clone()
    }

    /// Whether some records wait with us.
    pub(crate) fn waits(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Whether so many wait that nothing new may begin.
    pub(crate) fn is_behind(&self) -> bool {
        self.backlog.len() >= BACKLOG
    }

    /// Waits for room for one record and passes it on. Cancel safe.
    pub(crate) async fn pass_one(&mut self) {
        if let Ok(place) = self.sender.reserve().await {
            if let Some(noted) = self.backlog.pop_front() {
                place.send(noted);
            }
        } else {
            self.give_up();
        }
    }

    /// Passes everything on and waits until it is written.
    pub(crate) async fn finish(mut self) {
        while self.waits() {
            self.pass_one().await;
        }
        drop(self.sender);
        let _ = self.ended.await;
    }

    /// The task is gone: it panicked, or was cut off. The journal has what matters.
    fn give_up(&mut self) {
        tracing::error!("{} records were not written to the log files", self.backlog.len());
        self.backlog.clear();
    }
}
