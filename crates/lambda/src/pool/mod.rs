mod options;
mod process;
mod tally;

pub use options::PoolOptions;
pub use tally::Tally;

use crate::call::{Call, Failure, MAX_DATA, ScriptError};
use crate::outbound::Outbound;
use crate::protocol::{FromWorker, Limits, ToWorker};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use process::Worker;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tally::Counts;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};
use waybill_runtime::{Stop, Supervisor};
use waybill_webhook_core::printable;

/// How long a child may take until it is ready.
const START: Duration = Duration::from_secs(20);
/// The longest message of a script that is passed on, in bytes.
const MESSAGE: usize = 1024;

/// Keeps child processes and hands them calls, one at a time each. Cheap to clone; clones are the same pool.
///
/// At most [`PoolOptions::workers`] calls run beside each other, others wait. A child is started when there is work and none
/// is idle, and ended when it was idle for [`PoolOptions::idle`] or has done [`PoolOptions::calls`] calls. One that takes
/// too long, dies or breaks the protocol takes its call with it and nothing else: the next call gets another child.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    options: PoolOptions,
    outbound: Arc<dyn Outbound>,
    places: Semaphore,
    idle: Mutex<Vec<Idle>>,
    /// Somebody became idle.
    changed: Notify,
    counts: Counts,
}

/// The last one was used last.
struct Idle {
    worker: Worker,
    since: Instant,
}

impl Pool {
    /// No child is started before there is work. The supervisor owns the task that ends idle ones; at the stop that task ends
    /// them all.
    pub fn start(options: PoolOptions, outbound: Arc<dyn Outbound>, supervisor: &Supervisor, stop: Stop) -> Self {
        let places = Semaphore::new(options.workers.max(1));
        let inner = Inner {
            options,
            outbound,
            places,
            idle: Mutex::default(),
            changed: Notify::new(),
            counts: Counts::default(),
        };
        let pool = Pool(Arc::new(inner));
        let reaping = pool.clone();
        supervisor.spawn("idle lambda workers", async move { reaping.reap(stop).await });
        pool
    }

    /// Whether all functions compile. Nothing of them runs.
    ///
    /// # Errors
    /// [`Failure::Script`] names the function and the line that does not.
    pub async fn check(&self, functions: &[String]) -> Result<(), Failure> {
        let question = ToWorker::Check { functions: Cow::Borrowed(functions) };
        let answer = |message| if let FromWorker::Checked(result) = message { Some(result) } else { None };
        Ok(self.ask(&question, 0, answer).await?.map_err(in_one_line)?)
    }

    /// Runs the functions; what the last one returned. Dropping the future kills the child: whether what the functions do
    /// outside was done is then unknown.
    ///
    /// # Errors
    /// Why there is no result.
    pub async fn call(&self, call: &Call) -> Result<serde_json::Value, Failure> {
        let came = self.run(call).await;
        self.0.counts.call(&came);
        came
    }

    async fn run(&self, call: &Call) -> Result<serde_json::Value, Failure> {
        let length = call.data.to_string().len();
        if length > MAX_DATA {
            return Err(Failure::TooLarge(length));
        }
        let options = &self.0.options;
        // Of wall time there is less: this ends a child whose parent is gone.
        let cpu = options.timeout.as_secs().saturating_add(1);
        let limits = Limits { instructions: options.instructions, memory: options.memory, cpu };
        let question = ToWorker::Call { call: Cow::Borrowed(call), pid: std::process::id(), limits };
        let answer = |message| if let FromWorker::Done(result) = message { Some(result) } else { None };
        Ok(self.ask(&question, call.hops, answer).await?.map_err(in_one_line)?)
    }

    /// What became of its calls since its start, and what it does now. Checks count among what is busy only.
    pub fn tally(&self) -> Tally {
        let inner = &*self.0;
        let busy = inner.options.workers.max(1).saturating_sub(inner.places.available_permits());
        inner.counts.tally(inner.idle.lock().len(), busy)
    }

    /// The children there are that do nothing at the moment, by their process ids.
    pub fn idle(&self) -> Vec<u32> {
        self.0.idle.lock().iter().filter_map(|idle| idle.worker.id()).collect()
    }

    /// Asks one of them. `answer` takes what answers this question, and nothing else.
    async fn ask<T>(
        &self,
        question: &ToWorker<'_>,
        hops: u8,
        answer: impl FnOnce(FromWorker) -> Option<T>,
    ) -> Result<T, Failure> {
        let inner = &*self.0;
        let place = inner.places.acquire().await;
        let _place = place.map_err(|error| Failure::Unavailable(error.to_string()))?;
        let mut worker = self.worker().await?;
        let limit = inner.options.timeout;
        let answered = timeout(limit, worker.ask(question, &*inner.outbound, hops)).await;
        // Neither a late child nor a broken one is used again: dropped, it is killed with its group.
        let message = answered.map_err(|_| Failure::TimedOut(limit))??;
        let fits =
            answer(message).ok_or_else(|| Failure::Protocol("it answered something else than it was asked".into()))?;
        self.keep(worker);
        Ok(fits)
    }

    /// One that is idle and well, else a new one.
    async fn worker(&self) -> Result<Worker, Failure> {
        loop {
            let Some(mut idle) = self.0.idle.lock().pop() else { break };
            // One that was killed while it had nothing to do is passed over.
            if idle.worker.lives() {
                return Ok(idle.worker);
            }
        }
        let starting = Worker::start(&self.0.options);
        let late = |_| Failure::Unavailable(format!("it was not ready within {START:?}"));
        let started = timeout(START, starting).await.map_err(late)?;
        if let Ok(worker) = &started {
            self.0.counts.started();
            if let Some(why) = worker.unfiltered()
                && self.0.counts.unfiltered()
            {
                tracing::warn!("functions run without a filter of system calls, with all other limits: {why}");
            }
        }
        started
    }

    fn keep(&self, worker: Worker) {
        if worker.calls() < self.0.options.calls {
            self.0.idle.lock().push(Idle { worker, since: Instant::now() });
            self.0.changed.notify_one();
        }
    }

    /// Ends children that were idle for long.
    async fn reap(&self, mut stop: Stop) {
        loop {
            let due = self.0.idle.lock().first().map(|idle| idle.since + self.0.options.idle);
            let due: BoxFuture<'_, ()> = match due {
                Some(due) => Box::pin(sleep_until(due)),
                None => Box::pin(self.0.changed.notified()),
            };
            tokio::select! {
                biased;
                () = stop.requested() => {
                    self.0.idle.lock().clear();
                    return;
                }
                () = due => {}
            }
            let now = Instant::now();
            let mut idle = self.0.idle.lock();
            idle.retain(|idle| idle.since + self.0.options.idle > now);
        }
    }
}

/// What a script says goes into logs and answers: no line of its own, no escapes of a terminal.
fn in_one_line(error: ScriptError) -> ScriptError {
    let message = printable(error.message.as_bytes(), MESSAGE);
    ScriptError { message, ..error }
}
