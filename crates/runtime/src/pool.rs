use std::io;
use tokio::runtime::{Builder, Handle, Runtime};

/// How a pool of threads is to be.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// The name of its threads.
    pub name: &'static str,
    /// How many workers.
    pub threads: usize,
    /// How many threads for blocking work.
    pub blocking: usize,
    /// Nice value of its workers: 0 as the process, above it yields to the others.
    pub nice: i32,
}

/// A tokio runtime with threads of a name and a priority of their own.
#[derive(Debug)]
pub struct Pool {
    runtime: Runtime,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start(options: &PoolOptions) -> io::Result<Pool> {
        let nice = options.nice;
        let name = options.name;
        let runtime = Builder::new_multi_thread()
            .enable_all()
            .worker_threads(options.threads.max(1))
            .max_blocking_threads(options.blocking.max(1))
            .thread_name(name)
            .on_thread_start(move || {
                if nice != 0 {
                    lower_priority(name, nice);
                }
            })
            .build()?;
        Ok(Pool { runtime })
    }

    /// To spawn on it.
    pub fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Ends it without waiting for blocking work.
    pub fn shut_down(self) {
        self.runtime.shutdown_background();
    }
}

/// Linux keeps a nice value for each thread, and `setpriority` with pid 0 sets that of the calling one.
fn lower_priority(name: &str, nice: i32) {
    // rustix wraps the call safely; who = None is the calling thread.
    if let Err(error) = rustix::process::setpriority_process(None, nice) {
        tracing::debug!(pool = name, "threads keep their priority: {error}");
    }
}
