//! Tells a call that waits from one that only gives way.
//!
//! A script's own `coroutine.yield` in a handler, outside of any coroutine that it made, hands its values to nobody, and the
//! call goes on when others had their turn. In a loop that is a call that never waits: each turn is too short for the
//! watchdog, and all of them together take a processor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::thread::ThreadId;

/// So many turns a call has before anybody looks what they are for: what looking costs, ordinary calls do not pay.
const FREE: u32 = 10_000;
/// So many turns in a row without anything to wait for are too many.
const MOST: u32 = 1000;

/// What is known of a call's turns.
#[derive(Debug, Default)]
pub(crate) struct Restless {
    turns: u32,
    /// The last ones, in a row, that were over only to begin anew.
    in_vain: u32,
}

impl Restless {
    /// A turn begins; what to wake instead of `waker`, where somebody looks.
    pub(crate) fn look(&self, waker: &Waker) -> Option<Arc<Noticing>> {
        (self.turns >= FREE).then(|| Arc::new(Noticing::new(waker)))
    }

    /// A turn is over and the call is not. True when it waits for nothing.
    pub(crate) fn turned(&mut self, noticed: Option<&Noticing>) -> bool {
        match noticed {
            None => self.turns += 1,
            Some(noticing) if noticing.is_woken() => self.in_vain += 1,
            // It waits after all, and is not looked at for a while.
            Some(_) => *self = Restless::default(),
        }
        self.in_vain >= MOST
    }
}

/// Notices who is woken from within its own turn: it waits for nobody else.
pub(crate) struct Noticing {
    waker: Waker,
    thread: ThreadId,
    woken: AtomicBool,
}

impl Noticing {
    fn new(waker: &Waker) -> Self {
        Noticing { waker: waker.clone(), thread: std::thread::current().id(), woken: AtomicBool::new(false) }
    }

    fn is_woken(&self) -> bool {
        self.woken.load(Ordering::Relaxed)
    }
}

impl Wake for Noticing {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if std::thread::current().id() == self.thread {
            self.woken.store(true, Ordering::Relaxed);
        }
        self.waker.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many turns; in each of them `wakes` says whether it wakes itself. Tells after how many it was too much.
    fn turns(restless: &mut Restless, count: u32, wakes: impl Fn(u32) -> bool) -> Option<u32> {
        (0..count).find(|turn| {
            let noticing = restless.look(Waker::noop());
            if let Some(noticing) = noticing.as_ref().filter(|_| wakes(*turn)) {
                Waker::from(noticing.clone()).wake_by_ref();
            }
            restless.turned(noticing.as_deref())
        })
    }

    #[test]
    fn who_only_gives_way_is_told_after_a_number_of_turns_and_who_waits_never() {
        let mut restless = Restless::default();
        assert_eq!(turns(&mut restless, 100_000, |_| true), Some(FREE + MOST - 1));
        assert_eq!(turns(&mut Restless::default(), 100_000, |_| false), None);
        assert_eq!(turns(&mut Restless::default(), 100_000, |turn| turn % 500 != 0), None, "it waits now and then");
    }

    #[test]
    fn who_is_woken_by_another_thread_waits() {
        let noticing = Arc::new(Noticing::new(Waker::noop()));
        let waker = Waker::from(noticing.clone());
        std::thread::scope(|scope| {
            scope.spawn(move || waker.wake());
        });
        assert!(!noticing.is_woken());
    }
}
