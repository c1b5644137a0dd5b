//! Lua never takes a worker of the runtime with it.
//!
//! Some things in Lua cannot be stopped: a pattern match without end calls no hook, and neither does a read from a pipe
//! that nobody writes to. A worker thread inside one is lost, with the tasks that only it can run, and as many of them as
//! there are workers would end the daemon. So before a call enters Lua, the thread gives its worker's duties to another
//! one (`block_in_place`); what gets stuck then is a thread, and never the runtime.
//!
//! How many threads may be in Lua at a time is limited for each runtime: a call that finds no place waits for one
//! without holding anything. A call that is stuck gives its place to the next as soon as that is known.

use std::cell::Cell;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::runtime::{Handle, Id, RuntimeFlavor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::block_in_place;

/// Places for each worker: some slices are short and many, some are long.
const PLACES_PER_WORKER: usize = 2;
/// So many stuck calls get a replacement. Each holds a thread of the runtime's blocking pool (512 by default), which
/// others need too; with more of them Lua stands still in that runtime, and nothing else does.
const MOST_LOST: usize = 128;
/// Whoever waits for a place looks this often whether one is held by a call that is stuck.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

thread_local! {
    /// This thread is inside Lua and has given its worker away already.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// The places of an engine, by runtime.
pub(crate) struct Aside {
    by_runtime: Mutex<HashMap<Id, Arc<Places>>>,
    /// A slice that takes longer is stuck.
    patience: Duration,
}

struct Places {
    free: Arc<Semaphore>,
    taken: Mutex<Taken>,
    patience: Duration,
}

#[derive(Default)]
struct Taken {
    next: u64,
    since: HashMap<u64, Instant>,
    /// Given up: whoever is there gives nothing back.
    lost: usize,
}

impl Aside {
    pub(crate) fn new(patience: Duration) -> Self {
        Aside { by_runtime: Mutex::default(), patience }
    }

    /// The same future, each of whose polls may get stuck without harm.
    pub(crate) fn run<'a, T: 'a>(self: &Arc<Self>, future: impl Future<Output = T> + Send + 'a) -> BoxFuture<'a, T> {
        Box::pin(Run { aside: self.clone(), future: Some(Box::pin(future)), waiting: None })
    }

    /// Gives the places of calls that are stuck to others.
    pub(crate) fn replace_stuck(&self) {
        let all: Vec<_> = self.by_runtime.lock().values().cloned().collect();
        all.iter().for_each(|places| places.replace_stuck());
    }

    /// The places of this runtime; `None` where there is no worker to lose.
    fn here(&self) -> Option<Arc<Places>> {
        if INSIDE.get() {
            return None;
        }
        let handle = Handle::try_current().ok()?;
        if handle.runtime_flavor() != RuntimeFlavor::MultiThread {
            return None;
        }
        let mut all = self.by_runtime.lock();
        let places = all.entry(handle.id()).or_insert_with(|| {
            let free = handle.metrics().num_workers() * PLACES_PER_WORKER;
            let free = Arc::new(Semaphore::new(free));
            Arc::new(Places { free, taken: Mutex::default(), patience: self.patience })
        });
        Some(places.clone())
    }
}

impl Places {
    async fn wait(self: Arc<Self>) -> Option<OwnedSemaphorePermit> {
        loop {
            match tokio::time::timeout(LOOK_AGAIN, self.free.clone().acquire_owned()).await {
                Ok(place) => return place.ok(),
                Err(_) => self.replace_stuck(),
            }
        }
    }

    fn replace_stuck(&self) {
        let mut taken = self.taken.lock();
        let before = taken.since.len();
        let room = MOST_LOST.saturating_sub(taken.lost);
        let mut found = 0;
        taken.since.retain(|_, since| {
            let stuck = found < room && since.elapsed() > self.patience;
            found += usize::from(stuck);
            !stuck
        });
        taken.lost += before - taken.since.len();
        drop(taken);
        self.free.add_permits(found);
    }
}

/// A place that is taken.
struct Place {
    places: Arc<Places>,
    number: u64,
    permit: Option<OwnedSemaphorePermit>,
}

impl Place {
    fn take(places: &Arc<Places>, permit: OwnedSemaphorePermit) -> Self {
        let mut taken = places.taken.lock();
        taken.next += 1;
        let number = taken.next;
        taken.since.insert(number, Instant::now());
        drop(taken);
        Place { places: places.clone(), number, permit: Some(permit) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        if taken.since.remove(&self.number).is_none() {
            // Somebody else has it: it was stuck, and came back after all.
            taken.lost = taken.lost.saturating_sub(1);
            if let Some(permit) = self.permit.take() {
                permit.forget();
            }
        }
    }
}

/// Runs what enters Lua; the worker goes on elsewhere.
fn enter<T>(f: impl FnOnce() -> T) -> T {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            INSIDE.set(false);
        }
    }
    INSIDE.set(true);
    let _leave = Leave;
    block_in_place(f)
}

struct Run<'a, T> {
    aside: Arc<Aside>,
    future: Option<BoxFuture<'a, T>>,
    waiting: Option<BoxFuture<'static, Option<OwnedSemaphorePermit>>>,
}

impl<T> Future for Run<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = &mut *self;
        let Some(places) = this.aside.here() else { return finish(&mut this.future, cx) };
        let permit = match &mut this.waiting {
            None => places.free.clone().try_acquire_owned().ok(),
            Some(_) => None,
        };
        let permit = match permit {
            Some(permit) => Some(permit),
            None => {
                let waiting = this.waiting.get_or_insert_with(|| Box::pin(places.clone().wait()));
                let permit = ready!(waiting.as_mut().poll(cx));
                this.waiting = None;
                permit
            }
        };
        let _place = permit.map(|permit| Place::take(&places, permit));
        enter(|| finish(&mut this.future, cx))
    }
}

/// Polls, and lets go of what is done where it was polled.
fn finish<T>(future: &mut Option<BoxFuture<'_, T>>, cx: &mut Context<'_>) -> Poll<T> {
    // Polled after it was done, which nobody does.
    let Some(running) = future else { return Poll::Pending };
    let result = ready!(running.as_mut().poll(cx));
    *future = None;
    Poll::Ready(result)
}

impl<T> Drop for Run<'_, T> {
    /// Dropping a call that has not returned may run Lua too (`__close`).
    fn drop(&mut self) {
        let Some(future) = self.future.take() else { return };
        match self.aside.here() {
            Some(_) => enter(|| drop(future)),
            None => drop(future),
        }
    }
}
