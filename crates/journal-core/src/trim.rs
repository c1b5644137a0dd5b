use std::time::Duration;
use waybill_types::{Offset, Timestamp};

/// How much settled history is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TrimRule {
    /// Settled events older than this may go.
    pub retention: Duration,
    /// When the stream is larger, older settled events go before their time.
    pub max_size: u64,
}

/// A sample of the stream: the first event at or behind an offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// Where it stands.
    pub offset: Offset,
    /// When it was appended.
    pub time: Timestamp,
}

/// Below which offset the stream may be trimmed. Unsettled events are never dropped: `settled` is the least cursor of
/// all consumers, detached ones included.
///
/// `samples` are in order of offset; the finer they are, the more exact the cut. `size` is about how many bytes the
/// stream from the first sample to `tail` takes, taken as spread evenly.
pub fn trim_below(
    rule: TrimRule,
    now: Timestamp,
    settled: Offset,
    samples: &[Sample],
    tail: Offset,
    size: u64,
) -> Option<Offset> {
    let first = samples.first()?.offset;
    let horizon = now - rule.retention;
    let too_old = samples.iter().rev().find(|sample| sample.time <= horizon).map(|sample| sample.offset);
    let events = tail.0.saturating_sub(first.0).max(1);
    let surplus = size.saturating_sub(rule.max_size);
    let too_many = u64::try_from(u128::from(events) * u128::from(surplus) / u128::from(size.max(1))).unwrap_or(0);
    let too_large = (too_many > 0).then_some(Offset(first.0.saturating_add(too_many)));
    let cut = too_old.max(too_large)?.min(settled);
    (cut > first).then_some(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + 60 * minutes)
    }

    fn samples() -> Vec<Sample> {
        (0u32..10).map(|i| Sample { offset: Offset(u64::from(i) * 100), time: at(i64::from(i)) }).collect()
    }

    const RULE: TrimRule = TrimRule { retention: Duration::from_secs(300), max_size: 1_000_000 };

    #[test]
    fn settled_events_go_when_they_are_older_than_the_retention() {
        let below = trim_below(RULE, at(9), Offset(1000), &samples(), Offset(1000), 10);
        assert_eq!(below, Some(Offset(400)));
    }

    #[test]
    fn unsettled_events_stay_whatever_their_age_and_size() {
        assert_eq!(trim_below(RULE, at(90), Offset(150), &samples(), Offset(1000), 1 << 40), Some(Offset(150)));
        assert_eq!(trim_below(RULE, at(90), Offset(0), &samples(), Offset(1000), 1 << 40), None);
    }

    #[test]
    fn a_stream_that_is_too_large_loses_its_oldest_share() {
        let below = trim_below(RULE, at(1), Offset(1000), &samples(), Offset(1000), 4_000_000);
        assert_eq!(below, Some(Offset(750)));
    }
}
