use crate::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use waybill_types::Timestamp;

/// When a hook keeps quiet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GateRule {
    /// Only where the digest changed.
    pub on_change: bool,
    /// For so long after it fired.
    pub snooze: Option<Duration>,
}

/// What a hook remembers of the events before, so that it can keep quiet. It can be stored and read back.
///
/// Times are those at which events happened, so that the same events give the same verdicts however late they are judged.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Gate {
    /// The digest of the event before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<Digest>,
    /// When the hook fired last, in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fired: Option<i64>,
    /// When it fired last for a digest, in nanoseconds. Only where both rules hold.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    fired_for: BTreeMap<Digest, i64>,
}

/// Why a hook kept quiet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quiet {
    /// The digest is that of the event before.
    Unchanged,
    /// It fired not long ago.
    Snoozing,
}

impl Quiet {
    /// The word for it in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Quiet::Unchanged => "on_change",
            Quiet::Snoozing => "snooze",
        }
    }
}

/// So many digests are remembered; beyond, the one that fired longest ago is forgotten and would fire again.
const REMEMBERED: usize = 4096;

impl Gate {
    /// Whether the event with this digest, which happened at `at`, makes the hook fire. `Err` says why it does not.
    pub fn judge(&mut self, rule: GateRule, digest: Digest, at: Timestamp) -> Result<(), Quiet> {
        let changed = self.last.replace(digest) != Some(digest);
        match rule {
            GateRule { on_change: false, snooze: None } => Ok(()),
            GateRule { on_change: true, snooze: None } if !changed => Err(Quiet::Unchanged),
            GateRule { on_change: true, snooze: None } => Ok(()),
            GateRule { on_change: false, snooze: Some(snooze) } => {
                if self.fired.is_some_and(|fired| is_quiet(fired, snooze, at)) {
                    return Err(Quiet::Snoozing);
                }
                self.fired = Some(at.nanos());
                Ok(())
            }
            GateRule { on_change: true, snooze: Some(snooze) } => {
                if self.fired_for.get(&digest).is_some_and(|fired| is_quiet(*fired, snooze, at)) {
                    return Err(Quiet::Snoozing);
                }
                self.remember(digest, snooze, at);
                Ok(())
            }
        }
    }

    fn remember(&mut self, digest: Digest, snooze: Duration, at: Timestamp) {
        if self.fired_for.len() >= REMEMBERED {
            self.fired_for.retain(|_, fired| is_quiet(*fired, snooze, at));
        }
        if self.fired_for.len() >= REMEMBERED
            && let Some(oldest) = self.fired_for.iter().min_by_key(|(_, fired)| **fired).map(|(digest, _)| *digest)
        {
            self.fired_for.remove(&oldest);
        }
        self.fired_for.insert(digest, at.nanos());
    }
}

/// Within the time after it fired. A clock that was set back by more than that does not keep a hook quiet for longer.
fn is_quiet(fired: i64, snooze: Duration, at: Timestamp) -> bool {
    u128::from(at.nanos().abs_diff(fired)) < snooze.as_nanos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;
    use serde_json::json;

    fn digest(name: &str) -> Digest {
        let serde_json::Value::Object(data) = json!({"name": name}) else { panic!("an object") };
        Digest::of(&Event { id: "1", source: "s", event: "e", time: Timestamp::EPOCH, tenant: None, data: &data }, None)
    }

    /// Events as "time name"; gives those that fire.
    fn fires(rule: GateRule, events: &[(i64, &str)]) -> Vec<i64> {
        let mut gate = Gate::default();
        let mut fired = Vec::new();
        for (at, name) in events {
            // All of it survives a restart.
            gate = serde_json::from_str(&serde_json::to_string(&gate).unwrap()).unwrap();
            if gate.judge(rule, digest(name), Timestamp::from_secs(*at)).is_ok() {
                fired.push(*at);
            }
        }
        fired
    }

    const ON_CHANGE: GateRule = GateRule { on_change: true, snooze: None };
    const SNOOZE: GateRule = GateRule { on_change: false, snooze: Some(Duration::from_secs(10)) };
    const BOTH: GateRule = GateRule { on_change: true, snooze: Some(Duration::from_secs(10)) };

    #[test]
    fn without_rules_every_event_fires() {
        assert_eq!(fires(GateRule::default(), &[(1, "a"), (1, "a"), (2, "a")]), [1, 1, 2]);
    }

    #[test]
    fn on_change_fires_only_when_the_digest_differs_from_that_of_the_last_event_the_hook_saw() {
        assert_eq!(fires(ON_CHANGE, &[(1, "a"), (2, "a"), (3, "b"), (4, "a"), (900, "a")]), [1, 3, 4]);
    }

    #[test]
    fn snooze_fires_at_once_and_then_nothing_fires_for_n_seconds_after_it_fired() {
        assert_eq!(fires(SNOOZE, &[(1, "a"), (2, "b"), (10, "c"), (11, "d"), (20, "e"), (21, "f")]), [1, 11, 21]);
    }

    #[test]
    fn with_both_an_equal_digest_stays_quiet_for_n_seconds_and_another_fires() {
        let events = [(1, "a"), (2, "a"), (3, "b"), (4, "a"), (10, "a"), (11, "a"), (12, "b"), (13, "b")];
        assert_eq!(fires(BOTH, &events), [1, 3, 11, 13]);
    }

    #[test]
    fn the_verdict_says_why_a_hook_keeps_quiet() {
        let mut gate = Gate::default();
        let at = Timestamp::from_secs(1);
        assert_eq!(gate.judge(ON_CHANGE, digest("a"), at), Ok(()));
        assert_eq!(gate.judge(ON_CHANGE, digest("a"), at), Err(Quiet::Unchanged));
        let mut gate = Gate::default();
        assert_eq!(gate.judge(SNOOZE, digest("a"), at), Ok(()));
        assert_eq!(gate.judge(SNOOZE, digest("b"), at).map_err(Quiet::as_str), Err("snooze"));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_silence_a_hook() {
        assert_eq!(fires(SNOOZE, &[(1000, "a"), (995, "b"), (100, "c"), (105, "d")]), [1000, 100]);
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let mut gate = Gate::default();
        for n in 0..REMEMBERED + 50 {
            let at = Timestamp::from_nanos(i64::try_from(n).unwrap());
            assert_eq!(gate.judge(BOTH, digest(&n.to_string()), at), Ok(()));
        }
        assert_eq!(gate.fired_for.len(), REMEMBERED);
        let later = Timestamp::from_nanos(5000);
        assert_eq!(gate.judge(BOTH, digest("4000"), later), Err(Quiet::Snoozing));
        assert_eq!(gate.judge(BOTH, digest("3"), later), Ok(()), "forgotten: rather twice than not at all");
    }
}
