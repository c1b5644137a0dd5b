use futures::FutureExt;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Owns tasks: every one has a name, is joined, and when it panics that is said loudly.
///
/// Cheap to clone; clones own the same tasks.
#[derive(Debug, Clone)]
pub struct Supervisor {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    handle: Handle,
    tasks: Mutex<Tasks>,
    changed: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Tasks {
    next: u64,
    running: BTreeMap<u64, (String, Option<tokio::task::AbortHandle>)>,
}

impl Supervisor {
    /// Tasks run on this runtime.
    pub fn new(handle: Handle) -> Self {
        let inner = Inner { handle, tasks: Mutex::default(), changed: watch::channel(0).0 };
        Supervisor { inner: Arc::new(inner) }
    }

    /// Tasks run on the runtime that this is called from.
    ///
    /// # Panics
    /// Outside a runtime.
    pub fn current() -> Self {
        Supervisor::new(Handle::current())
    }

    /// Starts a task.
    pub fn spawn(&self, name: impl Into<String>, task: impl Future<Output = ()> + Send + 'static) {
        let name = name.into();
        let number = {
            let mut tasks = self.inner.tasks.lock();
            tasks.next += 1;
            let number = tasks.next;
            tasks.running.insert(number, (name.clone(), None));
            number
        };
        let inner = self.inner.clone();
        let guard = Guard { inner, number };
        let task = async move {
            let _guard = guard;
            if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
                let what = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let what = what.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
                tracing::error!(task = name, "a task panicked: {what}");
            }
        };
        let abort = self.inner.handle.spawn(task).abort_handle();
        if let Some(entry) = self.inner.tasks.lock().running.get_mut(&number) {
            entry.1 = Some(abort);
        }
    }

    /// The names of the tasks that still run.
    pub fn running(&self) -> Vec<String> {
        self.inner.tasks.lock().running.values().map(|(name, _)| name.clone()).collect()
    }

    /// Waits until no task runs. Cancel safe.
    pub async fn join(&self) {
        let mut changed = self.inner.changed.subscribe();
        while !self.inner.tasks.lock().running.is_empty() {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Cuts off every task that still runs; [`Supervisor::join`] tells when they are gone.
    pub fn abort(&self) {
        for (_, abort) in self.inner.tasks.lock().running.values() {
            if let Some(abort) = abort {
                abort.abort();
            }
        }
    }
}

struct Guard {
    inner: Arc<Inner>,
    number: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut tasks = self.inner.tasks.lock();
        tasks.running.remove(&self.number);
        let left = tasks.running.len();
        drop(tasks);
        self.inner.changed.send_replace(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test]
    async fn tasks_are_named_joined_and_survived() {
        let supervisor = Supervisor::current();
        supervisor.spawn("ends", async {});
        supervisor.spawn("panics", async { panic!("on purpose") });
        supervisor.join().await;
        supervisor.spawn("stays", pending());
        assert_eq!(supervisor.running(), ["stays"]);
        supervisor.abort();
        supervisor.join().await;
        assert!(supervisor.running().is_empty());
    }
}
