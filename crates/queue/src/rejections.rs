use crate::commit::Stored;
use crate::manager::Shared;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{mpsc, oneshot};
use waybill_log_record::{LogRecord, RecordType};
use waybill_spool::{Batch, StreamId};

/// So many events are stored in one batch.
const TOGETHER: usize = 256;

impl Shared {
    /// Notes a refusal. The journal gets it from a task of its own: a refusal waits for no disk.
    pub(crate) async fn rejected(&self, mut record: LogRecord) {
        let sink = &self.options.sink;
        let journal = sink.wants_journal(RecordType::Rejection);
        if !journal && !sink.wants(RecordType::Rejection) {
            return;
        }
        record.nodeid = self.options.nodeid.clone();
        let entry = sink.encode(&record, self.options.mint.entry(record.event_time));
        if journal && self.rejections.try_send(entry.bytes().clone()).is_err() {
            let lost = self.stats.rejections_lost.fetch_add(1, Ordering::Relaxed) + 1;
            // The store stands still: the first says so, and every thousandth how bad it is.
            if lost % 1000 == 1 {
                tracing::error!("Rejection events are not stored in time: {lost} were lost so far");
            }
        }
        sink.write(&entry, None).await;
    }
}

/// The task that stores them, until it is told to end; then what has come so far.
pub(crate) struct Rejections {
    end: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl Rejections {
    pub(crate) fn start(shared: &Arc<Shared>, inbox: mpsc::Receiver<Bytes>) -> Self {
        let (end, asked) = oneshot::channel();
        let (done, ended) = oneshot::channel();
        let task = shared.clone();
        shared.options.supervisor.spawn("events of rejections", async move {
            task.store_rejections(inbox, asked).await;
            let _ = done.send(());
        });
        Rejections { end, ended }
    }

    pub(crate) async fn finish(self) {
        drop(self.end);
        let _ = self.ended.await;
    }
}

impl Shared {
    async fn store_rejections(&self, mut inbox: mpsc::Receiver<Bytes>, mut end: oneshot::Receiver<()>) {
        let mut entries = Vec::new();
        let mut ending = false;
        loop {
            tokio::select! {
                biased;
                _ = &mut end, if !ending => {
                    ending = true;
                    inbox.close();
                }
                count = inbox.recv_many(&mut entries, TOGETHER) => if count == 0 { return },
            }
            let mut batch = Batch::new();
            for entry in entries.drain(..) {
                batch.append(StreamId::EVENTS, entry);
            }
            if self.commit_held(batch).await == Stored::Never {
                return;
            }
        }
    }
}
