//! When a message is tried again, and when it is too old for that (contract sections 6.3 and 6.4).

use std::time::Duration;
use waybill_types::{Response, Timestamp, format_duration};

/// The widest the jitter gets, however long the interval.
const MAX_JITTER: Duration = Duration::from_secs(60);

/// What decides about retries in one queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryPolicy {
    /// The wait before the first retry.
    pub retry_interval: Duration,
    /// No wait is longer than this.
    pub max_retry_interval: Option<Duration>,
    /// How old a message may get.
    pub max_age: Duration,
    /// How waits are spread.
    pub jitter: Jitter,
}

/// How waits are spread, so that what failed together does not come back together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Jitter {
    /// That of the contract for mail: whole seconds around zero, none for waits below 40 s ([`jitter`]).
    #[default]
    WholeSeconds,
    /// Up to so many hundredths of the wait on top of it, and on top of what the peer asked for.
    OnTop(u8),
}

/// What a spool entry without a saved schedule starts with after a restart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inferred {
    /// How many attempts its age amounts to.
    pub attempts: u16,
    /// How long it waits from now.
    pub wait: Duration,
}

impl RetryPolicy {
    /// The wait after a failed attempt, before jitter: `min(retry_interval * 2^attempts, max_retry_interval)`,
    /// where `attempts` does not count the one that has just failed.
    pub fn delay(&self, attempts: u16) -> Duration {
        let factor = 1u32.checked_shl(u32::from(attempts)).unwrap_or(u32::MAX);
        let delay = self.retry_interval.saturating_mul(factor);
        self.max_retry_interval.map_or(delay, |max| delay.min(max))
    }

    /// The same with jitter, where `unit` is a random number from 0 to 1, and never shorter than what the peer asked for.
    pub fn wait(&self, attempts: u16, unit: f64, retry_after: Option<Duration>) -> Duration {
        let delay = self.delay(attempts);
        match self.jitter {
            Jitter::WholeSeconds => at_least(around(delay, jitter(self.retry_interval, unit)), retry_after),
            Jitter::OnTop(hundredths) => {
                let wait = at_least(delay, retry_after);
                // A peer that asks for a day is not kept waiting for hours more.
                let spread = self.max_retry_interval.map_or(wait, |max| wait.min(max));
                let share = f64::from(hundredths) / 100.0 * unit.clamp(0.0, 1.0);
                wait.saturating_add(Duration::try_from_secs_f64(spread.as_secs_f64() * share).unwrap_or(spread))
            }
        }
    }

    /// What age says about a message whose schedule was not saved.
    ///
    /// `attempts` is the number of waits that fit into its age; one in its first wait may never have been tried, so
    /// it is due at once. Later ones wait for the rest of the sum of the delays that follow the first.
    pub fn infer(&self, age: Duration) -> Inferred {
        let mut attempts = 0u16;
        let mut passed = Duration::ZERO;
        let mut after_first = Duration::ZERO;
        loop {
            let delay = self.delay(attempts);
            // A policy of many tiny waits must not keep us here: thousands of attempts are as good as more.
            if passed.saturating_add(delay) > age || attempts == MAX_INFERRED {
                break;
            }
            passed = passed.saturating_add(delay);
            attempts += 1;
            after_first = after_first.saturating_add(self.delay(attempts));
        }
        Inferred { attempts, wait: after_first.saturating_sub(age) }
    }
}

/// Where [`RetryPolicy::infer`] stops counting.
const MAX_INFERRED: u16 = 10_000;

/// Whole seconds to add to a delay: uniform in ±(min(retry_interval/20, 60 s)/2), cut towards zero, where `unit` is
/// a random number from 0 to 1. A minute gives -1 to +1, five seconds nothing.
pub fn jitter(retry_interval: Duration, unit: f64) -> i64 {
    let width = (retry_interval / 20).min(MAX_JITTER).as_secs_f64();
    #[expect(clippy::cast_possible_truncation, reason = "cutting is the rule, and the value is within ±30")]
    let seconds = (width * (unit.clamp(0.0, 1.0) - 0.5)) as i64;
    seconds
}

fn around(delay: Duration, seconds: i64) -> Duration {
    let by = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { delay.saturating_sub(by) } else { delay.saturating_add(by) }
}

/// The wait where the peer asked for one: never shorter than the schedule, never shorter than asked.
pub fn at_least(delay: Duration, retry_after: Option<Duration>) -> Duration {
    retry_after.map_or(delay, |asked| delay.max(asked))
}

/// When a message stops being worth an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expiry {
    /// When the message was made.
    pub created: Timestamp,
    /// How old it may get.
    pub max_age: Duration,
    /// The moment its own schedule names; replaces `max_age`.
    pub expires: Option<Timestamp>,
}

impl Expiry {
    /// After an attempt that counts: is the next one, at `due`, too late? `age + delay > max_age`.
    pub fn after_attempt(&self, due: Timestamp) -> Option<Expired> {
        self.judge(due, |age| age > self.max_age)
    }

    /// After a return that does not count as an attempt: `age at due >= max_age`.
    pub fn after_return(&self, due: Timestamp) -> Option<Expired> {
        self.judge(due, |age| age >= self.max_age)
    }

    fn judge(&self, due: Timestamp, too_old: impl Fn(Duration) -> bool) -> Option<Expired> {
        match self.expires {
            Some(expires) if due >= expires => Some(Expired::Schedule { due, expires }),
            Some(_) => None,
            None => {
                let age = due.since(self.created);
                too_old(age).then_some(Expired::Age { age, max_age: self.max_age })
            }
        }
    }
}

/// Why a message is not tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expired {
    /// The next attempt would find it older than its queue allows.
    Age {
        /// How old it would be.
        age: Duration,
        /// What its queue allows.
        max_age: Duration,
    },
    /// The next attempt would be later than its own schedule allows.
    Schedule {
        /// The next attempt.
        due: Timestamp,
        /// What the schedule says.
        expires: Timestamp,
    },
}

impl Expired {
    /// What the Expiration record says.
    pub fn response(&self) -> Response {
        let text = match self {
            Expired::Age { age, max_age } => format!(
                "Next delivery time would be {} after creation, which exceeds max_age={}",
                format_duration(*age),
                format_duration(*max_age)
            ),
            Expired::Schedule { due, expires } => {
                format!("Next delivery time would be {due}, which is not before the scheduled expiry {expires}")
            }
        };
        Response::new(551, format!("5.4.7 {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);

    fn policy(retry: u64, max: Option<u64>) -> RetryPolicy {
        RetryPolicy {
            retry_interval: Duration::from_secs(retry),
            max_retry_interval: max.map(Duration::from_secs),
            max_age: Duration::from_secs(7 * 86_400),
            jitter: Jitter::WholeSeconds,
        }
    }

    fn spread(retry: u64, max: Option<u64>) -> RetryPolicy {
        RetryPolicy { jitter: Jitter::OnTop(20), ..policy(retry, max) }
    }

    #[test]
    fn the_wait_doubles_up_to_its_maximum() {
        let seconds: Vec<u64> = (0..6).map(|n| policy(60, Some(1200)).delay(n).as_secs()).collect();
        assert_eq!(seconds, [60, 120, 240, 480, 960, 1200]);
        assert_eq!(policy(60, None).delay(3).as_secs(), 480);
    }

    #[test]
    fn absurd_numbers_of_attempts_do_not_overflow() {
        assert_eq!(policy(60, Some(1200)).delay(u16::MAX).as_secs(), 1200);
        assert!(policy(60, None).delay(u16::MAX) > policy(60, None).delay(30));
        let endless = RetryPolicy { retry_interval: Duration::MAX, ..policy(1, None) };
        assert_eq!(endless.delay(40), Duration::MAX);
        assert_eq!(endless.wait(40, 0.999, None), Duration::MAX);
        let endless = RetryPolicy { retry_interval: Duration::MAX, ..spread(1, None) };
        assert_eq!(endless.wait(40, 0.999, None), Duration::MAX);
    }

    #[test]
    fn jitter_is_whole_seconds_around_zero() {
        assert_eq!((jitter(MINUTE, 0.0), jitter(MINUTE, 0.5), jitter(MINUTE, 0.999)), (-1, 0, 1));
        assert_eq!(jitter(Duration::from_secs(5), 0.0), 0);
        assert_eq!(jitter(Duration::from_secs(5), 0.999), 0);
        // Twenty minutes give a minute's width, and so does a day.
        assert_eq!((jitter(20 * MINUTE, 0.0), jitter(20 * MINUTE, 0.999)), (-30, 29));
        assert_eq!(jitter(1440 * MINUTE, 0.0), -30);
    }

    #[test]
    fn a_wait_never_becomes_negative() {
        let policy = RetryPolicy { max_retry_interval: Some(Duration::from_secs(10)), ..policy(3600, None) };
        assert_eq!(policy.wait(0, 0.0, None), Duration::ZERO);
    }

    #[test]
    fn a_share_on_top_spreads_short_waits_too_and_what_the_peer_asked_for() {
        let policy = spread(5, Some(3600));
        assert_eq!((policy.wait(0, 0.0, None), policy.wait(0, 1.0, None)), (5 * SECOND, 6 * SECOND));
        assert_eq!(policy.wait(0, 0.5, None), Duration::from_millis(5500));
        assert_eq!(policy.wait(3, 1.0, None), 48 * SECOND);
        let asked = Some(MINUTE);
        assert_eq!((policy.wait(0, 0.0, asked), policy.wait(0, 1.0, asked)), (MINUTE, 72 * SECOND));
        let a_day = 1440 * MINUTE;
        assert_eq!(policy.wait(0, 1.0, Some(a_day)), a_day + 12 * MINUTE, "a little on top of a long wish");
    }

    #[test]
    fn the_same_dice_give_the_same_waits_and_others_give_others() {
        let waits = |seed| -> Vec<Duration> {
            let mut dice = StdRng::seed_from_u64(seed);
            (0..12).map(|attempts| spread(5, Some(3600)).wait(attempts, dice.random(), None)).collect()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
        let longest = |attempts: u16| spread(5, Some(3600)).delay(attempts);
        for (attempts, wait) in (0_u16..).zip(waits(1)) {
            assert!(wait >= longest(attempts) && wait <= longest(attempts) * 6 / 5, "{attempts}: {wait:?}");
        }
    }

    #[test]
    fn the_peers_wish_is_a_minimum() {
        assert_eq!(at_least(MINUTE, None), MINUTE);
        assert_eq!(at_least(MINUTE, Some(Duration::from_secs(5))), MINUTE);
        assert_eq!(at_least(MINUTE, Some(5 * MINUTE)), 5 * MINUTE);
    }

    #[test]
    fn the_two_paths_differ_exactly_at_max_age() {
        let created = Timestamp::from_secs(1000);
        let expiry = Expiry { created, max_age: MINUTE, expires: None };
        let at = created + MINUTE;
        assert_eq!(expiry.after_attempt(at), None);
        assert_eq!(expiry.after_return(at), Some(Expired::Age { age: MINUTE, max_age: MINUTE }));
        assert!(expiry.after_attempt(at + Duration::from_nanos(1)).is_some());
    }

    #[test]
    fn a_scheduled_expiry_replaces_max_age() {
        let created = Timestamp::from_secs(1000);
        let expires = created + 10 * MINUTE;
        let expiry = Expiry { created, max_age: MINUTE, expires: Some(expires) };
        assert_eq!(expiry.after_attempt(created + 5 * MINUTE), None);
        assert_eq!(expiry.after_attempt(expires), Some(Expired::Schedule { due: expires, expires }));
        assert_eq!(expiry.after_return(expires), Some(Expired::Schedule { due: expires, expires }));
    }

    #[test]
    fn an_expiration_reads_as_the_samples_do() {
        let expired = Expired::Age { age: Duration::new(9, 580_993_389), max_age: Duration::from_secs(9) };
        let response = expired.response();
        assert_eq!(
            response.to_string(),
            "551 5.4.7 Next delivery time would be 9s 580ms 993us 389ns after creation, which exceeds max_age=9s"
        );
        assert!(response.enhanced_code.is_some());
        let week = Duration::from_secs(7 * 86_400);
        let expired = Expired::Age { age: week + MINUTE, max_age: week };
        assert!(expired.response().content.ends_with("would be 7days 1m after creation, which exceeds max_age=7days"));
    }

    #[test]
    fn a_fresh_message_is_due_at_once_after_a_restart() {
        let inferred = policy(1200, None).infer(Duration::from_secs(30));
        assert_eq!(inferred, Inferred { attempts: 0, wait: Duration::ZERO });
    }

    #[test]
    fn attempts_follow_from_age_by_the_same_waits() {
        // Waits of 60, 120, 240: they end at 60, 180, 420.
        let policy = policy(60, Some(1200));
        for (age, attempts, wait) in [(59, 0, 0), (60, 1, 60), (179, 1, 0), (180, 2, 180), (419, 2, 0), (420, 3, 420)] {
            let expected = Inferred { attempts, wait: Duration::from_secs(wait) };
            assert_eq!(policy.infer(Duration::from_secs(age)), expected, "{age}");
        }
    }

    #[test]
    fn a_restart_after_ages_of_tiny_waits_ends() {
        let policy = RetryPolicy { max_retry_interval: Some(Duration::from_millis(1)), ..policy(1, None) };
        assert_eq!(policy.infer(Duration::from_secs(86_400)).attempts, MAX_INFERRED);
    }
}
