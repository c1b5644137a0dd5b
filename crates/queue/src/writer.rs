use crate::manager::Shared;
use crate::records::Noted;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

/// Records on their way to the sinks. When it is full they wait with the driver.
const RECORDS: usize = 1024;
/// The driver takes no outcomes and starts nothing new while so many records wait with it: the back-pressure of slow
/// sinks. It still takes news, for a sink may call policy, which may inject a message, which waits for the driver.
const BACKLOG: usize = 4096;

/// Hands records to the sinks beside the driver, in order.
pub(crate) struct Writer {
    backlog: VecDeque<Noted>,
    sender: mpsc::Sender<Noted>,
    ended: oneshot::Receiver<()>,
}

impl Writer {
    pub(crate) fn start(shared: &Arc<Shared>) -> Self {
        let (sender, mut inbox) = mpsc::channel::<Noted>(RECORDS);
        let (done, ended) = oneshot::channel();
        let sink = shared.options.sink.clone();
        shared.options.supervisor.spawn("records", async move {
            while let Some(Noted { entry, message, .. }) = inbox.recv().await {
                sink.write(&entry, Some(&message)).await;
            }
            let _ = done.send(());
        });
        Writer { backlog: VecDeque::new(), sender, ended }
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
