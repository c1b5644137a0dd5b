//! Waiting for conditions.

use std::time::{Duration, Instant};

/// Only a daemon that will never get there takes this long, also on a machine that does other work.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);
/// Between two looks at something that cannot tell us when it changes.
const GLANCE: Duration = Duration::from_millis(20);

/// Asks again and again until there is an answer.
///
/// # Panics
/// When there is none within [`LIMIT`].
pub(crate) fn wait_until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        // Before the question: however long this thread stood still, the last one is asked behind the limit.
        let last = Instant::now() >= deadline;
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(!last, "gave up waiting until {what}");
        pause(GLANCE);
    }
}

/// Waits until a count that grows is as large as wanted: there may be much to do, but it has to go on.
///
/// # Panics
/// When nothing is added to it for [`LIMIT`].
pub(crate) fn wait_for_count(what: &str, wanted: usize, count: impl Fn() -> usize) {
    let (mut seen, mut deadline) = (0, Instant::now() + LIMIT);
    loop {
        let last = Instant::now() >= deadline;
        let now = count();
        if now >= wanted {
            return;
        }
        if now > seen {
            (seen, deadline) = (now, Instant::now() + LIMIT);
        } else {
            assert!(!last, "gave up waiting until {what}: {seen} of {wanted}");
        }
        pause(GLANCE);
    }
}

/// A rest that is part of what a scenario plays (a slow endpoint), or between two glances.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of the scenarios that sleeps; nothing is concluded from it"
)]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Whether there is time for more rounds and longer waits: `WAYBILL_LONG=1`.
pub(crate) fn is_long() -> bool {
    std::env::var_os("WAYBILL_LONG").is_some()
}
