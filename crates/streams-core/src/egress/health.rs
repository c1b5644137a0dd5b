use waybill_types::Timestamp;
use waybill_webhook_core::Outcome;

/// So many attempts that fail in a row make an endpoint one that fails.
const FAILING: u64 = 5;

/// How the endpoint of an egress webhook fares, since the daemon started.
///
/// ```
/// use waybill_streams_core::{Health, Turn};
/// use waybill_types::Timestamp;
/// use waybill_webhook_core::Outcome;
/// let mut health = Health::default();
/// let failed = |at| health.heard(&Outcome::Permanent, Timestamp::from_secs(at));
/// let turns: Vec<_> = (0..6).map(failed).collect();
/// assert_eq!(turns.iter().flatten().count(), 1, "it is told once");
/// let told = turns[4].as_ref().unwrap();
/// assert_eq!((told.turn, told.attempts, told.since), (Turn::Failing, 5, Some(Timestamp::from_secs(0))));
/// assert_eq!(health.heard(&Outcome::Delivered, Timestamp::from_secs(7)).unwrap().turn, Turn::Recovered);
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Health {
    failures: u64,
    since: Option<Timestamp>,
    failing: bool,
    /// The last attempt said that nothing is wanted any more.
    gone: bool,
}

/// What an attempt changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// It fails, and has for a while.
    Failing,
    /// It wants nothing any more.
    Disabled,
    /// It works again.
    Recovered,
}

/// A turn, with how it came to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turned {
    /// What it is now.
    pub turn: Turn,
    /// Attempts that failed in a row.
    pub attempts: u64,
    /// When the first of them did.
    pub since: Option<Timestamp>,
}

impl Health {
    /// An attempt has ended.
    pub fn heard(&mut self, outcome: &Outcome, at: Timestamp) -> Option<Turned> {
        if *outcome == Outcome::Delivered {
            let before = std::mem::take(self);
            return before.failing.then(|| before.turned(Turn::Recovered));
        }
        self.failures = self.failures.saturating_add(1);
        self.since.get_or_insert(at);
        // Attempts beside each other hear the same.
        let was_gone = std::mem::replace(&mut self.gone, *outcome == Outcome::Disabled);
        if self.gone {
            return (!was_gone).then(|| self.turned(Turn::Disabled));
        }
        if self.failing || self.failures < FAILING {
            return None;
        }
        self.failing = true;
        Some(self.turned(Turn::Failing))
    }

    fn turned(&self, turn: Turn) -> Turned {
        Turned { turn, attempts: self.failures, since: self.since }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_among_failures_begins_anew_and_410_is_told_at_once() {
        let mut health = Health::default();
        let at = Timestamp::from_secs;
        let later = Outcome::Transient { retry_after: None };
        for second in 0..4 {
            assert_eq!(health.heard(&later, at(second)), None);
        }
        assert_eq!(health.heard(&Outcome::Delivered, at(4)), None, "nobody heard that it failed");
        for second in 5..9 {
            assert_eq!(health.heard(&later, at(second)), None);
        }
        let failing = Turned { turn: Turn::Failing, attempts: 5, since: Some(at(5)) };
        assert_eq!(health.heard(&later, at(9)), Some(failing));
        let gone = Turned { turn: Turn::Disabled, attempts: 1, since: Some(at(0)) };
        let mut health = Health::default();
        assert_eq!(health.heard(&Outcome::Disabled, at(0)), Some(gone));
        assert_eq!(health.heard(&Outcome::Disabled, at(0)), None, "of several attempts at once the first tells it");
        assert_eq!(health.heard(&Outcome::Delivered, at(1)), None);
        assert!(health.heard(&Outcome::Disabled, at(2)).is_some(), "it was activated in between");
    }
}
