use super::{NOTHING, NOW, UserLog, compare, everything, message, open};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use waybill_spool::MemoryStore;
use waybill_streams_core::{Cleanup, Message, Stats};

/// A log as one would write it down on paper.
#[derive(Clone, Default, PartialEq, Debug)]
pub(super) struct Model {
    pub(super) next: u64,
    kept: BTreeMap<u64, Message>,
    /// The last offset that each key was published at, whether its message is still there or not.
    newest: BTreeMap<Bytes, u64>,
}

impl Model {
    pub(super) fn messages(&self) -> Vec<(u64, Message)> {
        self.kept.iter().map(|(offset, message)| (*offset, message.clone())).collect()
    }

    pub(super) fn stats(&self) -> Stats {
        let size = self.kept.values().map(|message| message.encode().len() as u64).sum();
        Stats { size, count: self.kept.len() as u64 }
    }

    pub(super) fn by_key(&self, key: &str) -> Option<(u64, Message)> {
        // What was replaced never comes back, also when what replaced it (a delete, say) has expired.
        let offset = *self.newest.get(key.as_bytes())?;
        Some((offset, self.kept.get(&offset)?.clone()))
    }

    pub(super) fn publish(&mut self, messages: &[Message]) {
        for message in messages {
            self.kept.insert(self.next, message.clone());
            if let Some(key) = &message.key {
                self.newest.insert(key.clone(), self.next);
            }
            self.next += 1;
        }
    }

    pub(super) fn clean_up(&mut self, rule: Cleanup) {
        let old = |message: &Message, seconds: u64| {
            seconds > 0 && NOW - message.time > i64::try_from(seconds).unwrap() * 1_000_000
        };
        while let Some((offset, message)) = self.kept.first_key_value() {
            let stats = self.stats();
            let goes = old(message, rule.trim_seconds)
                || (rule.trim_size > 0 && stats.size > rule.trim_size)
                || (rule.trim_count > 0 && stats.count > rule.trim_count);
            if !goes {
                break;
            }
            let offset = *offset;
            self.kept.remove(&offset);
        }
        let newest = self.newest.clone();
        let replaced =
            |offset: u64, message: &Message| message.key.as_ref().is_some_and(|key| newest.get(key) != Some(&offset));
        self.kept.retain(|offset, message| !(old(message, rule.compact_seconds) && replaced(*offset, message)));
        self.kept.retain(|_, message| !(old(message, rule.expire_seconds) && message.value.is_none()));
    }
}

/// Random numbers from a seed (splitmix64), so that a failing run can be run again.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn message(&mut self) -> Message {
        let key = [None, Some("a"), Some("b"), Some("c"), Some("")][usize::try_from(self.below(5)).unwrap()];
        let value = [None, Some(""), Some("value"), Some("a longer value")][usize::try_from(self.below(4)).unwrap()];
        message(i64::try_from(self.below(100)).unwrap(), key, value)
    }

    pub(super) fn messages(&mut self) -> Vec<Message> {
        (0..self.below(6)).map(|_| self.message()).collect()
    }

    pub(super) fn rule(&mut self, compacting: bool) -> Cleanup {
        let seconds = 1 + self.below(99);
        match self.below(5) {
            0 => Cleanup { trim_seconds: seconds, ..NOTHING },
            1 => Cleanup { trim_size: 1 + self.below(600), ..NOTHING },
            2 => Cleanup { trim_count: 1 + self.below(20), ..NOTHING },
            3 if compacting => Cleanup { compact_seconds: seconds, ..NOTHING },
            _ => Cleanup { expire_seconds: seconds, ..NOTHING },
        }
    }
}

async fn run(seed: u64, compacting: bool) {
    let store = Arc::new(MemoryStore::new());
    let mut log = open(store.clone(), compacting).await;
    let (mut model, mut dice) = (Model::default(), Dice(seed));
    for step in 0..120 {
        let place = format!("seed {seed}, compacting {compacting}, step {step}");
        match dice.below(8) {
            0..=3 => {
                let messages = dice.messages();
                model.publish(&messages);
                assert_eq!(log.publish(messages).await.unwrap(), model.next, "{place}");
            }
            4 | 5 => {
                let rule = dice.rule(compacting);
                let before = model.stats().size;
                model.clean_up(rule);
                assert_eq!(log.clean_up(rule).await.unwrap(), before - model.stats().size, "{place}: {rule:?}");
            }
            6 => {
                // All at once, in the order trim, compact, expire.
                let (one, other) = (dice.rule(compacting), dice.rule(compacting));
                let both = Cleanup {
                    trim_seconds: one.trim_seconds,
                    trim_count: other.trim_count,
                    compact_seconds: one.compact_seconds.max(other.compact_seconds),
                    expire_seconds: one.expire_seconds.max(other.expire_seconds),
                    trim_size: 0,
                };
                model.clean_up(both);
                log.clean_up(both).await.unwrap();
            }
            _ => log = open(store.clone(), compacting).await,
        }
        compare(&log, &model, &place).await;
    }
}

#[tokio::test]
async fn a_log_is_what_a_naive_one_would_be() {
    for seed in 0..12 {
        run(seed, false).await;
        run(seed, true).await;
    }
}

#[tokio::test]
async fn sweeps_of_many_pages_are_as_those_of_one() {
    let log: UserLog = open(Arc::new(MemoryStore::new()), true).await;
    let (mut model, mut dice) = (Model::default(), Dice(99));
    for _ in 0..40 {
        let messages: Vec<Message> = (0..50).map(|_| dice.message()).collect();
        model.publish(&messages);
        log.publish(messages).await.unwrap();
    }
    for rule in [
        Cleanup { compact_seconds: 60, ..NOTHING },
        Cleanup { trim_count: 300, ..NOTHING },
        Cleanup { expire_seconds: 10, compact_seconds: 1, ..NOTHING },
    ] {
        model.clean_up(rule);
        log.clean_up(rule).await.unwrap();
        assert_eq!(everything(&log).await, model.messages(), "{rule:?}");
        assert_eq!(log.stats(), model.stats());
    }
}
