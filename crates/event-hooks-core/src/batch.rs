use std::time::Duration;
use waybill_types::Timestamp;

/// When events of a hook go together in one request.
///
/// ```
/// use std::time::Duration;
/// use waybill_event_hooks_core::{BatchRule, Form};
/// use waybill_types::Timestamp;
/// let rule = BatchRule { events: 3, bytes: 100, wait: Duration::from_secs(5) };
/// let (first, now) = (Timestamp::from_secs(10), Timestamp::from_secs(12));
/// assert_eq!(rule.form([(10, first), (10, now)], now), Form::At(Timestamp::from_secs(15)));
/// assert_eq!(rule.form([(10, first); 4], now), Form::Take(3));
/// assert_eq!(rule.form([(90, first), (20, first)], now), Form::Take(1));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchRule {
    /// So many at most, and at once when there are so many.
    pub events: usize,
    /// So many bytes at most, or one event.
    pub bytes: usize,
    /// The first of them waits no longer for others.
    pub wait: Duration,
}

/// What to do with events that wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// So many of them go together, now.
    Take(usize),
    /// Others may come until then.
    At(Timestamp),
}

impl BatchRule {
    /// An event a request.
    pub const SINGLE: BatchRule = BatchRule { events: 1, bytes: usize::MAX, wait: Duration::ZERO };

    /// `waiting` are the events that wait, in order: how large each is, and since when it waits.
    pub fn form(&self, waiting: impl IntoIterator<Item = (usize, Timestamp)>, now: Timestamp) -> Form {
        let (mut count, mut bytes, mut first) = (0, 0_usize, now);
        for (size, since) in waiting {
            let grown = bytes.saturating_add(size);
            if count >= self.events || (count > 0 && grown > self.bytes) {
                return Form::Take(count);
            }
            (count, bytes, first) = (count + 1, grown, first.min(since));
        }
        let until = first + self.wait;
        if count >= self.events || bytes >= self.bytes || until <= now { Form::Take(count) } else { Form::At(until) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: BatchRule = BatchRule { events: 3, bytes: 100, wait: Duration::from_secs(5) };

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn a_batch_goes_when_it_is_full_in_number_or_bytes_or_when_its_first_has_waited() {
        let form = |sizes: &[usize], now| RULE.form(sizes.iter().map(|size| (*size, at(0))), now);
        assert_eq!(form(&[1, 1], at(4)), Form::At(at(5)));
        assert_eq!(form(&[1, 1], at(5)), Form::Take(2));
        assert_eq!(form(&[1, 1, 1], at(0)), Form::Take(3));
        assert_eq!(form(&[60, 40], at(0)), Form::Take(2), "it is exactly full");
        assert_eq!(form(&[60, 41], at(0)), Form::Take(1), "the second does not fit");
        assert_eq!(form(&[900, 1], at(0)), Form::Take(1), "one goes whatever its size");
    }

    #[test]
    fn whoever_has_waited_takes_along_those_before_and_behind_it() {
        assert_eq!(RULE.form([(1, at(9)), (1, Timestamp::EPOCH), (1, at(10))], at(10)), Form::Take(3));
        assert_eq!(RULE.form([(1, at(9)), (1, at(7))], at(10)), Form::At(at(12)));
    }

    #[test]
    fn without_a_wait_what_is_there_goes() {
        let rule = BatchRule { wait: Duration::ZERO, ..RULE };
        assert_eq!(rule.form([(1, at(7))], at(7)), Form::Take(1));
        assert_eq!(BatchRule::SINGLE.form([(1, at(7)); 2], at(7)), Form::Take(1));
    }
}
