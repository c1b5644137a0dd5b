use crate::care::Bell;
use crate::database::Database;
use crate::queue::End;
use crate::shared::Shared;
use std::fs::File;
use std::sync::Arc;
use std::thread::JoinHandle;

/// What runs while a store is open. Dropped without [`Running::end`], it ends as a process that dies.
pub(crate) struct Running {
    shared: Arc<Shared>,
    database: Arc<Database>,
    bell: Arc<Bell>,
    pub(crate) commit: Option<JoinHandle<bool>>,
    pub(crate) sync: Option<JoinHandle<()>>,
    pub(crate) care: Option<JoinHandle<()>>,
    /// Goes last: from then on the directory is somebody else's.
    lock: Option<File>,
}

impl Running {
    pub(crate) fn new(shared: Arc<Shared>, database: Arc<Database>, bell: Arc<Bell>, lock: File) -> Self {
        Running { shared, database, bell, commit: None, sync: None, care: None, lock: Some(lock) }
    }

    /// Ends all threads, then the database; true when all is in good order. Waits for the disk.
    pub(crate) fn end(&mut self, how: End) -> bool {
        if self.lock.is_none() {
            return true;
        }
        self.shared.queue.end(how);
        // A thread that panicked has ended too, but not in good order.
        let closed = self.commit.take().is_some_and(|thread| thread.join().unwrap_or(false));
        // Where there is no thread that does it.
        self.shared.progress.stop();
        let synced = self.sync.take().is_some_and(|thread| thread.join().is_ok());
        self.bell.ring();
        let cared = self.care.take().is_some_and(|thread| thread.join().is_ok());
        self.database.close();
        self.lock = None;
        closed && synced && cared
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end(End::Dropped);
    }
}
