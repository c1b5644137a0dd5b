use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use waybill_event_hooks_core::{Digest, Gate, GateRule, Quiet};
use waybill_types::{Offset, Timestamp};

/// What a hook's consumer remembers of the events that it judged: the gate, and which of those that its position has not
/// passed yet the gate let through. It is stored in one batch with the position, so that after a crash an event that was
/// on its way fires again, and one that was kept quiet stays quiet.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    gate: Gate,
    /// Every event below was judged.
    judged: u64,
    /// Those of them that fire and are not settled.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    fires: BTreeSet<u64>,
    /// Counts changes.
    #[serde(skip)]
    number: u64,
}

/// The event does not make the hook fire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Silence {
    /// Because of this.
    Now(Quiet),
    /// That was decided before.
    Before,
}

impl Memory {
    /// Whether an event makes the hook fire.
    pub(crate) fn judge(
        &mut self,
        offset: Offset,
        rule: GateRule,
        digest: Digest,
        at: Timestamp,
    ) -> Result<(), Silence> {
        if offset.0 < self.judged {
            return if self.fires.contains(&offset.0) { Ok(()) } else { Err(Silence::Before) };
        }
        self.number += 1;
        self.judged = offset.0 + 1;
        self.gate.judge(rule, digest, at).map_err(Silence::Now)?;
        self.fires.insert(offset.0);
        Ok(())
    }

    /// The position has passed it.
    pub(crate) fn forget(&mut self, offset: Offset) {
        if self.fires.remove(&offset.0) {
            self.number += 1;
        }
    }

    /// Its bytes and number, where that is another.
    pub(crate) fn encode(&self, known: u64) -> Option<(u64, Bytes)> {
        if self.number == known {
            return None;
        }
        match serde_json::to_vec(self) {
            Ok(bytes) => Some((self.number, bytes.into())),
            Err(error) => {
                tracing::error!("what an event hook remembers cannot be written: {error}");
                None
            }
        }
    }

    /// What [`Memory::encode`] gave.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;
    use waybill_event_hooks_core::Event;

    const SNOOZE: GateRule = GateRule { on_change: false, snooze: Some(Duration::from_secs(60)) };

    fn digest(what: &str) -> Digest {
        let data = json!({ "what": what });
        let data = data.as_object().unwrap();
        let event = Event { id: "", source: "s", event: "e", time: Timestamp::EPOCH, tenant: None, data };
        Digest::of(&event, None)
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + secs)
    }

    #[test]
    fn after_a_crash_what_fired_fires_again_and_what_was_quiet_stays_quiet() {
        let mut memory = Memory::default();
        assert_eq!(memory.judge(Offset(3), SNOOZE, digest("a"), at(0)), Ok(()));
        assert_eq!(memory.judge(Offset(4), SNOOZE, digest("b"), at(5)), Err(Silence::Now(Quiet::Snoozing)));
        let (_, stored) = memory.encode(0).unwrap();
        let mut memory = Memory::decode(&stored).unwrap();
        assert_eq!(memory.judge(Offset(3), SNOOZE, digest("a"), at(0)), Ok(()), "it was on its way");
        assert_eq!(memory.judge(Offset(4), SNOOZE, digest("b"), at(5)), Err(Silence::Before));
        assert_eq!(memory.judge(Offset(5), SNOOZE, digest("c"), at(59)), Err(Silence::Now(Quiet::Snoozing)));
        assert_eq!(memory.judge(Offset(6), SNOOZE, digest("d"), at(60)), Ok(()));
    }

    #[test]
    fn what_is_settled_is_forgotten_and_each_change_has_a_number() {
        let mut memory = Memory::default();
        assert_eq!(memory.encode(0), None, "there is nothing to remember");
        memory.judge(Offset(0), SNOOZE, digest("a"), at(0)).unwrap();
        let (number, _) = memory.encode(0).unwrap();
        assert_eq!(memory.encode(number), None);
        memory.forget(Offset(7));
        assert_eq!(memory.encode(number), None, "it had no part in it");
        memory.forget(Offset(0));
        assert!(memory.encode(number).is_some_and(|(_, bytes)| !bytes.windows(5).any(|found| found == b"fires")));
    }
}
