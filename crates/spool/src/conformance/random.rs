//! A store beside [`MemoryStore`], under the same random batches.

use super::{Fixture, between, body, commit, envelope, id, read_from, text};
use crate::{Batch, Durability, Key, MemoryStore, Op, Store, StreamId, Table};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use waybill_types::Offset;

/// Ids that messages are made of: few, so that the same one is put, changed and removed again and again.
const MESSAGES: u64 = 12;
const STREAMS: [StreamId; 3] = [StreamId::EVENTS, StreamId::SIGNALS, StreamId(9)];
const NAMES: [&str; 5] = ["", "lane", "läne", "lane/é✉", "z"];

/// Random numbers from a seed (splitmix64), so that a failing run can be run again.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Dice(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let index = self.below(from.len() as u64);
        from[usize::try_from(index).unwrap_or_default()]
    }

    fn key(&mut self) -> Key {
        let key = Key::new().text(self.pick(&NAMES));
        if self.below(4) == 0 { key } else { key.number(self.below(6)) }
    }
}

/// Applies `batches` random batches to the fixture's store and to a [`MemoryStore`] and compares all that can be read,
/// with a restart of either kind now and then.
pub async fn matches_the_memory_store(fixture: &dyn Fixture, seed: u64, batches: usize) {
    let mut pair =
        Pair { real: fixture.open().await, model: MemoryStore::new(), streams: BTreeMap::new(), dice: Dice::new(seed) };
    for step in 0..batches {
        pair.change().await;
        if pair.dice.below(12) == 0 {
            pair.compare(&format!("seed {seed}, step {step}")).await;
        }
        match pair.dice.below(40) {
            0 => pair.real = fixture.close_and_reopen().await,
            1 => pair.real = fixture.crash_and_reopen().await,
            _ => {}
        }
    }
    pair.compare(&format!("seed {seed}, at the end")).await;
}

/// One stream in both stores.
#[derive(Default)]
struct Appended {
    /// The offsets of each event: those of the real store may have gaps.
    offsets: Vec<(Offset, Offset)>,
    /// How many of them were trimmed.
    trimmed: usize,
}

struct Pair {
    real: Arc<dyn Store>,
    model: MemoryStore,
    streams: BTreeMap<StreamId, Appended>,
    dice: Dice,
}

impl Pair {
    async fn change(&mut self) {
        let mut real = Batch::new();
        let mut model = Batch::new();
        let mut appended = Vec::new();
        for _ in 0..self.dice.below(12) {
            let op = match self.dice.below(11) {
                0..3 => self.random_put(),
                3 => Op::Remove { id: id(self.dice.below(MESSAGES)) },
                4..6 => {
                    let stream = self.dice.pick(&STREAMS);
                    appended.push(stream);
                    Op::Append { stream, entry: text(format!("event {}", self.dice.next())) }
                }
                6..8 => {
                    let value = text(self.dice.next().to_string());
                    Op::Set { table: self.dice.pick(&Table::ALL), key: self.dice.key(), value }
                }
                8 => Op::Body { id: id(self.dice.below(MESSAGES)), data: text(self.dice.next().to_string()) },
                9 => Op::Unset { table: self.dice.pick(&Table::ALL), key: self.dice.key() },
                _ => {
                    self.random_trim(&mut real, &mut model);
                    continue;
                }
            };
            real.push(op.clone());
            model.push(op);
        }
        let durability = self.dice.pick(&[Durability::Written, Durability::Synced]);
        let real = commit(&*self.real, real, durability).await.offsets;
        let model = self.model.apply(model).offsets;
        assert_eq!(real.len(), model.len());
        for (stream, offsets) in appended.into_iter().zip(real.into_iter().zip(model)) {
            self.streams.entry(stream).or_default().offsets.push(offsets);
        }
    }

    fn random_put(&mut self) -> Op {
        let size = self.dice.pick(&[0, 10, 1_000, 70_000]);
        let data = (self.dice.below(3) > 0).then(|| super::noise(self.dice.next(), size));
        let envelope = text(format!("envelope {}", self.dice.next()));
        Op::Put { id: id(self.dice.below(MESSAGES)), envelope, data }
    }

    fn random_trim(&mut self, real: &mut Batch, model: &mut Batch) {
        let stream = self.dice.pick(&STREAMS);
        let Some(appended) = self.streams.get_mut(&stream) else { return };
        let index = usize::try_from(self.dice.below(appended.offsets.len() as u64)).unwrap_or_default();
        let (below_real, below_model) = appended.offsets[index];
        real.push(Op::Trim { stream, below: below_real });
        model.push(Op::Trim { stream, below: below_model });
        appended.trimmed = appended.trimmed.max(index);
    }

    async fn compare(&mut self, place: &str) {
        self.compare_messages(place).await;
        self.compare_tables(place).await;
        for stream in STREAMS {
            self.compare_stream(stream, place).await;
        }
    }

    async fn compare_messages(&mut self, place: &str) {
        let mut after = None;
        loop {
            let limit = usize::try_from(1 + self.dice.below(5)).unwrap_or(1);
            let real = self.real.scan(after, limit).await.unwrap_or_else(|error| panic!("{place}: {error}"));
            let model = self.model.scan(after, limit).await.unwrap_or_else(|error| panic!("{place}: {error}"));
            assert_eq!(real, model, "{place}: messages behind {after:?}");
            let Some(last) = real.last() else { break };
            after = Some(last.id);
        }
        for number in 0..MESSAGES {
            let (real, model) = (envelope(&*self.real, id(number)).await, envelope(&self.model, id(number)).await);
            assert_eq!(real, model, "{place}: envelope of message {number}");
            let (real, model) = (body(&*self.real, id(number)).await, body(&self.model, id(number)).await);
            assert!(real == model, "{place}: body of message {number}");
        }
    }

    async fn compare_tables(&mut self, place: &str) {
        for table in Table::ALL {
            let limit = usize::try_from(self.dice.below(20)).unwrap_or(1);
            let some = (self.dice.key(), self.dice.key(), limit);
            for (from, until, limit) in [(Key::new(), Key::new().end(), usize::MAX), some] {
                let real = between(&*self.real, table, from.clone(), until.clone(), limit).await;
                let model = between(&self.model, table, from, until, limit).await;
                assert_eq!(real, model, "{place}: table {table:?}");
            }
        }
    }

    async fn compare_stream(&mut self, stream: StreamId, place: &str) {
        let Some(appended) = self.streams.get(&stream) else { return };
        let kept = &appended.offsets[appended.trimmed..];
        let Some((first, _)) = kept.first() else { return };
        let page = usize::try_from(1 + self.dice.below(30)).unwrap_or(1);
        let real = read_from(&*self.real, stream, *first, page).await;
        let model = read_from(&self.model, stream, Offset::ZERO, page).await;
        let renamed: Vec<(Offset, Bytes)> =
            kept.iter().zip(&model).map(|((real, _), (_, entry))| (*real, entry.clone())).collect();
        assert_eq!(model.len(), kept.len(), "{place}: the model of {stream:?}");
        assert_eq!(real, renamed, "{place}: events of {stream:?}");

        let asked: Vec<Offset> = kept.iter().rev().step_by(3).map(|(real, _)| *real).collect();
        let found = self.real.fetch(stream, asked.clone()).await.unwrap_or_else(|error| panic!("{place}: {error}"));
        let expected: Vec<Option<Bytes>> =
            asked.iter().map(|at| real.iter().find(|(offset, _)| offset == at).map(|(_, e)| e.clone())).collect();
        assert_eq!(found, expected, "{place}: single events of {stream:?}");
    }
}
