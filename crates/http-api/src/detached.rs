use parking_lot::Mutex;
use std::future::Future;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Work that must not be cut off when its client hangs up: a message half way into the spool, say.
///
/// A handler's future is dropped with its connection; what runs here ends with the API instead.
#[derive(Debug, Default)]
pub(crate) struct Detached {
    tasks: Mutex<JoinSet<()>>,
}

impl Detached {
    /// Runs `work` to its end, also when this future is dropped. `None` when the work panicked.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (done, result) = oneshot::channel();
        {
            let mut tasks = self.tasks.lock();
            while tasks.try_join_next().is_some() {}
            tasks.spawn(async move {
                // Nobody is left to hear it when the client hung up.
                let _ = done.send(work.await);
            });
        }
        result.await.ok()
    }
}
