use std::time::Duration;

/// How long to wait before the next attempt: doubling, with jitter on top, never less than what was asked for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    jitter: f64,
}

/// These numbers are no backoff.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BackoffError {
    /// It would not wait.
    #[error("the first wait must be longer than nothing")]
    First,
    /// It would shrink.
    #[error("the longest wait must not be shorter than the first")]
    Longest,
    /// No share.
    #[error("jitter is a share between 0 and 1")]
    Jitter,
}

impl Default for Backoff {
    /// 5 s doubling to 10 min, up to a fifth on top.
    fn default() -> Self {
        Backoff { first: Duration::from_secs(5), longest: Duration::from_secs(600), jitter: 0.2 }
    }
}

impl Backoff {
    /// Waits `first` after the first failure, then twice as long each time up to `longest`, plus up to the share
    /// `jitter` of it.
    ///
    /// # Errors
    /// When that would not be one.
    pub fn new(first: Duration, longest: Duration, jitter: f64) -> Result<Self, BackoffError> {
        if first.is_zero() {
            Err(BackoffError::First)
        } else if longest < first {
            Err(BackoffError::Longest)
        } else if !(0.0..=1.0).contains(&jitter) {
            Err(BackoffError::Jitter)
        } else {
            Ok(Backoff { first, longest, jitter })
        }
    }

    /// The wait after this many failures, at least one. `random` is in `0..1`. Jitter only lengthens: `least`, what
    /// `Retry-After` asked for, stays the least.
    pub fn wait(&self, failures: u32, random: f64, least: Option<Duration>) -> Duration {
        let doublings = failures.saturating_sub(1).min(63);
        let wait = self.first.saturating_mul(2_u32.saturating_pow(doublings)).min(self.longest);
        let wait = wait.max(least.unwrap_or_default());
        let jitter = wait.min(self.longest).mul_f64(self.jitter * random.clamp(0.0, 1.0));
        wait.saturating_add(jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn waits_double_up_to_the_longest_and_never_overflow() {
        let backoff = Backoff::new(secs(5), secs(600), 0.0).unwrap();
        let waits = [0, 1, 2, 3, 7, 8, 9, 60, u32::MAX].map(|failures| backoff.wait(failures, 0.9, None).as_secs());
        assert_eq!(waits, [5, 5, 10, 20, 320, 600, 600, 600, 600]);
    }

    #[test]
    fn jitter_lengthens_a_wait_and_retry_after_is_the_least() {
        let backoff = Backoff::new(secs(10), secs(100), 0.5).unwrap();
        assert_eq!(backoff.wait(1, 0.0, None), secs(10));
        assert_eq!(backoff.wait(1, 1.0, None), secs(15));
        assert_eq!(backoff.wait(1, 0.0, Some(secs(60))), secs(60));
        assert_eq!(backoff.wait(4, 0.0, Some(secs(60))), secs(80));
        assert_eq!(backoff.wait(1, 1.0, Some(secs(3600))), secs(3650), "a little on top of a long wish");
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(Backoff::new(secs(0), secs(1), 0.0), Err(BackoffError::First));
        assert_eq!(Backoff::new(secs(2), secs(1), 0.0), Err(BackoffError::Longest));
        assert_eq!(Backoff::new(secs(1), secs(1), f64::NAN), Err(BackoffError::Jitter));
    }
}
