//! Stops scripts that run without ever waiting, and knows who is running.
//!
//! Lua calls a hook every few thousand instructions, in every coroutine of a state. The hook compares the clock with the
//! start of the running *slice*: the time since the task was last polled. A call that waits for a socket has no slice,
//! so its length is limited elsewhere (by a timeout around the whole call).

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use mlua::{HookTriggers, Lua, VmState};
use parking_lot::Mutex;

use crate::aside;
use crate::error::Stopped;
use crate::restless::Restless;

/// Instructions between two looks at the clock.
const EVERY: u32 = 10_000;

/// So many times the allowed slice, and a call is stuck: nothing stopped it.
pub(crate) const STUCK_AFTER: u32 = 2;

/// How long a script may run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Allowed {
    /// Without waiting.
    pub(crate) slice: Duration,
    /// From entry to return.
    pub(crate) call: Duration,
}

/// A call that should have been stopped and was not: it is inside something that no hook can interrupt, such as a
/// pattern match without end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stuck {
    /// What was called.
    pub event: Arc<str>,
    /// For how long it has not waited for anything.
    pub running: Duration,
    /// The thread that it holds.
    pub thread: String,
}

/// Watches one state.
pub(crate) struct Watch {
    allowed: Allowed,
    /// When the running slice began, in nanoseconds on [`ticks`]; 0 between slices.
    slice: AtomicU64,
    /// When the running call began, likewise.
    call: AtomicU64,
    tripped: AtomicBool,
    /// It gives way again and again, and waits for nothing.
    restless: AtomicBool,
    /// That it is stuck has been told.
    told: AtomicBool,
    running: Mutex<Running>,
}

struct Running {
    event: Arc<str>,
    thread: Option<Thread>,
}

impl Watch {
    fn new(allowed: Allowed) -> Self {
        Watch {
            allowed,
            slice: AtomicU64::new(0),
            call: AtomicU64::new(0),
            tripped: AtomicBool::new(false),
            restless: AtomicBool::new(false),
            told: AtomicBool::new(false),
            running: Mutex::new(Running { event: "".into(), thread: None }),
        }
    }

    /// A call begins: an earlier trip is forgotten.
    pub(crate) fn begin(&self, lua: &Lua, event: &Arc<str>) -> mlua::Result<()> {
        self.running.lock().event = event.clone();
        self.call.store(ticks(), Ordering::Relaxed);
        self.told.store(false, Ordering::Relaxed);
        self.restless.store(false, Ordering::Relaxed);
        if self.tripped.swap(false, Ordering::Relaxed) {
            arm(lua, EVERY)?;
        }
        Ok(())
    }

    /// The event of the running call.
    pub(crate) fn event(&self) -> Arc<str> {
        self.running.lock().event.clone()
    }

    /// Whether the running call was told to stop, whatever the script made of that.
    pub(crate) fn tripped(&self) -> bool {
        self.tripped.load(Ordering::Relaxed)
    }

    /// The error of a call that was told to stop.
    pub(crate) fn stopped(&self) -> Stopped {
        let event = self.event();
        if self.restless.load(Ordering::Relaxed) {
            return Stopped(format!(
                "'{event}' yields again and again and waits for nothing: coroutine.yield in a handler, outside of a \
                 coroutine of its own, only gives others a turn; to wait there is kumo.sleep"
            ));
        }
        Stopped(format!("'{event}' ran for more than {:?} without waiting for anything", self.allowed.slice))
    }

    /// Runs `f`, which enters Lua, as a slice.
    pub(crate) fn slice<T>(&self, f: impl FnOnce() -> T) -> T {
        let _slice = self.enter();
        f()
    }

    fn enter(&self) -> Slice<'_> {
        let outer = self.slice.load(Ordering::Relaxed);
        if outer == 0 {
            self.running.lock().thread = Some(std::thread::current());
            self.slice.store(ticks(), Ordering::Relaxed);
        }
        Slice { watch: self, outer }
    }

    /// Called by Lua now and then.
    fn look(&self, lua: &Lua) -> mlua::Result<VmState> {
        let slice = self.slice.load(Ordering::Relaxed);
        let late = slice != 0
            && (since(slice) > self.allowed.slice
                || since(self.call.load(Ordering::Relaxed)) > self.allowed.call
                || self.restless.load(Ordering::Relaxed));
        if !late && !self.tripped() {
            if slice != 0 && since(slice) > aside::LONG {
                aside::give_away();
            }
            return Ok(VmState::Continue);
        }
        if !self.tripped.swap(true, Ordering::Relaxed) {
            tracing::warn!(target: "lua", "{}; it is being stopped", self.stopped());
        }
        // From now on with every instruction: a script that catches the error in a loop must not get the ten thousand
        // that it needs to start over.
        arm(lua, 1)?;
        Err(mlua::Error::external(self.stopped()))
    }

    fn stuck(&self) -> Option<Stuck> {
        let slice = self.slice.load(Ordering::Relaxed);
        if slice == 0 || since(slice) <= self.allowed.slice * STUCK_AFTER {
            return None;
        }
        let running = self.running.lock();
        let thread = running.thread.as_ref().and_then(Thread::name).unwrap_or("unnamed").to_owned();
        Some(Stuck { event: running.event.clone(), running: since(slice), thread })
    }
}

struct Slice<'a> {
    watch: &'a Watch,
    outer: u64,
}

impl Drop for Slice<'_> {
    fn drop(&mut self) {
        self.watch.slice.store(self.outer, Ordering::Relaxed);
    }
}

/// Sets the hook in the running coroutine and in all that are made from now on.
fn arm(lua: &Lua, every: u32) -> mlua::Result<()> {
    lua.set_global_hook(HookTriggers::new().every_nth_instruction(every), |lua, _| {
        let watch = lua.app_data_ref::<Arc<Watch>>().map(|watch| watch.clone());
        watch.map_or(Ok(VmState::Continue), |watch| watch.look(lua))
    })
}

/// Nanoseconds since the first call, never 0.
fn ticks() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
}

fn since(tick: u64) -> Duration {
    Duration::from_nanos(ticks().saturating_sub(tick))
}

/// A future that enters Lua with each poll, so that each poll is a slice. Dropping it may run Lua too (`__close`).
pub(crate) struct Sliced<F> {
    future: Option<F>,
    watch: Arc<Watch>,
    turns: Restless,
}

impl<F> Sliced<F> {
    pub(crate) fn new(watch: &Arc<Watch>, future: F) -> Self {
        Sliced { future: Some(future), watch: watch.clone(), turns: Restless::default() }
    }
}

impl<F: Future + Unpin> Future for Sliced<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let Some(future) = &mut this.future else { return Poll::Pending };
        let noticing = this.turns.look(cx.waker());
        let polled = match &noticing {
            None => this.watch.slice(|| Pin::new(future).poll(cx)),
            Some(noticing) => {
                let waker = Waker::from(noticing.clone());
                this.watch.slice(|| Pin::new(future).poll(&mut Context::from_waker(&waker)))
            }
        };
        if polled.is_pending() && this.turns.turned(noticing.as_deref()) {
            // Its next instructions are stopped.
            this.watch.restless.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl<F> Drop for Sliced<F> {
    fn drop(&mut self) {
        let future = self.future.take();
        self.watch.slice(|| drop(future));
    }
}

/// Knows the watches of all states.
pub(crate) struct Watchdog {
    allowed: Allowed,
    watches: Mutex<Watches>,
}

#[derive(Default)]
struct Watches {
    next: u64,
    all: HashMap<u64, Weak<Watch>>,
}

impl Watchdog {
    pub(crate) fn new(allowed: Allowed) -> Self {
        Watchdog { allowed, watches: Mutex::default() }
    }

    /// Begins to watch a state.
    pub(crate) fn watch(&self, lua: &Lua) -> mlua::Result<Arc<Watch>> {
        let watch = Arc::new(Watch::new(self.allowed));
        lua.set_app_data(watch.clone());
        arm(lua, EVERY)?;
        let mut watches = self.watches.lock();
        watches.next += 1;
        let number = watches.next;
        if number.is_multiple_of(256) {
            watches.all.retain(|_, watch| watch.strong_count() > 0);
        }
        watches.all.insert(number, Arc::downgrade(&watch));
        Ok(watch)
    }

    /// Calls that should have been stopped and were not.
    pub(crate) fn stuck(&self) -> Vec<Stuck> {
        self.all().iter().filter_map(|watch| watch.stuck()).collect()
    }

    /// Those of them that this was not told of before.
    pub(crate) fn newly_stuck(&self) -> Vec<Stuck> {
        let new = |watch: &Arc<Watch>| watch.stuck().filter(|_| !watch.told.swap(true, Ordering::Relaxed));
        self.all().iter().filter_map(new).collect()
    }

    fn all(&self) -> Vec<Arc<Watch>> {
        self.watches.lock().all.values().filter_map(Weak::upgrade).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched() -> (Lua, Arc<Watch>, Watchdog) {
        watched_for(Duration::from_millis(50))
    }

    fn watched_for(slice: Duration) -> (Lua, Arc<Watch>, Watchdog) {
        let dog = Watchdog::new(Allowed { slice, call: Duration::from_secs(600) });
        let lua = crate::prelude::bare_state_for_tests();
        let watch = dog.watch(&lua).unwrap();
        (lua, watch, dog)
    }

    fn stops(code: &str) {
        let (lua, watch, _dog) = watched();
        watch.begin(&lua, &"test".into()).unwrap();
        let chunk = lua.load(code).into_function().unwrap();
        let result = watch.slice(|| chunk.call::<()>(()));
        assert!(watch.tripped(), "{code}");
        assert!(result.is_err(), "{code}");
    }

    #[test]
    fn endless_loops_are_stopped_whatever_catches_the_error() {
        stops("while true do end");
        stops("while true do pcall(function() while true do end end) end");
        stops("while true do coroutine.wrap(function() while true do end end)() end");
        stops("while true do coroutine.resume(coroutine.create(function() while true do end end)) end");
        stops("local t = setmetatable({}, { __index = function() while true do end end }) return t.x");
        stops("while true do xpcall(function() while true do end end, function() while true do end end) end");
    }

    #[test]
    fn a_stopped_state_can_run_again_for_a_close() {
        // Far longer than the short one takes, whatever else this machine does.
        let (lua, watch, _dog) = watched_for(Duration::from_secs(2));
        watch.begin(&lua, &"send".into()).unwrap();
        let endless = lua.load("while true do end").into_function().unwrap();
        assert!(watch.slice(|| endless.call::<()>(())).is_err());
        watch.begin(&lua, &"close".into()).unwrap();
        let short = lua.load("local n = 0 for i = 1, 100000 do n = n + i end return n").into_function().unwrap();
        assert_eq!(watch.slice(|| short.call::<i64>(())).unwrap(), 5_000_050_000);
        assert!(!watch.tripped());
    }

    #[test]
    fn what_no_hook_can_stop_is_reported_with_event_and_thread() {
        let (lua, watch, dog) = watched();
        watch.begin(&lua, &"slow_event".into()).unwrap();
        assert_eq!(dog.stuck(), []);
        let (free, held) = std::sync::mpsc::channel::<()>();
        let held = Mutex::new(held);
        let slow = lua.create_function(move |_, ()| {
            // Ends when `free` is dropped.
            let _ = held.lock().recv();
            Ok(())
        });
        let slow = slow.unwrap();
        let thread = std::thread::Builder::new().name("hooks-3".into());
        let handle = thread.spawn(move || watch.slice(|| slow.call::<()>(()))).unwrap();
        let stuck = loop {
            let stuck = dog.stuck();
            if !stuck.is_empty() {
                break stuck;
            }
            std::thread::yield_now();
        };
        assert_eq!(stuck.len(), 1);
        assert_eq!((&*stuck[0].event, stuck[0].thread.as_str()), ("slow_event", "hooks-3"));
        assert_eq!((dog.newly_stuck().len(), dog.newly_stuck()), (1, vec![]), "told once");
        drop(free);
        handle.join().unwrap().unwrap();
        assert_eq!(dog.stuck(), []);
    }
}
