//! States that wait for a call, and how many there may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use waybill_policy::{Epoch, PolicyError};

use crate::state::State;

/// How long and how often states are used, and how large they get. Policy may set these at any time.
#[derive(Debug)]
pub(crate) struct Reuse {
    max_age_millis: AtomicU64,
    max_uses: AtomicU32,
    max_spare: AtomicUsize,
    gc_percent: AtomicU32,
    /// Bytes that a new state may hold.
    max_memory: AtomicUsize,
}

impl Reuse {
    fn new(max_memory: usize) -> Self {
        Reuse {
            max_age_millis: AtomicU64::new(300_000),
            max_uses: AtomicU32::new(1024),
            max_spare: AtomicUsize::new(8192),
            gc_percent: AtomicU32::new(0),
            max_memory: AtomicUsize::new(max_memory),
        }
    }

    pub(crate) fn set_max_age(&self, age: Duration) {
        self.max_age_millis.store(u64::try_from(age.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn set_max_uses(&self, uses: u32) {
        self.max_uses.store(uses, Ordering::Relaxed);
    }

    pub(crate) fn set_max_spare(&self, spare: usize) {
        self.max_spare.store(spare, Ordering::Relaxed);
    }

    pub(crate) fn set_gc_percent(&self, percent: u32) {
        self.gc_percent.store(percent, Ordering::Relaxed);
    }

    pub(crate) fn set_max_memory(&self, bytes: usize) {
        self.max_memory.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn max_memory(&self) -> usize {
        self.max_memory.load(Ordering::Relaxed)
    }

    fn allows(&self, state: &State) -> bool {
        state.age() < Duration::from_millis(self.max_age_millis.load(Ordering::Relaxed))
            && state.uses() < self.max_uses.load(Ordering::Relaxed)
    }
}

/// The idle states, and the count of all.
///
/// A state that is in use belongs to the call that uses it. Only idle ones are bounded by policy; the cap on all of them
/// turns a runaway recursion into an error instead of an exhausted machine, and nobody ever waits for a state.
pub(crate) struct Pool {
    idle: Mutex<Vec<State>>,
    pub(crate) reuse: Reuse,
    all: Arc<AtomicUsize>,
    cap: usize,
    puts: AtomicU32,
}

/// The right to have one state.
pub(crate) struct Permit(Arc<AtomicUsize>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// With so many states at most, of so many bytes each.
    pub(crate) fn new(cap: usize, max_memory: usize) -> Self {
        Pool {
            idle: Mutex::default(),
            reuse: Reuse::new(max_memory),
            all: Arc::default(),
            cap,
            puts: AtomicU32::new(0),
        }
    }

    /// The right to make one more state.
    pub(crate) fn permit(&self) -> Result<Permit, PolicyError> {
        let before = self.all.fetch_add(1, Ordering::Relaxed);
        let permit = Permit(self.all.clone());
        if before >= self.cap {
            return Err(PolicyError::Unavailable(format!("there are {before} Lua states already").into()));
        }
        Ok(permit)
    }

    /// An idle state of this generation. The one that was used last: the others may grow old and go.
    pub(crate) fn take(&self, epoch: Epoch) -> Option<State> {
        loop {
            // One at a time, so that a stale one is dropped without the lock.
            let state = self.idle.lock().pop()?;
            if state.epoch() == epoch && self.reuse.allows(&state) {
                return Some(state);
            }
        }
    }

    /// Takes back a state after a call that succeeded.
    pub(crate) fn put(&self, state: State, epoch: Epoch) {
        if state.epoch() != epoch || !self.reuse.allows(&state) {
            return;
        }
        let percent = self.reuse.gc_percent.load(Ordering::Relaxed);
        // Spread evenly instead of at random: 25 means every fourth.
        let put = self.puts.fetch_add(1, Ordering::Relaxed);
        if percent > 0 && u64::from(put) * u64::from(percent) % 100 < u64::from(percent) {
            state.collect_garbage();
        }
        let mut idle = self.idle.lock();
        if idle.len() < self.reuse.max_spare.load(Ordering::Relaxed) {
            idle.push(state);
        } else {
            drop(idle);
            drop(state);
        }
    }

    /// Lets go of idle states that nobody will use again.
    pub(crate) fn prune(&self, epoch: Epoch) {
        let stale: Vec<State> = {
            let mut idle = self.idle.lock();
            let keep = |state: &mut State| state.epoch() != epoch || !self.reuse.allows(state);
            idle.extract_if(.., keep).collect()
        };
        drop(stale);
    }

    /// Idle states, and all states.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.idle.lock().len(), self.all.load(Ordering::Relaxed))
    }
}
