//! Lua never takes a worker of the runtime with it.
//!
//! A script runs in the task that needs it, on a worker of the runtime. Nearly all calls return to it within
//! microseconds, so a worker is not given away before it is known to be needed: when the watchdog's hook finds that a
//! call has run for [`LONG`] ([`give_away`]), or before something that no hook can interrupt, such as a pattern match
//! that may take for ever or a read from a pipe ([`beside`]). What gets stuck then is a thread, never the runtime.
//!
//! How many threads may be given away for Lua at a time is limited for each runtime: while there are that many, a call
//! waits at the door without holding anything. A call that is stuck gives its place to the next as soon as that is known.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// A call that has run for so long gives its worker away.
pub(crate) const LONG: Duration = Duration::from_millis(5);
/// The longest wait for another thread to take over the worker's duties, and how often that is tried: the last wait is
/// 2^4 times the first.
const TAKE_OVER: Duration = Duration::from_millis(1);
const TRIES: u32 = 5;

thread_local! {
    /// What a thread that runs Lua on a worker knows.
    static INSIDE: RefCell<Option<Inside>> = const { RefCell::new(None) };
    /// The places that this thread asked for last: nearly always it is the same engine and the same runtime again.
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

struct Last {
    engine: u64,
    runtime: Id,
    places: Arc<Places>,
}

/// A call on a worker of a runtime.
struct Inside {
    places: Arc<Places>,
    /// Taken when the worker was given away, until this poll ends.
    place: Option<Place>,
    /// How often the worker's duties were offered to another thread.
    offers: u32,
}

/// The places of an engine, by runtime.
pub(crate) struct Aside {
    by_runtime: Mutex<HashMap<Id, Arc<Places>>>,
    /// Tells engines apart.
    number: u64,
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
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        Aside { by_runtime: Mutex::default(), number: NUMBERS.fetch_add(1, Ordering::Relaxed), patience }
    }

    /// The same future, each of whose polls may get stuck without harm; while too many are, it waits first.
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
        if INSIDE.with_borrow(Option::is_some) {
            return None;
        }
        let handle = Handle::try_current().ok()?;
        if handle.runtime_flavor() != RuntimeFlavor::MultiThread {
            return None;
        }
        let runtime = handle.id();
        Some(LAST.with_borrow_mut(|last| match last {
            Some(last) if last.engine == self.number && last.runtime == runtime => last.places.clone(),
            _ => {
                let places = self.places_of(&handle);
                *last = Some(Last { engine: self.number, runtime, places: places.clone() });
                places
            }
        }))
    }

    fn places_of(&self, runtime: &Handle) -> Arc<Places> {
        let mut all = self.by_runtime.lock();
        let places = all.entry(runtime.id()).or_insert_with(|| {
            let free = runtime.metrics().num_workers() * PLACES_PER_WORKER;
            let free = Arc::new(Semaphore::new(free));
            Arc::new(Places { free, taken: Mutex::default(), patience: self.patience })
        });
        places.clone()
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

    /// Whether a call may begin.
    fn open(&self) -> bool {
        self.free.available_permits() > 0
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
    /// Takes a place where one is free. Whoever is inside already cannot wait: it goes on without, and there are no
    /// more of these than workers.
    fn take(places: &Arc<Places>) -> Self {
        let permit = places.free.clone().try_acquire_owned().ok();
        let mut taken = places.taken.lock();
        taken.next += 1;
        let number = taken.next;
        if permit.is_some() {
            taken.since.insert(number, Instant::now());
        }
        drop(taken);
        Place { places: places.clone(), number, permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let mut taken = self.places.taken.lock();
        if taken.since.remove(&self.number).is_none() {
            // Somebody else has it: it was stuck, and came back after all.
            taken.lost = taken.lost.saturating_sub(1);
            permit.forget();
        }
    }
}

/// Runs what enters Lua on a worker.
fn enter<T>(places: Arc<Places>, f: impl FnOnce() -> T) -> T {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            // Not dropped within the borrow: a place that goes wakes others.
            let _inside = INSIDE.take();
        }
    }
    INSIDE.set(Some(Inside { places, place: None, offers: 0 }));
    let _leave = Leave;
    f()
}

/// Runs something that may block, or that no hook can interrupt: a worker's duties go to another thread first.
///
/// For functions that scripts call. Costs some microseconds on a worker, and next to nothing elsewhere.
pub fn beside<T>(f: impl FnOnce() -> T) -> T {
    let place = INSIDE.with_borrow(|inside| match inside {
        Some(Inside { place: None, places, .. }) => Some(Place::take(places)),
        _ => None,
    });
    match place {
        Some(_place) => block_in_place(f),
        None => f(),
    }
}

/// Gives the worker of this thread away for the rest of the poll, from somewhere inside it.
///
/// tokio takes a worker's duties back when what it was told of ends before another thread has come, so this waits for
/// one. Whether one came cannot be seen from here: a call that goes on for long tries again (and once one has come,
/// trying costs the wait alone).
#[expect(clippy::disallowed_methods, reason = "what is waited for cannot be seen, and this thread holds up nobody")]
pub(crate) fn give_away() {
    let offer = INSIDE.with_borrow_mut(|inside| {
        let inside = inside.as_mut().filter(|inside| inside.offers < TRIES)?;
        if inside.place.is_none() {
            inside.place = Some(Place::take(&inside.places));
        }
        inside.offers += 1;
        Some(inside.offers - 1)
    });
    if let Some(offer) = offer {
        block_in_place(|| std::thread::sleep(TAKE_OVER * 2_u32.pow(offer)));
    }
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
        if this.waiting.is_some() || !places.open() {
            let waiting = this.waiting.get_or_insert_with(|| Box::pin(places.clone().wait()));
            // The permit goes back at once: a place is taken by those who need one.
            let _permit = ready!(waiting.as_mut().poll(cx));
            this.waiting = None;
        }
        enter(places, || finish(&mut this.future, cx))
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
            Some(places) => enter(places, || drop(future)),
            None => drop(future),
        }
    }
}
