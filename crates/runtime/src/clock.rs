use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use waybill_types::Timestamp;

/// Tells the time and waits for it.
///
/// # Contract
/// `now` may step back or forward like any wall clock; `sleep_until` returns once `now` is at or behind the time, and
/// notices a clock that was stepped within a minute.
pub trait Clock: Send + Sync + 'static {
    /// The time.
    fn now(&self) -> Timestamp;

    /// Waits. Cancel safe.
    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()>;
}

/// The system's clock, waits on tokio's timers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// A wait is cut into pieces of this length, so that a stepped clock is noticed.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system")]
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::EPOCH + since
    }

    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        let clock = *self;
        async move {
            loop {
                let wait = time.since(clock.now());
                if wait.is_zero() {
                    return;
                }
                tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
            }
        }
        .boxed()
    }
}

/// A clock that moves only when told: for tests. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct ManualClock {
    now: Arc<Mutex<watch::Sender<Timestamp>>>,
}

impl ManualClock {
    /// Stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        ManualClock { now: Arc::new(Mutex::new(watch::channel(now).0)) }
    }

    /// Moves forward.
    pub fn advance(&self, by: Duration) {
        self.now.lock().send_modify(|now| *now = *now + by);
    }

    /// Moves anywhere.
    pub fn set(&self, time: Timestamp) {
        self.now.lock().send_replace(time);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().borrow()
    }

    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        let mut now = self.now.lock().subscribe();
        async move {
            // The sender lives as long as any clone of the clock; when all are gone nobody waits for time any more.
            let _ = now.wait_for(|now| *now >= time).await;
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_wakes_those_whose_time_has_come() {
        let clock = ManualClock::at(Timestamp::from_secs(100));
        let mut early = clock.sleep_until(Timestamp::from_secs(101));
        let mut late = clock.sleep_until(Timestamp::from_secs(200));
        assert!(futures::poll!(&mut early).is_pending());
        clock.advance(Duration::from_secs(1));
        assert!(futures::poll!(&mut early).is_ready());
        assert!(futures::poll!(&mut late).is_pending());
    }
}
